"""What the benchmark of exactly-once promises, held on five hundred intents under fire."""

from __future__ import annotations

import pytest

from benchmarks.exactly_once import run

# On a busy machine its workers take their time, and none of the figures depends on it.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]


def test_five_hundred_intents_under_fire_are_done_once_and_within_the_caps() -> None:
    figures = run(500, seed=11, fields=3)
    wrong = {name: figures[name] for name in ("double_posts", "lost_posts", "double_charges", "cents_beyond_cap")}
    assert wrong == dict.fromkeys(wrong, 0), figures["not_done"]
    assert figures["books_unbalanced"] == []
    assert figures["published_share"] >= 0.95, figures["not_done"]
    assert figures["self_healed_share"] >= 0.9, figures["not_done"]
    assert figures["struck"] > 250
    assert [one["sequence"] for one in figures["scenarios"] if one["double_posts"] or one["lost_posts"]] == []
