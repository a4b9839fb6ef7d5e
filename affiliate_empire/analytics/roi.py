"""Return on what was spent: ``ROI = (revenue - cost) / cost × 100``, by cohort.

A cohort is the pieces planned for a day, with all they cost and have earned so far; late money changes its own cohort.
The warehouse's ``roi`` mart is the same arithmetic over the lake; the report uses this one over the ledger.
"""

from __future__ import annotations

import pandas as pd

_SUMS = ["views", "hits", "clicks", "unique_clicks", "conversions", "reversals", "commission_micros", "cost_micros"]


def roi_percent(revenue_micros: int, cost_micros: int) -> float | None:
    """Per cent; None where nothing was spent, because a ratio to nothing says nothing."""
    return None if cost_micros == 0 else (revenue_micros - cost_micros) / cost_micros * 100


def roi_by(outcomes: pd.DataFrame, column: str) -> pd.DataFrame:
    """Cohort outcomes added up by one column (``platform``, ``prompt_version``, ``niche``, ``product``).

    Args:
        outcomes: ``analytics.frames.Outcomes``.
        column: what to split by.

    Returns:
        ``column``, ``pieces``, ``posted``, the sums, ``profit_micros`` and ``roi_percent``, best profit first.
    """
    counted = outcomes.assign(pieces=1, posted=outcomes["published_at"].notna().astype("int64"))
    result = counted.groupby(column, as_index=False)[["pieces", "posted", *_SUMS]].sum()
    result["profit_micros"] = result["commission_micros"] - result["cost_micros"]
    money = zip(result["commission_micros"], result["cost_micros"], strict=True)
    result["roi_percent"] = pd.Series(
        [roi_percent(int(revenue), int(cost)) for revenue, cost in money], dtype="float64", index=result.index
    )
    return result.sort_values(["profit_micros", column], ascending=[False, True], ignore_index=True)
