"""Conversion events in the ledger: what networks said, each thing once, whichever way and however often it came.

An event in another currency than the dollar is stored with the rate of the day of its sale. A line is valued once: its
later events take over the rate of its first, so that a reversal takes back exactly what was counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.kernel.money import USD
from affiliate_empire.ledger.rates import usd_rates
from affiliate_empire.ledger.tables import ConversionEvent

_MUST_AGREE = ("sale_micros", "commission_micros", "currency", "click_id")


def save_conversion_events(session: Session, events: Sequence[dict[str, Any]]) -> tuple[int, list[str]]:
    """Insert events that are not there yet; the first one of a key stays as it is.

    Args:
        session: the caller's transaction.
        events: rows with the columns of ``ConversionEvent`` (``affiliate_empire.analytics`` makes them).

    Returns:
        How many were new, and one sentence per event that is already there with other amounts or another click, or
        whose currency has no rate.
    """
    new = 0
    conflicts = []
    for event in events:
        rate = _usd_rate(session, event)
        statement = (
            insert(ConversionEvent)
            .values(event | {"usd_rate": rate})
            .on_conflict_do_nothing()
            .returning(ConversionEvent.event_id)
        )
        if session.execute(statement).scalar_one_or_none() is not None:
            new += 1
            if rate is None and event["currency"] != USD:
                conflicts.append(_no_rate(event))
            continue
        stored = session.execute(
            select(ConversionEvent).where(
                ConversionEvent.network == event["network"],
                ConversionEvent.transaction_id == event["transaction_id"],
                ConversionEvent.line_id == event["line_id"],
                ConversionEvent.kind == event["kind"],
                ConversionEvent.version == event["version"],
            )
        ).scalar_one()
        differing = [name for name in _MUST_AGREE if getattr(stored, name) != event[name]]
        if differing:
            told = ", ".join(f"{name} {getattr(stored, name)} then {event[name]}" for name in differing)
            conflicts.append(f"{event['network']} said {event['kind']} of {event['transaction_id']} twice: {told}")
    return new, conflicts


def _usd_rate(session: Session, event: dict[str, Any]) -> Decimal | None:
    """The rate of the event's line, or else of the day of the sale."""
    if event["currency"] == USD:
        return None
    of_line = (
        select(ConversionEvent.usd_rate)
        .where(
            ConversionEvent.network == event["network"],
            ConversionEvent.transaction_id == event["transaction_id"],
            ConversionEvent.line_id == event["line_id"],
            ConversionEvent.currency == event["currency"],
            ConversionEvent.usd_rate.is_not(None),
        )
        .limit(1)
    )
    sold_on = event["occurred_at"].astimezone(UTC).date()
    return session.scalar(of_line) or usd_rates(session, sold_on).get(event["currency"])


def _no_rate(event: dict[str, Any]) -> str:
    sold_on = event["occurred_at"].astimezone(UTC).date()
    return (
        f"{event['network']} pays for {event['transaction_id']} in the currency {event['currency']}, which has no rate "
        f"on {sold_on}: it counts as no dollars until exchange_rates of that day are materialized, and conversions of "
        f"{event['observed_at'].astimezone(UTC).date()} after them"
    )
