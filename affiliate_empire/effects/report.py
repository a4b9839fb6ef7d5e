"""What is open, and whether the books balance: for the owner's eyes and the asset checks. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, cast, func, or_, select
from sqlalchemy.orm import Session

from affiliate_empire.effects.model import HANDED_OVER, HOLDING, PARKED, State, alert_of
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Alert, Budget, Effect, Installation, Reservation

_REMEDIES = {
    State.INTENDED: "nothing was sent; materialize its asset again",
    State.CLAIMED: "being prepared, or left behind; materialize its asset again",
    State.PREPARED: "not sent yet; materialize its asset again",
    State.COMMITTING: "being sent, or left behind; materialize its asset again",
    State.UNKNOWN: "look at the vendor, then tell with `empire effects resolve {effect_id} --happened` (of a post with "
    "--remote-id) or `empire effects resolve {effect_id} --did-not-happen`",
}


@dataclass(frozen=True)
class Imbalance:
    """A figure that is not what the rows below it add up to, in micro-dollars."""

    subject: str
    stated_micros: int
    counted_micros: int


def open_effects(*, ledger: Ledger) -> list[dict[str, Any]]:
    """Every effect that is neither done nor dead, oldest first, each with its remedy."""
    with ledger.begin() as session:
        epoch = session.scalars(select(Installation.epoch)).one()
        rows = session.scalars(
            select(Effect).where(Effect.state.in_([*HOLDING, State.INTENDED])).order_by(Effect.created_at, Effect.key)
        ).all()
        return [_described(effect, epoch) for effect in rows]


def parked(session: Session, effect_ids: Iterable[str]) -> set[str]:
    """Which of these effects, if they are unknown, have been handed to the owner: nobody else can judge them."""
    alerts = {alert_of(subject, effect_id): effect_id for effect_id in effect_ids for subject in (PARKED, HANDED_OVER)}
    query = select(Alert.alert_id).where(Alert.alert_id.in_(alerts), Alert.resolved_at.is_(None))
    return {alerts[alert_id] for alert_id in session.scalars(query)}


def waiting_for_owner(session: Session, piece_ids: Iterable[str]) -> set[str]:
    """Which of these pieces have an effect that only the owner can judge: handed to him, or open since a restore."""
    epoch = session.scalars(select(Installation.epoch)).one()
    query = select(Effect).where(Effect.piece_id.in_(list(piece_ids)), Effect.state.in_([*HOLDING, State.INTENDED]))
    effects = session.scalars(query).all()
    told = parked(session, [effect.effect_id for effect in effects if effect.state == State.UNKNOWN])
    return {str(each.piece_id) for each in effects if each.effect_id in told or each.epoch != epoch}


def _described(effect: Effect, epoch: int) -> dict[str, Any]:
    remedy = _REMEDIES[State(effect.state)] if effect.epoch == epoch else _REMEDIES[State.UNKNOWN]
    return {
        "effect_id": effect.effect_id,
        "key": effect.key,
        "state": effect.state if effect.epoch == epoch else "parked",
        "vendor": effect.vendor,
        "operation": effect.operation,
        "account_id": effect.account_id,
        "piece_id": effect.piece_id,
        "day": effect.day,
        "error": effect.error,
        "updated_at": effect.updated_at,
        "remedy": remedy.format(effect_id=effect.effect_id),
    }


def imbalances(session: Session) -> list[Imbalance]:
    """Where budgets, reservations and effects disagree; empty when the books balance.

    A budget's ``reserved`` is the sum of its open reservations and its ``spent`` that of the ended ones; a reservation
    ended with its effect's cost; what is open holds its upper bound, and what has ended holds nothing.
    """
    # PostgreSQL's sum of bigint is numeric.
    held = cast(func.sum(Reservation.reserved_micros).filter(Reservation.spent_micros.is_(None)), BigInteger)
    spent = cast(func.sum(Reservation.spent_micros), BigInteger)
    found = []
    for scope, reserved, paid, counted_held, counted_spent in session.execute(
        select(
            Budget.scope, Budget.reserved_micros, Budget.spent_micros, func.coalesce(held, 0), func.coalesce(spent, 0)
        )
        .outerjoin(Reservation, Reservation.scope == Budget.scope)
        .group_by(Budget.scope)
        .order_by(Budget.scope)
    ):
        if reserved != counted_held:
            found.append(Imbalance(f"{scope} reserved", reserved, counted_held))
        if paid != counted_spent:
            found.append(Imbalance(f"{scope} spent", paid, counted_spent))
    ended = session.execute(
        select(Effect.key, Effect.cost_micros, Reservation.scope, Reservation.spent_micros)
        .join(Reservation)
        .where(
            Effect.state.not_in(HOLDING),
            Reservation.spent_micros.is_distinct_from(func.coalesce(Effect.cost_micros, 0)),
        )
    )
    found += [Imbalance(f"{key} in {scope}", cost or 0, paid or 0) for key, cost, scope, paid in ended]
    booked = select(Reservation.effect_id).where(Reservation.scope.startswith("day:"))
    missing = session.execute(
        select(Effect.key, Effect.cost_micros, Effect.max_cost_micros)
        .where(
            or_(Effect.cost_micros > 0, Effect.state.in_(HOLDING) & (Effect.max_cost_micros > 0)),
            Effect.effect_id.not_in(booked),
        )
        .order_by(Effect.key)
    )
    found += [Imbalance(f"{key} in no day's budget", cost or bound, 0) for key, cost, bound in missing]
    return found


def exceeded(session: Session) -> list[Imbalance]:
    """Budgets whose reservations and spending are above their cap: only a vendor's overcharge can make one."""
    return [
        Imbalance(scope, cap, used)
        for scope, cap, used in session.execute(
            select(Budget.scope, Budget.cap_micros, Budget.reserved_micros + Budget.spent_micros)
            .where(Budget.reserved_micros + Budget.spent_micros > Budget.cap_micros)
            .order_by(Budget.scope)
        )
    ]
