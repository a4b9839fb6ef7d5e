"""The state of each transaction, derived from the events a network sent about it; and whose money it is.

Events are append-only and arrive in any order, more than once, by push and by poll (``analytics.impact``). The state is
derived from the set of them, never from the order of arrival. No I/O.

**Attribution rule.** The network decides that a sale is ours and what it pays: it is the payer. Which of our pieces
earned it is said by the sub-id that the network returns: sub-id = click id → click → link → piece, last and only touch,
whatever the gap. A sale without a sub-id, or with one that no click of ours has, is *unattributed*: it counts in the
total and is shown as such, and is never spread over pieces.

**Currencies.** A line's amounts stay in its own currency, and count in dollars at the rate of the day of the sale,
which was stored with its events and never changes. A line in a currency without a rate counts as a sale of no dollars.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.kernel.money import to_usd_micros

CONVERSION_COLUMNS = [
    "conversion_id",
    "network",
    "transaction_id",
    "line_id",
    "state",
    "sale_micros",
    "commission_micros",
    "currency",
    "usd_rate",
    "commission_usd_micros",
    "click_id",
    "program_id",
    "occurred_at",
    "first_observed_at",
    "last_observed_at",
]

EVENT_COLUMNS = [
    "event_id",
    "network",
    "transaction_id",
    "line_id",
    "kind",
    "version",
    "click_id",
    "program_id",
    "sale_micros",
    "commission_micros",
    "currency",
    "usd_rate",
    "occurred_at",
    "observed_at",
    "source",
]

# How far a transaction has come. A reversal ends it: even paid money is clawed back by one.
_STAGE = {"pending": 0, "adjusted": 0, "approved": 1, "paid": 2, "reversed": 3}
_KEY = ["network", "transaction_id", "line_id"]
_AMOUNTS = ("sale_micros", "sale_usd_micros", "commission_micros", "commission_usd_micros")


def conversion_id(network: str, transaction_id: str, line_id: str = "") -> str:
    """The id a person uses for a transaction line: ``impact:1001.5523.118``."""
    return f"{network}:{transaction_id}" + (f":{line_id}" if line_id else "")


def current_conversions(events: pd.DataFrame) -> pd.DataFrame:
    """One row per transaction line as it stands after the events given.

    State: the furthest of pending → approved → paid → reversed that any event reached. Amounts: none when reversed;
    otherwise those of the last observed event that is not the original ``pending`` one, and of ``pending`` when there
    is no other; a repeated or late ``pending`` therefore never takes back a later change.

    Args:
        events: rows of ``conversion_events``; may be empty.

    Returns:
        ``CONVERSION_COLUMNS``, ordered by ``conversion_id``; ``commission_micros`` in the row's currency,
        ``commission_usd_micros`` what it is worth in dollars.
    """
    if events.empty:
        return pd.DataFrame(columns=CONVERSION_COLUMNS)
    rows = [
        _current(dict(zip(_KEY, key if isinstance(key, tuple) else (key,), strict=True)), group)
        for key, group in events.groupby(_KEY, sort=True)
    ]
    return pd.DataFrame(rows)[CONVERSION_COLUMNS].sort_values("conversion_id", ignore_index=True)


def conversion_changes(events: pd.DataFrame) -> pd.DataFrame:
    """What each event changed, in the order in which the events were learned.

    After each event of a transaction line the line is derived anew from all events so far; the change is the
    difference. So the changes of a line add up to its present amounts, and an event that adds nothing (a late repeat)
    changes nothing. Events learned at one instant (one poll's row) count together: all carry the state after them, the
    first of them the change.

    Args:
        events: rows of ``conversion_events`` with **all** events of the lines they belong to.

    Returns:
        The events with ``conversion_id``, ``state``, the amounts after each event (``sale_micros`` and
        ``sale_usd_micros``, ``commission_micros`` and ``commission_usd_micros``) and what it changed of each
        (``sale_change_micros``…, ``commission_usd_change_micros``); ordered by ``observed_at``, ``event_id``.
    """
    changes = [name.replace("_micros", "_change_micros") for name in _AMOUNTS]
    added = ["conversion_id", "state", "sale_usd_micros", "commission_usd_micros", *changes]
    if events.empty:
        return events.assign(**{name: pd.Series(dtype=object) for name in added})
    rows: list[dict[str, Any]] = []
    for key, group in events.groupby(_KEY, sort=True):
        named = dict(zip(_KEY, key if isinstance(key, tuple) else (key,), strict=True))
        learned = group.assign(stage=group["kind"].map(_STAGE)).sort_values(["observed_at", "stage", "event_id"])
        before = dict.fromkeys(_AMOUNTS, 0)
        learned = learned.drop(columns="stage")
        for event in learned.to_dict("records"):
            now = _current(named, learned[learned["observed_at"] <= event["observed_at"]])
            rows.append(
                {str(name): value for name, value in event.items()}
                | {"conversion_id": now["conversion_id"], "state": now["state"]}
                | {name: now[name] for name in before}
                | {name.replace("_micros", "_change_micros"): now[name] - before[name] for name in before}
            )
            before = {name: now[name] for name in before}
    return pd.DataFrame(rows).sort_values(["observed_at", "event_id"], ignore_index=True)


def current_state(events: Iterable[Any]) -> dict[str, int]:
    """The commission of each transaction as it stands, in micros: transaction id → micros, its lines added up.

    Args:
        events: ``ConversionEvent`` rows of one network.
    """
    frame = pd.DataFrame([{name: getattr(event, name) for name in EVENT_COLUMNS} for event in events])
    current = current_conversions(frame)
    totals: dict[str, int] = {}
    for row in current.to_dict("records"):
        transaction = str(row["transaction_id"])
        totals[transaction] = totals.get(transaction, 0) + int(row["commission_micros"])
    return totals


def _current(key: dict[str, Any], group: pd.DataFrame) -> dict[str, Any]:
    stage = group["kind"].map(_STAGE)
    ordered = group.assign(stage=stage, later=group["kind"].ne("pending")).sort_values(
        ["later", "observed_at", "stage", "event_id"]
    )
    last = ordered.iloc[-1]
    furthest = int(stage.max())
    state = next(kind for kind, at in _STAGE.items() if at == furthest and kind != "adjusted")
    sale, commission = (0, 0) if state == "reversed" else (int(last["sale_micros"]), int(last["commission_micros"]))
    currency = str(last["currency"])
    known = [rate for rate in ordered.get("usd_rate", ()) if not pd.isna(rate)]  # what a network just said has none yet
    rates = {currency: known[0]} if known else {}
    click_ids = [click for click in ordered["click_id"] if isinstance(click, str) and click]
    return {
        "conversion_id": conversion_id(**key),
        **key,
        "state": state,
        "sale_micros": sale,
        "sale_usd_micros": to_usd_micros(sale, currency, rates) or 0,
        "commission_micros": commission,
        "commission_usd_micros": to_usd_micros(commission, currency, rates) or 0,
        "currency": currency,
        "usd_rate": rates.get(currency),
        "click_id": click_ids[-1] if click_ids else None,
        "program_id": last["program_id"],
        "occurred_at": ordered["occurred_at"].min(),
        "first_observed_at": ordered["observed_at"].min(),
        "last_observed_at": ordered["observed_at"].max(),
    }


def missing_correction(said: list[dict[str, Any]], known: pd.DataFrame) -> dict[str, Any] | None:
    """The event to add when a network's present word differs from what the stored events amount to.

    A change back to amounts that an earlier change had already reached has the key of that earlier change and is not
    stored again; this gives it a key of its own. Call it after storing ``said``.

    Args:
        said: events of one polled transaction row (``events_from_action``).
        known: all stored events of that transaction line.

    Returns:
        An ``adjusted`` row for ``conversion_events``, or None where both agree.
    """
    now = _current({name: said[0][name] for name in _KEY}, pd.DataFrame(said))
    stored = _current({name: said[0][name] for name in _KEY}, known)
    same = all(now[name] == stored[name] for name in ("sale_micros", "commission_micros"))
    if same or now["state"] == "reversed" or stored["state"] == "reversed":
        return None
    earlier = int(known["kind"].eq("adjusted").sum())
    version = f"{now['sale_micros']}:{now['commission_micros']}@{earlier + 1}"
    amounts = {name: now[name] for name in ("sale_micros", "commission_micros")}
    event_id = derived_id("ce", *(said[0][name] for name in _KEY), "adjusted", version)
    return {**said[0], "event_id": event_id, "kind": "adjusted", "version": version, **amounts}
