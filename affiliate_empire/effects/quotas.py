"""Quotas: rolling windows per account, lowered by what the platform itself says.

A platform counts what an account posted within the last window, whenever one asks (``kernel.windows``). Posts that the
platform counts and this ledger does not take part as uses of the moment at which they were seen. The platform's word
(``account_limits``) lowers a limit while it holds, and raises none.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from affiliate_empire.effects.errors import QuotaRefused
from affiliate_empire.effects.model import Quota
from affiliate_empire.kernel.windows import frees_at, has_room
from affiliate_empire.ledger.tables import Account, AccountLimit, Effect, QuotaUse


def load_window(
    session: Session, account_id: str, quota: Quota, *, own: str | None = None
) -> tuple[list[datetime], list[AccountLimit]]:
    """An account's uses that count from the quota's time on, and what the platform says and still holds.

    Args:
        own: an effect whose use does not count: the one that asks, where a dead worker left its use behind.
    """
    used = select(QuotaUse.at).where(
        QuotaUse.account_id == account_id,
        QuotaUse.quota == quota.name,
        QuotaUse.at > quota.at - quota.window,
        QuotaUse.effect_id.is_distinct_from(own),
    )
    said = select(AccountLimit).where(
        AccountLimit.account_id == account_id,
        AccountLimit.quota == quota.name,
        AccountLimit.holds_until > (quota.asked_at or quota.at),
    )
    return list(session.scalars(used)), list(session.scalars(said))


def refusal(session: Session, account_id: str, quota: Quota, *, own: str | None = None) -> QuotaRefused | None:
    """Why an account may not use its quota; None when it may. Takes nothing.

    Args:
        own: as ``load_window`` takes it.
    """
    uses, said = load_window(session, account_id, quota, own=own)
    if has_room(uses, quota.at, quota.limit, quota.window, said):
        return None
    frees = frees_at(uses, quota.at, quota.limit, quota.window, said)
    stated = [each for each in said if each.posts is not None]
    limit = min([quota.limit, *(each.posts for each in stated if each.posts is not None)])
    lowering = min(stated, key=lambda each: each.posts or 0, default=None) if limit < quota.limit else None
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
