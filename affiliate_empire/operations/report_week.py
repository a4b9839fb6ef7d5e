"""Writes the owner's report of a week, the seven days to its Thursday: ``<home>/reports/week-<monday>.html``."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
from sqlalchemy import func, select

from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Effect, ExperimentResult, Strategy
from affiliate_empire.operations.alerts import load_alerts
from affiliate_empire.operations.decide_strategy import recorded_strategy
from affiliate_empire.operations.outcomes import load_outcomes
from affiliate_empire.operations.report_day import save_page
from affiliate_empire.operations.review_experiments import load_review
from affiliate_empire.reporting import WeeklyReport, render_weekly

_DECISION_COLUMNS = ["day", "version", "subject", "key", "weight_before", "weight_after", "reason"]
_NEXT_INSTANT = timedelta(microseconds=1)  # what is known at an instant is what is known before the next one


def report_week(
    monday: date, *, ledger: Ledger, clock: Clock, calendar: BusinessCalendar, home: Path, label: str
) -> Path:
    """Make the report of a week as of now and return its path; an earlier report of the week is replaced.

    Args:
        monday: names the week; the report covers the Friday before it to the Thursday in it.
        ledger: read only.
        clock: the moment up to which everything is counted.
        calendar: the days' bounds and timezone.
        home: the report lies in its ``reports/``.
        label: ``SIMULATED`` or ``LIVE``; stands at every number.
    """
    report = collect_week(monday, ledger=ledger, as_of=clock.now(), calendar=calendar, label=label)
    return save_page(render_weekly(report), home / "reports" / f"week-{monday}.html")


def collect_week(
    monday: date, *, ledger: Ledger, as_of: datetime, calendar: BusinessCalendar, label: str
) -> WeeklyReport:
    """Everything a week's report shows, read from the ledger as of an instant."""
    first_day, last_day = monday - timedelta(days=3), monday + timedelta(days=3)
    until = as_of + _NEXT_INSTANT
    begins, ends = calendar.midnight(first_day), min(calendar.midnight(last_day + timedelta(days=1)), until)
    with ledger.begin() as session:
        outcomes = load_outcomes(session, as_of=until, first_day=first_day, last_day=last_day)
        spent = pd.DataFrame(
            session.execute(
                select(Effect.day, func.sum(Effect.cost_micros))
                .where(Effect.day.between(first_day, last_day), Effect.cost_micros > 0)
                .group_by(Effect.day)
                .order_by(Effect.day)
            ).all(),
            columns=["day", "cost_micros"],
        )
        evenings = [
            recorded_strategy(row)
            for row in session.scalars(
                select(Strategy).where(Strategy.decided_for.between(first_day, last_day)).order_by(Strategy.decided_for)
            )
        ]
        reviewed = session.scalar(select(func.max(ExperimentResult.day)).where(ExperimentResult.day <= last_day))
    changed = [
        evening.decisions.assign(day=calendar.day_of(evening.in_force_from - _NEXT_INSTANT), version=evening.version)
        for evening in evenings
    ]
    decisions = pd.concat(changed)[_DECISION_COLUMNS] if changed else pd.DataFrame(columns=_DECISION_COLUMNS)
    return WeeklyReport(
        first_day=first_day,
        last_day=last_day,
        as_of=as_of,
        zone=calendar.zone,
        label=label,
        outcomes=outcomes,
        spent=spent,
        decisions=decisions[decisions["weight_before"].round(2) != decisions["weight_after"].round(2)],
        experiments=load_review(reviewed or date.min, ledger=ledger),
        alerts=load_alerts(begins, ends, ledger=ledger),
    )
