"""Poll Impact for actions: what its notifications said, again, and what they did not.

Pushes and polls become the same events (``affiliate_empire.analytics.impact``), so reading a transaction twice stores
it once. A push may be lost; a poll is how every sale is known in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.analytics.conversions import EVENT_COLUMNS, missing_correction
from affiliate_empire.analytics.impact import NETWORK, events_from_action
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.conversions import save_conversion_events
from affiliate_empire.ledger.tables import Alert, ConversionEvent, Publication
from affiliate_empire.operations.patience import read
from affiliate_empire.vendors.impact import ImpactClient

# Read again what was polled before: an action may be stamped earlier than it can first be read.
_OVERLAP = timedelta(days=2)
_FIRST = timedelta(days=7)


@dataclass(frozen=True)
class ConversionsSync:
    """How many actions Impact told of, how many events were new, and what could not be made sense of."""

    actions: int
    new_events: int
    problems: list[str]


def sync_conversions(*, ledger: Ledger, impact: ImpactClient, clock: Clock) -> ConversionsSync:
    """Store what Impact says of every action that was updated since the last poll that brought something.

    An action that cannot be read, or that contradicts what is stored, raises an alert once and stops nothing.

    Raises:
        VendorUnavailable, VendorRefused: as the client's.
    """
    now = clock.now()
    with ledger.begin() as session:
        start = _polled_until(session, now)
    actions = read(impact.fetch_actions, start, now)
    new, problems = 0, []
    for action in actions:
        with ledger.begin() as session:
            try:
                said = events_from_action(action, now)
            except BadInput as error:
                problems.append(str(error))
                continue
            stored, conflicts = save_conversion_events(session, said)
            new += stored + _correct(session, said)
            # The amounts that differ from an earlier word are corrected by now; another click is a contradiction.
            problems += [conflict for conflict in conflicts if "click_id" in conflict or "currency" in conflict]
    if problems:
        with ledger.begin() as session:
            alerts = [
                {
                    "alert_id": derived_id("al", NETWORK, problem),
                    "severity": "medium",
                    "subject": "a conversion could not be understood",
                    "message": problem,
                    "raised_at": now,
                }
                for problem in dict.fromkeys(problems)
            ]
            session.execute(insert(Alert).values(alerts).on_conflict_do_nothing())
    return ConversionsSync(len(actions), new, problems)


def _polled_until(session: Session, now: datetime) -> datetime:
    """Where to begin: before the newest event a poll brought, or before the first post; a week back without either."""
    polled = select(func.max(ConversionEvent.observed_at)).where(
        ConversionEvent.network == NETWORK, ConversionEvent.source == "poll"
    )
    since = session.scalar(polled) or session.scalar(select(func.min(Publication.published_at)))
    return min(now, since) - _OVERLAP if since is not None else now - _FIRST


def _correct(session: Session, said: list[dict[str, Any]]) -> int:
    """Add what the events of an action still lack to amount to its present state. Returns 1 if something was added."""
    first: Mapping[str, Any] = said[0]
    rows = session.scalars(
        select(ConversionEvent).where(
            ConversionEvent.network == first["network"],
            ConversionEvent.transaction_id == first["transaction_id"],
            ConversionEvent.line_id == first["line_id"],
        )
    )
    known = pd.DataFrame([{name: getattr(row, name) for name in EVENT_COLUMNS} for row in rows])
    correction = missing_correction(said, known)
    return save_conversion_events(session, [correction])[0] if correction is not None else 0
