"""Tells the owner of budgets that are used up or overrun, each once.

Nothing needs to be stopped here: a budget without room refuses whatever would be charged to it
(``affiliate_empire.effects``), so what the cap covers stands still by itself.
"""

from __future__ import annotations

from datetime import date

from affiliate_empire.effects.budgets import room
from affiliate_empire.effects.report import exceeded
from affiliate_empire.kernel.caps import Caps, Room
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.money import dollars
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.alerts import raise_alert

_NEARLY = 0.98  # what is left then does not pay for a piece


def watch_budgets(*, ledger: Ledger, clock: Clock, caps: Caps) -> list[str]:
    """Alert on every cap that was overrun, and on today's and this month's that are used up; returns what was news."""
    now = clock.now()
    today = caps.calendar.day_of(now)
    with ledger.begin() as session:
        over = exceeded(session)
        left = room(session, today, caps)
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
            f"used up:{scope}",
            f"{scope} has {dollars(micros)} of {dollars(cap)} left: nothing more is made {of}until it starts anew, "
            "unless the budget is raised in the settings.",
        )
        for scope, of, micros, cap in _current(today, left, caps)
        if scope not in {each.subject for each in over} and cap and micros <= (1 - _NEARLY) * cap
    ]
    return [
        message
        for cause, message in told
        if raise_alert(cause, severity="high", subject="budget", message=message, at=now, ledger=ledger)
    ]


def _current(today: date, left: Room, caps: Caps) -> list[tuple[str, str, int, int]]:
    """Scope, what it is for, what is left and the cap, of every cap that holds today."""
    return [
        (f"day:{today}", "", left.day_micros, caps.day_micros),
        (f"month:{today:%Y-%m}", "", left.month_micros, caps.month_micros),
        *(
            (f"vendor:{name}:{today}", f"by {name} ", left.vendor_micros[name], cap)
            for name, cap in caps.vendor_day_micros.items()
        ),
        *(
            (f"niche:{name}:{today}", f"in {name} ", left.niche_micros[name], cap)
            for name, cap in caps.niche_day_micros.items()
        ),
    ]
