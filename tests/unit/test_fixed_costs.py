"""What is paid by the month: its days add up to it, from the day that its owner states."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from affiliate_empire.analytics.fixed_costs import fixed_costs_of


@given(st.dates(date(2000, 1, 1), date(2100, 12, 1)), st.decimals(0, 100_000, places=6))
def test_the_days_of_a_month_add_up_to_it(day: date, dollars: Decimal) -> None:
    days = range(1, monthrange(day.year, day.month)[1] + 1)
    stated = {"hosting": {date(1999, 1, 1): dollars}}
    parts = [fixed_costs_of(day.replace(day=number), stated).get("hosting", 0) for number in days]
    assert sum(parts) == dollars * 1_000_000
    assert max(parts) - min(parts) <= 1


def test_an_amount_holds_from_its_day_until_the_next() -> None:
    stated = {
        "hosting": {date(2026, 6, 10): Decimal(30), date(2026, 6, 20): Decimal(60), date(2026, 6, 25): Decimal(0)}
    }
    found = [fixed_costs_of(date(2026, 6, day), stated) for day in (9, 10, 19, 20, 24, 25)]
    one, two = {"hosting": 1_000_000}, {"hosting": 2_000_000}
    assert found == [{}, one, one, two, two, {}]
