"""Exchange rates in the ledger: a business day's rates are written once, and money is converted by them for good.

Where they come from is ``affiliate_empire.operations.sync_rates``; they lie here so that a transaction that stores
money in another currency can store its worth in dollars with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.kernel.money import USD
from affiliate_empire.ledger.tables import ConversionEvent, ExchangeRate

# The longest that a fixing is carried: over Easter none is made from Friday to Monday, so Tuesday goes by Thursday's.
CARRIED = timedelta(days=5)


def save_rates(session: Session, rates: Sequence[dict[str, Any]]) -> None:
    """Keep the rates of one day, unless it has some; conversions that waited for them are valued.

    Args:
        session: the caller's transaction.
        rates: rows with the columns of ``ExchangeRate``, all of one day.
    """
    session.execute(insert(ExchangeRate).values(list(rates)).on_conflict_do_nothing())
    day = rates[0]["day"]
    sold_on = func.date(func.timezone("UTC", ConversionEvent.occurred_at))
    session.execute(
        update(ConversionEvent)
        .where(
            ConversionEvent.usd_rate.is_(None),
            ConversionEvent.currency != USD,
            ConversionEvent.currency == ExchangeRate.currency,
            ExchangeRate.day == day,
            sold_on.between(day, day + CARRIED),
        )
        .values(usd_rate=ExchangeRate.usd)
        .execution_options(synchronize_session=False)
    )


def load_day(session: Session, day: date) -> list[ExchangeRate]:
    """The rates of one day, by currency; empty where none were stored for it."""
    return list(
        session.scalars(select(ExchangeRate).where(ExchangeRate.day == day).order_by(ExchangeRate.currency)).all()
    )


def usd_rates(session: Session, on: date) -> dict[str, Decimal]:
    """Dollars for one unit of each currency on a day: its own rates, or the latest before it that may be carried."""
    newest = select(func.max(ExchangeRate.day)).where(ExchangeRate.day.between(on - CARRIED, on)).scalar_subquery()
    rows = session.execute(select(ExchangeRate.currency, ExchangeRate.usd).where(ExchangeRate.day == newest))
    return {currency: usd for currency, usd in rows}
