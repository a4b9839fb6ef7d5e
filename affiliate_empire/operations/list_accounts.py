"""The accounts that the business posts on, as their owner sees them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from affiliate_empire.effects.switches import paused_scopes
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account


def list_accounts(*, ledger: Ledger) -> list[dict[str, Any]]:
    """A row per account, by platform and age: ``account_id``, ``display_name``, ``niche``, ``status``, ``paused``.

    ``niche`` is None for any. ``paused`` is the reason of the pause that holds it (its own, its platform's, or of all);
    None where it may post.
    """
    query = select(Account).order_by(Account.platform, Account.created_at, Account.account_id)
    pauses = paused_scopes(ledger=ledger)

    def reason(account: Account) -> str | None:
        scopes = ("all", f"vendor:{account.platform}", f"account:{account.account_id}")
        return next((pauses[scope] for scope in scopes if scope in pauses), None)

    with ledger.begin() as session:
        return [
            {
                "account_id": account.account_id,
                "display_name": account.display_name,
                "niche": account.niche,
                "status": account.status,
                "paused": reason(account),
            }
            for account in session.scalars(query)
        ]
