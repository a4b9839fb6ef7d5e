"""Rolling windows: no window of the platform ever holds more than the limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate_empire.effects.budgets import resets_at
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.windows import fits, frees_at
from affiliate_empire.planning import LiveLimit

START = datetime(2026, 11, 20, tzinfo=UTC)
DAY = timedelta(hours=24)
hours = st.integers(0, 96).map(lambda hour: START + timedelta(hours=hour))


def most_in_any_window(uses: list[datetime], window: timedelta) -> int:
    return max((sum(end - window < use <= end for use in uses) for end in uses), default=0)


@given(asked=st.lists(hours, max_size=25), limit=st.integers(1, 4))
def test_whatever_is_asked_for_in_whatever_order_no_window_overflows(asked: list[datetime], limit: int) -> None:
    taken: list[datetime] = []
    for at in asked:
        if fits(taken, at, limit, DAY):
            taken.append(at)
    assert most_in_any_window(taken, DAY) <= limit


@given(asked=st.lists(hours, max_size=25), limit=st.integers(1, 4), at=hours)
def test_what_is_refused_would_overflow_and_fits_at_the_time_that_is_named(
    asked: list[datetime], limit: int, at: datetime
) -> None:
    taken: list[datetime] = []
    for use in asked:
        if fits(taken, use, limit, DAY):
            taken.append(use)
    if not fits(taken, at, limit, DAY):
        assert most_in_any_window([*taken, at], DAY) > limit
    named = frees_at(taken, at, limit, DAY)
    assert named >= at
    assert most_in_any_window([*taken, named], DAY) <= limit


@given(asked=st.lists(hours, max_size=20), unseen=st.lists(hours, max_size=3), limit=st.integers(1, 4))
def test_posts_that_nobody_here_made_count(asked: list[datetime], unseen: list[datetime], limit: int) -> None:
    taken: list[datetime] = []
    said = [LiveLimit(None, 1, seen, START + 9 * DAY, "seen") for seen in unseen]
    for at in asked:
        named = frees_at(taken, at, limit, DAY, said)
        assert named >= at
        assert fits(taken, at, limit, DAY, unseen) is (named == at)
        if fits(taken, named, limit, DAY, unseen):
            taken.append(named)
    # Where the unseen alone fill a window, no use of ours makes it fuller.
    for end in [*taken, *unseen]:
        of_unseen = sum(end - DAY < use <= end for use in unseen)
        ours = sum(end - DAY < use <= end for use in taken)
        assert ours + of_unseen <= max(limit, of_unseen)


def test_a_use_leaves_the_window_exactly_when_the_window_is_over() -> None:
    assert not fits([START], START + DAY - timedelta(seconds=1), 1, DAY)
    assert fits([START], START + DAY, 1, DAY)


@pytest.mark.parametrize(
    ("scope", "instant"),
    [
        ("day:2026-11-30", "2026-12-01T00:00:00-05:00"),
        ("day:2026-10-31", "2026-11-01T00:00:00-04:00"),  # before the clocks go back that night
        ("day:2026-11-01", "2026-11-02T00:00:00-05:00"),  # 25 hours later
        ("month:2026-12", "2027-01-01T00:00:00-05:00"),
        ("month:2026-02", "2026-03-01T00:00:00-05:00"),
        ("vendor:openai:2026-11-20", "2026-11-21T00:00:00-05:00"),
        ("niche:home-and-garden:2026-11-20", "2026-11-21T00:00:00-05:00"),
    ],
)
def test_a_cap_starts_anew_at_the_business_timezones_midnight(scope: str, instant: str) -> None:
    found = resets_at(scope, BusinessCalendar())
    assert found is not None
    assert found.isoformat() == instant
    elsewhere = resets_at(scope, BusinessCalendar("Asia/Tokyo"))
    assert elsewhere is not None
    assert elsewhere.isoformat() == f"{instant[:10]}T00:00:00+09:00"


def test_a_runs_cap_never_starts_anew() -> None:
    assert resets_at("run:7f3a", BusinessCalendar()) is None
