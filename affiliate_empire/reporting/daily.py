"""The daily report: what was made, posted, seen, clicked, earned and spent, and what was decided.

A cohort's report: the pieces of the day with all they brought up to the moment of the report. It only adds up and
writes down; every figure is in the frames it was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from affiliate_empire.analytics.roi import roi_by, roi_percent
from affiliate_empire.kernel.money import dollars
from affiliate_empire.reporting.charts import bars, columns_by_hour, shares
from affiliate_empire.reporting.page import as_of_text, clicks_in_words, percent, plain_rows, render_page

_STATES = ("approved", "paid", "pending", "reversed")
_STATE_WORDS = {
    "pending": "reported, not yet validated by the merchant",
    "approved": "validated",
    "paid": "paid out by the network",
    "reversed": "taken back (returned, cancelled)",
}


@dataclass(frozen=True)
class DailyReport:
    """Everything the page shows.

    Attributes:
        day: the business day.
        as_of: when the figures were read (UTC).
        zone: the business timezone, for hours.
        label: ``SIMULATED`` or ``LIVE``; stands at every table.
        outcomes: ``analytics.frames.Outcomes`` of the day's pieces.
        conversions: transaction lines (``operations.outcomes.load_conversions``) of the day's pieces, and the
            unattributed ones that were reported on the day.
        costs: ``analytics.frames.Costs`` of the day.
        hours: hits by hour of the posting window: ``hour`` (label), ``people``, ``others``.
        plan_evidence: what the plan recorded of its caps.
        strategy: version and reasons in force on the day.
        decision: what the evening decided: ``version``, ``in_force_from``, ``decisions`` (``optimization.Decisions``);
            None before it did.
        lineage: one dollar followed back (``operations.trace_lineage.trace_conversion``); None without a sale.
        rejected_rows: rows of the day's feeds that could not be used, by reason.
        parked: effects whose outcome is unknown, as sentences.
        paused: what is paused now, and whose window its platform says is full, as sentences.
        approvals: by piece whose owner was asked: ``approved``, ``rejected`` or ``waiting``.
        alerts: what was raised on the day (``operations.alerts.ALERT_COLUMNS``).
    """

    day: date
    as_of: datetime
    zone: ZoneInfo
    label: str
    outcomes: pd.DataFrame
    conversions: pd.DataFrame
    costs: pd.DataFrame
    hours: pd.DataFrame
    plan_evidence: Mapping[str, Any]
    strategy: Mapping[str, Any]
    decision: Mapping[str, Any] | None
    lineage: Mapping[str, Any] | None
    rejected_rows: Mapping[str, int]
    parked: Sequence[str]
    paused: Sequence[str]
    approvals: Mapping[str, str]
    alerts: pd.DataFrame


def render_daily(report: DailyReport) -> str:
    """The report as one HTML page that needs nothing else."""
    return render_page("daily.html", _context(report), report.zone)


def _context(report: DailyReport) -> dict[str, Any]:
    outcomes = report.outcomes
    mine = report.conversions[report.conversions["piece_id"].notna()]
    orphans = report.conversions[report.conversions["piece_id"].isna()]
    earned = int(outcomes["commission_micros"].sum())
    spent = int(report.costs["cost_micros"].sum())
    posted = outcomes[outcomes["published_at"].notna()]
    quarantined = outcomes[outcomes["status"] == "quarantined"]
    held = outcomes[
        outcomes["published_at"].isna() & outcomes["reason"].notna() & (outcomes["status"] != "quarantined")
    ]
    by_prompt = roi_by(outcomes, "prompt_version")
    states = _states(mine)
    return {
        "label": report.label,
        "simulated": report.label == "SIMULATED",
        "title": f"{report.day:%A, %-d %B %Y}",
        "as_of": as_of_text(report.as_of, report.zone),
        "tiles": [
            ("made", f"{len(outcomes) - len(quarantined)} of {len(outcomes)}", "pieces"),
            ("posted", f"{len(posted)}", ", ".join(sorted(posted["platform"].unique())) or "nothing yet"),
            ("seen", f"{int(outcomes['views'].sum()):,}", "views"),
            ("clicked", f"{int(outcomes['clicks'].sum()):,}", clicks_in_words(outcomes)),
            ("earned", dollars(earned), f"{int(outcomes['conversions'].sum())} sales"),
            ("spent", dollars(spent), f"{dollars(spent // len(outcomes))} a piece" if len(outcomes) else "nothing"),
            ("profit", dollars(earned - spent), f"ROI {percent(roi_percent(earned, spent))}"),
        ],
        "profit": earned - spent,
        "pieces": [_with_returns(row, report.approvals) for row in plain_rows(outcomes)],
        "totals": {name: int(outcomes[name].sum()) for name in ("views", "hits", "clicks", "conversions")},
        "earned": earned,
        "spent": spent,
        "states": states,
        "states_chart": shares(
            [
                (f"{row['state']}: {dollars(row['micros'])}", row["micros"], row["state"])
                for row in states
                if row["micros"]
            ],
            title="Commission by state",
        ),
        "unattributed": {"sales": len(orphans), "micros": int(orphans["commission_usd_micros"].sum())},
        "vendors": _vendors(report.costs),
        "platforms": roi_by(outcomes, "platform").to_dict("records"),
        "prompts": by_prompt.to_dict("records"),
        "niches": roi_by(outcomes, "niche").to_dict("records"),
        "prompt_chart": bars(
            [
                (row["prompt_version"], row["profit_micros"] / 1e6, dollars(row["profit_micros"]))
                for row in by_prompt.to_dict("records")
            ],
            title="Profit by prompt version",
        )
        if len(by_prompt)
        else "",
        "hours_chart": columns_by_hour(
            report.hours["people"].tolist(),
            report.hours["others"].tolist(),
            report.hours["hour"].tolist(),
            _marks(posted, report),
            title="Hits on the day's links by hour",
        ),
        "bounds": report.plan_evidence.get("bounds", []),
        "plan": report.plan_evidence,
        "strategy": report.strategy,
        "decision": None
        if report.decision is None
        else dict(report.decision) | {"rows": report.decision["decisions"].to_dict("records")},
        "quarantined": quarantined[["piece_id", "product", "platform", "reason"]].to_dict("records"),
        "held": held[["piece_id", "product", "platform", "status", "reason"]].to_dict("records"),
        "lineage": report.lineage,
        "rejected_rows": dict(sorted(report.rejected_rows.items(), key=lambda item: -item[1])),
        "parked": [*report.paused, *report.parked],
        "alerts": report.alerts.to_dict("records"),
    }


def _with_returns(row: dict[str, Any], approvals: Mapping[str, str]) -> dict[str, Any]:
    """One piece as the table shows it."""
    earned, spent = int(row["commission_micros"]), int(row["cost_micros"])
    returns = {"roi": roi_percent(earned, spent), "profit_micros": earned - spent}
    return row | returns | {"approval": approvals.get(row["piece_id"])}


def _states(conversions: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for state in _STATES:
        found = conversions[conversions["state"] == state]
        rows.append(
            {
                "state": state,
                "meaning": _STATE_WORDS[state],
                "sales": len(found),
                "micros": int(found["commission_usd_micros"].sum()),
            }
        )
    return rows


def _vendors(costs: pd.DataFrame) -> list[dict[str, Any]]:
    grouped = costs.assign(lines=1, lost=costs["state"].eq("lost").astype("int64"))
    sums = grouped.groupby(["vendor", "operation"], as_index=False)[["lines", "lost", "cost_micros"]].sum()
    return [
        {str(name): value for name, value in row.items()}
        for row in sums.sort_values(["cost_micros", "operation"], ascending=[False, True]).to_dict("records")
    ]


def _marks(posted: pd.DataFrame, report: DailyReport) -> list[tuple[int, str]]:
    """Which hour's column each post was made in."""
    places = {label: place for place, label in enumerate(report.hours["hour"])}
    marks = []
    for row in posted.to_dict("records"):
        at = row["published_at"].to_pydatetime().astimezone(report.zone)
        place = places.get(f"{at:%H}:00")
        if place is not None:
            marks.append((place, f"{at:%H:%M} {row['platform']}: {row['product']}"))
    return marks
