"""A stage of the timetable has not begun: begins it when its inputs are there, tells the owner when it waits too long.

So the loop recovers: after an outage it finds what is missing of today, stage after stage, and goes on. A stage that is
done is begun again for the pieces that it held, once what they waited for is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from affiliate_empire.effects.switches import pauses_in_words
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.find_held_pieces import HeldPieces, find_held_pieces
from affiliate_empire.operations.keep_room import Purse
from affiliate_empire.planning.timetable import TIMETABLE, stages_due
from affiliate_empire.policy import Policy
from affiliate_empire.settings import Settings
from assets.failures import was_an_outage
from assets.readiness import Readiness

# A stage that failed because a vendor could not be reached is begun again so often.
_TRIES = 4
# The stages that make pieces, and which held ones each can go on with.
_MAKING: dict[str, Callable[[HeldPieces], Sequence[str]]] = {
    "write_content": lambda held: held.texts,
    "make_media": lambda held: held.media,
}


def stages_overdue(jobs: Mapping[str, Any], status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        jobs=[jobs[stage.job] for stage in TIMETABLE],
        name="stages_overdue",
        minimum_interval_seconds=300,
        default_status=status,
        description="The time of a stage has passed and it is neither done nor under way: begins it once its inputs "
        "are there, and alerts after 30 minutes of waiting. A piece that was held can go on: begins its stage again. "
        "Looks every 5 minutes.",
    )
    def tick(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[Ledger],
        clock: dg.ResourceParam[Clock],
        policy: dg.ResourceParam[Policy],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult:
        purse = Purse(ledger, clock, settings.caps, policy, settings.clips_per_video, settings.clip_providers)
        now, readiness = clock.now(), Readiness(context.repository_def, context.instance)
        requests, waiting = [], []
        for due in stages_due(now, settings.calendar):
            job, partition = due.stage.job, due.partition
            if readiness.is_under_way(job, partition):
                continue
            failed = readiness.failures(job, partition)
            if readiness.is_done(job, due.accepted):
                held = _state_of_held(job, partition, purse)
                if held and (_may_be_tried(failed, context.instance) or readiness.ended_well(job, partition)):
                    key = f"{job}:{partition}:held:{held[:16]}:{len(failed)}"
                    requests.append(dg.RunRequest(run_key=key, partition_key=partition, job_name=job))
                continue
            missing = readiness.missing_inputs(job, partition) if due.stage.waits else []
            if not missing and not failed:
                # The run key keeps a second tick from asking again before the run is seen to be under way.
                requests.append(dg.RunRequest(run_key=f"{job}:{partition}", partition_key=partition, job_name=job))
            elif not missing:
                # What failed for a reason of its own was told, and waits for a person.
                if _may_be_tried(failed, context.instance):
                    key = f"{job}:{partition}:{len(failed)}"
                    requests.append(dg.RunRequest(run_key=key, partition_key=partition, job_name=job))
            else:
                waiting.append(f"{job} of {partition} waits for {', '.join(missing)}")
                # A day that has passed, as before the first of the business, was told on its own day.
                if due.late(now) and settings.calendar.day_of(due.since) == settings.calendar.day_of(now):
                    raise_alert(
                        "stage waits",
                        job,
                        partition,
                        severity="high",
                        subject=f"{job} waits",
                        message=f"{waiting[-1]} since {due.since.astimezone(settings.calendar.zone):%H:%M}: look at "
                        "the runs of what is missing and materialize it; the stage then begins by itself.",
                        at=now,
                        ledger=ledger,
                    )
        said = "; ".join(waiting) or "Everything whose time has come is done or under way."
        said = " ".join([said, *pauses_in_words(ledger=ledger)])
        return dg.SensorResult(requests, skip_reason=None if requests else said)

    return tick


def _may_be_tried(failed: Sequence[dg.DagsterRun], instance: dg.DagsterInstance) -> bool:
    """Whether the failed runs of a stage, newest first, leave it a try: only an outage does."""
    return not failed or (len(failed) < _TRIES and was_an_outage(failed[0], instance))


def _state_of_held(job: str, partition: str, purse: Purse) -> str | None:
    """What the held pieces that a stage of a day could go on with wait for; None when there are none."""
    if job not in _MAKING:
        return None
    held = find_held_pieces(date.fromisoformat(partition), purse=purse)
    return held.state if _MAKING[job](held) else None
