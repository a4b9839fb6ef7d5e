"""Notices of a merchant who pays directly and signs what is sent (Standard Webhooks), as conversion events.

The body::

    {"type": "conversion.approved", "timestamp": "2026-11-20T18:00:00Z",
     "data": {"transaction_id": "A-7", "line_id": "", "click_id": "01m8…", "program": "spring",
              "sale": "39.00", "commission": "3.12", "currency": "USD", "occurred_at": "2026-11-20T17:30:00Z"}}

``type`` ends in a conversion's state: pending, approved, reversed, adjusted, paid. Amounts are those that now stand.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from affiliate_empire.analytics.notices import conversion_event, instant_of, micros_of, said_in
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.money import USD

_PREFIX = "conversion."
_KINDS = ("pending", "approved", "reversed", "adjusted", "paid")


def events_from_notice(sender: str, body: str, observed_at: datetime) -> list[dict[str, Any]]:
    """The conversion event of one notice.

    Args:
        sender: the merchant's name in our settings, which is its network's name in the books.
        body: as it was signed.
        observed_at: when it arrived (UTC).

    Returns:
        One row with the columns of ``ConversionEvent``; none for a notice of another type.

    Raises:
        BadInput: it cannot be read; the message says what is missing.
    """
    notice = _object(body)
    type_ = str(notice.get("type", ""))
    if not type_.startswith(_PREFIX):
        return []
    kind, raw = type_.removeprefix(_PREFIX), notice.get("data")
    if kind not in _KINDS or not isinstance(raw, dict):
        raise BadInput(f"{sender} sent the type {type_!r}: the types are {', '.join(_PREFIX + one for one in _KINDS)}.")
    said = said_in(raw)
    transaction_id = said.get("transaction_id")
    if not transaction_id:
        raise BadInput(f"{sender} sent a notice without data.transaction_id.")
    what = f"{sender}'s transaction {transaction_id}"
    sale = micros_of(said, "sale", what, default=Decimal(0))
    commission = micros_of(said, "commission", what, default=Decimal(0) if kind == "reversed" else None)
    if kind == "reversed":
        sale = commission = 0
    return [
        conversion_event(
            network=sender,
            transaction_id=transaction_id,
            line_id=said.get("line_id", ""),
            kind=kind,
            version=f"{sale}:{commission}" if kind == "adjusted" else "",
            click_id=said.get("click_id"),
            program_id=f"{sender}:{said['program']}" if "program" in said else None,
            sale_micros=sale,
            commission_micros=commission,
            currency=said.get("currency", USD).upper(),
            occurred_at=instant_of(said.get("occurred_at"), what) or observed_at,
            observed_at=observed_at,
            source="push",
            raw=raw,
        )
    ]


def _object(body: str) -> dict[str, Any]:
    try:
        notice = json.loads(body, parse_float=str, parse_int=str, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The notice is not JSON: {error}.") from error
    if not isinstance(notice, dict):
        raise BadInput("The notice is no JSON object.")
    return notice


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found
