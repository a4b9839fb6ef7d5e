"""Compares the active prompt versions of each kind, pair by pair, once a day at most; later calls return what was said.

Only what was published and seen before the day is used, so that a review can be replayed.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from itertools import combinations
from typing import Any

import pandas as pd
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.experiments import ABResult, ExperimentResults, sequential_ab
from affiliate_empire.experiments.frames import RESULT_COLUMNS
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import ExperimentResult
from affiliate_empire.operations.decide_strategy import active_versions
from affiliate_empire.operations.outcomes import load_outcomes

_ALPHA = 0.05  # chance of ever calling a winner among a kind's versions where there is none
_FROM = date.min


def review_experiments(day: date, *, ledger: Ledger, clock: Clock, calendar: BusinessCalendar) -> pd.DataFrame:
    """What a day's review says of each pair of active prompt versions: ``ExperimentResults``.

    Args:
        day: everything before its midnight counts.
        ledger: pieces, views and clicks are read from it, the review is stored in it.
        clock: dates the review.
        calendar: the day's midnight.
    """
    recorded = load_review(day, ledger=ledger)
    if not recorded.empty:
        return recorded
    with ledger.begin() as session:
        versions = active_versions(session)
        outcomes = load_outcomes(
            session, as_of=calendar.midnight(day), first_day=_FROM, last_day=day - timedelta(days=1)
        )
    pieces, daily = _as_frames(outcomes, day, calendar)
    rows = []
    for kind, names in sorted(versions.items()):
        pairs = list(combinations(sorted(names), 2))
        for arms in pairs:
            alpha = _ALPHA / len(pairs)
            result = sequential_ab(pieces, daily, arms=arms, as_of=day, alpha=alpha)
            rows.append(
                {
                    "day": day,
                    "arm_a": arms[0],
                    "arm_b": arms[1],
                    "kind": kind,
                    "decision": result.decision,
                    "evidence": _evidence(result, alpha),
                    "decided_at": clock.now(),
                }
            )
    if rows:
        with ledger.begin() as session:
            session.execute(insert(ExperimentResult).values(rows).on_conflict_do_nothing())
    return load_review(day, ledger=ledger)


def load_review(day: date, *, ledger: Ledger) -> pd.DataFrame:
    """What a day's review said (``ExperimentResults``); empty when there was none."""
    query = (
        select(ExperimentResult)
        .where(ExperimentResult.day == day)
        .order_by(ExperimentResult.kind, ExperimentResult.arm_a, ExperimentResult.arm_b)
    )
    with ledger.begin() as session:
        rows = [
            {"kind": row.kind, "arm_a": row.arm_a, "arm_b": row.arm_b, "decision": row.decision, **row.evidence}
            for row in session.scalars(query)
        ]
    return ExperimentResults.validate(pd.DataFrame(rows, columns=RESULT_COLUMNS))


def _as_frames(outcomes: pd.DataFrame, day: date, calendar: BusinessCalendar) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pieces and what each was seen and clicked until the day began, as one increment of the day before."""
    published = outcomes[outcomes["published_at"].notna()]
    pieces = published.rename(columns={"prompt_version": "prompt"})[["piece_id", "prompt", "platform"]].assign(
        published=[calendar.day_of(at.to_pydatetime()) for at in published["published_at"]]
    )
    return pieces, published[["piece_id", "views", "clicks"]].assign(date=day - timedelta(days=1))


def _evidence(result: ABResult, alpha: float) -> dict[str, Any]:
    numbers = {name: getattr(result, name) for name in ("log_lift", "ci_low", "ci_high", "p_value")}
    # JSON has no NaN.
    known = {name: None if math.isnan(value) else value for name, value in numbers.items()}
    return known | {"alpha": alpha, "pieces_a": result.pieces_a, "pieces_b": result.pieces_b}
