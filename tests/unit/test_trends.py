"""What people search for moves a score a little, always explicably; what trends sends rested niches to test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.catalog.frames import product_id_of
from affiliate_empire.policy import load_policy
from affiliate_empire.ranking import (
    PERFORMANCE_COLUMNS,
    Term,
    niches_to_test,
    no_trends,
    rank,
    signals_of,
    terms_to_ask,
)
from affiliate_empire.ranking.trends import HIGHEST, LOWEST, search_term
from tests.factories.catalog import DAY, assortment, product, products

POLICY = load_policy()
RULE = POLICY.trend_rule
AT = datetime(2026, 11, 21, 5, 45, tzinfo=UTC)
NOTHING = pd.DataFrame(columns=PERFORMANCE_COLUMNS)


@dataclass(frozen=True)
class Point:
    day: date
    value: int
    partial: bool = False


def told(before: int, now: int, *, partial: int | None = None) -> list[Point]:
    """Twelve weeks of daily figures: the last seven whole days at ``now``, the ones before at ``before``."""
    points = [
        Point(DAY - timedelta(days=back), now if back <= 7 else before, partial=False) for back in range(84, 0, -1)
    ]
    return points if partial is None else [*points, Point(DAY, partial, partial=True)]


def signals(*rows: tuple[str, str, int, int]) -> pd.DataFrame:
    """Rows of kind, subject, interest before and interest."""
    terms = [Term(f"{kind} {subject}", kind, subject) for kind, subject, _, _ in rows]
    points = {term.keyword: told(before, now) for term, (_, _, before, now) in zip(terms, rows, strict=True)}
    return signals_of(terms, points, RULE, source="pytrends", observed_at=AT)


def ranked(frame: pd.DataFrame, trends: pd.DataFrame) -> pd.DataFrame:
    return rank(frame, NOTHING, trends, as_of=DAY, policy=POLICY).set_index("niche")


TWO = products(product("a", niche="still"), product("b", niche="loud"))


def test_a_niche_that_is_searched_for_more_than_before_comes_first() -> None:
    without = ranked(TWO, no_trends())
    assert without["trend"].tolist() == [1.0, 1.0]
    assert without["trend_as_of"].isna().all()
    for niche, other in (("loud", "still"), ("still", "loud")):
        frame = ranked(TWO, signals(("niche", niche, 40, 60), ("niche", other, 40, 40)))
        assert frame["rank"].to_dict() == {niche: 1, other: 2}
        assert frame.loc[niche, "trend"] == pytest.approx((60 + 10) / (40 + 10))
        assert frame.loc[niche, "score"] == pytest.approx(without.loc[niche, "score"] * 1.4)
        assert frame.loc[other, "trend"] == 1.0
        assert frame["trend_as_of"].tolist() == [pd.Timestamp(AT)] * 2


def test_small_figures_say_little_and_large_ones_are_bounded() -> None:
    def factor(before: int, now: int) -> float:
        return float(ranked(TWO, signals(("niche", "loud", before, now))).loc["loud", "trend"])

    assert factor(1, 2) == pytest.approx(12 / 11)  # twice as much of nearly nothing
    assert factor(40, 80) == factor(2, 100) == HIGHEST
    assert factor(80, 1) == LOWEST
    assert factor(0, 0) == 1.0


def test_a_product_leans_on_its_niche_as_far_as_it_is_searched_for_little_itself() -> None:
    own = product_id_of("impact:1001", "b")

    def factor(*rows: tuple[str, str, int, int]) -> float:
        return float(ranked(TWO, signals(("niche", "loud", 50, 62), *rows)).loc["loud", "trend"])

    niche = 72 / 60
    assert factor() == pytest.approx(niche)
    assert factor(("product", own, 0, 0)) == pytest.approx(niche)
    assert factor(("product", own, 60, 60)) == pytest.approx((60 + 10 * niche) / 70)
    assert factor(("product", own, 60, 40)) < 1 < niche


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=4, max_size=4))
def test_a_factor_stays_in_its_bounds_and_never_turns_a_rise_into_a_fall(figures: list[tuple[int, int]]) -> None:
    rows = [("niche", f"niche-{number}", before, now) for number, (before, now) in enumerate(figures)]
    frame = rank(assortment(), NOTHING, signals(*rows), as_of=DAY, policy=POLICY)
    assert frame["trend"].between(LOWEST, HIGHEST).all()
    for _, niche, before, now in rows:
        factor = frame.loc[frame["niche"] == niche, "trend"].iloc[0]
        assert (factor - 1) * (now - before) >= 0
        assert (factor == 1) == (before == now)


def test_signals_count_whole_days_and_say_how_they_rose() -> None:
    terms = [Term("camping", "niche", "camping"), Term("zzyzx", "niche", "nothing")]
    frame = signals_of(
        terms, {"camping": told(20, 50, partial=3), "zzyzx": []}, RULE, source="trendspyg", observed_at=AT
    )
    [camping, nothing] = frame.to_dict("records")
    assert (camping["interest"], camping["interest_before"], camping["rise"]) == (50.0, 20.0, 1.5)
    assert (nothing["interest"], nothing["interest_before"]) == (0.0, 0.0)
    assert pd.isna(nothing["rise"])
    assert set(frame["source"]) == {"trendspyg"}
    assert signals_of([], {}, RULE, source="pytrends", observed_at=AT).equals(no_trends())


def test_what_is_asked_for_is_bounded_and_begins_with_the_best() -> None:
    many = products(
        *(
            product(
                f"{letter}{number}",
                niche=f"x-{letter}",
                price_micros=(ord(letter) + number) * 1_000_000,
                title=f"{letter * 2} Lamp{'abc'[number]}, {number} W",
            )
            for letter in "abcdefghijklmnopqrstuvwxyz"
            for number in range(3)
        ),
        product("no", niche="uncategorised", price_micros=200_000_000),
        product("out", niche="sold-out", availability="out_of_stock"),
    )
    frame = rank(many, NOTHING, no_trends(), as_of=DAY, policy=POLICY)
    requests = terms_to_ask(frame, RULE)
    assert [len(request) for request in requests] == [5] * (RULE.niche_requests + RULE.product_requests)
    asked = [term for request in requests for term in request]
    assert len({term.keyword for term in asked}) == len(asked)
    assert {term.kind for request in requests[: RULE.niche_requests] for term in request} == {"niche"}
    best = frame[frame["niche"] != "uncategorised"].iloc[0]
    assert asked[0] == Term(best["niche"].replace("-", " "), "niche", best["niche"])
    assert not {"uncategorised", "sold-out"} & {term.subject for term in asked}
    assert next(term.subject for term in asked if term.kind == "product") == frame["product_id"].iloc[0]
    assert terms_to_ask(frame.iloc[:0], RULE) == []


@pytest.mark.parametrize(
    ("title", "term"),
    [
        ("Burr Coffee Grinder, 18 Settings", "burr coffee grinder"),
        ("Pour-Over Coffee Dripper Set with Glass Carafe", "pour-over coffee dripper set"),
        ("Gooseneck Electric Kettle 0.9 L", "gooseneck electric kettle"),
        ("Chef's Knife (21 cm) Japanese", "chef's knife"),
        ("The Very Long Name of a Truly Good Trail Lamp", "of truly good trail lamp"),
        ("Café Möbel", "café möbel"),
        ("7 x 24", ""),
    ],
)
def test_a_product_is_searched_for_by_its_plain_name(title: str, term: str) -> None:
    assert search_term(title) == term


@settings(deadline=None)
@given(st.text(max_size=200))
def test_whatever_its_name_a_term_can_be_asked_for(title: str) -> None:
    term = search_term(title)
    assert len(term) <= 100
    assert "," not in term
    assert term == term.strip()


# ---------------------------------------------------------------- topics
@dataclass(frozen=True)
class Topic:
    title: str
    traffic: int
    published_at: datetime = AT


SHOP = products(
    product("1", title="Burr Coffee Grinder", niche="kitchen"),
    product("2", title="Coffee Dripper", niche="kitchen"),
    product("3", title="Trail Lamp", niche="outdoor"),
    product("4", title="Desk Lamp", niche="office"),
    product("5", title="Yoga Mats", niche="fitness"),
    product("6", title="Storm Warning", niche="uncategorised"),
)[["title", "niche"]]
WEEK = POLICY.topic_rule


def decided(*topics: Topic, **published: date) -> pd.DataFrame:
    return niches_to_test(topics, SHOP, published, WEEK, as_of=DAY, observed_at=AT).set_index("topic")


def test_a_topic_belongs_to_the_niche_that_sells_all_of_it() -> None:
    frame = decided(
        Topic("best coffee grinders", 500),
        Topic("coffee election", 400),
        Topic("lamp", 300),
        Topic("yoga mat", 200),
        Topic("storm warning", 100),
        Topic("Fitness", 50),
    )
    assert frame["niche"].to_dict() == {
        "best coffee grinders": "kitchen",
        "coffee election": "",
        "lamp": "",  # outdoor and office sell it alike
        "yoga mat": "fitness",
        "storm warning": "",
        "Fitness": "fitness",
    }
    assert frame.loc["best coffee grinders", "matched"] == "coffee grinder"
    assert frame.loc["coffee election", "reason"] == "no niche of the catalogue sells it"


def test_the_two_most_searched_for_niches_that_have_rested_go_to_test() -> None:
    topics = [
        Topic("coffee grinder", 900),
        Topic("yoga mat", 300),
        Topic("desk lamp", 200),
        Topic("office desk", 150),
        Topic("trail lamp", 250),
    ]
    frame = decided(*topics, kitchen=DAY - timedelta(days=3), outdoor=DAY - timedelta(days=29))
    assert frame[frame["on_test"]]["niche"].unique().tolist() == ["fitness", "office"]
    assert "published on 2026-11-18" in frame.loc["coffee grinder", "reason"]
    assert frame.loc["yoga mat", "reason"] == "fitness goes to test: 300 searches, not published in 28 days"
    assert frame.loc["trail lamp", "reason"] == "office and fitness are searched for more than outdoor"
    assert decided(*reversed(topics), kitchen=DAY - timedelta(days=3), outdoor=DAY - timedelta(days=29)).equals(frame)


def test_a_niche_published_long_enough_ago_has_rested() -> None:
    rested = DAY - timedelta(days=WEEK.rested_days)
    assert not decided(Topic("yoga mat", 1), fitness=rested)["on_test"].any()
    assert decided(Topic("yoga mat", 1), fitness=rested - timedelta(days=1))["on_test"].all()


def test_a_quiet_feed_tests_nothing() -> None:
    assert decided().empty
    assert not decided(Topic("playoff schedule", 50_000), Topic("…", 3), Topic("playoff schedule", 1))["on_test"].any()
