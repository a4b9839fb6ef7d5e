"""What cannot wait for the evening: an account that its platform restricted, sales that collapsed.

Each cause is told once, as an alert with its evidence. What can be done at once is done: the posts of a restricted
account are put aside, so that nothing more is spent on them. Everything else is for the run that the caller asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Click, ConversionEvent, Effect, Link, Piece
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.outcomes import is_human
from affiliate_empire.operations.publish_piece import OPERATION
from affiliate_empire.optimization.collapse import Collapse, judge_sales
from affiliate_empire.optimization.strategy import maturity

_RECENT = timedelta(hours=24)
_BEFORE = timedelta(days=28)


@dataclass(frozen=True)
class Emergency:
    """A cause that has just become known. ``answer``: the day is planned, or the programmes are looked at, anew."""

    cause: str
    answer: Literal["replan", "rediscover"]
    message: str


def find_emergencies(*, ledger: Ledger, clock: Clock, calendar: BusinessCalendar) -> list[Emergency]:
    """The causes nobody knew of; an alert has been stored for each when this returns."""
    now = clock.now()
    found = [*_restrictions(ledger, now, calendar), *_collapse(ledger, now, calendar)]
    return [
        emergency
        for emergency in found
        if raise_alert(
            emergency.cause, severity="critical", subject="emergency", message=emergency.message, at=now, ledger=ledger
        )
    ]


def _restrictions(ledger: Ledger, now: datetime, calendar: BusinessCalendar) -> list[Emergency]:
    today = calendar.day_of(now)
    found = []
    with ledger.begin() as session:
        for account_id in session.scalars(select(Account.account_id).where(Account.status == "restricted")).all():
            aside = _put_aside(session, account_id, now, calendar)
            found.append(
                Emergency(
                    f"restricted:{account_id}:{today}",
                    "replan",
                    f"{account_id} is restricted by its platform: {aside} of its posts were put aside; look into the "
                    f"platform's app, and run `empire resume account:{account_id}` when it may post again.",
                )
            )
    return found


def _put_aside(session: Session, account_id: str, now: datetime, calendar: BusinessCalendar) -> int:
    """Quarantine an account's posts of the open days that nothing was begun for; returns how many."""
    begun = select(Effect.piece_id).where(Effect.operation == OPERATION, Effect.piece_id.is_not(None))
    stopped = (
        update(Piece)
        .where(
            Piece.account_id == account_id,
            Piece.status == "planned",
            Piece.day >= calendar.day_of(now) - timedelta(days=1),
            Piece.slot_at > now,
            Piece.piece_id.not_in(begun),
        )
        .values(status="quarantined", reason=f"put aside: {account_id} is restricted by its platform.")
        .returning(Piece.piece_id)
    )
    return len(session.scalars(stopped).all())


def _collapse(ledger: Ledger, now: datetime, calendar: BusinessCalendar) -> list[Emergency]:
    judged = _judged_sales(ledger, now)
    if judged is None or not judged.is_one:
        return []
    return [
        Emergency(
            f"collapse:{calendar.day_of(now)}",
            "rediscover",
            f"{judged.sales} sales came of the clicks of the last 24 hours, where about {judged.expected:.0f} were "
            f"expected (chance {judged.chance:.5f}): see whether the links, the shops and the network still work.",
        )
    ]


def _judged_sales(ledger: Ledger, now: datetime) -> Collapse | None:
    """The last 24 hours' clicks against those of the 28 days before, each weighted by its age."""
    recent, begins = now - _RECENT, now - _RECENT - _BEFORE
    hour = func.date_trunc("hour", Click.clicked_at)
    clicks = (
        select(hour, func.count())
        .join(Link, Link.code == Click.code)
        .where(is_human(), Click.clicked_at >= begins, Click.clicked_at < now)
        .group_by(hour)
    )
    sales = (
        select(Click.clicked_at)
        .join(ConversionEvent, ConversionEvent.click_id == Click.click_id)
        .where(Click.clicked_at >= begins, ConversionEvent.observed_at <= now)
        .group_by(Click.clicked_at, ConversionEvent.network, ConversionEvent.transaction_id, ConversionEvent.line_id)
        .having(~func.bool_or(ConversionEvent.kind == "reversed"))
    )
    with ledger.begin() as session:
        clicked = [(row[0], int(row[1])) for row in session.execute(clicks)]
        sold = session.scalars(sales).all()
    # A whole hour's clicks are taken at its middle.
    weighed = [(at, number * maturity((now - at).total_seconds() / 3600 - 0.5)) for at, number in clicked]
    return judge_sales(
        sales=sum(1 for at in sold if at >= recent),
        clicks=sum(weight for at, weight in weighed if at >= recent),
        sales_before=sum(1 for at in sold if at < recent),
        clicks_before=sum(weight for at, weight in weighed if at < recent),
    )
