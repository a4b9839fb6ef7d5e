"""The world: one object that every server module is handed, and the web app made of them.

A server module exports ``routes(world)``; it may also export ``notice(world)``, called before each step of time and
each look of the witness, to see what happened outside HTTP (a push to the blog's repository).
"""

from __future__ import annotations

import hashlib
import json
import random
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp

from affiliate_empire.sandbox import consent, control, witness
from affiliate_empire.sandbox.accounts import Accounts, Standing
from affiliate_empire.sandbox.catalog import Catalog, open_catalog
from affiliate_empire.sandbox.clock import Clock, stamp
from affiliate_empire.sandbox.consent import Consent
from affiliate_empire.sandbox.faults import FaultLayer, Faults
from affiliate_empire.sandbox.language_model import writer_route
from affiliate_empire.sandbox.market import Market
from affiliate_empire.sandbox.servers import (
    anthropic,
    blog,
    ecb,
    elevenlabs,
    fal,
    google_trends,
    impact,
    instagram,
    merchant,
    openai,
    runway,
    tiktok,
    youtube,
    youtube_analytics,
)
from affiliate_empire.sandbox.store import Store
from affiliate_empire.sandbox.weather import Weather

SERVERS = (
    openai,
    elevenlabs,
    youtube,
    impact,
    merchant,
    blog,
    google_trends,
    tiktok,
    instagram,
    anthropic,
    ecb,
    fal,
    runway,
    youtube_analytics,
)


class WorldRefused(Exception):
    """The world cannot be opened as asked; the message says what to do."""


class World:
    """What happens outside: vendors' shared services.

    Attributes:
        base_url: where this world is reached, without a slash at the end.
        seed: what all chance hangs on.
        store: durable state (``store.Store``; tables documented there).
        catalog: merchants, programmes and products (``catalog.Catalog``).
        market: audiences, shoppers, and the passing of time (``market.Market``).
    """

    def __init__(
        self,
        home: Path,
        base_url: str,
        seed: int,
        *,
        feed: Path | None = None,
        now: datetime | None = None,
    ) -> None:
        self.home = home
        self.folder = home / "world"
        self.base_url = base_url.rstrip("/")
        self.seed = seed
        self.store = Store(self.folder / "world.sqlite3")
        kept = self.store.fact("seed")
        if kept is not None and kept != str(seed):
            raise WorldRefused(
                f"The world in {self.folder} was born with seed {kept}: start it with that seed, or use another home."
            )
        self.store.save_fact("seed", str(seed))
        self.clock = Clock(self.store, start=now)
        self.catalog: Catalog = open_catalog(self.base_url, feed)
        self.faults = Faults(self.store)
        self.accounts = Accounts(self.store)
        self.consent = Consent(self)
        self.weather = Weather(self)
        self.market = Market(self)

    def now(self) -> datetime:
        """World time, aware UTC."""
        return self.clock.now()

    def rng(self, *key: object) -> random.Random:
        """A generator seeded by the world's seed and a key, so that no draw depends on the order of calls."""
        text = json.dumps([self.seed, *map(str, key)])
        return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))

    def charge(self, vendor: str, operation: str, micros: int, request_id: str, detail: dict[str, Any]) -> None:
        """Book what a call costs, in millionths of a US dollar. Call it in the transaction that accepts the act."""
        self.store.execute(
            "INSERT INTO charges (vendor, operation, micros, request_id, at, detail) VALUES (?, ?, ?, ?, ?, ?)",
            (vendor, operation, micros, request_id, stamp(self.now()), json.dumps(detail)),
        )

    def keep_request(self, platform: str, handle: str, request: dict[str, Any]) -> None:
        """Keep what a publisher sent (``raw.raw_request``) under the handle it is answered with."""
        self.store.execute(
            "INSERT INTO publish_requests (platform, handle, request) VALUES (?, ?, ?)"
            " ON CONFLICT (platform, handle) DO UPDATE SET request = excluded.request",
            (platform, handle, json.dumps(request)),
        )

    def accept_post(
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
        handle: str | None = None,
    ) -> None:
        """Take a post to the audience, which sees it from ``public_at`` on. Called again, it edits the post.

        Args:
            text: what stands below or in the post, links included: where people look for one.
            media: what can be seen of the file (``duration`` in seconds, ``width``, ``height``…); ``{}`` for a text.
            flags: what the publisher declared (``containsSyntheticMedia``…), as the platform names it.
            handle: of the request that this came of (``keep_request``).
        """
        self.store.execute(
            "UPDATE publish_requests SET remote_id = ? WHERE platform = ? AND handle = ?", (remote_id, platform, handle)
        )
        self.market.accept(
            platform, account, remote_id, title=title, text=text, media=media, public_at=public_at, flags=flags
        )

    def retract_post(self, platform: str, remote_id: str) -> None:
        """The post is gone: nobody sees it any more; its numbers stay."""
        self.market.retract(platform, remote_id)

    def statistics(self, platform: str, remote_id: str) -> dict[str, int]:
        """``views``, ``likes`` and ``comments`` of a post so far."""
        return self.market.statistics(platform, remote_id)

    def standing(self, platform: str, account: str) -> Standing:
        """How a platform treats an account: ask before taking a post (``accounts.Standing``)."""
        return self.accounts.of(platform, account)

    def notice(self) -> None:
        """Let every server see what happened outside HTTP."""
        for server in SERVERS:
            if hasattr(server, "notice"):
                server.notice(self)

    def close(self) -> None:
        self.store.close()


def build_app(world: World) -> ASGIApp:
    """The web app: control and witness, then every vendor behind the faults and the weather."""
    routes = [*control.routes(world), *witness.routes(world), *consent.routes(world), writer_route(world)]
    for server in SERVERS:
        routes.extend(server.routes(world))
    return FaultLayer(Starlette(routes=routes, lifespan=world.market.lifespan), world.faults, world.weather.take)
