"""A budget is used up or overrun: tells the owner, once per budget."""

from __future__ import annotations

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.watch_budgets import watch_budgets
from affiliate_empire.settings import Settings


def budget_exceeded(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="budget_exceeded",
        minimum_interval_seconds=300,
        default_status=status,
        description="A cap is used up, or a vendor charged beyond it: alerts, once per cap. What the cap covers stands "
        "still by itself. Looks every 5 minutes.",
    )
    def tick(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[Ledger],
        clock: dg.ResourceParam[Clock],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SkipReason:
        news = watch_budgets(ledger=ledger, clock=clock, caps=settings.caps)
        for message in news:
            context.log.warning(message)
        return dg.SkipReason("; ".join(news) or "Every budget has room.")

    return tick
