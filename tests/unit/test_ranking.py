"""A ranking is a transparent function of what is known: no chance, evidence weighs by its amount, rest is respected."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.catalog.frames import product_id_of
from affiliate_empire.policy import load_policy
from affiliate_empire.ranking import PERFORMANCE_COLUMNS, ProductPerformance, conversion_prior, no_trends, rank
from tests.factories.catalog import DAY, product, products

POLICY = load_policy()
NOTHING = pd.DataFrame(columns=PERFORMANCE_COLUMNS)
NO_TRENDS = no_trends()


def performance(**rows: dict[str, Any]) -> pd.DataFrame:
    said = [
        {"product_id": product_id_of("impact:1001", name), "niche": "accessories", "last_piece_day": date(2026, 10, 1)}
        | row
        for name, row in rows.items()
    ]
    return ProductPerformance.validate(pd.DataFrame(said)[PERFORMANCE_COLUMNS])


def ranked(
    frame: pd.DataFrame, seen: pd.DataFrame = NOTHING, as_of: date = DAY, trends: pd.DataFrame = NO_TRENDS
) -> pd.DataFrame:
    return rank(frame, seen, trends, as_of=as_of, policy=POLICY)


def order(frame: pd.DataFrame) -> list[str]:
    return [title.removeprefix("Canvas Daypack ") for title in frame["title"]]


def test_the_score_is_the_product_of_its_columns() -> None:
    frame = ranked(products(product("a"), product("b", price_micros=120_000_000, description="Short.")))
    for row in frame.to_dict("records"):
        earnings = row["expected_clicks"] * row["earnings_per_click_micros"]
        assert row["expected_earnings_micros"] == pytest.approx(earnings, abs=1)
        expected = row["expected_earnings_micros"] / 1e6 * (0.4 + 0.6 * row["completeness"]) * row["freshness"]
        assert row["score"] == pytest.approx(expected * row["trend"])
        assert row["commission_micros"] == pytest.approx(row["price_micros"] * 0.08, abs=1)


def test_ties_are_broken_by_id_and_the_order_of_rows_does_not_matter() -> None:
    frame = products(*(product(name) for name in "cabd"))
    assert ranked(frame).equals(ranked(frame.iloc[::-1].reset_index(drop=True)))
    assert ranked(frame)["product_id"].is_monotonic_increasing


def test_what_sold_rises_and_what_did_not_sinks_and_more_evidence_moves_further() -> None:
    frame = products(product("a"), product("b"), product("c"))
    little = performance(
        b={"pieces": 2, "clicks": 80, "earned_micros": 20_000_000}, c={"pieces": 2, "clicks": 80, "earned_micros": 0}
    )
    much = little.assign(pieces=20, clicks=800, earned_micros=little["earned_micros"] * 10)
    assert order(ranked(frame, little)) == ["b", "a", "c"]
    first, more = (ranked(frame, seen).set_index("title")["score"] for seen in (little, much))
    assert more["Canvas Daypack b"] / more["Canvas Daypack c"] > first["Canvas Daypack b"] / first["Canvas Daypack c"]


def test_a_product_never_shown_learns_from_its_niche() -> None:
    frame = products(product("a", niche="quiet"), product("b", niche="loud"), product("z", niche="loud"))
    seen = performance(z={"niche": "loud", "pieces": 10, "clicks": 3000, "earned_micros": 100_000_000})
    clicks = ranked(frame, seen).set_index("niche")["expected_clicks"]
    assert clicks["loud"].min() > clicks["quiet"]


def test_a_product_shown_yesterday_rests() -> None:
    frame = products(product("a"), product("b"))
    same = {"pieces": 3, "clicks": 120, "earned_micros": 4_000_000}
    seen = performance(
        a=same | {"last_piece_day": DAY - timedelta(days=1)}, b=same | {"last_piece_day": date(2026, 9, 1)}
    )
    freshness = ranked(frame, seen).set_index("title")["freshness"]
    assert freshness["Canvas Daypack a"] < 0.3
    assert freshness["Canvas Daypack b"] > 0.99


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"availability": "out_of_stock"}, "availability is out of stock"),
        ({"currency": "EUR"}, "EUR"),
        ({"commission_rate": 0.0}, "no commission"),
        ({"network": "amazon", "program_id": "amazon:1"}, "amazon does not allow content made by AI"),
    ],
)
def test_what_may_not_be_used_stands_last_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    frame = ranked(products(product("a", price_micros=900_000_000, **changes), product("b", price_micros=1_000_000)))
    assert order(frame) == ["b", "a"]
    assert frame["eligible"].tolist() == [True, False]
    assert reason in frame["reason"].iloc[1]


def test_an_empty_catalogue_has_an_empty_ranking() -> None:
    assert ranked(products()).empty


def test_a_day_of_reversals_never_gives_a_negative_score() -> None:
    seen = performance(a={"pieces": 4, "clicks": 10, "earned_micros": -50_000_000})
    assert (ranked(products(product("a"), product("b")), seen)["score"] >= 0).all()


@settings(deadline=None)
@given(st.floats(min_value=0.01, max_value=1e6), st.floats(min_value=0.01, max_value=1e6))
def test_the_prior_never_rises_with_the_price(low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert conversion_prior(low) >= conversion_prior(high)


def rates(**usd: float) -> pd.DataFrame:
    """``ExchangeRates`` as far as a ranking reads them."""
    return pd.DataFrame({"currency": list(usd), "usd": list(usd.values())})


def test_prices_in_other_currencies_are_ranked_in_dollars_and_kept_as_they_are() -> None:
    frame = products(product("a", currency="EUR", price_micros=40_000_000), product("b", price_micros=44_000_000))
    both = rank(frame, NOTHING, NO_TRENDS, as_of=DAY, policy=POLICY, rates=rates(EUR=1.2, USD=9.9))
    assert order(both) == ["a", "b"]  # 48 dollars before 44
    assert both["currency"].tolist() == ["EUR", "USD"]
    assert both["price_micros"].tolist() == [40_000_000, 44_000_000]
    assert both["usd_rate"].tolist() == [1.2, 1.0]
    assert both["commission_micros"].tolist() == [3_840_000, 3_520_000]
    assert both["eligible"].all()
    assert both["conversion_prior"].nunique() == 1  # both lie in the band up to 75 dollars


def test_without_its_rate_a_price_is_not_ranked_and_dollars_are_not_touched() -> None:
    frame = products(product("a", currency="SEK"), product("b"))
    alone = ranked(frame)
    beside = rank(frame, NOTHING, NO_TRENDS, as_of=DAY, policy=POLICY, rates=rates(EUR=1.2))
    assert alone.equals(beside)
    assert order(alone) == ["b", "a"]
    assert alone["reason"].tolist() == ["", "the price is in SEK, and there is no exchange rate to rank it by"]
    assert alone["usd_rate"].isna().tolist() == [False, True]
