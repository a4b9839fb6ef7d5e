"""A run failed: tells the owner in one sentence."""

from __future__ import annotations

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.alerts import raise_alert
from assets.failures import events_of, reason_of
from assets.readiness import PARTITION

_WILL_RETRY = "dagster/will_retry"


def run_failed(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="run_failed",
        minimum_interval_seconds=30,
        default_status=status,
        description="A run failed and is not started again by itself: alerts with the one sentence a person needs.",
    )
    def tick(
        context: dg.RunFailureSensorContext, ledger: dg.ResourceParam[Ledger], clock: dg.ResourceParam[Clock]
    ) -> None:
        run = context.dagster_run
        if run.tags.get(_WILL_RETRY) == "true":
            return
        partition = run.tags.get(PARTITION)
        what = run.job_name if partition is None else f"{run.job_name} of {partition}"
        raise_alert(
            "run failed",
            run.run_id,
            severity="high",
            subject=f"{run.job_name} failed",
            message=f"{what} failed: {reason_of(events_of(run, context.instance))}",
            at=clock.now(),
            ledger=ledger,
        )

    return tick
