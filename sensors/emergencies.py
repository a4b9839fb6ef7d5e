"""Something cannot wait for the evening: tells the owner, and has the rest of the day or the programmes looked at anew.

Which causes there are is ``affiliate_empire.operations.find_emergencies``'s.
"""

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
        jobs=[jobs["replan_day"], jobs["discover_programs"]],
        name="emergency_reoptimization",
        minimum_interval_seconds=900,
        default_status=status,
        description="An account was restricted: alerts, and has its open pieces of the day superseded and the slots "
        "that are left planned on the platform's active accounts. Sales collapsed beyond chance (P < 0.001): alerts "
        "with the evidence, and has the programmes looked at. Once per cause. Looks every 15 minutes.",
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
            if emergency.answer == "replan":
                config = {"cause": emergency.cause, "account_id": emergency.account_id}
                requests.append(
                    dg.RunRequest(
                        run_key=emergency.cause,
                        job_name="replan_day",
                        partition_key=str(today),
                        run_config={"ops": {"content_plan": {"config": config}}},
                    )
                )
            elif emergency.answer == "rediscover":
                partition = str(monday_of(today))
                requests.append(
                    dg.RunRequest(run_key=emergency.cause, job_name="discover_programs", partition_key=partition)
                )
        return dg.SensorResult(requests, skip_reason=None if requests else "Nothing that cannot wait.")

    return tick
