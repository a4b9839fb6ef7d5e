"""Something new is known of earlier days: restates their cohorts in one run."""

from __future__ import annotations

from typing import Any

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.find_restated_days import find_restated_days
from affiliate_empire.settings import Settings
from assets.partitions import RESTATED_DAYS


def late_conversions(job: Any, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        job=job,
        name="late_conversions",
        minimum_interval_seconds=3600,
        default_status=status,
        description="A network told of sales, changes or reversals that belong to earlier days, or, once a day, their "
        f"posts were clicked or counted: restates those cohorts, up to {RESTATED_DAYS} days back, in one run. Looks "
        "every hour.",
    )
    def tick(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[Ledger],
        clock: dg.ResourceParam[Clock],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult:
        calendar = settings.calendar
        found = find_restated_days(
            context.cursor, within_days=RESTATED_DAYS, ledger=ledger, clock=clock, calendar=calendar
        )
        if not found.days:
            said = f"{found.events} new events, and nothing new of an earlier day."
            return dg.SensorResult([], cursor=found.cursor, skip_reason=said)
        # Up to today, because today's partition of conversions holds what was learned today.
        span = {
            "dagster/asset_partition_range_start": str(found.days[0]),
            "dagster/asset_partition_range_end": str(calendar.day_of(clock.now())),
        }
        return dg.SensorResult([dg.RunRequest(tags=span)], cursor=found.cursor)

    return tick
