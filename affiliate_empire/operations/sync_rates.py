"""The exchange rates that a business day goes by: the ECB's last fixing before the day, kept once and for good.

A weekend or a holiday goes by the fixing before it. When the bank cannot be read, the last fixing that is kept is
carried for as long as a holiday would; then the day has no rates, and the owner is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from affiliate_empire.catalog.frames import ExchangeRates
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.rates import CARRIED, load_day, save_rates
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.patience import read
from affiliate_empire.vendors.ecb import ECBClient, Fixing
from affiliate_empire.vendors.errors import VendorError, VendorUnavailable

HISTORY = timedelta(days=90)
# Twelve digits keep six of a currency of which a dollar buys tens of thousands.
_DIGITS = Decimal("1e-12")


@dataclass(frozen=True)
class RatesSync:
    """A day's rates as ``ExchangeRates``, empty when there are none; ``problem`` says what was wrong, if anything."""

    rates: pd.DataFrame
    problem: str | None = None


def sync_rates(day: date, *, ledger: Ledger, ecb: ECBClient, clock: Clock, calendar: BusinessCalendar) -> RatesSync:
    """The rates of a day; those that are stored, or else those of the last fixing before it.

    Raises:
        BadInput: nothing was stored for a past day and the bank's history does not reach back to it.
        VendorUnavailable, VendorRefused: nothing was stored for a past day and the bank cannot be read.
    """
    with ledger.begin() as session:
        kept = load_day(session, day)
    if kept:
        return RatesSync(_frame([_row(rate) for rate in kept]))
    today = calendar.day_of(clock.now())
    if day < today - HISTORY:
        raise _too_long_ago(day)
    try:
        rows, problem = _rows(_last_before(day, ecb), day, clock), None
    except VendorError as error:
        if day < today:
            raise
        rows, problem = _carried(day, ledger), str(error)
        what = f"the fixing of {rows[0]['fixing_day']} is carried on" if rows else "it has no rates"
        problem = f"{problem.rstrip('.')}; {day} goes on: {what}."
        raise_alert(
            "exchange_rates", day, severity="medium" if rows else "high", subject="exchange rates", message=problem,
            at=clock.now(), ledger=ledger,
        )  # fmt: skip
    if rows:
        with ledger.begin() as session:
            save_rates(session, rows)
            rows = [_row(rate) for rate in load_day(session, day)]  # another run may have been first
    return RatesSync(_frame(rows), problem)


def _last_before(day: date, ecb: ECBClient) -> Fixing:
    latest = read(ecb.fetch_latest)
    fixings = [latest] if latest.day < day else read(ecb.fetch_history)
    found = next((fixing for fixing in fixings if fixing.day < day), None)
    if found is None:
        raise _too_long_ago(day)
    if day - found.day > CARRIED:
        raise VendorUnavailable(
            f"The ECB's last fixing before {day} is of {found.day}: see whether it still publishes its rates.",
            vendor="ecb",
            code="stale",
        )
    return found


def _too_long_ago(day: date) -> BadInput:
    return BadInput(
        f"No exchange rates of {day} are kept, and the ECB publishes those of the last {HISTORY.days} days: choose a "
        "later day."
    )


def _rows(fixing: Fixing, day: date, clock: Clock) -> list[dict[str, Any]]:
    per_euro: Mapping[str, Decimal] = {"EUR": Decimal(1), **fixing.per_euro}
    return [
        {
            "day": day,
            "currency": currency,
            "fixing_day": fixing.day,
            "per_euro": units,
            "usd": (per_euro["USD"] / units).quantize(_DIGITS),
            "observed_at": clock.now(),
        }
        for currency, units in sorted(per_euro.items())
    ]


def _carried(day: date, ledger: Ledger) -> list[dict[str, Any]]:
    """The rates of the day before last known, as this day's; none when their fixing is too old."""
    with ledger.begin() as session:
        for back in range(1, CARRIED.days + 1):
            kept = [rate for rate in load_day(session, day - timedelta(days=back)) if day - rate.fixing_day <= CARRIED]
            if kept:
                return [_row(rate) | {"day": day} for rate in kept]
    return []


def _row(rate: Any) -> dict[str, Any]:
    names = ("day", "currency", "fixing_day", "per_euro", "usd", "observed_at")
    return {name: getattr(rate, name) for name in names}


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(ExchangeRates.to_schema().columns))
    frame["observed_at"] = pd.to_datetime(frame["observed_at"], utc=True)
    return ExchangeRates.validate(frame)
