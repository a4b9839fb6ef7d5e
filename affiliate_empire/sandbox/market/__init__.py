"""The market: who sees what was published, who follows a link, who buys, and what the network makes of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette

from affiliate_empire.sandbox.clock import stamp

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

_URL = re.compile(r"https?://\S+")


class Market:
    """Audiences and shoppers of one world, and the passing of its time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._moving = asyncio.Lock()

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield

    def accept(
        self,
        platform: str,
        account: str,
        remote_id: str,
        *,
        title: str,
        text: str,
        media: dict[str, Any],
        public_at: datetime,
        flags: dict[str, Any],
    ) -> None:
        store = self.world.store
        said = json.dumps([platform, account, title, _URL.sub("<link>", text), stamp(public_at)])
        identity = hashlib.sha256(said.encode()).hexdigest()[:24]
        with store.transaction():
            known = store.one(
                "SELECT public_at, accepted_at FROM posts WHERE platform = ? AND remote_id = ?", (platform, remote_id)
            )
            if known is None:
                count = store.one("SELECT count(*) FROM posts")
                store.execute(
                    "INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?)",
                    (
                        platform, remote_id, account, title, text, json.dumps(media), json.dumps(flags),
                        stamp(public_at), stamp(self.world.now()), identity, int(count[0]) if count else 0,
                    ),
                )  # fmt: skip
            else:
                # What is public stays public: an edit cannot move the past.
                since = (
                    min(known["public_at"], stamp(public_at))
                    if known["public_at"] <= stamp(self.world.now())
                    else stamp(public_at)
                )
                store.execute(
                    "UPDATE posts SET account = ?, title = ?, text = ?, media = ?, flags = ?, public_at = ?,"
                    " removed_at = NULL WHERE platform = ? AND remote_id = ?",
                    (account, title, text, json.dumps(media), json.dumps(flags), since, platform, remote_id),
                )

    def retract(self, platform: str, remote_id: str) -> None:
        self.world.store.execute(
            "UPDATE posts SET removed_at = coalesce(removed_at, ?) WHERE platform = ? AND remote_id = ?",
            (stamp(self.world.now()), platform, remote_id),
        )

    def statistics(self, platform: str, remote_id: str) -> dict[str, int]:
        row = self.world.store.one(
            "SELECT sum(views), sum(likes), sum(comments) FROM views WHERE platform = ? AND remote_id = ?",
            (platform, remote_id),
        )
        values = tuple(row) if row else (None, None, None)
        return {name: int(value or 0) for name, value in zip(("views", "likes", "comments"), values, strict=True)}

    async def advance(self, to: datetime) -> None:
        async with self._moving:
            self.world.clock.check(to)
            self.world.notice()
            self.world.clock.set(to)

    async def set_rate(self, rate: int) -> None:
        async with self._moving:
            self.world.clock.set_rate(rate)

    def truth(self) -> dict[str, Any]:
        return {}
