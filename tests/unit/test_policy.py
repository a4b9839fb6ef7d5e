"""Policy is complete, dated, and its arithmetic is that of the price pages."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.policy import load_policy

POLICY = load_policy()


def test_every_entry_names_its_source_and_the_day_it_was_checked() -> None:
    tables = [POLICY.prices, POLICY.models, POLICY.platforms, POLICY.networks, POLICY.disclosures]
    entries = [e for t in tables for v in t.values() if isinstance(v, list) and v and isinstance(v[0], dict) for e in v]
    entries += POLICY.trends.values()
    assert len(entries) > 10
    assert [e for e in entries if not e.get("source") or not e.get("checked_at")] == []


@pytest.mark.parametrize("role", ["script", "post", "image", "voice_model", "voice"])
def test_every_role_has_a_living_model(role: str) -> None:
    assert POLICY.model(role, date(2026, 11, 22))


def test_a_retired_model_is_refused_by_name() -> None:
    retired = POLICY.models | {"roles": POLICY.models["roles"] | {"image": "dall-e-3"}}
    policy = replace(POLICY, models=retired)
    with pytest.raises(Misconfigured, match=r"dall-e-3 \(image\) was shut down on 2026-05-12"):
        policy.model("image", date(2026, 11, 22))


def test_prices_are_those_of_the_page() -> None:
    # 2,000 tokens in at $1.00 and 1,500 out at $5.00 a million: 0.95 cents.
    assert POLICY.llm_cost_micros("gpt-6.1-terra", input_tokens=2000, cached_tokens=0, output_tokens=1500) == 9_500
    assert POLICY.speech_cost_micros("eleven_multilingual_v2", 900) == 72_000
    assert POLICY.image_cost_micros("gpt-image-2.5-flare", text_tokens=0, output_tokens=157) == 4_710


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_the_reserved_maximum_is_never_below_the_cost(characters: int, output_tokens: int) -> None:
    cost = POLICY.llm_cost_micros(
        "gpt-6.1-terra", input_tokens=characters, cached_tokens=0, output_tokens=output_tokens
    )
    assert cost <= POLICY.llm_max_cost_micros("gpt-6.1-terra", input_chars=characters, max_output_tokens=output_tokens)


def test_slots_of_a_day_fit_its_posting_window() -> None:
    for platform in ("youtube", "tiktok", "instagram", "blog"):
        rule = POLICY.posting(platform)
        assert len(rule.slots) >= rule.limit
        minutes = sorted((t.hour * 60 + t.minute - 360) % 1440 for t in rule.slots)
        gaps = [b - a for a, b in pairwise(minutes)]
        assert min(gaps) * 60 >= rule.spacing.total_seconds()
        assert rule.tolerance < rule.spacing  # of what is late, never two at once


@pytest.mark.parametrize(
    ("platform", "peaks"), [("youtube", {14, 17, 20}), ("tiktok", {9, 12, 18, 21}), ("instagram", {11, 14, 19})]
)
def test_the_peak_hours_come_first(platform: str, peaks: set[int]) -> None:
    assert {slot.hour for slot in POLICY.posting(platform).slots[: len(peaks)]} == peaks


def test_an_impossible_timetable_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(Misconfigured, match=r"10 × 2\.5 h = 25 h does not fit in 24 h: at most 9 posts do"):
        POLICY.for_owner({"youtube": {"spacing_minutes": 150}})
    stricter = POLICY.for_owner({"youtube": {"spacing_minutes": 150, "limit": 9}}).posting("youtube")
    assert (stricter.limit, stricter.spacing) == (9, timedelta(minutes=150))
    posting = [
        entry | ({"limit": 20} if entry["platform"] == "instagram" else {}) for entry in POLICY.platforms["posting"]
    ]
    with pytest.raises(
        Misconfigured, match="instagram has no possible timetable: 20 × 2 h = 40 h does not fit in 24 h"
    ):
        replace(POLICY, platforms=POLICY.platforms | {"posting": posting}).posting("instagram")


@pytest.mark.parametrize("wish", [{"limit": 16}, {"spacing_minutes": 59}])
def test_the_owner_may_only_be_stricter_than_policy(wish: dict[str, int]) -> None:
    with pytest.raises(Misconfigured, match="it may only be"):
        POLICY.for_owner({"tiktok": wish})
    assert POLICY.for_owner({}) == POLICY


def test_metric_definitions_change_with_the_day() -> None:
    assert POLICY.metric_definition("youtube", date(2026, 8, 23)) == "youtube.views@2025-03-31"
    assert POLICY.metric_definition("youtube", date(2026, 8, 24)) == "youtube.views@2026-08-24"
