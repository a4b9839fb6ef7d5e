"""A day's window is 06:00 to 06:00, on days of 23 and 25 hours too: nothing goes before its slot or after the close."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.effects import WindowClosed
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.ledger.tables import Piece
from affiliate_empire.operations.errors import NotDue, SlotPassed
from affiliate_empire.operations.publish_piece import refuse_outside_window
from affiliate_empire.planning import choose_slots
from affiliate_empire.policy import load_policy

POLICY = load_policy()
ZONES = st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC"])
DAYS = st.dates(date(2026, 1, 1), date(2027, 12, 31)) | st.sampled_from(
    [date(2026, 3, 7), date(2026, 3, 8), date(2026, 10, 31), date(2026, 11, 1), date(2026, 3, 29), date(2026, 10, 25)]
)
PLATFORMS = st.sampled_from(sorted(POLICY.full_slate))


@settings(deadline=None)
@given(day=DAYS, zone=ZONES)
def test_windows_follow_one_another_without_gap_or_overlap(day: date, zone: str) -> None:
    calendar = BusinessCalendar(zone)
    windows = [calendar.posting_window(day + timedelta(days=n)) for n in range(-1, 3)]
    assert all(closes == opens for (_, closes), (opens, _) in pairwise(windows))
    assert all(closes - opens in {timedelta(hours=h) for h in (23, 23.5, 24, 24.5, 25)} for opens, closes in windows)


@settings(deadline=None, max_examples=150)
@given(day=DAYS, zone=ZONES, platform=PLATFORMS, minutes=st.integers(-2 * 24 * 60, 3 * 24 * 60))
def test_a_piece_goes_out_at_its_slot_and_neither_late_nor_once_its_day_has_closed(
    day: date, zone: str, platform: str, minutes: int
) -> None:
    calendar, rule = BusinessCalendar(zone), POLICY.posting(platform)
    opens, closes = calendar.posting_window(day)
    now = opens + timedelta(minutes=minutes)
    slots = choose_slots(rule, day=day, calendar=calendar, wanted=rule.limit).slots
    assert slots
    assert all(opens <= slot < closes for slot in slots)
    for slot in slots:
        piece = Piece(piece_id="pc_1", day=day, platform=platform, slot_at=slot, status="planned")
        try:
            refuse_outside_window(piece, now, POLICY, calendar, None)
        except WindowClosed:
            assert now >= closes
        except NotDue:
            assert now < slot - rule.lead
        except SlotPassed:
            assert slot + rule.tolerance <= now < closes
        else:
            assert slot - rule.lead <= now < min(closes, slot + rule.tolerance)


@pytest.mark.parametrize("day", [date(2026, 3, 7), date(2026, 10, 31)])
def test_the_slots_of_the_night_in_which_the_clock_changes_are_of_the_evening_before(day: date) -> None:
    """TikTok's last hours pass midnight; the day closes at the next 06:00, 23 or 25 hours after it opened."""
    calendar = BusinessCalendar()
    opens, closes = calendar.posting_window(day)
    late = choose_slots(
        POLICY.posting("tiktok"), day=day, calendar=calendar, wanted=15, not_before=closes - timedelta(hours=8)
    )
    assert late.slots
    assert max(late.slots) < closes
    assert closes - opens in (timedelta(hours=23), timedelta(hours=25))
