"""The tracking service as one ASGI application.

``/r/{code}`` goes to a raw ASGI callable past the web framework; everything else is Starlette's. What happens on each
route stands in ``redirect``, ``hub`` and ``postbacks``. The application opens nothing until its lifespan starts, and
its lifespan's end stores every click that was still waiting.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.tracking.hub import Hub
from affiliate_empire.tracking.limits import HEALTH, HUB, MISSES, POSTBACKS, Buckets
from affiliate_empire.tracking.links import LinkTable
from affiliate_empire.tracking.outages import DATABASE_OUTAGE
from affiliate_empire.tracking.postbacks import Postbacks, Sender
from affiliate_empire.tracking.recorder import ClickRecorder
from affiliate_empire.tracking.redirect import PREFIX, Redirect, too_often
from affiliate_empire.tracking.spool import Spool
from affiliate_empire.tracking.visitors import DailySalts, truncate_address


@dataclass(frozen=True)
class TrackingConfig:
    """What the service needs to know besides the ledger and the clock.

    Attributes:
        spool_folder: where clicks wait on disk while the database is away.
        disclosure: the sentence at the head of every hub page.
        senders: who may push conversions, by network.
        calendar: business days; a visitor hash lives for one.
        simulated: whether pages carry the sandbox's label.
        flush_seconds, flush_hits, max_pending, patience: see ``ClickRecorder``.
    """

    spool_folder: Path
    disclosure: str
    senders: Mapping[str, Sender] = field(default_factory=dict)
    calendar: BusinessCalendar = field(default_factory=BusinessCalendar)
    simulated: bool = False
    flush_seconds: float = 0.005
    flush_hits: int = 512
    max_pending: int = 8192
    patience: float = 2.0


class TrackingService:
    """The ASGI application: the redirect first, the framework for the rest, each network as often as it may."""

    def __init__(self, redirect: Redirect, framework: Starlette, misses: Buckets) -> None:
        self.redirect = redirect
        self._framework = framework
        self._limits = {"/h/": Buckets(HUB), "/postbacks/": Buckets(POSTBACKS), "/healthz": Buckets(HEALTH)}
        self._misses = misses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._framework(scope, receive, send)
        elif scope["path"].startswith(PREFIX):
            await self.redirect(scope, receive, send)
        else:
            limit = next(
                (each for start, each in self._limits.items() if scope["path"].startswith(start)), self._misses
            )
            client = scope.get("client")
            if wait := limit.take(truncate_address(client[0]) if client else ""):
                await too_often(send, wait)
            else:
                await self._framework(scope, receive, send)


def create_app(ledger: Ledger, clock: Clock, config: TrackingConfig) -> TrackingService:
    """Build the service on an open ledger. The caller disposes of the ledger."""
    links = LinkTable(ledger)
    recorder = ClickRecorder(
        ledger.url,
        clock,
        DailySalts(ledger, config.calendar),
        Spool(config.spool_folder),
        flush_seconds=config.flush_seconds,
        flush_hits=config.flush_hits,
        max_pending=config.max_pending,
        patience=config.patience,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await links.start()
            stack.push_async_callback(links.stop)
            await recorder.start()
            stack.push_async_callback(recorder.stop)
            yield

    async def health(_: Request) -> Response:
        def ask() -> bool:
            try:
                with ledger.begin() as session:
                    session.connection().exec_driver_sql("SELECT 1")
            except DATABASE_OUTAGE:
                return False
            return True

        database = await run_in_threadpool(ask)
        status = "failing" if recorder.losing else "ok" if database and not recorder.database_away else "degraded"
        told = {
            "status": status,
            "service": "tracking",
            "database": database,
            "links": len(links.live),
            "recorded": recorder.recorded,
            "spooled": recorder.spooled,
            "unrecorded": recorder.unrecorded,
        }
        return JSONResponse(told, 503 if status == "failing" else 200, headers={"cache-control": "no-store"})

    hub = Hub(ledger, clock, disclosure=config.disclosure, simulated=config.simulated)
    postbacks = Postbacks(ledger, clock, config.senders)
    framework = Starlette(
        routes=[
            Route("/h/{handle}", hub.__call__, methods=["GET"]),
            Route("/postbacks/{network}/{token}", postbacks.__call__, methods=["GET", "POST"]),
            Route("/healthz", health, methods=["GET"]),
        ],
        lifespan=lifespan,
    )
    misses = Buckets(MISSES)
    return TrackingService(Redirect(links, recorder, misses), framework, misses)
