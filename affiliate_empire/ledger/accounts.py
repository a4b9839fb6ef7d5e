"""Reads of the accounts on platforms."""

from __future__ import annotations

from sqlalchemy import select

from affiliate_empire.ledger.database import Ledger
from affiliate_empire.ledger.tables import Account


def first_account(platform: str, *, ledger: Ledger) -> str | None:
    """The account of a platform that was there first: the one that the settings' credentials are for."""
    oldest = select(Account.account_id).where(Account.platform == platform)
    with ledger.begin() as session:
        return session.scalar(oldest.order_by(Account.created_at, Account.account_id).limit(1))
