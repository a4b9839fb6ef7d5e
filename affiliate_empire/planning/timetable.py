"""The timetable: which stage of the loop is due when, and how long it is worth making up for.

Pure arithmetic on local times. Whether a stage's inputs are there, and starting it, is for those who know the graph
(``assets.readiness``, ``schedules``, ``sensors``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from affiliate_empire.kernel.clock import BusinessCalendar

# Money arrives later: a day's results are read, and its cohort restated, until the networks' longest validation has
# passed.
RESTATED_DAYS = 60

# A stage that still waits so long after its time is something the owner must know.
PATIENCE = timedelta(minutes=30)
# Leaves a schedule's own tick the time to start its run before anybody makes up for it.
GRACE = timedelta(minutes=5)


@dataclass(frozen=True)
class Stage:
    """One line of the timetable: a job, when it begins, and how it behaves when that hour passes.

    Attributes:
        job: the job's name, a verb phrase.
        schedule: the schedule's name, cadence and purpose.
        at: local time of its first tick of a day.
        hours: local hours of its later ticks, at the same minute.
        weekday: Monday is 0; None is every day.
        weekly: whether its partition is a week.
        lasts: how long after ``at`` it may begin; nothing makes up for it where this is nought.
        waits: whether it waits for its inputs of the day, or takes what is there.
        closes_yesterday: hours whose tick also runs the day before once more, because that day has just ended.
    """

    job: str
    schedule: str
    at: time
    hours: Sequence[int] = field(default=())
    weekday: int | None = None
    weekly: bool = False
    lasts: timedelta = timedelta(0)
    waits: bool = True
    closes_yesterday: Sequence[int] = ()

    @property
    def cron(self) -> str:
        each = sorted({self.at.hour, *self.hours})
        hours = "*" if len(each) == 24 else ",".join(str(hour) for hour in each)
        # Cron's Sunday is 0.
        weekday = "*" if self.weekday is None else str((self.weekday + 1) % 7)
        return f"{self.at.minute} {hours} * * {weekday}"

    def partition(self, day: date) -> str:
        """The partition that a run on a day makes."""
        return str(monday_of(day) if self.weekly else day)


@dataclass(frozen=True)
class Due:
    """A stage whose time has come. ``accepted`` are the partitions any of which shows that it is done."""

    stage: Stage
    since: datetime
    partition: str
    accepted: frozenset[str]

    def late(self, now: datetime) -> bool:
        return now - self.since > PATIENCE


def _hours(number: float) -> timedelta:
    return timedelta(hours=number)


_SUNDAY, _MONDAY, _WEDNESDAY, _FRIDAY = 6, 0, 2, 4
# What is observed or decided belongs to its day and is made up for on it; an evening's books may be closed until the
# next evening. A week's work may wait for days.
TIMETABLE: tuple[Stage, ...] = (
    Stage(
        "sync_results", "hourly_results", time(0, 5), hours=range(1, 24), waits=False, closes_yesterday=(0, 6)
    ),  # five past, so that a clock that lags a little is already in the new day
    Stage("fetch_products", "daily_products", time(0, 15), lasts=_hours(23)),
    Stage("observe_trends", "six_hourly_trends", time(0, 45), hours=(6, 12, 18), lasts=_hours(22)),
    Stage("rank_products", "six_hourly_rankings", time(1, 0), hours=(7, 13, 19), lasts=_hours(22)),
    Stage("plan_day", "daily_plan", time(2, 0), lasts=_hours(21)),
    Stage("write_content", "daily_writing", time(2, 30), lasts=_hours(21)),
    Stage("make_media", "daily_making", time(4, 0), lasts=_hours(20)),
    Stage("compute_roi", "daily_roi", time(20, 0), lasts=_hours(23), closes_yesterday=(20,)),
    Stage("decide_strategy", "daily_optimization", time(21, 0), lasts=_hours(22)),
    Stage("report_day", "daily_report_to_owner", time(22, 0), lasts=_hours(23)),
    Stage("discover_programs", "weekly_discovery", time(3, 0), weekday=_SUNDAY, weekly=True, lasts=_hours(6 * 24)),
    Stage(
        "choose_tests",
        "weekly_trending_topics",
        time(3, 0),
        weekday=_MONDAY,
        weekly=True,
        lasts=_hours(6 * 24),
        waits=False,
    ),
    Stage(
        "review_experiments", "weekly_experiment_review", time(3, 0), weekday=_WEDNESDAY, lasts=_hours(20), waits=False
    ),
    Stage(
        "report_week",
        "weekly_report_to_owner",
        time(3, 0),
        weekday=_FRIDAY,
        weekly=True,
        lasts=_hours(2 * 24),
        waits=False,
    ),
)


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def stages_due(now: datetime, calendar: BusinessCalendar, timetable: Sequence[Stage] = TIMETABLE) -> list[Due]:
    """Every stage whose time has passed and which may still begin, in the order of their times."""
    today = calendar.day_of(now)
    found = []
    for stage in timetable:
        for days_ago in range(8):
            day = today - timedelta(days=days_ago)
            since = calendar.at(day, stage.at)
            on = stage.weekday is None or stage.weekday == day.weekday()
            if on and since + GRACE <= now < since + stage.lasts:
                # What a week's stage observes is observed now, in whatever week that is.
                partition = stage.partition(today if stage.weekly else day)
                found.append(Due(stage, since, partition, frozenset({partition, stage.partition(day)})))
                break
    return sorted(found, key=lambda due: due.since)
