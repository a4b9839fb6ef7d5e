"""Posts are due: asks for the runs that publish them, platform by platform."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg

from affiliate_empire.effects.switches import pauses_in_words
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.find_due_posts import find_due_posts
from affiliate_empire.operations.move_passed_slots import move_passed_slots
from affiliate_empire.policy import Policy
from affiliate_empire.settings import Settings
from assets.readiness import Readiness

# A post that could not be sent, as in an outage, is tried again after so many minutes.
_AGAIN_MINUTES = 30


def publications_due(job: Any, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        job=job,
        name="publications_due",
        minimum_interval_seconds=300,
        default_status=status,
        description="A finished piece's slot has come: publishes what is due of the days whose window is open, a run "
        "per platform. A piece whose slot has passed gets another one of its day, or expires. Looks every 5 minutes.",
    )
    def tick(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[Ledger],
        clock: dg.ResourceParam[Clock],
        policy: dg.ResourceParam[Policy],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult:
        now = clock.now()
        for said in move_passed_slots(ledger=ledger, clock=clock, policy=policy, calendar=settings.calendar):
            context.log.warning(said)
        readiness = Readiness(context.repository_def, context.instance)
        asked: dict[str, str] = json.loads(context.cursor or "{}")
        due = find_due_posts(ledger=ledger, clock=clock, policy=policy, calendar=settings.calendar)
        requests, keys = [], dict[str, str]()
        for posts in due:
            partition = dg.MultiPartitionKey({"day": str(posts.day), "platform": posts.platform})
            half_hour = now.replace(minute=now.minute // _AGAIN_MINUTES * _AGAIN_MINUTES)
            key = f"{partition}:{derived_id('due', *posts.pieces)}:{half_hour:%Y-%m-%dT%H:%M}"
            keys[str(partition)] = key
            if asked.get(str(partition)) != key and not readiness.is_under_way("publish_pieces", str(partition)):
                requests.append(dg.RunRequest(run_key=key, partition_key=partition))
        return dg.SensorResult(
            requests,
            cursor=json.dumps(keys),
            skip_reason=None
            if requests
            else " ".join([f"Nothing new is due at {now:%H:%M} UTC.", *pauses_in_words(ledger=ledger)]),
        )

    return tick
