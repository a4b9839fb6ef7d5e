"""What cannot wait for the evening: an account that its platform restricted, sales that collapsed.

Each cause is told once, as an alert with its evidence. What is done about it is for the run that the caller asks for;
here nothing but the alert is written. Sales per click are judged, a return on investment is not: its money arrives for
weeks, so that no day's figure could collapse beyond chance; the evening's strategy goes by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Click, ConversionEvent, Link, Piece
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.judge_clicks import judge_clicks
from affiliate_empire.operations.outcomes import is_human
from affiliate_empire.optimization.collapse import Collapse, judge_sales
from affiliate_empire.optimization.strategy import maturity

_RECENT = timedelta(hours=24)
_BEFORE = timedelta(days=28)


@dataclass(frozen=True)
class Emergency:
    """A cause.

    ``answer``: what is left of the day is planned anew without ``account_id``; the programmes are looked at anew; or
    nothing more than the alert.
    """

    cause: str
    answer: Literal["replan", "rediscover", "tell"]
    message: str
    account_id: str = ""


def find_emergencies(*, ledger: Ledger, clock: Clock, calendar: BusinessCalendar) -> list[Emergency]:
    """The causes that stand; when this returns, an alert has been stored for each, once.

    A cause is named as long as it stands: what is asked for because of it bears its name and is begun once (the run
    key), also where the tick that named it first was killed.
    """
    judge_clicks(ledger=ledger)  # else the last hours' programs would count as people who do not buy
    now = clock.now()
    found = [*_restrictions(ledger, now, calendar), *_collapse(ledger, now, calendar)]
    for emergency in found:
        raise_alert(
            emergency.cause, severity="critical", subject="emergency", message=emergency.message, at=now, ledger=ledger
        )
    return found


def _restrictions(ledger: Ledger, now: datetime, calendar: BusinessCalendar) -> list[Emergency]:
    today = calendar.day_of(now)
    found = []
    with ledger.begin() as session:
        for account_id in session.scalars(select(Account.account_id).where(Account.status == "restricted")).all():
            still_open = _open_pieces(session, account_id, now, today)
            found.append(
                Emergency(
                    f"restricted:{account_id}:{today}",
                    "replan" if still_open else "tell",
                    f"{account_id} is restricted by its platform: {still_open or 'none'} of its posts of {today} were "
                    "still open; those more than an hour ahead are superseded, and other active accounts of the "
                    "platform, if there are any, get new ones in the slots that are left. Look into "
                    f"the platform's app, and run `empire resume account:{account_id} --restricted` when it may post "
                    "again: it is then part of the next day's plan.",
                    account_id,
                )
            )
    return found


def _open_pieces(session: Session, account_id: str, now: datetime, today: date) -> int:
    """How many of the day's pieces of an account still have their slot ahead."""
    ahead = select(func.count()).where(
        Piece.account_id == account_id, Piece.status == "planned", Piece.day == today, Piece.slot_at > now
    )
    return int(session.scalar(ahead) or 0)


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
