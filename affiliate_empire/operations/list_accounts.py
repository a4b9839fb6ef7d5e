"""The accounts that the business posts on, as their owner sees them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from affiliate_empire.effects.switches import paused_scopes
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, AccountLimit
from affiliate_empire.operations.account_limits import described
from affiliate_empire.vault import Grants


def list_accounts(*, grants: Grants, ledger: Ledger) -> list[dict[str, Any]]:
    """A row per account, by platform and age.

    ``account_id``, ``display_name``, ``niche`` (None for any), ``status``, ``paused`` (the reason of the pause that
    holds it: its own, its platform's, or of all; None where it may post), ``connected`` (whether there is a grant to
    post with; a blog needs none), ``approval`` (``auto`` or ``required``), ``route`` (how a TikTok account's posts get
    there; None elsewhere) and ``said`` (what its platform said last of how often it may post, and until when
    that holds).
    """
    query = select(Account).order_by(Account.platform, Account.created_at, Account.account_id)
    pauses = paused_scopes(ledger=ledger)

    def reason(account: Account) -> str | None:
        scopes = ("all", f"vendor:{account.platform}", f"account:{account.account_id}")
        return next((pauses[scope] for scope in scopes if scope in pauses), None)

    with ledger.begin() as session:
        newest = select(AccountLimit).order_by(AccountLimit.observed_at)
        said = {limit.account_id: described([limit])[0] for limit in session.scalars(newest)}
        return [
            {
                "account_id": account.account_id,
                "display_name": account.display_name,
                "niche": account.niche,
                "status": account.status,
                "paused": reason(account),
                "connected": account.platform == "blog" or grants.is_connected(account.account_id),
                "approval": account.approval,
                "route": account.route if account.platform == "tiktok" else None,
                "said": said.get(account.account_id, "").partition(": ")[2],
            }
            for account in session.scalars(query)
        ]


def connected_platforms(grants: Grants, *, ledger: Ledger) -> set[str]:
    """The platforms that have an active account with a grant to post with."""
    with ledger.begin() as session:
        accounts = session.scalars(select(Account).where(Account.status == "active", Account.platform != "blog")).all()
    return {account.platform for account in accounts if grants.is_connected(account.account_id)}
