"""``/r/{code}``: from a published link to the merchant, with a fresh click id in the network's sub-id parameter.

A raw ASGI application, because the web framework would cost more than everything else on this route. The destination is
the stored link's alone: nothing of the request gets into ``Location``. 302 and ``no-store``, so that no browser or
proxy answers the second click. Unknown and retired codes answer alike.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

from affiliate_empire.analytics.traffic import GPC, HEAD, PREFETCH
from affiliate_empire.tracking.limits import Buckets
from affiliate_empire.tracking.links import LinkTable
from affiliate_empire.tracking.outages import DATABASE_OUTAGE
from affiliate_empire.tracking.recorder import Batch, ClickRecorder, Overloaded
from affiliate_empire.tracking.visitors import truncate_address

PREFIX = "/r/"

_FIXED_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-length", b"0"),
    (b"x-robots-tag", b"noindex, nofollow"),
)
_PREFETCH_HEADERS = (b"sec-purpose", b"purpose", b"x-moz")


class Redirect:
    """The ASGI application of the route."""

    def __init__(self, links: LinkTable, recorder: ClickRecorder, misses: Buckets) -> None:
        self.links = links
        self._recorder = recorder
        self._misses = misses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            await answer(send, 405, b"Only GET and HEAD are answered here.\n", (b"allow", b"GET, HEAD"))
            return
        code = scope["path"][len(PREFIX) :]
        destination = self.links.live.get(code)
        client = scope.get("client")
        host = client[0] if client else ""
        if destination is None:
            if wait := self._misses.take(truncate_address(host)):  # before the database is asked
                await too_often(send, wait)
                return
            try:
                destination = await self.links.find(code)
            except DATABASE_OUTAGE:
                await answer(send, 503, b"Please try again in a moment.\n", (b"retry-after", b"5"))
                return
            if destination is None:
                await answer(send, 404, b"There is no such link.\n")
                return

        try:
            batch, index = self.record(code, method, scope["headers"], host)
        except Overloaded:
            await answer(send, 503, b"Please try again in a moment.\n", (b"retry-after", b"1"))
            return
        click_ids = await batch.click_ids  # stored: only now may the visitor be told
        location = destination.with_click(click_ids[index]).encode("ascii")
        await send(
            {"type": "http.response.start", "status": 302, "headers": ((b"location", location), *_FIXED_HEADERS)}
        )
        await send({"type": "http.response.body"})

    def record(self, code: str, method: str, headers: Iterable[tuple[bytes, bytes]], host: str) -> tuple[Batch, int]:
        """Put a hit on a known link into the open batch: its place there.

        Raises:
            Overloaded: more hits wait for the database than may.
        """
        user_agent = referrer = ""
        prefetch = opted_out = False
        for name, value in headers:
            if name == b"user-agent":
                user_agent = value.decode("latin-1")
            elif name == b"referer":
                referrer = value.decode("latin-1")
            elif name in _PREFETCH_HEADERS and b"prefetch" in value:
                prefetch = True
            elif name == b"sec-gpc" and value == b"1":
                opted_out = True
        flags: tuple[str, ...] = ()
        if method == "HEAD":
            flags += (HEAD,)
        if prefetch:
            flags += (PREFETCH,)
        if opted_out:
            flags += (GPC,)
            referrer = ""
        return self._recorder.add(code, user_agent, referrer, truncate_address(host), flags)


async def too_often(send: Send, wait: int) -> None:
    """The answer to a network that asks more often than it may."""
    await answer(send, 429, b"Too many requests.\n", (b"retry-after", str(wait).encode()))


async def answer(send: Send, status: int, text: bytes, *headers: tuple[bytes, bytes]) -> None:
    """A plain-text answer that is not kept by anyone."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(text)).encode()),
                (b"cache-control", b"no-store"),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": text})
