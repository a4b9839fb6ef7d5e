"""Conversion events in the ledger: what networks said, each thing once, whichever way and however often it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.ledger.tables import ConversionEvent

_MUST_AGREE = ("sale_micros", "commission_micros", "currency", "click_id")


def save_conversion_events(session: Session, events: Sequence[dict[str, Any]]) -> tuple[int, list[str]]:
    """Insert events that are not there yet; the first one of a key stays as it is.

    Args:
        session: the caller's transaction.
        events: rows with the columns of ``ConversionEvent`` (``affiliate_empire.analytics`` makes them).

    Returns:
        How many were new, and one sentence per event that is already there with other amounts or another click.
    """
    new = 0
    conflicts = []
    for event in events:
        statement = insert(ConversionEvent).values(event).on_conflict_do_nothing().returning(ConversionEvent.event_id)
        if session.execute(statement).scalar_one_or_none() is not None:
            new += 1
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
