"""A house whose schedules and sensors tick: real definitions and ledger, a clock that stands, an instance on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import dagster as dg

from affiliate_empire.kernel.clock import BusinessCalendar, FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.owner import OwnerClient
from definitions import build_defs

CALENDAR = BusinessCalendar()
DAY = date(2026, 11, 18)  # a Wednesday


class Ticking:
    """Evaluates ticks as the daemon does, resources and partitions included, and starts nothing."""

    def __init__(self, home: Path, ledger: Ledger, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.addresses: list[str] = []  # the owner's
        self.ledger = ledger
        self.clock = FixedClock(CALENDAR.at(DAY, time(12, 0)))
        self.settings = Settings(_env_file=None, home=home)  # type: ignore[call-arg]
        self.definitions = build_defs(self.settings, {"ledger": ledger, "clock": self.clock})
        self.repository = self.definitions.get_repository_def()

    @staticmethod
    def at(day: date, hour: float) -> datetime:
        """A local time of a day; ``hour`` counts from midnight."""
        minutes = round(hour * 60)
        return CALENDAR.at(day, time(minutes // 60, minutes % 60))

    def schedule(self, name: str, scheduled: datetime) -> Any:
        """One tick of a schedule."""
        context = dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=scheduled.astimezone(self.settings.calendar.zone),
            repository_def=self.repository,
            resources={"clock": self.clock, "settings": self.settings},
        )
        with context:
            return self.repository.get_schedule_def(name).evaluate_tick(context)

    def sensor(self, name: str, cursor: str | None = None) -> Any:
        """One tick of a sensor."""
        context = dg.build_sensor_context(
            instance=self.instance,
            instance_ref=self.instance.get_ref(),
            cursor=cursor,
            repository_def=self.repository,
            resources={
                "clock": self.clock,
                "ledger": self.ledger,
                "owner": OwnerClient(self.addresses),
                "policy": load_policy(),
                "settings": self.settings,
            },
        )
        with context:
            return self.repository.get_sensor_def(name).evaluate_tick(context)

    def materialize(self, partition: str, *assets: str) -> None:
        """Record that assets were materialized."""
        for asset in assets:
            event = dg.AssetMaterialization(asset, partition=partition)
            self.instance.report_runless_asset_event(event)

    def run(self, job: str, partition: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        """A run of a job that stands where it is told to."""
        return self.instance.create_run_for_job(
            self.definitions.resolve_job_def(job), status=status, tags={"dagster/partition": partition}
        )


@contextmanager
def ticking(home: Path, ledger: Ledger) -> Iterator[Ticking]:
    """A house with an instance on disk: ticks refuse one in memory."""
    instance = dg.DagsterInstance.local_temp(str(home))
    try:
        yield Ticking(home, ledger, instance)
    finally:
        instance.dispose()


def asked(tick: Any) -> list[tuple[str, str | None]]:
    """What a tick asks for: run key and partition."""
    return [(request.run_key, request.partition_key) for request in tick.run_requests or []]
