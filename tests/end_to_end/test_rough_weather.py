"""A day in rough weather: one request in nine is turned away, late, cut off, or loses its reply; the books agree."""

from __future__ import annotations

import pytest

from tests.end_to_end.homes import Home

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ROUGH = {"EMPIRE_WEATHER": "rough", "EMPIRE_SLATE_YOUTUBE": "1", "EMPIRE_SLATE_TIKTOK": "1", "EMPIRE_SLATE_BLOG": "1"}


def test_the_day_comes_to_its_end_and_agrees_with_the_witness(home: Home) -> None:
    """``empire demo`` exits 0 only then. What nobody can know is quarantined, never guessed."""
    day = Home(home.path, ROUGH).demo()
    assert day["weather"]["level"] == "rough"
    assert day["weather"]["faults"] > 0
    assert day["weather"]["repeated_calls"] > 0
    assert day["pieces"] == 3
    assert day["posts"] == day["posts_witnessed"] == day["pieces"] - len(day["quarantined"])
    assert day["posts"] >= 2
    assert day["clicks"] == day["clicks_witnessed"]
    assert day["revenue_cents"] == day["revenue_witnessed_cents"]
    # A lost reply is booked at the most that it may have cost.
    assert day["cost_cents"] >= day["charges_witnessed_cents"] > 0
