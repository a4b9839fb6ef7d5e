"""The owner has not been told of an alert: tells them."""

from __future__ import annotations

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.tell_owner import tell_owner
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.owner import OwnerClient


def alerts_untold(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="alerts_untold",
        minimum_interval_seconds=60,
        default_status=status,
        description="An alert is open and the owner was not told: sends it to EMPIRE_ALERT_URLS, once; "
        "what could not be delivered, again at the next tick. Looks every minute.",
    )
    def tick(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[Ledger],
        clock: dg.ResourceParam[Clock],
        settings: dg.ResourceParam[Settings],
        owner: dg.ResourceParam[OwnerClient],
    ) -> dg.SkipReason:
        if not owner.reachable:
            return dg.SkipReason(
                "EMPIRE_ALERT_URLS is not set: alerts stand in `empire alerts` and in the reports only."
            )
        telling = tell_owner(owner=owner, ledger=ledger, clock=clock, label=settings.label)
        for failure in telling.failures:
            context.log.warning(failure)
        return dg.SkipReason(str(telling))

    return tick
