"""Budgets: caps as rows, reserved and spent atomically.

Every function works inside its caller's transaction and touches the rows of ``budgets`` in the order of their scopes,
so that any number of workers neither pass a cap together nor lock each other up. A row is ``reserved + spent <= cap``
at every commit, unless a vendor charged more than its upper bound, which is recorded and alerts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from sqlalchemy import case, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.effects.errors import BudgetRefused
from affiliate_empire.kernel.caps import Caps, Room
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.money import dollars
from affiliate_empire.ledger.tables import Budget, Effect, Reservation

# Which setting holds the cap of a scope.
_SETTINGS = {
    "run": "EMPIRE_BUDGET_RUN_USD",
    "day": "EMPIRE_BUDGET_DAY_USD",
    "month": "EMPIRE_BUDGET_MONTH_USD",
    "vendor": "EMPIRE_BUDGET_VENDOR_DAY_USD",
    "niche": "EMPIRE_BUDGET_NICHE_DAY_USD",
}


def scopes_of(effect: Effect, caps: Caps) -> dict[str, int]:
    """The caps that an effect is held to, by scope, in micro-dollars."""
    day = effect.day.isoformat()
    scopes = {f"day:{day}": caps.day_micros, f"month:{day[:7]}": caps.month_micros}
    if effect.run_id is not None:
        scopes[f"run:{effect.run_id}"] = caps.run_micros
    if effect.vendor in caps.vendor_day_micros:
        scopes[f"vendor:{effect.vendor}:{day}"] = caps.vendor_day_micros[effect.vendor]
    if effect.niche is not None and effect.niche in caps.niche_day_micros:
        scopes[f"niche:{effect.niche}:{day}"] = caps.niche_day_micros[effect.niche]
    return dict(sorted(scopes.items()))


def resets_at(scope: str, calendar: BusinessCalendar) -> datetime | None:
    """The instant at which a scope starts anew, in the business timezone; None for a run."""
    name, _, rest = scope.partition(":")
    if name == "run":
        return None
    if name == "month":
        day = (date.fromisoformat(f"{rest}-01") + timedelta(days=32)).replace(day=1)
    else:
        day = date.fromisoformat(rest[-10:]) + timedelta(days=1)
    return calendar.midnight(day).astimezone(calendar.zone)


def room(session: Session, day: date, caps: Caps) -> Room:
    """What the caps, as they are now, have left for a day: what is reserved counts as spent."""
    scopes = {
        "day": f"day:{day}",
        "month": f"month:{day:%Y-%m}",
        **{f"vendor:{name}": f"vendor:{name}:{day}" for name in caps.vendor_day_micros},
        **{f"niche:{name}": f"niche:{name}:{day}" for name in caps.niche_day_micros},
    }
    rows = session.scalars(select(Budget).where(Budget.scope.in_(scopes.values())))
    used = {row.scope: row.reserved_micros + row.spent_micros for row in rows}

    def left(name: str, cap: int) -> int:
        return max(0, cap - used.get(scopes[name], 0))

    return Room(
        left("day", caps.day_micros),
        left("month", caps.month_micros),
        {name: left(f"vendor:{name}", cap) for name, cap in caps.vendor_day_micros.items()},
        {name: left(f"niche:{name}", cap) for name, cap in caps.niche_day_micros.items()},
    )


def reserve(session: Session, effect: Effect, caps: Caps) -> None:
    """Set an effect's upper bound aside in every scope, or raise and leave the transaction to be rolled back.

    Raises:
        BudgetRefused: a scope has no room.
    """
    amount = effect.max_cost_micros
    if amount == 0:
        return
    scopes = scopes_of(effect, caps)
    # One statement both locks and counts: rows are taken in the order given, and a row that another worker holds is
    # read again after the wait.
    upsert = insert(Budget).values(
        [
            {"scope": scope, "cap_micros": cap, "reserved_micros": amount, "spent_micros": 0}
            for scope, cap in scopes.items()
        ]
    )
    upsert = upsert.on_conflict_do_update(
        index_elements=[Budget.scope],
        set_={
            "cap_micros": upsert.excluded.cap_micros,
            "reserved_micros": Budget.reserved_micros + upsert.excluded.reserved_micros,
        },
    )
    after = session.execute(
        upsert.returning(Budget.scope, Budget.cap_micros, Budget.reserved_micros, Budget.spent_micros)
    ).all()
    for scope, cap, reserved, spent in sorted(after):
        if reserved + spent > cap:
            left = max(0, cap - (reserved - amount) - spent)
            raise _refusal(f"This would cost up to {dollars(amount)}", scope, cap, left, caps.calendar)
    rows = [{"effect_id": effect.effect_id, "scope": scope, "reserved_micros": amount} for scope in scopes]
    session.execute(insert(Reservation).values(rows))


def shortage(
    left: Room, micros: int, by_vendor: Mapping[str, int], niche: str, day: date, caps: Caps
) -> BudgetRefused | None:
    """The refusal of a piece that may still cost so much where so much is left for it; None where there is room.

    Args:
        left: what is left of the caps, after what is kept for others.
        by_vendor: of ``micros``, by the vendor that is paid.
    """
    wanted = [
        (f"day:{day}", micros, caps.day_micros, left.day_micros),
        (f"month:{day:%Y-%m}", micros, caps.month_micros, left.month_micros),
        *(
            (f"vendor:{name}:{day}", by_vendor.get(name, 0), caps.vendor_day_micros[name], has)
            for name, has in left.vendor_micros.items()
        ),
        *(
            (f"niche:{name}:{day}", micros if name == niche else 0, caps.niche_day_micros[name], has)
            for name, has in left.niche_micros.items()
        ),
    ]
    for scope, amount, cap, has in wanted:
        if amount > has:
            said = f"What is not made of this piece may cost up to {dollars(amount)}"
            return _refusal(said, scope, cap, has, caps.calendar, beside=" for it beside those that should earn more")
    return None


def _refusal(
    said: str, scope: str, cap: int, left: int, calendar: BusinessCalendar, *, beside: str = ""
) -> BudgetRefused:
    at = resets_at(scope, calendar)
    when = "the next run starts anew" if at is None else f"it starts anew on {at:%Y-%m-%d at %H:%M} {calendar.timezone}"
    return BudgetRefused(
        f"{said}, and the cap {scope} of {dollars(cap)} has {dollars(left)} left{beside}: "
        f"{when}, or raise {_SETTINGS[scope.partition(':')[0]]}.",
        scope=scope,
        cap_micros=cap,
        left_micros=left,
        resets_at=at,
    )


def book(session: Session, effect: Effect, cost_micros: int, caps: Caps) -> None:
    """Turn an effect's reservation into what it cost."""
    ended = (
        update(Reservation)
        .where(Reservation.effect_id == effect.effect_id, Reservation.spent_micros.is_(None))
        .values(spent_micros=cost_micros)
        .returning(Reservation.scope, Reservation.reserved_micros)
        .execution_options(synchronize_session=False)
    )
    held = {scope: reserved for scope, reserved in session.execute(ended)}
    if not held and cost_micros > 0:
        # Nothing was expected to be charged, but was: every scope must show it.
        scopes = scopes_of(effect, caps)
        upsert = insert(Budget).values(
            [
                {"scope": scope, "cap_micros": cap, "reserved_micros": 0, "spent_micros": 0}
                for scope, cap in scopes.items()
            ]
        )
        session.execute(upsert.on_conflict_do_nothing())
        rows = [
            {"effect_id": effect.effect_id, "scope": scope, "reserved_micros": 0, "spent_micros": cost_micros}
            for scope in scopes
        ]
        session.execute(insert(Reservation).values(rows))
        held = dict.fromkeys(scopes, 0)
    _move(session, held, cost_micros)


def release(session: Session, effect: Effect) -> None:
    """Give an effect's reservation back: it is proven that nothing was charged."""
    freed = (
        delete(Reservation)
        .where(Reservation.effect_id == effect.effect_id, Reservation.spent_micros.is_(None))
        .returning(Reservation.scope, Reservation.reserved_micros)
        .execution_options(synchronize_session=False)
    )
    _move(session, {scope: reserved for scope, reserved in session.execute(freed)}, 0)


def _move(session: Session, held: dict[str, int], cost_micros: int) -> None:
    if not held:
        return
    _lock(session, held)
    session.execute(
        update(Budget)
        .where(Budget.scope.in_(held))
        .values(
            reserved_micros=Budget.reserved_micros - case(held, value=Budget.scope),
            spent_micros=Budget.spent_micros + cost_micros,
        )
        .execution_options(synchronize_session=False)
    )


def _lock(session: Session, scopes: Iterable[str]) -> None:
    session.execute(select(Budget.scope).where(Budget.scope.in_(scopes)).order_by(Budget.scope).with_for_update())
