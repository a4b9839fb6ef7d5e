"""Every schedule ticked twice: what it asks for, what it waits for, what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from affiliate_empire.ledger import Ledger
from affiliate_empire.planning.timetable import TIMETABLE, Stage
from affiliate_empire.settings import Settings
from definitions import JOBS, build_defs
from tests.graph.ticking import DAY, Ticking, asked, ticking

DAILY = [stage for stage in TIMETABLE if stage.weekday is None]
UPSTREAM = (
    *(
        "products",
        "exchange_rates",
        "rankings",
        "content_plan",
        "scripts",
        "blog_posts",
        "voiceovers",
        "video_clips",
        "thumbnails",
    ),
    *(
        "trend_signals",
        "videos",
        "platform_metrics",
        "clicks",
        "conversions",
        "costs",
        "roi",
        "daily_pnl",
        "strategy_decision",
    ),
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, module_ledger: Ledger) -> Iterator[Ticking]:
    with ticking(tmp_path_factory.mktemp("home"), module_ledger) as house:
        yield house


@pytest.fixture
def house(built: Ticking, ledger: Ledger) -> Ticking:
    built.instance.wipe()
    return built


def _first_tick(house: Ticking, stage: Stage) -> tuple[list[tuple[str, str | None]], str | None]:
    day = DAY if stage.weekday is None else DAY - timedelta(days=(DAY.weekday() - stage.weekday) % 7)
    at = house.settings.calendar.at(day, stage.at)
    house.clock.at = at + timedelta(seconds=3)
    tick = house.schedule(stage.schedule, at)
    return asked(tick), tick.skip_message


def test_a_tick_asks_for_its_stage_and_the_same_tick_again_for_the_same_run(house: Ticking) -> None:
    house.instance.add_dynamic_partitions("prompt_versions", ["video/question-hook@1"])
    house.materialize("2026-11-09", "affiliate_programs")
    house.materialize("video/question-hook@1", "prompt_versions")
    house.materialize("2026-11-16", "trending_topics")
    for day in (DAY - timedelta(days=1), DAY):
        house.materialize(str(day), *UPSTREAM)
    for stage in TIMETABLE:
        first, _ = _first_tick(house, stage)
        days = {DAY - timedelta(days=1), DAY} if stage.at.hour in stage.closes_yesterday else {DAY}
        if stage.weekday is not None:
            days = {DAY - timedelta(days=(DAY.weekday() - stage.weekday) % 7)}
        assert {partition for _, partition in first} == {stage.partition(day) for day in days}, stage
        assert _first_tick(house, stage)[0] == first, stage
        assert len({key for key, _ in first}) == len(first), stage


def test_a_stage_whose_inputs_are_not_there_does_not_run_and_says_what_it_waits_for(house: Ticking) -> None:
    waiting = [stage for stage in DAILY if stage.waits]
    assert len(waiting) >= 8
    for stage in waiting:
        requests, said = _first_tick(house, stage)
        assert requests == [], stage
        assert f"{DAY} waits for " in str(said), stage


def test_one_missing_input_of_today_is_enough_to_wait(house: Ticking) -> None:
    plan = next(stage for stage in TIMETABLE if stage.job == "plan_day")
    house.materialize(str(DAY - timedelta(days=1)), "rankings")
    assert _first_tick(house, plan) == ([], f"{DAY} waits for rankings")
    house.materialize(str(DAY), "rankings")
    assert [partition for _, partition in _first_tick(house, plan)[0]] == [str(DAY)]


def test_results_are_fetched_before_anything_was_made_today(house: Ticking) -> None:
    (sync,) = (stage for stage in TIMETABLE if stage.job == "sync_results")
    at = house.at(DAY, 3 + 5 / 60)
    house.clock.at = at
    assert [partition for _, partition in asked(house.schedule(sync.schedule, at))] == [str(DAY)]


@pytest.mark.parametrize("job", ["rank_products", "prepare_day"])
def test_a_stage_under_way_is_not_begun_again(house: Ticking, job: str) -> None:
    rank = next(stage for stage in TIMETABLE if stage.job == "rank_products")
    house.materialize(str(DAY), "products", "exchange_rates", "trend_signals")
    assert len(_first_tick(house, rank)[0]) == 1
    # Another job's run counts where it makes the same assets.
    house.run(job, str(DAY), dg.DagsterRunStatus.STARTED)
    assert _first_tick(house, rank) == ([], f"{DAY} is under way")


def test_a_tick_of_another_day_is_refused(house: Ticking) -> None:
    house.materialize("2026-11-09", "affiliate_programs")
    house.clock.at = house.at(DAY, 9)
    tick = house.schedule("daily_products", house.at(DAY - timedelta(days=1), 0.25))
    assert asked(tick) == []
    assert "the business clock says 2026-11-18 09:00" in tick.skip_message
    # The last missed tick of today is not.
    assert len(asked(house.schedule("daily_products", house.at(DAY, 0.25)))) == 1


def test_scorecards_are_made_for_every_version_that_is_recorded(house: Ticking) -> None:
    assert asked(house.schedule("daily_scorecards", house.at(DAY, 21))) == []
    house.instance.add_dynamic_partitions("prompt_versions", ["video/a@1", "post/b@1"])
    first = asked(house.schedule("daily_scorecards", house.at(DAY, 21)))
    assert {partition for _, partition in first} == {"video/a@1", "post/b@1"}
    assert asked(house.schedule("daily_scorecards", house.at(DAY, 21))) == first


def test_every_schedule_runs_a_job_in_the_owners_timezone_and_only_on_autopilot() -> None:
    for autopilot in (False, True):
        settings = Settings(_env_file=None, timezone="Europe/Berlin", autopilot=autopilot)  # type: ignore[call-arg]
        repository = build_defs(settings).get_repository_def()
        for schedule in repository.schedule_defs:
            assert schedule.job_name in JOBS
            assert schedule.execution_timezone == "Europe/Berlin"
            assert (schedule.default_status is dg.DefaultScheduleStatus.RUNNING) is autopilot
        for sensor in repository.sensor_defs:
            assert (sensor.default_status is dg.DefaultSensorStatus.RUNNING) is autopilot


def test_a_cron_says_what_its_stage_says(house: Ticking) -> None:
    crons = {schedule.name: schedule.cron_schedule for schedule in house.repository.schedule_defs}
    assert crons["weekly_discovery"] == "0 3 * * 0"
    assert crons["weekly_report_to_owner"] == "0 3 * * 5"
    assert crons["daily_products"] == "15 0 * * *"
    assert crons["six_hourly_rankings"] == "0 1,7,13,19 * * *"
