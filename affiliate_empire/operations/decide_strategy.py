"""Decides the strategy of the next day once an evening, and records it with its evidence.

The decision sees only what was published and learned before the day's end, so that it can be replayed. Calling it again
for the same day returns what was recorded.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.ids import derived_id, fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import PromptVersion, Strategy
from affiliate_empire.operations.outcomes import load_outcomes
from affiliate_empire.operations.record_plan import strategy_in_force
from affiliate_empire.optimization import DECISION_COLUMNS, Decisions
from affiliate_empire.optimization import decide_strategy as decide

WINDOW_DAYS = 28  # older pieces met another audience; seasons and definitions change


@dataclass(frozen=True)
class RecordedStrategy:
    """A strategy version as the ledger holds it.

    ``decisions`` (``optimization.Decisions``) has a row per prompt version, niche and platform; ``reasons`` are its
    sentences. ``sha256`` identifies the content.
    """

    strategy_id: str
    version: int
    in_force_from: datetime
    content: dict[str, Any]
    sha256: str
    evidence: dict[str, Any]
    decisions: pd.DataFrame
    reasons: list[str]


def decide_strategy(
    day: date, *, ledger: Ledger, clock: Clock, calendar: BusinessCalendar, seed: int
) -> RecordedStrategy:
    """The strategy that a day's evening decided; in force from the next midnight.

    Args:
        day: the business day that ends.
        ledger: outcomes are read from it, the decision is stored in it.
        clock: business time; the decision uses what is known by now, or by the day's end where that is past.
        calendar: the day's end.
        seed: with the day it fixes every draw.

    Raises:
        Misconfigured: the ledger was never prepared.
    """
    recorded = load_decision(day, ledger=ledger)
    if recorded is not None:
        return recorded
    in_force_from = calendar.midnight(day + timedelta(days=1))
    as_of = min(clock.now(), in_force_from)
    with ledger.begin() as session:
        current = strategy_in_force(session, calendar.midnight(day))
        outcomes = load_outcomes(session, as_of=as_of, first_day=day - timedelta(days=WINDOW_DAYS - 1), last_day=day)
        versions = active_versions(session)
    decision = decide(outcomes, current.content, versions=versions, as_of=as_of, seed=seed)
    evidence = decision.evidence | {
        "window_days": WINDOW_DAYS,
        "previous": current.strategy_id,
        "as_of": as_of.astimezone(calendar.zone).isoformat(),
    }
    with ledger.begin() as session:
        # Two evenings of one day: the first to store has decided.
        newest = int(session.scalar(select(func.coalesce(func.max(Strategy.version), 0))) or 0)
        session.execute(
            insert(Strategy)
            .values(
                strategy_id=derived_id("st", day),
                version=newest + 1,
                decided_for=day,
                in_force_from=in_force_from,
                content=decision.content,
                sha256=fingerprint(decision.content),
                evidence=evidence,
            )
            .on_conflict_do_nothing()
        )
    recorded = load_decision(day, ledger=ledger)
    if recorded is None:
        raise RuntimeError(f"another decision took version {newest + 1} while {day} was decided; decide it again")
    return recorded


def load_decision(day: date, *, ledger: Ledger) -> RecordedStrategy | None:
    """What a day's evening decided; None when it has not."""
    with ledger.begin() as session:
        row = session.scalar(select(Strategy).where(Strategy.decided_for == day))
        return None if row is None else recorded_strategy(row)


def load_strategy(at: datetime, *, ledger: Ledger) -> RecordedStrategy:
    """The strategy in force at an instant.

    Raises:
        Misconfigured: the ledger was never prepared.
    """
    with ledger.begin() as session:
        return recorded_strategy(strategy_in_force(session, at))


def recorded_strategy(row: Strategy) -> RecordedStrategy:
    """A row of ``strategies`` with its decisions as a frame."""
    rows = row.evidence.get("decisions", [])
    return RecordedStrategy(
        strategy_id=row.strategy_id,
        version=row.version,
        in_force_from=row.in_force_from,
        content=row.content,
        sha256=row.sha256,
        evidence=row.evidence,
        decisions=Decisions.validate(pd.DataFrame(rows, columns=DECISION_COLUMNS)),
        reasons=[str(reason) for reason in row.evidence.get("reasons", [])],
    )


def active_versions(session: Session) -> dict[str, list[str]]:
    """Active prompt versions by kind."""
    versions: dict[str, list[str]] = defaultdict(list)
    active = select(PromptVersion).where(PromptVersion.status == "active").order_by(PromptVersion.prompt_version)
    for version in session.scalars(active):
        versions[version.kind].append(version.prompt_version)
    return dict(versions)
