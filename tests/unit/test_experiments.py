"""The test of two prompt versions: rarely wrong however often it is looked at, and able to find what is there."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from affiliate_empire.experiments import sequential_ab
from affiliate_empire.experiments.sequential import compare
from tests.factories.experiments import A_DAY, DAYS, first_decision, replay

START = date(2026, 1, 1)


@pytest.mark.parametrize(
    "same", [{}, {"share": 0.1}, {"noise": 0.0}, {"seen": math.log(1.5)}], ids=["even", "rare", "unclustered", "seen"]
)
def test_two_equal_versions_are_rarely_told_apart_by_who_looks_every_day(same: dict[str, float]) -> None:
    wrong = sum(first_decision(replay(seed, **same))[1] != "continue" for seed in range(200))
    assert wrong <= 10  # 5 % of 200


def test_a_better_version_is_found() -> None:
    found = [first_decision(replay(seed, lift=math.log(1.5))) for seed in range(60)]
    assert all(decision == "b" for _, decision in found)
    assert np.median([day for day, _ in found if day]) <= 10
    worse = [first_decision(replay(seed, lift=math.log(0.67)))[1] for seed in range(20)]
    assert worse == ["a"] * 20


def test_the_interval_holds_the_truth_on_all_days_of_nearly_all_markets() -> None:
    lift, missed = 0.2, 0
    for seed in range(100):
        data = replay(seed, lift=lift)
        looks = [compare(*(column[: day * A_DAY] for column in data)) for day in range(5, DAYS + 1, 5)]
        missed += any(not (look.ci_low <= lift <= look.ci_high) for look in looks)
    assert missed <= 5


def frames(seed: int, lift: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    views, clicks, is_b, platform = replay(seed, lift=lift)
    ids = [f"pc_{number}" for number in range(len(views))]
    published = [START + timedelta(days=number // A_DAY) for number in range(len(views))]
    pieces = pd.DataFrame(
        {"piece_id": ids, "prompt": np.where(is_b, "b@1", "a@1"), "platform": platform, "published": published}
    )
    half = pd.DataFrame({"piece_id": ids, "date": published, "views": views // 2, "clicks": clicks // 2})
    rest = half.assign(
        date=[day + timedelta(days=1) for day in published], views=views - views // 2, clicks=clicks - clicks // 2
    )
    return pieces, pd.concat([half, rest])


def test_frames_say_the_same_and_nothing_of_the_day_itself_or_later_is_used() -> None:
    pieces, daily = frames(3, math.log(1.5))
    as_of = START + timedelta(days=20)
    result = sequential_ab(pieces, daily, arms=("a@1", "b@1"), as_of=as_of)
    assert result.decision == "b"
    assert result.ci_low < result.log_lift < result.ci_high
    assert result.pieces_a + result.pieces_b == 20 * A_DAY
    later = daily.assign(clicks=daily["clicks"].where(pd.to_datetime(daily["date"]) < pd.Timestamp(as_of), 1e6))
    assert sequential_ab(pieces, later, arms=("a@1", "b@1"), as_of=as_of) == result
    mirrored = sequential_ab(pieces, daily, arms=("b@1", "a@1"), as_of=as_of)
    assert mirrored.decision == "a"
    assert mirrored.log_lift == pytest.approx(-result.log_lift)
    assert mirrored.p_value == pytest.approx(result.p_value)


def test_few_pieces_or_none_decide_nothing() -> None:
    pieces, daily = frames(3, 3.0)
    early = sequential_ab(pieces, daily, arms=("a@1", "b@1"), as_of=START + timedelta(days=2))
    assert (early.decision, early.p_value) == ("continue", 1.0)
    assert math.isnan(early.log_lift)
    nothing = sequential_ab(pieces.head(0), daily.head(0), arms=("a@1", "b@1"), as_of=START)
    assert (nothing.decision, nothing.pieces_a, nothing.pieces_b) == ("continue", 0, 0)


def test_versions_on_different_platforms_cannot_be_told_apart() -> None:
    pieces, daily = frames(3, 1.0)
    apart = pieces.assign(platform=pieces["prompt"])
    result = sequential_ab(apart, daily, arms=("a@1", "b@1"), as_of=START + timedelta(days=40))
    assert result.decision == "continue"
