"""Whether sales have collapsed, or were only few."""

from __future__ import annotations

import numpy as np
import pytest

from affiliate_empire.optimization.collapse import judge_sales


def test_the_chance_is_that_of_the_predictive_distribution() -> None:
    judged = judge_sales(sales=3, clicks=200.0, sales_before=40, clicks_before=1000.0)
    assert judged is not None
    chance = np.random.default_rng(7)
    drawn = chance.poisson(chance.gamma(41, 1 / 1000.0, 400_000) * 200.0)
    assert judged.chance == pytest.approx(float((drawn <= 3).mean()), abs=0.002)
    assert judged.expected == pytest.approx(float(drawn.mean()), rel=0.01)


def test_no_sale_of_many_clicks_is_a_collapse_and_of_few_is_not() -> None:
    many = judge_sales(sales=0, clicks=600, sales_before=60, clicks_before=3000)
    few = judge_sales(sales=0, clicks=100, sales_before=60, clicks_before=3000)
    assert many is not None
    assert many.is_one
    assert few is not None
    assert not few.is_one


def test_a_past_that_tells_no_rate_judges_nothing() -> None:
    assert judge_sales(sales=0, clicks=1000, sales_before=19, clicks_before=1000) is None
    assert judge_sales(sales=0, clicks=0, sales_before=50, clicks_before=1000) is None


def test_sales_at_the_old_rate_alarm_nobody() -> None:
    chance = np.random.default_rng(7)
    alarms = 0
    for _ in range(3000):
        judged = judge_sales(
            sales=int(chance.poisson(12)), clicks=400, sales_before=int(chance.poisson(90)), clicks_before=3000
        )
        alarms += judged is not None and judged.is_one
    assert alarms <= 9  # 0.001 of 3,000 is 3
