"""Awin's Transaction Notifications, normalised to conversion events.

Awin tells a transaction once, when it is recorded, as a POST whose form field ``AwinTransactionPush`` holds JSON, or as
a GET that we templated with its macros. Approvals, declines and changes are never pushed: what arrives here is pending.
Facts: help.awin.com, Transaction Notifications. Nothing is signed there: the secret in the address is all that there
is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from affiliate_empire.analytics.notices import conversion_event, instant_of, micros_of, said_in
from affiliate_empire.kernel.errors import BadInput

NETWORK = "awin"
PUSH_FIELD = "AwinTransactionPush"
_MACROS = (
    "transactionId",
    "transactionDate",
    "transactionCurrency",
    "transactionAmount",
    "commission",
    "merchantId",
    "clickRef",
)
PUSH_QUERY = "&".join(f"{macro}=!!!{macro}!!!" for macro in _MACROS)


def events_from_push(parameters: Mapping[str, str], observed_at: datetime) -> list[dict[str, Any]]:
    """The conversion event of one notification.

    Args:
        parameters: of its form or query.
        observed_at: when it arrived (UTC).

    Returns:
        One row with the columns of ``ConversionEvent``, pending.

    Raises:
        BadInput: no JSON, no transaction id, no commission or currency, an amount or a time that is none.
    """
    raw = _pushed(parameters[PUSH_FIELD]) if PUSH_FIELD in parameters else dict(parameters)
    said = said_in(raw)
    transaction_id = said.get("transactionid")
    if not transaction_id:
        raise BadInput("The Awin notification names no transaction: add transactionId=!!!transactionId!!! to its URL.")
    what = f"Awin transaction {transaction_id}"
    currency = said.get("transactioncurrency") or said.get("trackedcurrency")
    if not currency:
        raise BadInput(f"{what} came without a currency: add transactionCurrency=!!!transactionCurrency!!! to the URL.")
    amount = "transactionamount" if "transactionamount" in said else "trackedamount"
    return [
        conversion_event(
            network=NETWORK,
            transaction_id=transaction_id,
            kind="pending",
            click_id=said.get("clickref"),
            program_id=f"{NETWORK}:{said['merchantid']}" if "merchantid" in said else None,
            sale_micros=micros_of(said, amount, what, default=Decimal(0)),
            commission_micros=micros_of(said, "commission", what),
            currency=currency.upper(),
            occurred_at=instant_of(said.get("transactiondate"), what) or observed_at,
            observed_at=observed_at,
            source="push",
            raw=raw,
        )
    ]


def _pushed(text: str) -> dict[str, Any]:
    try:
        raw = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The Awin notification's {PUSH_FIELD} is not JSON: {error}.") from error
    if not isinstance(raw, dict):
        raise BadInput(f"The Awin notification's {PUSH_FIELD} is no JSON object.")
    return raw
