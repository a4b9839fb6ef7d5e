"""The evening's decision: by evidence and never beyond it, the same for the same seed, with reasons one can read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.analytics.frames import Outcomes, columns_of
from affiliate_empire.optimization import StrategyDecision, decide_strategy, first_strategy
from affiliate_empire.optimization.strategy import maturity

EVENING = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
VERSIONS = {"video": ["video/a@1", "video/b@1"], "post": ["post/a@1"]}
FIRST = first_strategy(VERSIONS)


def piece(number: int, **changes: Any) -> dict[str, Any]:
    published = EVENING - timedelta(days=changes.pop("days", 10), minutes=number)
    said = {
        "piece_id": f"pc_{number}",
        "day": date(2026, 11, 12),
        "kind": "video",
        "platform": "youtube",
        "account_id": "youtube:gearlab",
        "product_id": f"pd_{number}",
        "product": "Daypack",
        "niche": "accessories",
        "prompt_version": "video/a@1",
        "arm": "exploit",
        "propensity": 0.5,
        "status": "planned",
        "reason": None,
        "slot_at": published,
        "published_at": published,
        "title": "Daypack",
        "url": "https://video.example.com/1",
        "views": 1000,
        "hits": 40,
        "clicks": 38,
        "unique_clicks": 36,
        "conversions": 2,
        "reversals": 0,
        "commission_micros": 8_000_000,
        "cost_micros": 90_000,
    }
    return said | changes


def outcomes(*rows: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=columns_of(Outcomes))
    for column in ("slot_at", "published_at"):
        frame[column] = pd.to_datetime(frame[column], utc=True)
    return Outcomes.validate(frame)


def record(version: str, pieces: int, sales: int, *, start: int = 0, **changes: Any) -> list[dict[str, Any]]:
    """``pieces`` of a version with ``sales`` each, at $4 a sale."""
    earned = {"conversions": sales, "commission_micros": 4_000_000 * sales}
    return [piece(start + number, prompt_version=version, **earned | changes) for number in range(pieces)]


def decide(*rows: dict[str, Any], current: dict[str, Any] = FIRST, seed: int = 7) -> StrategyDecision:
    return decide_strategy(outcomes(*rows), current, versions=VERSIONS, as_of=EVENING, seed=seed)


def weight(decision: StrategyDecision, version: str) -> float:
    return float(decision.content["prompt_weights"][version.partition("/")[0]][version])


def test_the_first_strategy_gives_every_version_the_same_share() -> None:
    assert FIRST["prompt_weights"] == {"video": {"video/a@1": 0.5, "video/b@1": 0.5}, "post": {"post/a@1": 1.0}}
    assert FIRST["exploration_share"] == 0.1


def test_without_a_piece_or_a_sale_nothing_moves_and_the_reasons_say_so() -> None:
    nothing = decide()
    assert nothing.content["prompt_weights"] == FIRST["prompt_weights"]
    assert "no piece of it was published yet" in nothing.reasons[0]
    unsold = decide(*record("video/a@1", 4, 0), *record("video/b@1", 4, 0, start=10))
    assert unsold.content["prompt_weights"] == FIRST["prompt_weights"]
    assert any("no sale has been reported yet" in reason for reason in unsold.reasons)
    assert unsold.evidence["pieces"] == 8


def test_the_better_version_gains_and_more_evidence_gains_more() -> None:
    thin = decide(*record("video/a@1", 2, 3), *record("video/b@1", 2, 1, start=10))
    thick = decide(*record("video/a@1", 60, 3), *record("video/b@1", 60, 1, start=100))
    assert 0.5 < weight(thin, "video/a@1") < 0.65
    assert weight(thick, "video/a@1") > 0.7
    assert any("The evidence is thin." in reason for reason in thin.reasons)
    rows = thick.decisions.set_index("key")
    assert rows.loc["video/a@1", "low_micros"] > rows.loc["video/b@1", "high_micros"]


def test_few_pieces_leave_a_wide_interval_and_many_narrow_it() -> None:
    def relative_width(pieces: int) -> float:
        decided = decide(*record("video/a@1", pieces, 2), *record("video/b@1", pieces, 2, start=500))
        row = decided.decisions.set_index("key").loc["video/a@1"]
        return float(row["high_micros"] - row["low_micros"]) / float(row["profit_per_piece_micros"])

    assert relative_width(1) > 1.0
    assert relative_width(100) < 0.35


def test_a_young_piece_is_not_blamed_for_sales_that_cannot_have_been_reported() -> None:
    mature = record("video/a@1", 20, 2)
    young = decide(*mature, *record("video/b@1", 20, 0, start=100, days=0))
    old = decide(*mature, *record("video/b@1", 20, 0, start=100, days=10))
    assert weight(young, "video/b@1") > weight(old, "video/b@1") + 0.1


def test_no_version_is_ever_given_up() -> None:
    current = FIRST
    rows = [*record("video/a@1", 80, 4), *record("video/b@1", 80, 0, start=200)]
    for _ in range(30):
        current = decide(*rows, current=current).content
    assert current["prompt_weights"]["video"]["video/b@1"] >= 0.05
    assert sum(current["prompt_weights"]["video"].values()) == pytest.approx(1)


def test_the_commission_of_a_lucky_product_is_not_the_prompts_merit() -> None:
    rich = record("video/a@1", 20, 2, commission_micros=80_000_000)
    poor = record("video/b@1", 20, 2, start=100, commission_micros=800_000)
    assert weight(decide(*rich, *poor), "video/a@1") == pytest.approx(0.5, abs=0.06)


def test_videos_and_posts_are_not_compared() -> None:
    posts = record("post/a@1", 30, 0, start=300, kind="post", platform="blog")
    with_posts = decide(*record("video/a@1", 20, 2), *record("video/b@1", 20, 2, start=100), *posts)
    assert weight(with_posts, "post/a@1") == pytest.approx(1)
    assert weight(with_posts, "video/a@1") == pytest.approx(0.5, abs=0.06)


def test_a_niche_is_judged_on_bounds_and_by_enough_pieces() -> None:
    good = record("video/a@1", 20, 3, niche="good")
    bad = record("video/b@1", 20, 0, start=100, niche="bad", cost_micros=9_000_000)
    few = record("video/b@1", 3, 0, start=200, niche="few", cost_micros=9_000_000)
    decision = decide(*good, *bad, *few)
    assert decision.content["niche_weights"] == {"bad": 0.5, "good": 1.25}
    reasons = {row["key"]: row["reason"] for row in decision.decisions.to_dict("records")}
    assert "scores are halved" in reasons["bad"]
    assert "too few to judge" in reasons["few"]
    relieved = decide(*record("video/a@1", 20, 3, niche="bad"), current=decision.content)
    assert relieved.content["niche_weights"].get("bad", 1.0) == 1.0


def test_the_same_seed_decides_the_same_and_order_does_not_matter() -> None:
    rows = [*record("video/a@1", 5, 3), *record("video/b@1", 5, 1, start=10)]
    first, again = decide(*rows), decide(*rows)
    assert first.content == again.content
    assert first.decisions.equals(again.decisions)
    assert decide(*reversed(rows)).content == first.content


def test_unpublished_pieces_and_reversed_sales_prove_nothing_good() -> None:
    quarantined = piece(1, status="quarantined", published_at=None, conversions=0, commission_micros=0)
    assert decide(quarantined).evidence["pieces"] == 0
    reversed_sales = record("video/a@1", 20, 0, reversals=3)
    assert weight(decide(*reversed_sales, *record("video/b@1", 20, 2, start=100)), "video/a@1") < 0.5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(VERSIONS["video"]), st.integers(0, 30), st.integers(0, 40)), max_size=25))
def test_weights_are_always_shares_above_the_floor(record_of: list[tuple[str, int, int]]) -> None:
    rows = [
        piece(number, prompt_version=version, conversions=sales, commission_micros=sales * 3_000_000, days=days)
        for number, (version, sales, days) in enumerate(record_of)
    ]
    decision = decide(*rows)
    shares = decision.content["prompt_weights"]["video"]
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share >= 0.05 - 1e-9 for share in shares.values())
    assert len(decision.reasons) == len(decision.decisions)


def test_maturity_grows_from_nothing_to_all() -> None:
    assert maturity(-1) == maturity(0) == 0
    assert maturity(17) == pytest.approx(0.5, abs=0.01)
    assert maturity(55) == pytest.approx(0.9, abs=0.01)
    assert maturity(1000) == pytest.approx(1)
