"""Which earlier cohorts money has moved on: what the sensor ``late_conversions`` asks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select

from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Click, ConversionEvent, Link, Piece

# An event is dated before it is committed: what was read before is looked through again for so long.
_OVERLAP = timedelta(hours=1)


@dataclass(frozen=True)
class RestatedDays:
    """The earlier cohorts touched by new events, oldest first, and where to read on."""

    days: list[date]
    events: int
    cursor: str


def find_restated_days(
    cursor: str | None, *, within_days: int, ledger: Ledger, clock: Clock, calendar: BusinessCalendar
) -> RestatedDays:
    """Cohorts before today that a conversion event touched which no earlier call has told of.

    Args:
        cursor: what the last call returned; the first call, without one, only says where to begin.
        within_days: cohorts older than that are closed.
        ledger: events, clicks and pieces are read from it.
        clock: business time.
        calendar: which day is today.
    """
    now = clock.now()
    today = calendar.day_of(now)
    since, seen = _read(cursor)
    query = (
        select(ConversionEvent.event_id, ConversionEvent.observed_at, Piece.day)
        .outerjoin(Click, Click.click_id == ConversionEvent.click_id)
        .outerjoin(Link, Link.code == Click.code)
        .outerjoin(Piece, Piece.piece_id == Link.piece_id)
        .where(ConversionEvent.observed_at >= (now if since is None else since) - _OVERLAP)
    )
    with ledger.begin() as session:
        rows = session.execute(query).all()
    newest = max([observed_at for _, observed_at, _ in rows], default=since or now)
    kept = [event_id for event_id, observed_at, _ in rows if observed_at >= newest - _OVERLAP]
    new = [] if since is None else [(event_id, day) for event_id, _, day in rows if event_id not in seen]
    oldest = today - timedelta(days=within_days)
    days = {day for _, day in new if day is not None and oldest <= day < today}
    return RestatedDays(sorted(days), len(new), json.dumps({"since": newest.isoformat(), "seen": sorted(kept)}))


def _read(cursor: str | None) -> tuple[datetime | None, set[str]]:
    if not cursor:
        return None, set()
    kept = json.loads(cursor)
    return datetime.fromisoformat(kept["since"]), set(kept["seen"])
