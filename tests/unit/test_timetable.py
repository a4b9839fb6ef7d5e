"""The timetable: what is due when, and for how long."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.planning.timetable import GRACE, TIMETABLE, Due, Stage, stages_due

CALENDAR = BusinessCalendar()
WEDNESDAY = date(2026, 11, 18)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return CALENDAR.at(day, time(hour, minute))


def due(now: datetime, *stages: Stage) -> dict[str, str]:
    return {each.stage.job: each.partition for each in stages_due(now, CALENDAR, stages or TIMETABLE)}


def test_nothing_is_made_up_for_before_its_schedule_has_had_its_time() -> None:
    plan = Stage("plan_day", "daily_plan", time(2, 0), lasts=timedelta(hours=21))
    assert due(at(WEDNESDAY, 2), plan) == {}
    assert due(at(WEDNESDAY, 2) + GRACE, plan) == {"plan_day": "2026-11-18"}
    assert due(at(WEDNESDAY, 22, 59), plan) == {"plan_day": "2026-11-18"}
    assert due(at(WEDNESDAY, 23), plan) == {}


def test_no_hour_makes_up_for_what_a_past_day_should_have_made() -> None:
    makes = {"fetch_products", "rank_products", "plan_day", "write_content", "make_media"}
    for hour in range(24):
        found = due(at(WEDNESDAY, hour, 30))
        assert {found[job] for job in makes & set(found)} <= {"2026-11-18"}, hour


def test_an_evenings_books_may_be_closed_until_the_next_evening() -> None:
    assert due(at(WEDNESDAY, 9))["report_day"] == "2026-11-17"
    assert due(at(WEDNESDAY, 19, 30)).get("compute_roi") is None
    assert due(at(WEDNESDAY, 20, 10))["compute_roi"] == "2026-11-18"


def test_stages_come_in_the_order_of_their_times() -> None:
    since = [each.since for each in stages_due(at(WEDNESDAY, 23), CALENDAR)]
    assert since == sorted(since)
    assert len(since) >= 7


def test_a_weeks_work_is_done_when_it_or_the_week_it_fell_due_in_is() -> None:
    discovery = next(stage for stage in TIMETABLE if stage.job == "discover_programs")
    (found,) = stages_due(at(WEDNESDAY, 9), CALENDAR, [discovery])
    assert (found.partition, found.accepted) == ("2026-11-16", frozenset({"2026-11-16", "2026-11-09"}))
    report = next(stage for stage in TIMETABLE if stage.job == "report_week")
    assert due(at(WEDNESDAY, 9), report) == {}
    assert due(at(date(2026, 11, 20), 4), report) == {"report_week": "2026-11-16"}


def test_a_stage_is_late_after_half_an_hour() -> None:
    waiting = Due(TIMETABLE[1], at(WEDNESDAY, 2), "2026-11-18", frozenset())
    assert not waiting.late(at(WEDNESDAY, 2, 30))
    assert waiting.late(at(WEDNESDAY, 2, 31))


def test_local_times_stay_where_they_are_when_the_clocks_change() -> None:
    plan = Stage("plan_day", "daily_plan", time(4, 0), lasts=timedelta(hours=1))
    for day in (date(2026, 3, 8), date(2026, 11, 1)):
        (found,) = stages_due(at(day, 4, 10), CALENDAR, [plan])
        assert found.since == at(day, 4)


def test_names_are_used_once() -> None:
    assert len({stage.job for stage in TIMETABLE}) == len({stage.schedule for stage in TIMETABLE}) == len(TIMETABLE)
