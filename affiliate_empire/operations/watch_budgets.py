"""Tells the owner of budgets that are used up or overrun, each once.

Nothing needs to be stopped here: a budget without room refuses whatever would be charged to it
(``affiliate_empire.effects``), so what the cap covers stands still by itself.
"""

from __future__ import annotations

from sqlalchemy import select

from affiliate_empire.effects.report import exceeded
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.money import dollars
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Budget
from affiliate_empire.operations.alerts import raise_alert

_NEARLY = 0.98  # what is left then does not pay for a piece


def watch_budgets(*, ledger: Ledger, clock: Clock, calendar: BusinessCalendar) -> list[str]:
    """Alert on every cap that was overrun, and on today's and this month's that are used up; returns what was news."""
    now = clock.now()
    today = calendar.day_of(now)
    with ledger.begin() as session:
        over = exceeded(session)
        current = session.scalars(
            select(Budget).where(Budget.scope.in_([f"day:{today}", f"month:{today:%Y-%m}"])).order_by(Budget.scope)
        ).all()
    told = [
        (
            f"overrun:{each.subject}",
            f"{each.subject} holds {dollars(each.counted_micros)}, above its cap of {dollars(each.stated_micros)}: a "
            "vendor charged more than its price; nothing more is charged to it until it starts anew; correct the price "
            "in affiliate_empire/policy/prices.toml.",
        )
        for each in over
    ] + [
        (
            f"used up:{budget.scope}",
            f"{budget.scope} has {dollars(budget.cap_micros - budget.reserved_micros - budget.spent_micros)} of "
            f"{dollars(budget.cap_micros)} left: nothing more is made until it starts anew, unless the budget is "
            "raised in the settings.",
        )
        for budget in current
        if budget.scope not in {each.subject for each in over}
        and budget.cap_micros
        and budget.reserved_micros + budget.spent_micros >= _NEARLY * budget.cap_micros
    ]
    return [
        message
        for cause, message in told
        if raise_alert(cause, severity="high", subject="budget", message=message, at=now, ledger=ledger)
    ]
