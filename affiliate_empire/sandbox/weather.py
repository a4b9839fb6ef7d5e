"""The weather: small misbehaviour of vendors that nobody asked for, at a rate, by chance that can be repeated.

``PUT /_world/weather {"level": "calm" | "mild" | "rough"}``; calm until somebody says otherwise, kept over restarts.
Which request is hit hangs on the seed, the method, the path, and how often that path was asked before. Only vendors'
APIs have weather: never what simulated people open (links, shop pages, the blog), and never ``/_world``.

========  =====  ====================================================================================================
kind      mild   what happens
========  =====  ====================================================================================================
busy      0.6 %  too many requests, in the vendor's words, ``Retry-After: 1``; nothing was done
down      0.5 %  out of order, in the vendor's words; nothing was done
slow      0.6 %  a fifth of a second to a second late; done
dropped   0.3 %  the connection is cut before the vendor acts; in mild weather for reads only, a write is busy instead
lost      –      (rough only) the vendor acts, then the connection is cut
========  =====  ====================================================================================================

Rough weather hits five times as often, drops writes too, and loses one reply in a hundred.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from affiliate_empire.sandbox.faults import Fault
from affiliate_empire.sandbox.refusals import refusal, vendor_of

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

LEVELS: dict[str, dict[str, float]] = {
    "calm": {},
    "mild": {"busy": 0.006, "down": 0.005, "slow": 0.006, "dropped": 0.003},
    "rough": {"busy": 0.03, "down": 0.025, "slow": 0.03, "dropped": 0.015, "lost": 0.01},
}
VENDORS = frozenset(
    {"openai", "anthropic", "elevenlabs", "fal", "runway", "youtube", "youtube_analytics", "google_oauth", "tiktok",
     "instagram", "instagram_upload", "google_trends", "ecb", "impact"}
)  # fmt: skip
_READS = ("GET", "HEAD")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS weather_asked (method TEXT NOT NULL, path TEXT NOT NULL, times INTEGER NOT NULL,
    PRIMARY KEY (method, path));
CREATE TABLE IF NOT EXISTS weather_counts (vendor TEXT NOT NULL, kind TEXT NOT NULL, times INTEGER NOT NULL,
    PRIMARY KEY (vendor, kind));
"""


class WeatherRefused(Exception):
    """The wish cannot be understood."""


class Weather:
    """The weather of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        world.store.script(_SCHEMA)
        self._level = world.store.fact("weather.level") or "calm"

    @property
    def level(self) -> str:
        return self._level

    def put(self, wish: dict[str, Any]) -> None:
        """Change the weather, durably.

        Raises:
            WeatherRefused: not ``{"level": …}`` with a known level.
        """
        if set(wish) != {"level"} or wish["level"] not in LEVELS:
            raise WeatherRefused('say {"level": "calm"}, {"level": "mild"} or {"level": "rough"}')
        self._world.store.save_fact("weather.level", wish["level"])
        self._level = wish["level"]

    def report(self) -> dict[str, Any]:
        """The level, and how many requests of each vendor were asked and hit since the world was made."""
        counts: dict[str, dict[str, int]] = {}
        for row in self._world.store.query("SELECT * FROM weather_counts ORDER BY vendor, kind"):
            counts.setdefault(row["vendor"], {})[row["kind"]] = row["times"]
        requests = {vendor: kinds.pop("asked", 0) for vendor, kinds in counts.items()}
        faults = {vendor: kinds for vendor, kinds in counts.items() if kinds}
        total = sum(times for kinds in faults.values() for times in kinds.values())
        return {"level": self._level, "requests": requests, "faults": faults, "total": total}

    def take(self, method: str, path: str) -> Fault | None:
        """What the weather does to a request; counts it. None: it passes."""
        vendor = vendor_of(path)
        if self._level == "calm" or not (vendor in VENDORS or path.startswith("/merchant/feed")):
            return None
        store = self._world.store
        with store.transaction():
            store.execute(
                "INSERT INTO weather_asked VALUES (?, ?, 1) ON CONFLICT (method, path) DO UPDATE SET times = times + 1",
                (method, path),
            )
            asked = store.one("SELECT times FROM weather_asked WHERE method = ? AND path = ?", (method, path))
            draw = self._world.rng("weather", method, path, asked["times"] if asked else 0)
            kind = self._kind(method, vendor, draw.random())
            for counted in ("asked", kind) if kind else ("asked",):
                store.execute(
                    "INSERT INTO weather_counts VALUES (?, ?, 1)"
                    " ON CONFLICT (vendor, kind) DO UPDATE SET times = times + 1",
                    (vendor, counted),
                )
        match = f"{method} {path}"
        if kind is None:
            return None
        if kind == "slow":
            return Fault(match, delay=round(draw.uniform(0.2, 1.0), 3))
        if kind in ("dropped", "lost"):
            return Fault(match, when="before" if kind == "dropped" else "after", drop=True)
        reply = refusal(kind, path)
        return Fault(match, status=reply.status, headers=reply.headers, body=reply.body)

    def _kind(self, method: str, vendor: str, drawn: float) -> str | None:
        rates = LEVELS[self._level]
        ends = zip(rates, accumulate(rates.values()), strict=True)
        kind = next((kind for kind, end in ends if drawn < end), None)
        if kind is None or method in _READS or self._level == "rough":
            return kind
        # What a writer could not tell from a lost reply is no small misbehaviour: Instagram says the same words when
        # it publishes behind them, and TikTok's upload host says none.
        return "busy" if kind == "dropped" or (kind == "down" and vendor in ("instagram", "tiktok")) else kind
