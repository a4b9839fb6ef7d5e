"""Rakuten Advertising's postbacks, normalised to conversion events.

Rakuten sends a row per order line as a GET that we templated with its fields, and sends further rows for what changes
later: a return is a row of its own with negative amounts. So every row is a line of its order, and the order's money is
their sum. Rows with ``is_event=Y`` are signals that pay nothing and become no event. Rakuten itself says that postbacks
are not for accounting: what they become stays pending.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from affiliate_empire.analytics.notices import conversion_event, instant_of, micros_of, said_in
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.money import USD

NETWORK = "rakuten"
_FIELDS = (
    "is_event",
    "etransaction_id",
    "order_id",
    "advertiser_id",
    "sku_number",
    "sale_amount",
    "commissions",
    "currency",
    "transaction_date",
    "u1",
)
PUSH_QUERY = "&".join(f"{field}=<{field}>" for field in _FIELDS)


def events_from_push(parameters: Mapping[str, str], observed_at: datetime) -> list[dict[str, Any]]:
    """The conversion event of one postback.

    Args:
        parameters: of its query.
        observed_at: when it arrived (UTC).

    Returns:
        One row with the columns of ``ConversionEvent``, pending; none for a signal.

    Raises:
        BadInput: no ids, no ``is_event``, no commission, an amount or a time that is none.
    """
    raw = dict(parameters)
    said = said_in(raw)
    order, row = said.get("order_id"), said.get("etransaction_id")
    if not order or not row:
        raise BadInput("The Rakuten postback names no order or no row: its URL needs order_id and etransaction_id.")
    what = f"Rakuten order {order}"
    is_event = said.get("is_event", "").upper()
    if is_event not in ("Y", "N"):
        raise BadInput(f"{what} does not say whether it is a sale: its URL needs is_event=<is_event>.")
    if is_event == "Y":
        return []
    return [
        conversion_event(
            network=NETWORK,
            transaction_id=order,
            line_id=row,
            kind="pending",
            click_id=said.get("u1"),
            program_id=f"{NETWORK}:{said['advertiser_id']}" if "advertiser_id" in said else None,
            sale_micros=micros_of(said, "sale_amount", what, default=Decimal(0)),
            commission_micros=micros_of(said, "commissions", what),
            currency=said.get("currency", USD).upper(),
            occurred_at=_instant(said.get("transaction_date"), what) or observed_at,
            observed_at=observed_at,
            source="push",
            raw=raw,
        )
    ]


def _instant(text: str | None, what: str) -> datetime | None:
    """Rakuten's own spelling, ``Tue Mar 10 2026 10:11:12 GMT+0000 (UTC)``, or ISO 8601."""
    if text is None or "GMT" not in text:
        return instant_of(text, what)
    weekday, month, day, year, time, offset, *_ = [*text.split(), "", "", "", "", "", ""]
    try:
        return parsedate_to_datetime(f"{weekday}, {day} {month} {year} {time} {offset.removeprefix('GMT')}")
    except ValueError:
        raise BadInput(f"{what} is dated {text!r}, which is no time.") from None
