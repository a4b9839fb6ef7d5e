"""Impact's words for a transaction, normalised to conversion events.

Impact says the same thing twice: it pushes an Event Notification (a GET whose query we templated with its macros) and
lists the action under ``/Actions``. Both become rows of ``conversion_events`` here, and the same fact gives the same
unique key ``(network, transaction_id, line_id, kind, version)`` whichever way it came, so that storing it twice is
storing it once. Nothing is fetched or stored here.

What Impact says and what it is called with us (facts: impact.com partner API v16, Event Notifications):

========================================  =========  ===================================================
Impact                                    kind       version
========================================  =========  ===================================================
``Status``/``State`` PENDING              pending    ``""``
APPROVED                                  approved   ``""``
REVERSED                                  reversed   ``""``
Payout differs from IntendedPayout        adjusted   the amounts it was changed to, ``60000000:2400000``
``ClearedDate`` present                   paid       ``""``
========================================  =========  ===================================================

An action is one line (``line_id`` is empty): Impact gives every order item its own action where it splits orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.kernel.money import to_micros

NETWORK = "impact"

# The query string of the Event Notification to register at Impact (GET template): what ``events_from_push`` reads.
PUSH_MACROS = (
    "ActionId",
    "ActionTrackerId",
    "CampaignId",
    "Status",
    "StatusDetail",
    "Payout",
    "DeltaPayout",
    "IntendedPayout",
    "Amount",
    "DeltaAmount",
    "IntendedAmount",
    "Currency",
    "EventDate",
    "CreationDate",
    "LockingDate",
    "ClearedDate",
    "ReferringType",
    "SubId1",
    "OID",
)
PUSH_QUERY = "&".join(f"{macro}={{{macro}}}" for macro in PUSH_MACROS)

_KINDS = {"PENDING": "pending", "APPROVED": "approved", "REVERSED": "reversed"}


def events_from_push(query: Mapping[str, str], observed_at: datetime) -> list[dict[str, Any]]:
    """Conversion events of one Event Notification.

    Args:
        query: the notification's query parameters, named like Impact's macros in any case; macros that Impact left
            unexpanded (``{SubId1}``) and empty values count as absent.
        observed_at: when it arrived (UTC).

    Returns:
        Rows with the columns of ``ConversionEvent``; usually one, two when the payout was changed.

    Raises:
        BadInput: no action id, an unknown status, or an amount that is no number.
    """
    return _events({str(key): value for key, value in query.items()}, observed_at, source="push")


def events_from_action(row: Mapping[str, Any], observed_at: datetime) -> list[dict[str, Any]]:
    """Conversion events of one row of ``/Actions``; see ``events_from_push`` for what comes back and what is raised."""
    return _events({str(key): value for key, value in row.items()}, observed_at, source="poll")


def _events(raw: dict[str, Any], observed_at: datetime, *, source: str) -> list[dict[str, Any]]:
    said = {key.lower(): text for key, value in raw.items() if (text := _said(value))}
    action_id = said.get("actionid") or said.get("id")
    if not action_id:
        raise BadInput("The Impact notification names no action: add ActionId={ActionId} to its template.")
    status = (said.get("state") or said.get("status") or "").upper()
    if status not in _KINDS:
        raise BadInput(
            f"Impact action {action_id} has the status {status or 'nothing'!r}, which is no conversion state."
        )
    if "payout" not in said:
        raise BadInput(f"Impact action {action_id} came without a payout: add Payout={{Payout}} to the template.")
    kind = _KINDS[status]
    sale = _micros(said, "amount", action_id, default=Decimal(0))
    payout = _micros(said, "payout", action_id)
    intended_sale, intended_payout = _intended(said, action_id, sale=sale, payout=payout)
    amounts_now = (0, 0) if kind == "reversed" else (sale, payout)

    common = {
        "network": NETWORK,
        "transaction_id": action_id,
        "line_id": "",
        "click_id": said.get("subid1"),
        "program_id": f"{NETWORK}:{said['campaignid']}" if "campaignid" in said else None,
        "currency": said.get("currency", "USD").upper(),
        "occurred_at": _instant(said.get("eventdate") or said.get("creationdate"), observed_at, action_id),
        "observed_at": observed_at,
        "source": source,
        "raw": raw,
    }

    def event(kind: str, sale_micros: int, commission_micros: int, version: str = "") -> dict[str, Any]:
        key = (NETWORK, action_id, "", kind, version)
        amounts = {"sale_micros": sale_micros, "commission_micros": commission_micros}
        return {"event_id": derived_id("ce", *key), **common, "kind": kind, "version": version, **amounts}

    events = []
    adjusted = kind != "reversed" and (sale, payout) != (intended_sale, intended_payout)
    if kind == "pending":
        # A changed action was pending at its intended amounts first: the push of that moment has the same key.
        events.append(event("pending", intended_sale, intended_payout))
    else:
        events.append(event(kind, *amounts_now))
    if adjusted:
        events.append(event("adjusted", sale, payout, version=f"{sale}:{payout}"))
    if "cleareddate" in said and kind == "approved":
        events.append(event("paid", *amounts_now))
    return events


def _said(value: Any) -> str:
    """The value as text; empty for what says nothing: absent, blank, or a macro that was not filled in."""
    text = "" if value is None else str(value).strip()
    return "" if text.startswith("{") and text.endswith("}") else text


def _micros(said: dict[str, str], name: str, action_id: str, default: Decimal | None = None) -> int:
    text = said.get(name)
    try:
        amount = Decimal(text) if text is not None else default
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite():
        raise BadInput(f"Impact action {action_id} has {text!r} as its {name}, which is no amount.")
    return to_micros(amount)


def _intended(said: dict[str, str], action_id: str, *, sale: int, payout: int) -> tuple[int, int]:
    """Sale and payout as first tracked: stated, or the present ones less their deltas, or the present ones."""
    result = []
    for name, now in (("amount", sale), ("payout", payout)):
        if f"intended{name}" in said:
            result.append(_micros(said, f"intended{name}", action_id))
        else:
            delta = _micros(said, f"delta{name}", action_id, default=Decimal(0))
            # A new action's delta is the whole amount: nothing was changed.
            result.append(now if delta == now else now - delta)
    return result[0], result[1]


def _instant(text: str | None, otherwise: datetime, action_id: str) -> datetime:
    """When it happened, in UTC. Impact's dates sometimes lack an offset: those are read as UTC."""
    if text is None:
        return otherwise
    try:
        instant = datetime.fromisoformat(text.replace(" ", "T", 1))
    except ValueError:
        raise BadInput(f"Impact action {action_id} is dated {text!r}, which is no ISO 8601 time.") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
