"""The witness: what really happened in this world, for tests and for the demo's check of itself.

It reads the world's own books and never asks ours.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from affiliate_empire.sandbox.clock import stamp

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

_MICROS = 1_000_000


def routes(world: World) -> list[BaseRoute]:
    """``/_world/posts``, ``charges``, ``clicks``, ``payouts``, ``notifications``, ``truth`` and ``summary``."""

    def page(name: str, read: Any) -> Route:
        async def show(request: Request) -> Response:
            world.notice()
            return JSONResponse(read(world))

        return Route(f"/_world/{name}", show, methods=["GET"], name=f"witness-{name}")

    return [
        page("posts", posts),
        page("charges", charges),
        page("clicks", clicks),
        page("payouts", payouts),
        page("notifications", notifications),
        page("truth", lambda world: world.market.truth()),
        page("summary", summary),
    ]


def posts(world: World) -> list[dict[str, Any]]:
    """Every post that a platform accepted, scheduled and removed ones included, and the request that made it.

    ``flags`` is what the platform understood, ``request`` what was sent.
    """
    return [
        {
            "platform": row["platform"],
            "account": row["account"],
            "remote_id": row["remote_id"],
            "title": row["title"],
            "text": row["text"],
            "public_at": row["public_at"],
            "public": row["public_at"] <= stamp(world.now()) and row["removed_at"] is None,
            "removed_at": row["removed_at"],
            "flags": json.loads(row["flags"]),
            "media": json.loads(row["media"]),
            "request": json.loads(row["request"] or "null"),
            **world.statistics(row["platform"], row["remote_id"]),
        }
        for row in world.store.query(
            "SELECT * FROM posts LEFT JOIN publish_requests USING (platform, remote_id) ORDER BY sequence"
        )
    ]


def charges(world: World) -> list[dict[str, Any]]:
    """What vendors charged, in millionths of a US dollar."""
    return [
        {
            "vendor": row["vendor"],
            "operation": row["operation"],
            "micros": row["micros"],
            "request_id": row["request_id"],
            "at": row["at"],
            "detail": json.loads(row["detail"]),
        }
        for row in world.store.query("SELECT * FROM charges ORDER BY number")
    ]


def clicks(world: World) -> list[dict[str, Any]]:
    """The 302 replies that people and bots of this world got from our tracking service."""
    return [
        {
            "click_id": row["click_id"],
            "url": row["url"],
            "code": row["code"],
            "at": row["at"],
            "person": row["person"],
            "bot": bool(row["bot"]),
            "platform": row["platform"],
            "remote_id": row["remote_id"],
        }
        for row in world.store.query("SELECT * FROM clicks ORDER BY at, visit_id")
    ]


def payouts(world: World) -> list[dict[str, Any]]:
    """Conversions as the network knows them now; ``at`` is the time of the sale."""
    return [
        {
            "action_id": row["id"],
            "state": row["state"],
            "payout_micros": int(Decimal(row["payout"]) * _MICROS),
            "sale_micros": int(Decimal(row["amount"]) * _MICROS),
            "currency": row["currency"],
            "sub_id1": row["subid1"],
            "at": row["event_at"],
            "updated_at": row["updated_at"],
            "program": row["campaign_id"],
        }
        for row in world.store.query("SELECT * FROM actions ORDER BY event_at, id")
    ]


def notifications(world: World) -> list[dict[str, Any]]:
    """Event Notifications: what was sent, how often, and when it was accepted."""
    return [
        {
            "action_id": row["action_id"],
            "macros": json.loads(row["macros"]),
            "attempts": row["attempts"],
            "last_answer": row["last_answer"],
            "accepted_at": row["accepted_at"],
        }
        for row in world.store.query("SELECT * FROM notifications ORDER BY number")
    ]


def summary(world: World) -> dict[str, Any]:
    """Totals of every book, and whether anything is still under way."""
    paid = payouts(world)
    posted = posts(world)
    by_platform: dict[str, int] = {}
    for post in posted:
        by_platform[post["platform"]] = by_platform.get(post["platform"], 0) + 1

    def count(sql: str) -> int:
        row = world.store.one(sql)
        return int(row[0] or 0) if row else 0

    return {
        "now": stamp(world.now()),
        "posts": len(posted),
        "posts_by_platform": by_platform,
        "views": count("SELECT sum(views) FROM views"),
        "charges": count("SELECT count(*) FROM charges"),
        "charges_micros": count("SELECT sum(micros) FROM charges"),
        "clicks": count("SELECT count(*) FROM clicks"),
        "clicks_bot": count("SELECT count(*) FROM clicks WHERE bot"),
        # Requests that left before this world was killed: our service may have counted them, the witness cannot know.
        "clicks_uncertain": count("SELECT count(*) FROM visits WHERE state = 'uncertain'"),
        "visits_failed": count("SELECT count(*) FROM visits WHERE state LIKE 'failed%'"),
        "payouts": len(paid),
        "payouts_micros": sum(row["payout_micros"] for row in paid),
        "sales_micros": sum(row["sale_micros"] for row in paid),
        "orders_to_come": count("SELECT count(*) FROM orders WHERE state = 'due'"),
        "notifications_waiting": count("SELECT count(*) FROM notifications WHERE accepted_at IS NULL"),
        "steps_unfinished": count("SELECT count(*) FROM steps WHERE state = 'open'"),
    }
