"""Quotas: rolling windows per account, lowered by what the platform itself says.

A platform counts what an account posted within the last window, whenever one asks; so a use fits only if *every* window
that would contain it stays within the limit, also those that end with posts already scheduled after it. Posts that the
platform counts and this ledger does not take part as uses of the moment at which they were seen. The platform's word
(``account_limits``) lowers a limit while it holds, and raises none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from affiliate_empire.effects.errors import QuotaRefused
from affiliate_empire.effects.model import Quota
from affiliate_empire.ledger.tables import Account, AccountLimit, Effect, QuotaUse


def fits(
    uses: Sequence[datetime], at: datetime, limit: int, window: timedelta, unseen: Sequence[datetime] = ()
) -> bool:
    """Whether one more use at ``at`` leaves at most ``limit`` uses in every window ``(end - window, end]``.

    Args:
        unseen: posts that the platform counts and nobody here made, as uses of the moment at which they were seen.
    """
    together = [*uses, *unseen, at]
    ends = [end for end in together if at <= end < at + window]
    return all(sum(end - window < use <= end for use in together) <= limit for end in ends)


def earliest(
    uses: Sequence[datetime], at: datetime, limit: int, window: timedelta, unseen: Sequence[datetime] = ()
) -> datetime:
    """The earliest time from ``at`` on at which one more use fits; ``limit`` must be at least 1."""
    # Room only ever appears when a use leaves the window, so these are the only moments to try.
    moments = [at, *sorted(use + window for use in (*uses, *unseen) if use + window > at)]
    return next(moment for moment in moments if fits(uses, moment, limit, window, unseen))


def refusal(
    session: Session, account_id: str, quota: Quota, beside: Sequence[datetime] = (), *, own: str | None = None
) -> QuotaRefused | None:
    """Why an account may not use its quota; None when it may. Takes nothing.

    Args:
        beside: uses that are to come.
        own: an effect whose use does not count: the one that asks, where a dead worker left its use behind.
    """
    said = session.scalars(
        select(AccountLimit).where(
            AccountLimit.account_id == account_id,
            AccountLimit.quota == quota.name,
            AccountLimit.holds_until > (quota.asked_at or quota.at),
        )
    ).all()
    stated = [each for each in said if each.posts is not None]
    limit = min([quota.limit, *(each.posts for each in stated if each.posts is not None)])
    lowering = min(stated, key=lambda each: each.posts or 0, default=None) if limit < quota.limit else None
    if limit <= 0:
        # No window will ever have room: what holds must end first, or the owner raise his own limit of none.
        frees = max((each.holds_until for each in stated if not each.posts), default=quota.at + quota.window)
    else:
        used = select(QuotaUse.at).where(
            QuotaUse.account_id == account_id,
            QuotaUse.quota == quota.name,
            QuotaUse.at > quota.at - quota.window,
            QuotaUse.effect_id.is_distinct_from(own),
        )
        uses = [*session.scalars(used), *beside]
        unseen = [each.observed_at for each in said for _ in range(each.unseen)]
        frees = earliest(uses, quota.at, limit, quota.window, unseen)
        if frees == quota.at:
            return None
    counted = [lowering] if lowering is not None else [each for each in said if each.unseen]
    why = "".join(f" ({each.reason.rstrip('.')})" for each in counted[:1])
    used_up = ", and they are used" if limit > 0 else ""
    return QuotaRefused(
        f"{account_id} may do {limit} in {quota.window} ({quota.name}){why}{used_up}: it has room at "
        f"{frees:%Y-%m-%d %H:%M} UTC.",
        quota=quota.name,
        account_id=account_id,
        frees_at=frees,
    )


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
    if (refused := refusal(session, effect.account_id, quota)) is not None:
        raise refused
    session.add(QuotaUse(effect_id=effect.effect_id, quota=quota.name, account_id=effect.account_id, at=quota.at))


def free(session: Session, effect: Effect) -> None:
    """Give an effect's uses back: it is proven not to have happened."""
    session.execute(delete(QuotaUse).where(QuotaUse.effect_id == effect.effect_id))
