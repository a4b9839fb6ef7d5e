"""Quotas: rolling windows per account.

A platform counts what an account posted within the last window, whenever one asks; so a use fits only if *every* window
that would contain it stays within the limit, also those that end with posts already scheduled after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from affiliate_empire.effects.errors import QuotaRefused
from affiliate_empire.effects.model import Quota
from affiliate_empire.ledger.tables import Account, Effect, QuotaUse


def fits(uses: Sequence[datetime], at: datetime, limit: int, window: timedelta) -> bool:
    """Whether one more use at ``at`` leaves at most ``limit`` uses in every window ``(end - window, end]``."""
    together = [*uses, at]
    ends = [end for end in together if at <= end < at + window]
    return all(sum(end - window < use <= end for use in together) <= limit for end in ends)


def earliest(uses: Sequence[datetime], at: datetime, limit: int, window: timedelta) -> datetime:
    """The earliest time from ``at`` on at which one more use fits; ``limit`` must be at least 1."""
    # Room only ever appears when a use leaves the window, so these are the only moments to try.
    moments = [at, *sorted(use + window for use in uses if use + window > at)]
    return next(moment for moment in moments if fits(uses, moment, limit, window))


def use(session: Session, effect: Effect, quota: Quota) -> None:
    """Take one use of an account's quota.

    Raises:
        QuotaRefused: the window is full.
    """
    if effect.account_id is None:
        raise ValueError(f"the quota {quota.name} needs an account")
    # Workers of one account queue here; NO KEY leaves the foreign keys of other inserts alone.
    session.execute(
        select(Account.account_id).where(Account.account_id == effect.account_id).with_for_update(key_share=True)
    )
    uses = session.scalars(
        select(QuotaUse.at).where(
            QuotaUse.account_id == effect.account_id,
            QuotaUse.quota == quota.name,
            QuotaUse.at > quota.at - quota.window,
        )
    ).all()
    if not fits(uses, quota.at, quota.limit, quota.window):
        # A limit of 0 (a restricted account) never has room; the window's end is when to look again.
        frees = earliest(uses, quota.at, quota.limit, quota.window) if quota.limit > 0 else quota.at + quota.window
        raise QuotaRefused(
            f"{effect.account_id} may do {quota.limit} in {quota.window} ({quota.name}), and they are used: it has "
            f"room at {frees:%Y-%m-%d %H:%M} UTC.",
            quota=quota.name,
            account_id=effect.account_id,
            frees_at=frees,
        )
    session.add(QuotaUse(effect_id=effect.effect_id, quota=quota.name, account_id=effect.account_id, at=quota.at))


def free(session: Session, effect: Effect) -> None:
    """Give an effect's uses back: it is proven not to have happened."""
    session.execute(delete(QuotaUse).where(QuotaUse.effect_id == effect.effect_id))
