"""The market: who sees what was published, who follows a link, who buys, and the passing of time.

Time passes in steps of ten minutes. A step is first written down whole (views, and who sets out), then lived (people
walk, orders fall due, notifications leave): a world that is killed in between goes on where it was, and nobody clicks
twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette

from affiliate_empire.sandbox.clock import instant, stamp
from affiliate_empire.sandbox.market.audiences import Audiences
from affiliate_empire.sandbox.market.people import Crowd, Unreached, click_id_in, find_redirect, hub_address, manner
from affiliate_empire.sandbox.market.reach import (
    LIFETIME,
    MEMORY,
    Performance,
    burst,
    conversion,
    end_of,
    fatigue,
    increment,
    luck,
    step_of,
)
from affiliate_empire.sandbox.market.shoppers import (
    basket,
    buying_delay,
    deliver_notifications,
    settle_actions,
    track_orders,
)
from affiliate_empire.sandbox.market.taste import ZONE, Impression, curiosity, impression, interest

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

SETTLE = 0.05  # seconds of real time after the clock moved: our services' cached clocks have caught up by then
_LINK = re.compile(r"https?://[^\s<>\"')\]]+|\b[\w-]+(?:\.[\w-]+)*(?::\d+)?/(?:h|r)/[\w.~-]+", re.IGNORECASE)
_log = logging.getLogger(__name__)


class Market:
    """Audiences and shoppers of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.audiences = Audiences(world.rng)
        self._moving = asyncio.Lock()
        self._stage: dict[tuple[str, str], Performance] = {}
        self._stale = True  # something was published, edited or removed since the stage was set
        self._read: dict[tuple[str, ...], Impression] = {}
        # A request that was under way when the world was killed: nobody knows what became of it.
        world.store.execute("UPDATE visits SET state = 'uncertain' WHERE state = 'sent'")
        kept = world.store.fact("market.step")
        # A step is lived when it ends: the last one lived is the one before the step that the clock stands in.
        self._step = step_of(world.now()) - 1 if kept is None else int(kept)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Live with the wall's clock while the rate is 1."""
        ticker = asyncio.create_task(self._tick())
        yield
        ticker.cancel()

    # ------------------------------------------------------------------ what is published
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
        """Take a post in, or an edit of one; see ``World.accept_post``."""
        store, now = self.world.store, stamp(self.world.now())
        public = stamp(public_at)
        said = json.dumps([platform, account, title, without_addresses(text), public])
        identity = hashlib.sha256(said.encode()).hexdigest()[:24]
        values = (account, title, text, json.dumps(media), json.dumps(flags))
        with store.transaction():
            known = store.one(
                "SELECT public_at, identity FROM posts WHERE platform = ? AND remote_id = ?", (platform, remote_id)
            )
            if known is None:
                twins = _count(store.one("SELECT count(*) FROM posts WHERE identity LIKE ?", (f"{identity}%",)))
                identity = f"{identity}+{twins}" if twins else identity
                sequence = _count(store.one("SELECT count(*) FROM posts"))
                store.execute(
                    "INSERT INTO posts (account, title, text, media, flags, platform, remote_id, public_at,"
                    " accepted_at, identity, sequence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*values, platform, remote_id, public, now, identity, sequence),
                )
            else:
                # What the public has seen stays seen: an edit cannot move the past, and keeps the post's luck.
                if known["public_at"] <= now:
                    public, identity = min(known["public_at"], public), known["identity"]
                store.execute(
                    "UPDATE posts SET account = ?, title = ?, text = ?, media = ?, flags = ?, public_at = ?,"
                    " identity = ?, removed_at = NULL WHERE platform = ? AND remote_id = ?",
                    (*values, public, identity, platform, remote_id),
                )
        self._reset(platform, account, instant(public))

    def retract(self, platform: str, remote_id: str) -> None:
        """The post is gone from now on."""
        self.world.store.execute(
            "UPDATE posts SET removed_at = coalesce(removed_at, ?) WHERE platform = ? AND remote_id = ?",
            (stamp(self.world.now()), platform, remote_id),
        )
        self._stage = {}
        self._stale = True

    def statistics(self, platform: str, remote_id: str) -> dict[str, int]:
        """``views``, ``likes``, ``comments`` so far."""
        row = self.world.store.one(
            "SELECT sum(views), sum(likes), sum(comments) FROM views WHERE platform = ? AND remote_id = ?",
            (platform, remote_id),
        )
        values = tuple(row) if row else (None, None, None)
        return {name: int(value or 0) for name, value in zip(("views", "likes", "comments"), values, strict=True)}

    # ------------------------------------------------------------------ the passing of time
    async def advance(self, to: datetime) -> None:
        """Live up to ``to``; returns when all clicks and notifications until then have been delivered.

        Raises:
            ClockRefused: ``to`` is ahead of the wall, or has passed.
        """
        async with self._moving:
            self.world.clock.check(to)
            await self._live(to)
            if to > self.world.now():
                self._keep(to)
            await deliver_notifications(self.world)

    async def set_rate(self, rate: int) -> None:
        """Let the clock run with the wall (1) or stand (0)."""
        async with self._moving:
            self.world.clock.set_rate(rate)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            if self.world.clock.rate == 0 or self._moving.locked():
                continue
            async with self._moving:
                try:
                    await self._live(self.world.now())
                    await deliver_notifications(self.world)
                except Exception:  # noqa: BLE001 - a world that stops living without a word would look like a dead audience
                    _log.exception("The world could not live its last step; it tries again in a second.")

    async def _live(self, to: datetime) -> None:
        self.world.notice()
        await self._finish_open_steps()
        while end_of(self._step + 1) <= to:
            await self._live_step(self._step + 1)

    def _keep(self, at: datetime) -> None:
        with self.world.store.transaction():
            self.world.store.save_fact("market.step", str(self._step))
            if at > self.world.now():
                self.world.clock.set(at)

    async def _live_step(self, step: int) -> None:
        store, end = self.world.store, end_of(step)
        views: list[tuple[Any, ...]] = []
        visits: list[tuple[Any, ...]] = []
        for post in self._performing().values():
            if post.public_at >= end or post.public_at + LIFETIME + timedelta(days=1) < end:
                continue
            grown = increment(post, step, self.audiences, self.world.rng)
            if grown is None:
                continue
            views.append((post.platform, post.remote_id, step, grown.views, grown.likes, grown.comments))
            for number in range(grown.visitors + grown.bots):
                visit_id = f"{step}-{post.identity}-{number:03d}"
                person = hashlib.sha256(f"{self.world.seed}-{visit_id}".encode()).hexdigest()[:10]
                bot = int(number >= grown.visitors)
                visits.append((visit_id, step, post.platform, post.remote_id, f"{'b' if bot else 'p'}{person}", bot))
        due = store.one(
            "SELECT (SELECT count(*) FROM orders WHERE state = 'due' AND due_at <= ?)"
            " + (SELECT count(*) FROM action_changes WHERE NOT done AND due_at <= ?)",
            (stamp(end), stamp(end)),
        )
        if not views and not _count(due):
            self._step = step  # nothing to write down: a quiet step can be lived again without a trace
            return
        with store.transaction():
            if end > self.world.now():
                self.world.clock.set(end)
            store.execute_many("INSERT INTO views VALUES (?, ?, ?, ?, ?, ?)", views)
            store.execute_many(
                "INSERT INTO visits (visit_id, step, platform, remote_id, person, bot, state)"
                " VALUES (?, ?, ?, ?, ?, ?, 'planned')",
                visits,
            )
            store.execute("INSERT INTO steps VALUES (?, 'open')", (step,))
            store.save_fact("market.step", str(step))
        self._step = step
        await self._finish(step)

    async def _finish_open_steps(self) -> None:
        for row in self.world.store.query("SELECT step FROM steps WHERE state = 'open' ORDER BY step"):
            await self._finish(row["step"])

    async def _finish(self, step: int) -> None:
        """Live the rest of a step that has been written down."""
        store, end = self.world.store, end_of(step)
        under_way = store.query(
            "SELECT * FROM visits WHERE step = ? AND state IN ('planned', 'clicked') ORDER BY visit_id", (step,)
        )
        if under_way:
            await asyncio.sleep(SETTLE)
            async with Crowd(self._hosts(), self.world.rng) as crowd:
                await asyncio.gather(*(self._walk(visit, crowd) for visit in under_way))
        with store.transaction():
            track_orders(self.world, end)
            settle_actions(self.world, end)
            store.execute("UPDATE steps SET state = 'done' WHERE step = ?", (step,))
        await deliver_notifications(self.world)

    # ------------------------------------------------------------------ people
    async def _walk(self, visit: sqlite3.Row, crowd: Crowd) -> None:
        async with crowd.places:
            location = visit["location"]
            if visit["state"] == "planned":
                location = await self._click(visit, crowd)
            if location:
                await self._shop(visit, location, crowd)

    async def _click(self, visit: sqlite3.Row, crowd: Crowd) -> str | None:
        """Walk up to the tracking link and open it; the redirect's target, or None."""
        store, visit_id, bot = self.world.store, visit["visit_id"], bool(visit["bot"])
        how = manner(self.world.rng, visit_id, visit["platform"], bot=bot)
        post = store.one(
            "SELECT * FROM posts WHERE platform = ? AND remote_id = ?", (visit["platform"], visit["remote_id"])
        )
        if post is None:
            raise LookupError(f"no post {visit['remote_id']}")
        found = await find_redirect(
            crowd,
            visit_id,
            how,
            platform=post["platform"],
            text=post["text"],
            profile=None if hub_address(post["text"]) else self._profile(post),
            page_url=f"{self.world.base_url}/blog/posts/{post['remote_id']}",
            title=post["title"],
            item=self._impression(post).item,
            rng=self.world.rng,
        )
        at = None if isinstance(found, Unreached) else crowd.reached(found[0])
        if isinstance(found, Unreached) or at is None:
            self._note(visit_id, found.state if isinstance(found, Unreached) else "failed:elsewhere")
            return None
        link, page = found
        self._note(visit_id, "sent", link)
        try:
            answer = await crowd.get(at, visit_id, how, referrer=page)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            self._note(visit_id, f"failed:{type(error).__name__}")  # it never left
            return None
        except httpx.HTTPError:
            self._note(visit_id, "uncertain")
            return None
        location = answer.headers.get("location", "")
        if answer.status_code != 302 or not location:
            self._note(visit_id, f"failed:{answer.status_code}")
            return None
        code = urlsplit(link).path.rsplit("/", 1)[-1]
        person = (visit["person"], int(bot), visit["platform"], visit["remote_id"])
        with store.transaction():
            store.execute(
                "INSERT INTO clicks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (visit_id, click_id_in(location), link, code, stamp(self.world.now()), *person),
            )
            store.execute("UPDATE visits SET state = 'clicked', location = ? WHERE visit_id = ?", (location, visit_id))
        return location

    async def _shop(self, visit: sqlite3.Row, location: str, crowd: Crowd) -> None:
        """Follow the network's link to the shop, and perhaps buy."""
        store, visit_id = self.world.store, visit["visit_id"]
        at = crowd.reached(location)
        if at is None:
            self._note(visit_id, "landed")  # a network that is not of this world
            return
        try:
            how = manner(self.world.rng, visit_id, visit["platform"], bot=bool(visit["bot"]))
            answer = await crowd.get(at, visit_id, how)
        except httpx.HTTPError as error:
            self._note(visit_id, f"lost:{type(error).__name__}")
            return
        destination = answer.headers.get("location", "")
        click = store.one(
            "SELECT id, program FROM impact_clicks WHERE subid1 = ? ORDER BY at DESC, id DESC LIMIT 1",
            (click_id_in(location) or "",),
        )
        item = self.world.catalog.at(destination) if destination else None
        if answer.status_code not in (301, 302, 303, 307) or click is None or item is None or visit["bot"]:
            self._note(visit_id, "landed")
            return
        post = self._performing()[visit["platform"], visit["remote_id"]]
        chance = conversion(
            post,
            appeal=self.audiences.appeal(item.item_id),
            price=float(item.price),
            same_item=post.seen.item is None or post.seen.item.item_id == item.item_id,
        )
        with store.transaction():
            self._note(visit_id, "landed")
            buys = self.world.rng("buys", visit_id).random() < chance
            if buys and item.availability.startswith("in") and click["program"] in self.world.catalog.programs:
                now = end_of(visit["step"])
                store.execute(
                    "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'due')",
                    (
                        f"o-{visit_id}", visit_id, click["id"], click["program"], item.item_id,
                        str(basket(self.world.rng, visit_id, item)), item.currency, stamp(now),
                        stamp(now + buying_delay(self.world.rng, visit_id)),
                    ),
                )  # fmt: skip

    def _note(self, visit_id: str, state: str, url: str | None = None) -> None:
        self.world.store.execute(
            "UPDATE visits SET state = ?, url = coalesce(?, url) WHERE visit_id = ?", (state, url, visit_id)
        )

    def _profile(self, post: sqlite3.Row) -> str | None:
        """The hub address in an account's profile: the one that its newest public post names."""
        rows = self.world.store.query(
            "SELECT text FROM posts WHERE platform = ? AND account = ? AND public_at <= ? AND text LIKE '%/h/%'"
            " ORDER BY public_at DESC, identity LIMIT 1",
            (post["platform"], post["account"], stamp(self.world.now())),
        )
        return hub_address(rows[0]["text"]) if rows else None

    def _hosts(self) -> dict[str, str]:
        """Where public hosts are really reached: this world's own, and our tracking service's as it was told to us."""
        own = self.world.base_url.partition("://")[2].lower()
        told = json.loads(self.world.store.fact("settings.tracking_hosts") or "null") or []
        pairs = told.items() if isinstance(told, dict) else ((host, f"http://{host}") for host in told)
        return {own: self.world.base_url} | {host.lower(): real for host, real in pairs}

    # ------------------------------------------------------------------ the stage
    def _impression(self, row: sqlite3.Row) -> Impression:
        key = (row["platform"], row["title"], row["text"], row["media"], row["flags"], row["public_at"])
        if key not in self._read:
            self._read[key] = impression(
                platform=row["platform"],
                title=row["title"],
                text=row["text"],
                media=json.loads(row["media"]),
                flags=json.loads(row["flags"]),
                public_at=instant(row["public_at"]),
                catalog=self.world.catalog,
            )
        return self._read[key]

    def _reset(self, platform: str, account: str, since: datetime) -> None:
        """Something of an account's changed: what came after it has to be seen anew, for fatigue looks back."""
        # Replaced, never changed in place: an upload may arrive from a worker thread while a step is being lived.
        self._stage = {
            key: post
            for key, post in self._stage.items()
            if not (post.platform == platform and post.account == account and post.public_at >= since)
        }
        self._stale = True

    def _performing(self) -> dict[tuple[str, str], Performance]:
        """Every post that is not forgotten, with what decides how it does."""
        if self._stale:
            self._stale = False  # first: what arrives from now on makes it stale again
            oldest = stamp(self.world.now() - LIFETIME - timedelta(days=1))
            rows = self.world.store.query(
                "SELECT * FROM posts WHERE public_at > ? ORDER BY public_at, identity", (oldest,)
            )
            self._stage = {
                (row["platform"], row["remote_id"]): self._stage.get((row["platform"], row["remote_id"]))
                or self._performance(row)
                for row in rows
            }
        return self._stage

    def _performance(self, row: sqlite3.Row) -> Performance:
        seen, public_at = self._impression(row), instant(row["public_at"])
        audience = self.audiences.of(row["platform"], seen.niche)
        before = self.world.store.query(
            "SELECT * FROM posts WHERE platform = ? AND account = ? AND public_at >= ?"
            " AND (public_at, identity) < (?, ?) AND (removed_at IS NULL OR removed_at > ?)",
            (
                row["platform"], row["account"], stamp(public_at - MEMORY), row["public_at"], row["identity"],
                row["public_at"],
            ),
        )  # fmt: skip
        earlier = [(self._impression(other), other["title"], instant(other["public_at"])) for other in before]
        liking = self.audiences.liking(row["platform"], seen.item.item_id) if seen.item else 0.0
        parts = {**interest(seen, audience, liking), "fatigue": fatigue(seen, row["title"], public_at, earlier)}
        merit = sum(parts.values())
        parts["luck"] = luck(self.world.rng, row["identity"], audience)
        return Performance(
            platform=row["platform"],
            account=row["account"],
            remote_id=row["remote_id"],
            identity=row["identity"],
            public_at=public_at,
            removed_at=instant(row["removed_at"]) if row["removed_at"] else None,
            seen=seen,
            audience=audience,
            parts=parts,
            eventual_views=audience.size * math.exp(sum(parts.values())),
            burst=burst(self.world.rng, row["identity"], audience, merit),
            curiosity=curiosity(seen, audience),
        )

    def truth(self) -> dict[str, Any]:
        """The latents behind what was published so far: what no product of ours may look at."""
        posts = list(self._performing().values())
        pairs = sorted({(post.platform, post.seen.niche) for post in posts})
        today = self.world.now().astimezone(UTC).astimezone(ZONE).date()
        items = {post.seen.item.item_id for post in posts if post.seen.item}
        return {
            "seed": self.world.seed,
            "audiences": self.audiences.truth(pairs, today),
            "programs": {
                program.program_id: {"name": program.name, "commission_rate": str(program.commission_rate)}
                for program in self.world.catalog.programs.values()
            },
            "products": {
                item_id: {"appeal": self.audiences.appeal(item_id), "returned": self.audiences.flaw(item_id)}
                for item_id in sorted(items)
            },
            "posts": [
                {
                    "platform": post.platform,
                    "remote_id": post.remote_id,
                    "item": post.seen.item.item_id if post.seen.item else None,
                    "niche": post.seen.niche,
                    "parts": {name: round(value, 4) for name, value in post.parts.items()},
                    "eventual_views": round(post.eventual_views, 1),
                    "burst": asdict(post.burst) if post.burst else None,
                    "curiosity": round(post.curiosity, 5),
                    "hook": post.seen.hook,
                }
                for post in posts
            ],
        }


def without_addresses(text: str) -> str:
    """A text as the world's draws know it: where our services happen to listen must not change how a post does."""
    return _LINK.sub("<link>", text)


def _count(row: sqlite3.Row | None) -> int:
    return int(row[0] or 0) if row else 0
