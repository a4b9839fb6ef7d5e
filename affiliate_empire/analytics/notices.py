"""What every network's notice of a sale is read with: its fields, amounts, times, and the event that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.kernel.money import to_micros

_UNBELIEVABLE = Decimal(10**9)
# How networks write the place of a value in a template: what still looks like this was not filled in.
_MACROS = (("{", "}"), ("<", ">"), ("!!!", "!!!"))


def said_in(raw: Mapping[str, Any]) -> dict[str, str]:
    """The fields that say something, by lower-case name: no blanks, no macros that were left as they were."""
    return {key.lower(): text for key, value in raw.items() if (text := _text(value))}


def _text(value: Any) -> str:
    text = "" if value is None else str(value).strip()
    return "" if any(text.startswith(start) and text.endswith(end) for start, end in _MACROS) else text


def micros_of(said: Mapping[str, str], name: str, what: str, default: Decimal | None = None) -> int:
    """An amount in millionths.

    Args:
        what: names the transaction in the error: ``Impact action 7``.
        default: where the field is absent; None where it must be there.

    Raises:
        BadInput: it is no number, or one that no sale has (a thousand million).
    """
    text = said.get(name)
    try:
        amount = Decimal(text) if text is not None else default
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or abs(amount) >= _UNBELIEVABLE:
        raise BadInput(f"{what} has {text!r} as its {name}, which is no amount.")
    return to_micros(amount)


def instant_of(text: str | None, what: str) -> datetime | None:
    """When it happened, in UTC; a time without an offset is read as UTC. None when nothing is said.

    Raises:
        BadInput: it is no ISO 8601 time.
    """
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text.replace(" ", "T", 1))
    except ValueError:
        raise BadInput(f"{what} is dated {text!r}, which is no ISO 8601 time.") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)


def conversion_event(
    *, network: str, transaction_id: str, line_id: str = "", kind: str, version: str = "", **columns: Any
) -> dict[str, Any]:
    """A row with the columns of ``ConversionEvent``, whose id is derived from its unique key."""
    key = {"network": network, "transaction_id": transaction_id, "line_id": line_id, "kind": kind, "version": version}
    return {"event_id": derived_id("ce", *key.values()), **key, **columns}
