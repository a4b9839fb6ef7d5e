"""What the business pays by the month, whatever it makes: hosting, subscriptions. The owner states it."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from affiliate_empire.kernel.money import to_micros

FixedCosts = Mapping[str, Mapping[date, Decimal]]
"""By name, dollars a month from a day on: ``{"hosting": {2026-01-01: 50, 2026-09-01: 60}}``; 0 ends it."""


def fixed_costs_of(day: date, stated: FixedCosts) -> dict[str, int]:
    """A day's part of each, in micros: the days of a month add up to the month's amount, to the micro."""
    days = monthrange(day.year, day.month)[1]
    found = {}
    for name, amounts in sorted(stated.items()):
        since = max((begun for begun in amounts if begun <= day), default=None)
        month = 0 if since is None else to_micros(amounts[since])
        if part := month * day.day // days - month * (day.day - 1) // days:
            found[name] = part
    return found
