"""One schedule per stage of the timetable, and one for the prompt versions' scorecards.

A tick asks for the stage of the business day it stands in, by the business clock. It runs nothing when the stage's
inputs are not there yet, when it is under way, or when the tick is of another day: what a stopped machine missed is
made up for by ``sensors.stages``, as far as that makes sense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.planning.timetable import TIMETABLE, Stage
from affiliate_empire.settings import Settings
from assets.readiness import Readiness


def build_schedules(settings: Settings, purposes: Mapping[str, str]) -> list[dg.ScheduleDefinition]:
    """Every schedule, in the owner's timezone; running from the start only on autopilot.

    Args:
        settings: the timezone, and whether it is on autopilot.
        purposes: what each job does, by its name.
    """
    status = dg.DefaultScheduleStatus.RUNNING if settings.autopilot else dg.DefaultScheduleStatus.STOPPED
    common: dict[str, Any] = {"execution_timezone": settings.timezone, "default_status": status}
    stages = [_of_stage(stage, _says(stage, purposes[stage.job]), common) for stage in TIMETABLE]
    return [*stages, _scorecards(purposes["score_prompts"], common)]


def _of_stage(stage: Stage, says: str, common: dict[str, Any]) -> dg.ScheduleDefinition:
    @dg.schedule(name=stage.schedule, cron_schedule=stage.cron, job_name=stage.job, description=says, **common)
    def tick(
        context: dg.ScheduleEvaluationContext, clock: dg.ResourceParam[Clock], settings: dg.ResourceParam[Settings]
    ) -> dg.SkipReason | Sequence[dg.RunRequest]:
        now, calendar = clock.now(), settings.calendar
        scheduled = context.scheduled_execution_time
        if (stale := _is_of_another_day(scheduled, now, calendar)) is not None:
            return stale
        readiness = Readiness(context.repository_def, context.instance)
        today = calendar.day_of(now)
        days = [today]
        if scheduled.astimezone(calendar.zone).hour in stage.closes_yesterday:
            days = [today - timedelta(days=1), today]
        reasons, requests = [], []
        for day in days:
            partition = stage.partition(day)
            missing = readiness.missing_inputs(stage.job, partition) if stage.waits else []
            if missing:
                reasons.append(f"{partition} waits for {', '.join(missing)}")
            elif readiness.is_under_way(stage.job, partition):
                reasons.append(f"{partition} is under way")
            else:
                # A tick evaluated twice asks for the same run; the next tick of the day for another.
                key = f"{stage.job}:{partition}:{scheduled:%Y-%m-%dT%H:%M%z}"
                requests.append(dg.RunRequest(run_key=key, partition_key=partition))
        return requests or dg.SkipReason("; ".join(reasons))

    return tick


def _scorecards(purpose: str, common: dict[str, Any]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="daily_scorecards",
        cron_schedule="0 21 * * *",
        job_name="score_prompts",
        description=f"21:00, a run per version: {purpose}",
        **common,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.SkipReason | Sequence[dg.RunRequest]:
        versions = context.instance.get_dynamic_partitions("prompt_versions")
        at = context.scheduled_execution_time
        requests = [dg.RunRequest(run_key=f"{name}:{at:%Y-%m-%d}", partition_key=name) for name in versions]
        return requests or dg.SkipReason("No prompt version is recorded yet.")

    return tick


def _is_of_another_day(scheduled: datetime, now: datetime, calendar: BusinessCalendar) -> dg.SkipReason | None:
    """After an outage Dagster ticks for the last missed time; a sandbox whose clock stands is in another day, too."""
    if calendar.day_of(scheduled) == calendar.day_of(now):
        return None
    return dg.SkipReason(
        f"This tick is of {scheduled.astimezone(calendar.zone):%Y-%m-%d %H:%M} and the business clock says "
        f"{now.astimezone(calendar.zone):%Y-%m-%d %H:%M}."
    )


def _says(stage: Stage, purpose: str) -> str:
    """The schedule as the owner reads it."""
    days = (
        ""
        if stage.weekday is None
        else f"{('Mon', 'Tues', 'Wednes', 'Thurs', 'Fri', 'Satur', 'Sun')[stage.weekday]}day "
    )
    again = f", then at {', '.join(f'{hour}:{stage.at:%M}' for hour in stage.hours)}" if len(stage.hours) < 12 else ""
    every = (
        f"Every hour at :{stage.at:%M}"
        if len(stage.hours) >= 12
        else f"{days}{stage.at:%H:%M}{again if stage.hours else ''}"
    )
    waits = "Waits until its inputs of the day are there." if stage.waits else "Takes what is there."
    return f"{every}: {purpose} {waits}"
