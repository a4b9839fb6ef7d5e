"""The accounts that the business posts on, as their owner sees them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Pause


def list_accounts(*, ledger: Ledger) -> list[dict[str, Any]]:
    """A row per account, by platform and age: ``account_id``, ``display_name``, ``niche``, ``status``, ``paused``.

    ``niche`` is None for any; ``paused`` is the reason, None where it may post.
    """
    query = (
        select(Account, Pause.reason)
        .outerjoin(Pause, Pause.scope == func.concat("account:", Account.account_id))
        .order_by(Account.platform, Account.created_at, Account.account_id)
    )
    with ledger.begin() as session:
        return [
            {
                "account_id": account.account_id,
                "display_name": account.display_name,
                "niche": account.niche,
                "status": account.status,
                "paused": paused,
            }
            for account, paused in session.execute(query)
        ]
