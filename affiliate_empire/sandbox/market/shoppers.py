"""Shoppers: who buys, when, and what the network makes of it.

A purchase is decided at the shop's door, made hours or days later, tracked as an Impact action, told to the publisher
by an Event Notification, and approved, made smaller or reversed weeks later.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx

from affiliate_empire.sandbox.catalog import Item
from affiliate_empire.sandbox.clock import instant, stamp
from affiliate_empire.sandbox.market.audiences import PLATFORMS, RngOf

if TYPE_CHECKING:
    from affiliate_empire.sandbox.catalog import Program
    from affiliate_empire.sandbox.world import World

ADJUSTED = 0.04  # of sales become smaller: one of two is sent back, a price is corrected
_CENT = Decimal("0.01")
# What is appended to a notification address that has no {macros} of its own.
MACROS = ("ActionId", "Status", "SubId1", "Payout", "Amount", "Currency", "EventDate", "CampaignId", "OID")


def buying_delay(rng: RngOf, visit_id: str) -> timedelta:
    """From the click to the order: for most the same sitting or day, for some the end of the week."""
    draw = rng("delay", visit_id)
    same_sitting = draw.random() < 0.66
    hours = draw.expovariate(1 / 0.8) if same_sitting else draw.lognormvariate(3.3, 0.9)
    return timedelta(hours=min(hours, 24 * 20), minutes=2)


def basket(rng: RngOf, visit_id: str, item: Item) -> Decimal:
    """What is paid at the till: the product, sometimes two of it."""
    return (item.price * (2 if rng("basket", visit_id).random() < 0.1 else 1)).quantize(_CENT)


def commission(amount: Decimal, program: Program) -> Decimal:
    """The publisher's share of a sale, in whole cents."""
    return (amount * program.commission_rate).quantize(_CENT, ROUND_HALF_EVEN)


def track_orders(world: World, now: datetime) -> int:
    """Turn the orders that are due into actions, each with a notification and a future. Returns how many."""
    due = world.store.query(
        "SELECT * FROM orders WHERE state = 'due' AND due_at <= ? ORDER BY due_at, order_id", (stamp(now),)
    )
    for order in due:
        program = world.catalog.programs[order["program"]]
        click = world.store.one("SELECT subid1, at FROM impact_clicks WHERE id = ?", (order["impact_click_id"],))
        number = int(hashlib.sha256(order["order_id"].encode()).hexdigest()[:12], 16)
        action_id = f"{program.program_id}.{int(program.ad_id) * 3}.{number % 10**9:09d}"
        at, amount = instant(order["due_at"]), Decimal(order["amount"])
        payout = commission(amount, program)
        locking_at = at + timedelta(days=program.locking_days)
        with world.store.transaction():
            world.store.execute(
                "INSERT INTO actions (id, campaign_id, state, payout, amount, intended_payout, intended_amount,"
                " currency, event_at, creation_at, locking_at, subid1, oid, updated_at, referring_at)"
                " VALUES (?, ?, 'PENDING', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    action_id, program.program_id, str(payout), str(amount), str(payout), str(amount),
                    order["currency"], stamp(at), stamp(now), stamp(locking_at), click["subid1"] if click else "",
                    f"O{number % 10**8:08d}", stamp(now), click["at"] if click else "",
                ),
            )  # fmt: skip
            for change in _future(world, order, at, locking_at):
                world.store.execute("INSERT INTO action_changes VALUES (?, ?, ?, ?, 0)", (action_id, *change))
            world.store.execute("UPDATE orders SET state = 'tracked' WHERE order_id = ?", (order["order_id"],))
            notify(world, action_id, now)
    return len(due)


def _future(world: World, order: sqlite3.Row, at: datetime, locking_at: datetime) -> list[tuple[str, str, str]]:
    """What will become of a sale: when, the state, and why. Sent back, or partly, or kept."""
    fate = world.rng("fate", order["order_id"])
    visit = world.store.one("SELECT platform FROM visits WHERE visit_id = ?", (order["visit_id"],))
    regret = PLATFORMS[visit["platform"]].regret if visit else 0.0
    drawn, sent_back = fate.random(), max(0.005, world.market.audiences.flaw(order["item_id"]) + regret)
    changed_at = stamp(at + (locking_at - at) * fate.uniform(0.07, 0.83))
    if drawn < sent_back:
        return [(changed_at, "REVERSED", "ITEM_RETURNED")]
    approved = (stamp(locking_at), "APPROVED", "")
    return [(changed_at, "PENDING", "ORDER_UPDATE"), approved] if drawn < sent_back + ADJUSTED else [approved]


def settle_actions(world: World, now: datetime) -> int:
    """Approve, make smaller or reverse what is due. Returns how many."""
    due = world.store.query(
        "SELECT * FROM action_changes WHERE NOT done AND due_at <= ? ORDER BY due_at, action_id", (stamp(now),)
    )
    for change in due:
        action = world.store.one("SELECT amount, campaign_id FROM actions WHERE id = ?", (change["action_id"],))
        if action is None:
            raise LookupError(f"no action {change['action_id']}")
        amount = Decimal(action["amount"])
        if change["state"] == "REVERSED":
            amount = Decimal("0.00")
        elif change["state"] == "PENDING":
            kept = Decimal(world.rng("kept", change["action_id"]).randint(50, 90)) / 100
            amount = (amount * kept).quantize(_CENT)
        payout = commission(amount, world.catalog.programs[action["campaign_id"]])
        with world.store.transaction():
            world.store.execute(
                "UPDATE actions SET state = ?, reason = ?, amount = ?, payout = ?, updated_at = ? WHERE id = ?",
                (change["state"], change["reason"], str(amount), str(payout), stamp(now), change["action_id"]),
            )
            world.store.execute(
                "UPDATE action_changes SET done = 1 WHERE action_id = ? AND due_at = ?",
                (change["action_id"], change["due_at"]),
            )
            notify(world, change["action_id"], now)
    return len(due)


def notify(world: World, action_id: str, now: datetime) -> None:
    """Put an Event Notification of an action's present state in the queue."""
    action = world.store.one("SELECT * FROM actions WHERE id = ?", (action_id,))
    if action is None:
        raise LookupError(f"no action {action_id}")
    macros = {
        "ActionId": action["id"],
        "ActionTrackerId": action["id"].split(".")[1],
        "CampaignId": action["campaign_id"],
        "Status": action["state"],
        "StatusDetail": action["reason"],
        "Payout": action["payout"],
        "DeltaPayout": str(Decimal(action["payout"]) - Decimal(action["intended_payout"])),
        "IntendedPayout": action["intended_payout"],
        "Amount": action["amount"],
        "DeltaAmount": str(Decimal(action["amount"]) - Decimal(action["intended_amount"])),
        "IntendedAmount": action["intended_amount"],
        "Currency": action["currency"],
        "EventDate": action["event_at"],
        "CreationDate": action["creation_at"],
        "LockingDate": action["locking_at"],
        "ReferringDate": action["referring_at"],
        "ReferringType": "CLICK_COOKIE",
        "SubId1": action["subid1"],
        "OID": action["oid"],
    }
    world.store.execute(
        "INSERT INTO notifications (action_id, macros, created_at) VALUES (?, ?, ?)",
        (action_id, json.dumps(macros), stamp(now)),
    )


def notification_url(template: str, macros: dict[str, str]) -> str:
    """The address to call: the receiver's own template filled in, or the usual macros appended."""
    if "{" in template:
        for name, value in macros.items():
            template = template.replace(f"{{{name}}}", urlencode({"": value})[1:])
        return template
    return f"{template}{'&' if '?' in template else '?'}{urlencode({name: macros[name] for name in MACROS})}"


async def deliver_notifications(world: World) -> int:
    """Send what is waiting, oldest first; what is not accepted stays. Returns how many are left.

    The first refusal ends the round: a receiver that is down is not hammered, and order is kept.
    """
    waiting = world.store.query("SELECT * FROM notifications WHERE accepted_at IS NULL ORDER BY number")
    template = json.loads(world.store.fact("settings.impact_postback_url") or "null")
    if not waiting or not template:
        return len(waiting)
    left = len(waiting)
    async with httpx.AsyncClient(timeout=20.0, trust_env=False, verify=False) as client:  # noqa: S501 - loopback
        for row in waiting:
            url = notification_url(template, json.loads(row["macros"]))
            try:
                status = (await client.get(url, headers={"user-agent": "impact.com Event Notification"})).status_code
                answer, accepted = str(status), 200 <= status < 300
            except httpx.HTTPError as error:
                answer, accepted = type(error).__name__, False
            world.store.execute(
                "UPDATE notifications SET attempts = attempts + 1, last_answer = ?, accepted_at = ? WHERE number = ?",
                (answer, stamp(world.now()) if accepted else None, row["number"]),
            )
            if not accepted:
                break
            left -= 1
    return left
