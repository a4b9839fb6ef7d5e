"""Money loses nothing, days follow the owner's zone, ids have the shape others rely on."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.ids import derived_id, fingerprint, new_link_code, new_ulid
from affiliate_empire.kernel.money import (
    dollars,
    from_micros,
    money,
    to_cents,
    to_micros,
    to_micros_up,
    to_usd_micros,
)

NEW_YORK = BusinessCalendar("America/New_York")


@given(st.integers(-(10**15), 10**15))
def test_micros_survive_the_round_trip(micros: int) -> None:
    assert to_micros(from_micros(micros)) == micros


@given(st.decimals(min_value=0, max_value=10**6, allow_nan=False, places=9))
def test_an_upper_bound_is_never_below_the_amount(amount: Decimal) -> None:
    assert from_micros(to_micros_up(amount)) >= amount


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "$0.00"), (9_500, "$0.0095"), (1_234_560_000, "$1,234.56"), (-5_000_000, "-$5.00")],
)
def test_dollars_as_a_person_reads_them(micros: int, text: str) -> None:
    assert dollars(micros) == text


@given(st.integers(-(10**15), 10**15), st.decimals("0.00001", 100, allow_nan=False, places=9))
def test_dollars_stay_and_other_currencies_are_converted_to_the_nearest_micro(micros: int, rate: Decimal) -> None:
    rates = {"USD": Decimal(2), "EUR": rate}
    assert to_usd_micros(micros, "USD", rates) == micros  # whatever a table says of the dollar
    converted = to_usd_micros(micros, "EUR", rates)
    assert converted is not None
    assert abs(converted - Decimal(micros) * rate) <= Decimal("0.5")
    assert to_usd_micros(-micros, "EUR", rates) == -converted  # a reversal takes back what was counted
    assert to_usd_micros(micros, "SEK", rates) is None


def test_an_amount_is_told_in_its_own_currency() -> None:
    assert [money(3_337_000, currency) for currency in ("USD", "EUR")] == ["$3.34", "3.34 EUR"]


def test_cents_are_rounded_once_half_to_even() -> None:
    assert [to_cents(m) for m in (4_999, 5_000, 5_001, 15_000, 25_000)] == [0, 0, 1, 2, 2]


def test_the_posting_window_passes_midnight_and_the_change_of_clocks() -> None:
    opens, closes = NEW_YORK.posting_window(date(2026, 10, 31))  # clocks go back on 1 November
    assert closes - opens == timedelta(hours=25)
    assert opens == datetime(2026, 10, 31, 10, 0, tzinfo=UTC)


@given(st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))
def test_the_last_closed_day_is_closed_and_the_next_is_not(now: datetime) -> None:
    day = NEW_YORK.last_closed_day(now)
    assert NEW_YORK.posting_window(day)[1] <= now < NEW_YORK.posting_window(day + timedelta(days=1))[1]


@given(st.dates(date(2024, 1, 1), date(2030, 1, 1)), st.times())
def test_an_instant_falls_on_its_local_day(day: date, local: time) -> None:
    instant = NEW_YORK.at(day, local)
    # A local time that the change of clocks skips lies an hour later, still on its day.
    assert NEW_YORK.day_of(instant) == day


def test_a_click_id_fits_every_networks_sub_id_and_sorts_by_time() -> None:
    earlier = new_ulid(datetime(2026, 11, 21, tzinfo=UTC))
    later = new_ulid(datetime(2026, 11, 22, tzinfo=UTC))
    assert len(earlier) == 26
    assert earlier == earlier.lower()
    assert earlier.isalnum()
    assert earlier < later


def test_derived_ids_depend_on_each_part_and_nothing_else() -> None:
    assert derived_id("pc", "a", "bc") == derived_id("pc", "a", "bc")
    assert derived_id("pc", "a", "bc") != derived_id("pc", "ab", "c")


def test_a_fingerprint_ignores_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": Decimal("2.50")}) == fingerprint({"b": Decimal("2.50"), "a": 1})


def test_link_codes_do_not_repeat() -> None:
    assert len({new_link_code() for _ in range(10_000)}) == 10_000
