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
from datetime import datetime
from decimal import Decimal
from typing import Any

from affiliate_empire.analytics.notices import conversion_event, instant_of, micros_of, said_in
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.money import USD

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
    said = said_in(raw)
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
    what = f"Impact action {action_id}"
    sale = micros_of(said, "amount", what, default=Decimal(0))
    payout = micros_of(said, "payout", what)
    intended_sale, intended_payout = _intended(said, what, sale=sale, payout=payout)
    amounts_now = (0, 0) if kind == "reversed" else (sale, payout)

    common: dict[str, Any] = {
        "network": NETWORK,
        "transaction_id": action_id,
        "click_id": said.get("subid1"),
        "program_id": f"{NETWORK}:{said['campaignid']}" if "campaignid" in said else None,
        "currency": said.get("currency", USD).upper(),
        "occurred_at": instant_of(said.get("eventdate") or said.get("creationdate"), what) or observed_at,
        "observed_at": observed_at,
        "source": source,
        "raw": raw,
    }

    def event(kind: str, sale_micros: int, commission_micros: int, version: str = "") -> dict[str, Any]:
        return conversion_event(
            kind=kind, version=version, sale_micros=sale_micros, commission_micros=commission_micros, **common
        )

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


def _intended(said: dict[str, str], what: str, *, sale: int, payout: int) -> tuple[int, int]:
    """Sale and payout as first tracked: stated, or the present ones less their deltas, or the present ones."""
    result = []
    for name, now in (("amount", sale), ("payout", payout)):
        if f"intended{name}" in said:
            result.append(micros_of(said, f"intended{name}", what))
        else:
            delta = micros_of(said, f"delta{name}", what, default=Decimal(0))
            # A new action's delta is the whole amount: nothing was changed.
            result.append(now if delta == now else now - delta)
    return result[0], result[1]
