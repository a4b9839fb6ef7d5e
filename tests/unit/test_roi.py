"""ROI is (revenue - cost) / cost × 100, and nothing where nothing was spent."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.analytics.roi import roi_by, roi_percent

COUNTS = ("views", "hits", "clicks", "unique_clicks", "conversions", "reversals")


def test_roi_follows_its_formula() -> None:
    assert roi_percent(3_000_000, 1_000_000) == pytest.approx(200)
    assert roi_percent(0, 1_000_000) == pytest.approx(-100)
    assert roi_percent(5_000_000, 0) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 10**8), st.integers(0, 10**7)), min_size=1, max_size=9))
def test_a_split_adds_up_to_the_whole(rows: list[tuple[str, int, int]]) -> None:
    frame = pd.DataFrame(rows, columns=["platform", "commission_micros", "cost_micros"]).assign(
        published_at=pd.Timestamp("2026-11-21", tz="UTC"), **dict.fromkeys(COUNTS, 1)
    )
    split = roi_by(frame, "platform")
    assert split["pieces"].sum() == split["posted"].sum() == split["clicks"].sum() == len(rows)
    assert split["profit_micros"].sum() == frame["commission_micros"].sum() - frame["cost_micros"].sum()
    for row in split.to_dict("records"):
        expected = roi_percent(int(row["commission_micros"]), int(row["cost_micros"]))
        assert pd.isna(row["roi_percent"]) if expected is None else row["roi_percent"] == pytest.approx(expected)
