"""Drives one day of the business through the asset graph: what ``empire demo`` starts, as a process of its own.

The sandbox's clock is moved from stage to stage, and each stage is one or more runs on the persistent instance. Every
stage may be driven again at any time: what was decided, paid for or posted is found and not repeated. It decides
nothing itself and shows nothing; with ``--progress`` it prints one JSON object per line for whoever shows it::

    {"event": "begin", "stage": "make"}
    {"event": "stage", "stage": "make", "at": "2026-11-21T02:00:00-05:00", "seconds": 41.2, "steps": 40.6,
     "counts": {"videos": 4}}
    {"event": "note", "message": "what the day goes on without, in one sentence"}
    {"event": "repeated", "calls": {"openai": 1}}
    {"event": "failed", "message": "one sentence"}
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from datetime import time as local_time
from pathlib import Path

import dagster as dg
import httpx

from affiliate_empire.kernel.errors import EmpireError, Misconfigured
from affiliate_empire.ledger import Ledger, open_ledger
from affiliate_empire.ledger.leases import is_dead, this_process
from affiliate_empire.operations.find_due_posts import find_due_posts
from affiliate_empire.operations.move_passed_slots import move_passed_slots
from affiliate_empire.operations.patience import repeated
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.operations.work_pieces import pieces_of
from affiliate_empire.prompts import load_library
from affiliate_empire.settings import Settings, load_settings
from affiliate_empire.vendors.world_clock import WorldClock
from assets.failures import reason_of
from definitions import build_defs

_DRIVER = "empire/driver"
_MAKE_AT = local_time(2, 0)
_SYNC_AT = (local_time(12, 0), local_time(18, 0), local_time(23, 30))
_SIMULATION_SECONDS = 600.0  # the world replies when it has lived up to the asked instant


class RunFailed(EmpireError):
    """A run of a stage failed; the message is the reason a person needs."""


class DayDriver:
    """One day, stage by stage, on one Dagster instance."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, *, progress: bool) -> None:
        if not settings.simulated:
            raise Misconfigured("Only the sandbox's days are driven: in live modes the clock is nobody's to move.")
        self._settings = settings
        self._instance = instance
        self._progress = progress
        self._definitions = build_defs(settings)
        self._clock = WorldClock(settings.world_url)
        self._policy = settings.policy
        self._step_seconds = 0.0  # spent inside assets so far; the rest of a stage is orchestration

    def drive(self, day: date) -> None:
        """Live the day to the close of its posting window and beyond nothing.

        Raises:
            EmpireError: a stage failed; the stages before it stand, and driving the day again goes on from there.
        """
        url = self._settings.database_url
        ledger = open_ledger(self._settings.home_path, url.get_secret_value() if url else None, self._settings.mode)
        try:
            self._end_runs_left_behind()
            prepare_ledger(ledger=ledger)
            calendar = self._settings.calendar
            self._move_clock(calendar.at(day, _MAKE_AT))
            with self._stage("programmes and products") as counts:
                counts |= self._run("discover_programs", str(day - timedelta(days=day.weekday())))
                counts |= self._run("fetch_products", str(day))
            self._record_prompts()
            self._observe_trends(day)
            with self._stage("make") as counts:
                counts |= self._run("prepare_day", str(day))
            self._live_to_the_close(day, ledger)
            with self._stage("close the books") as counts:
                counts |= self._run("close_day", str(day))
            with self._stage("score the prompts") as counts:
                for version in self._versions():
                    self._run("score_prompts", version)
                    counts["prompt versions"] = counts.get("prompt versions", 0) + 1
            self._tell(event="repeated", calls=repeated())
        finally:
            ledger.dispose()

    def _live_to_the_close(self, day: date, ledger: Ledger) -> None:
        """Publications when they are due, results a few times in between, and all results at the window's close."""
        calendar = self._settings.calendar
        closes = calendar.posting_window(day)[1]
        syncs = {calendar.at(day, each) for each in _SYNC_AT}
        posts = self._posts_ahead(day, ledger)
        while instants := sorted({at for at, _ in posts} | syncs):
            self._move_clock(instants[0])
            # A day that is driven again has several behind it: they are one.
            now = self._clock.now()
            platforms = {platform for at, platform in posts if at <= now}
            # Like the sensor, which comes back: a post whose reply was lost is asked about again.
            self._move_passed_slots(ledger)
            due = find_due_posts(ledger=ledger, clock=self._clock, policy=self._policy, calendar=calendar)
            platforms |= {each.platform for each in due if each.day == day}
            for platform in sorted(platforms):
                with self._stage(f"publish on {platform}") as counts:
                    counts |= self._run("publish_pieces", dg.MultiPartitionKey({"day": str(day), "platform": platform}))
            if now < closes and any(at <= now for at in syncs):
                self._sync(day)
            syncs = {at for at in syncs if at > now}
            posts = {(at, platform) for at, platform in self._posts_ahead(day, ledger) if at > now}
        self._move_clock(closes)
        self._move_passed_slots(ledger)
        # What was clicked and bought after midnight is the next calendar day's.
        self._sync(day)
        self._sync(day + timedelta(days=1))

    def _posts_ahead(self, day: date, ledger: Ledger) -> set[tuple[datetime, str]]:
        """When a day's pieces may be handed to their platforms; slots that passed were moved, so that it changes."""
        return {
            (piece.slot_at - self._policy.posting(piece.platform).lead, piece.platform)
            for piece in pieces_of(day, ledger=ledger)
            if piece.status == "planned"
        }

    def _move_passed_slots(self, ledger: Ledger) -> None:
        for said in move_passed_slots(
            ledger=ledger, clock=self._clock, policy=self._policy, calendar=self._settings.calendar
        ):
            self._tell(event="note", message=said)

    def _sync(self, day: date) -> None:
        with self._stage(f"results of {day:%d %b}") as counts:
            counts |= self._run("sync_results", str(day))

    def _observe_trends(self, day: date) -> None:
        """Trends, and what the week tests. A day without them is a day all the same: its rankings say so."""
        with self._stage("trends") as counts:
            for job, partition in (("observe_trends", day), ("choose_tests", day - timedelta(days=day.weekday()))):
                try:
                    counts |= self._run(job, str(partition))
                except RunFailed as failure:
                    self._tell(event="note", message=str(failure))

    def _record_prompts(self) -> None:
        asset = dg.AssetKey("prompt_versions")
        with self._stage("prompts") as counts:
            versions = self._versions()
            self._instance.add_dynamic_partitions("prompt_versions", versions)
            done = self._instance.get_materialized_partitions(asset)
            for version in versions:
                if version not in done:
                    self._run("record_prompts", version)
            counts["prompt versions"] = len(versions)

    def _versions(self) -> list[str]:
        return [template.prompt_version for template in load_library()]

    # ------------------------------------------------------------ Dagster
    def _run(self, job: str, partition: str) -> dict[str, int]:
        """One run; returns the rows of each asset it materialized.

        Raises:
            RunFailed: with the reason of the first step that failed.
        """
        result = self._definitions.resolve_job_def(job).execute_in_process(
            instance=self._instance,
            partition_key=partition,
            raise_on_error=False,
            tags={_DRIVER: this_process()},
        )
        if not result.success:
            raise RunFailed(f"{job} of {partition} failed: {failure_of(result)}")
        counts: dict[str, int] = {}
        for event in result.all_events:
            if event.is_step_success:
                self._step_seconds += event.step_success_data.duration_ms / 1000
            if event.is_step_materialization and event.asset_key is not None:
                rows = event.materialization.metadata.get("dagster/row_count")
                if rows is not None:
                    counts[event.asset_key.to_python_identifier()] = int(str(rows.value))
        return counts

    def _end_runs_left_behind(self) -> None:
        """Runs of a driver that was killed: failed, so that nobody waits for them, and their pools' places freed."""
        open_statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED]
        for run in self._instance.get_runs(dg.RunsFilter(statuses=open_statuses)):
            if (driver := run.tags.get(_DRIVER)) and is_dead(driver):
                self._instance.report_run_failed(run, "Its driver was killed; the day is driven again.")
                self._instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)

    # ------------------------------------------------------------ the world
    def _move_clock(self, to: datetime) -> None:
        if self._clock.now() >= to:
            return
        with self._stage("the world lives on"):
            reply = httpx.post(
                f"{self._settings.world_url}/_world/clock",
                json={"to": to.isoformat()},
                timeout=_SIMULATION_SECONDS,
                trust_env=False,
            )
            if reply.is_error:
                raise RunFailed(f"The world could not be moved to {to:%Y-%m-%d %H:%M} UTC: {reply.text.strip()[:300]}")

    # ------------------------------------------------------------ telling
    @contextmanager
    def _stage(self, stage: str) -> Iterator[dict[str, int]]:
        self._tell(event="begin", stage=stage)
        started, counts, before = time.monotonic(), dict[str, int](), self._step_seconds
        yield counts
        at = self._clock.now().astimezone(self._settings.calendar.zone).isoformat(timespec="seconds")
        self._tell(
            event="stage",
            stage=stage,
            at=at,
            seconds=round(time.monotonic() - started, 2),
            steps=round(self._step_seconds - before, 2),
            counts=counts,
        )

    def _tell(self, **event: object) -> None:
        if self._progress:
            print(json.dumps(event), flush=True)


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """What a person needs of a failed run."""
    return reason_of(result.all_events)


@contextmanager
def _only_driver(home: Path) -> Iterator[None]:
    """One process drives a home's days at a time; a second one waits. The kernel frees the lock of a dead one."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "runner.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _end_with(parent: int) -> None:
    """End when whoever shows our progress is gone: nobody would know of a day that drives itself on."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """``python -m runner day --date 2026-11-21 --progress``"""
    parser = argparse.ArgumentParser(prog="runner", description=__doc__)
    commands = parser.add_subparsers(required=True)
    day = commands.add_parser("day", help="drive one day of the sandbox")
    day.add_argument("--date", type=date.fromisoformat, required=True)
    day.add_argument("--progress", action="store_true", help="one JSON object per line")
    arguments = parser.parse_args()
    if arguments.progress:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        settings = load_settings()
        with _only_driver(settings.home_path), dg.DagsterInstance.get() as instance:
            # One process drives a dozen runs. By default Dagster opens a connection for each of its hundreds of small
            # statements; this is its own way to keep one per storage.
            instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3_600, max_overflow=20)
            DayDriver(settings, instance, progress=arguments.progress).drive(arguments.date)
    except EmpireError as error:
        if arguments.progress:
            print(json.dumps({"event": "failed", "message": str(error)}), flush=True)
        else:
            print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
