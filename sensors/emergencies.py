"""Something cannot wait for the evening: tells the owner, and has the day planned or the programmes looked at anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.find_emergencies import find_emergencies
from affiliate_empire.planning.timetable import monday_of
from affiliate_empire.settings import Settings


def emergency_reoptimization(jobs: Mapping[str, Any], status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        jobs=[jobs["plan_day"], jobs["discover_programs"]],
        name="emergency_reoptimization",
        minimum_interval_seconds=900,
        default_status=status,
        description="An account was restricted, or sales collapsed beyond chance (P < 0.001): alerts with the evidence "
        "and acts once per cause. Looks every 15 minutes.",
    )
    def tick(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[Ledger],
        clock: dg.ResourceParam[Clock],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult:
        requests = []
        today = settings.calendar.day_of(clock.now())
        for emergency in find_emergencies(ledger=ledger, clock=clock, calendar=settings.calendar):
            context.log.warning(emergency.message)
            job, partition = (
                ("plan_day", today) if emergency.answer == "replan" else ("discover_programs", monday_of(today))
            )
            requests.append(dg.RunRequest(run_key=emergency.cause, job_name=job, partition_key=str(partition)))
        return dg.SensorResult(requests, skip_reason=None if requests else "Nothing that cannot wait.")

    return tick
