"""Writes the owner's report of a day: ``<home>/reports/<day>.html``."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from affiliate_empire.analytics.fixed_costs import FixedCosts
from affiliate_empire.effects.switches import pauses_in_words
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.files import save_whole
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Click, Effect, Link, RejectedRow
from affiliate_empire.operations.account_limits import described, limits_in_force
from affiliate_empire.operations.alerts import load_alerts
from affiliate_empire.operations.approvals import approvals_of
from affiliate_empire.operations.decide_strategy import load_decision, load_strategy
from affiliate_empire.operations.export import export_costs
from affiliate_empire.operations.outcomes import is_human, load_conversions, load_outcomes
from affiliate_empire.operations.record_plan import load_plan_evidence
from affiliate_empire.operations.trace_lineage import trace_conversion
from affiliate_empire.reporting import DailyReport, render_daily

# A decision at midnight leaves out what midnight itself brings; a report shows all that is known when it is made.
# The ledger keeps microseconds, so what is known up to and at an instant is what is known before the next one.
_NEXT_INSTANT = timedelta(microseconds=1)


def report_day(
    day: date,
    *,
    ledger: Ledger,
    clock: Clock,
    calendar: BusinessCalendar,
    home: Path,
    label: str,
    fixed_costs: FixedCosts,
) -> Path:
    """Make the report of a day as of now and return its path; an earlier report of the day is replaced.

    Args:
        day: the business day.
        ledger: read only.
        clock: the moment up to which everything is counted.
        calendar: the day's window and timezone.
        home: the report lies in its ``reports/``.
        label: ``SIMULATED`` or ``LIVE``; stands at every number.
        fixed_costs: what is paid by the month.
    """
    now = clock.now()
    page = render_daily(
        collect_day(day, ledger=ledger, as_of=now, calendar=calendar, label=label, fixed_costs=fixed_costs)
    )
    return save_page(page, home / "reports" / f"{day}.html")


def save_page(page: str, path: Path) -> Path:
    """Write a report where an earlier one may lie; whoever reads it sees a whole page."""
    save_whole(path, page.encode())
    return path


def collect_day(
    day: date, *, ledger: Ledger, as_of: datetime, calendar: BusinessCalendar, label: str, fixed_costs: FixedCosts
) -> DailyReport:
    """Everything a day's report shows, read from the ledger as of an instant, what was learned at it included."""
    until = as_of + _NEXT_INSTANT
    start, end = calendar.midnight(day), calendar.midnight(day + timedelta(days=1))
    with ledger.begin() as session:
        outcomes = load_outcomes(session, as_of=until, first_day=day, last_day=day)
        every = load_conversions(session, as_of=until)
        hours = _hours(session, outcomes["piece_id"].tolist(), day, calendar, until)
        rejected = Counter(
            {
                str(reason): int(rows)
                for reason, rows in session.execute(
                    select(RejectedRow.reason, func.count()).where(RejectedRow.day == day).group_by(RejectedRow.reason)
                )
            }
        )
        parked = [
            f"{vendor} {operation} of {piece_id or key}: whether it happened is not known. {error or ''}".strip()
            for vendor, operation, piece_id, key, error in session.execute(
                select(Effect.vendor, Effect.operation, Effect.piece_id, Effect.key, Effect.error)
                .where(Effect.day == day, Effect.state == "unknown")
                .order_by(Effect.key)
            )
        ]
        full = described(each for each in limits_in_force(session, as_of) if each.posts == 0 or each.unseen)
    mine = every["piece_id"].isin(set(outcomes["piece_id"]))
    first_seen = pd.to_datetime(every["first_observed_at"], utc=True)
    orphans = every["piece_id"].isna() & (first_seen >= pd.Timestamp(start)) & (first_seen < pd.Timestamp(end))
    costs = export_costs(day, ledger=ledger, fixed_costs=fixed_costs)
    strategy = load_strategy(start, ledger=ledger)
    decided = load_decision(day, ledger=ledger)
    return DailyReport(
        day=day,
        as_of=as_of,
        zone=calendar.zone,
        label=label,
        outcomes=outcomes,
        conversions=every[mine | orphans].reset_index(drop=True),
        costs=costs[~(costs["settled_at"] >= until)].reset_index(drop=True),
        hours=hours,
        plan_evidence=load_plan_evidence(day, ledger=ledger),
        strategy={"version": strategy.version, "reasons": strategy.reasons},
        decision=None
        if decided is None
        else {
            "version": decided.version,
            "in_force_from": f"{decided.in_force_from.astimezone(calendar.zone):%-d %B %Y, %H:%M}",
            "decisions": decided.decisions,
        },
        lineage=_largest(every[mine], ledger, until),
        rejected_rows=rejected,
        parked=parked,
        paused=[*pauses_in_words(ledger=ledger), *full],
        approvals=approvals_of(day, ledger=ledger, as_of=until),
        alerts=load_alerts(start, min(end, until), ledger=ledger),
    )


def _hours(session: Session, pieces: list[str], day: date, calendar: BusinessCalendar, until: datetime) -> pd.DataFrame:
    """Hits on the pieces' links in each hour of the posting window, people apart from the others."""
    opens, closes = calendar.posting_window(day)
    rows = session.execute(
        select(Click.clicked_at, is_human())
        .join(Link, Link.code == Click.code)
        .where(Link.piece_id.in_(pieces), Click.clicked_at >= opens, Click.clicked_at < min(closes, until))
    ).all()
    # In UTC steps, so that a day of 23 or 25 hours has that many columns.
    starts = [opens + timedelta(hours=n) for n in range(int((closes - opens).total_seconds() // 3600))]
    people, others = [0] * len(starts), [0] * len(starts)
    for row in rows:
        clicked_at, human = row[0], row[1]
        place = int((clicked_at - opens).total_seconds() // 3600)
        (people if human else others)[place] += 1
    labels = [f"{start.astimezone(calendar.zone):%H}:00" for start in starts]
    return pd.DataFrame({"hour": labels, "people": people, "others": others})


def _largest(conversions: pd.DataFrame, ledger: Ledger, until: datetime) -> dict[str, Any] | None:
    """The way back of the largest commission; None when the day's pieces have sold nothing."""
    if conversions.empty:
        return None
    ordered = conversions.sort_values(["commission_usd_micros", "conversion_id"], ascending=[False, True])
    return trace_conversion(str(ordered["conversion_id"].iloc[0]), ledger=ledger, as_of=until)
