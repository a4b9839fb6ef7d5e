"""The weekly report: seven days' money by day, platform, niche and prompt version, the decisions and what was learned.

Seven cohorts' report: their pieces with all they brought up to the moment of the report. It only adds up and writes
down; every figure is in the frames it was given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from affiliate_empire.analytics.roi import roi_by, roi_percent
from affiliate_empire.kernel.money import dollars
from affiliate_empire.reporting.charts import bars
from affiliate_empire.reporting.page import as_of_text, clicks_in_words, percent, plain_rows, render_page

_SHOWN = 5  # pieces at either end


@dataclass(frozen=True)
class WeeklyReport:
    """Everything the page shows.

    Attributes:
        first_day, last_day: the seven days, both included.
        as_of: when the figures were read (UTC).
        zone: the business timezone, for hours.
        label: ``SIMULATED`` or ``LIVE``; stands at every table.
        outcomes: ``analytics.frames.Outcomes`` of the days' pieces.
        spent: what was booked to each day (``day``, ``cost_micros``), also for no piece.
        decisions: what evenings changed: ``day``, ``version``, ``subject``, ``key``, ``weight_before``,
            ``weight_after``, ``reason``.
        experiments: ``experiments.ExperimentResults`` of the last review; empty without one.
        alerts: what was raised in the week (``operations.alerts.ALERT_COLUMNS``).
    """

    first_day: date
    last_day: date
    as_of: datetime
    zone: ZoneInfo
    label: str
    outcomes: pd.DataFrame
    spent: pd.DataFrame
    decisions: pd.DataFrame
    experiments: pd.DataFrame
    alerts: pd.DataFrame


def render_weekly(report: WeeklyReport) -> str:
    """The report as one HTML page that needs nothing else."""
    return render_page("weekly.html", _context(report), report.zone)


def _context(report: WeeklyReport) -> dict[str, Any]:
    outcomes = report.outcomes
    earned, spent = int(outcomes["commission_micros"].sum()), int(report.spent["cost_micros"].sum())
    posted = outcomes[outcomes["published_at"].notna()]
    days = _days(report)
    best_first = posted.assign(profit_micros=posted["commission_micros"] - posted["cost_micros"]).sort_values(
        ["profit_micros", "piece_id"], ascending=[False, True]
    )
    end = min(_SHOWN, len(best_first) // 2)
    return {
        "label": report.label,
        "simulated": report.label == "SIMULATED",
        "title": f"{report.first_day:%-d %B} to {report.last_day:%-d %B %Y}",
        "as_of": as_of_text(report.as_of, report.zone),
        "tiles": [
            ("posted", f"{len(posted)} of {len(outcomes)}", "pieces"),
            ("seen", f"{int(outcomes['views'].sum()):,}", "views"),
            ("clicked", f"{int(outcomes['clicks'].sum()):,}", clicks_in_words(outcomes)),
            ("earned", dollars(earned), f"{int(outcomes['conversions'].sum())} sales"),
            ("spent", dollars(spent), f"{dollars(spent // len(outcomes))} a piece" if len(outcomes) else "nothing"),
            ("profit", dollars(earned - spent), f"ROI {percent(roi_percent(earned, spent))}"),
        ],
        "profit": earned - spent,
        "days": days,
        "days_chart": bars(
            [(row["day"], row["profit_micros"] / 1e6, dollars(row["profit_micros"])) for row in days],
            title="Profit by day",
        ),
        "platforms": roi_by(outcomes, "platform").to_dict("records"),
        "niches": roi_by(outcomes, "niche").to_dict("records"),
        "prompts": roi_by(outcomes, "prompt_version").to_dict("records"),
        "best": plain_rows(best_first.head(max(end, min(1, len(best_first))))),
        "worst": plain_rows(best_first.tail(end).iloc[::-1]),
        "decisions": report.decisions.to_dict("records"),
        "experiments": [_learned(row) for row in plain_rows(report.experiments)],
        "alerts": report.alerts.to_dict("records"),
    }


def _days(report: WeeklyReport) -> list[dict[str, Any]]:
    """One row per day, also where nothing was made."""
    of_day = {row["day"]: row for row in roi_by(report.outcomes, "day").to_dict("records")}
    spent = dict(zip(report.spent["day"], report.spent["cost_micros"], strict=True))
    rows = []
    for number in range((report.last_day - report.first_day).days + 1):
        day = report.first_day + timedelta(days=number)
        row = of_day.get(day, {})
        earned, cost = int(row.get("commission_micros", 0)), int(spent.get(day, 0))
        counts = {name: int(row.get(name, 0)) for name in ("pieces", "views", "clicks", "conversions")}
        money = {"commission_micros": earned, "cost_micros": cost, "profit_micros": earned - cost}
        rows.append({"day": f"{day:%a %-d %b}", **counts, **money, "roi_percent": roi_percent(earned, cost)})
    return rows


def _learned(row: dict[str, Any]) -> dict[str, Any]:
    """An experiment's row as a sentence: what is known of b against a."""
    pieces = f"{row['pieces_a']} and {row['pieces_b']} pieces"
    if row["log_lift"] is None:
        said = f"too few pieces were seen to compare them ({pieces})"
    else:
        low, lift, high = ((math.exp(row[name]) - 1) * 100 for name in ("ci_low", "log_lift", "ci_high"))
        said = f"click-through of the second is {percent(lift)} (between {percent(low)} and {percent(high)}; {pieces})"
    verdict = {"continue": "not decided", "a": f"{row['arm_a']} is better", "b": f"{row['arm_b']} is better"}
    return row | {"said": said, "verdict": verdict[row["decision"]]}
