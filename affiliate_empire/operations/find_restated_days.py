"""Which earlier cohorts something new is known of: what the sensor ``late_conversions`` asks.

Money that moved counts at once. Clicks and views, of which there are always some, count once a day.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Click, ConversionEvent, Link, MetricSnapshot, Piece, Publication

# An event is dated before it is committed: what was read before is looked through again for so long.
_OVERLAP = timedelta(hours=1)


@dataclass(frozen=True)
class RestatedDays:
    """The earlier cohorts touched by what is new, oldest first, and where to read on."""

    days: list[date]
    events: int
    cursor: str


def find_restated_days(
    cursor: str | None, *, within_days: int, ledger: Ledger, clock: Clock, calendar: BusinessCalendar
) -> RestatedDays:
    """Cohorts before today of which no earlier call has told what is new: an event of a sale, clicks, counted views.

    Args:
        cursor: what the last call returned; the first call, without one, only says where to begin.
        within_days: cohorts older than that are closed.
        ledger: events, clicks, counts and pieces are read from it.
        clock: business time.
        calendar: which day is today.
    """
    now = clock.now()
    today = calendar.day_of(now)
    since, seen, looked_at = _read(cursor)
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
    if looked_at is not None and calendar.day_of(looked_at) < today:
        with ledger.begin() as session:
            days |= _of_results(session, looked_at - _OVERLAP, oldest, today)
        looked_at = now
    said = {"since": newest.isoformat(), "seen": sorted(kept), "looked_at": (looked_at or now).isoformat()}
    return RestatedDays(sorted(days), len(new), json.dumps(said))


def _of_results(session: Session, since: datetime, oldest: date, today: date) -> set[date]:
    """Cohorts whose links were clicked, or whose posts were counted, since an instant."""
    cohorts = select(Piece.day).where(Piece.day >= oldest, Piece.day < today).distinct()
    clicked = cohorts.join(Link, Link.piece_id == Piece.piece_id).join(Click, Click.code == Link.code)
    counted = cohorts.join(Publication, Publication.piece_id == Piece.piece_id).join(
        MetricSnapshot, MetricSnapshot.publication_id == Publication.publication_id
    )
    return {
        *session.scalars(clicked.where(Click.clicked_at >= since)),
        *session.scalars(counted.where(MetricSnapshot.observed_at >= since)),
    }


def _read(cursor: str | None) -> tuple[datetime | None, set[str], datetime | None]:
    if not cursor:
        return None, set(), None
    kept = json.loads(cursor)
    since = datetime.fromisoformat(kept["since"])
    # A cursor of before clicks and views counted looks back to where it stood.
    return since, set(kept["seen"]), datetime.fromisoformat(kept.get("looked_at", kept["since"]))
