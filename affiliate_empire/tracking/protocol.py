"""``GET /r/{code}`` answered by the server's own protocol: no ASGI scope, no task, no second write.

What a redirect costs is mostly what a web server does around it. Here a known link's request goes from the parser
straight to the recorder, and the 302 is one write when its click is committed. Everything else — other methods and
paths, unknown codes, requests with a body, a second request on a connection whose first is not answered yet — takes
uvicorn's usual way, through ``affiliate_empire.tracking.redirect``, which decides in the same words.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, ClassVar

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from affiliate_empire.publishing.links import Destination
from affiliate_empire.tracking.recorder import Overloaded
from affiliate_empire.tracking.redirect import PREFIX, Redirect

_PREFIX = PREFIX.encode()
_HEAD = b"HTTP/1.1 302 Found\r\n"
_TAIL = b"\r\ncache-control: no-store\r\ncontent-length: 0\r\nx-robots-tag: noindex, nofollow\r\n\r\n"
_LAST = b"\r\nconnection: close" + _TAIL
_FAILED = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_WITH_A_BODY = frozenset([b"content-length", b"transfer-encoding", b"expect", b"upgrade"])


class _Nobody:
    """In place of the event by which an ASGI application hears of its request: there is none."""

    def set(self) -> None:
        pass


class _Open:
    """A redirect that is not answered yet: as much of uvicorn's request as its protocol looks at."""

    __slots__ = ("body", "disconnected", "keep_alive", "message_event", "more_body", "response_complete")

    def __init__(self, keep_alive: bool) -> None:
        self.body = b""
        self.disconnected = False
        self.keep_alive = keep_alive
        self.message_event = _Nobody()
        self.more_body = True
        self.response_complete = False


class RedirectProtocol(HttpToolsProtocol):
    """One connection. Subclasses of ``protocol_for`` know the service's redirect and which proxies to believe."""

    redirect: ClassVar[Redirect]
    proxies: ClassVar[Any]
    _defaults: ClassVar[tuple[Any, bytes]] = (None, b"")

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        if self.url.startswith(_PREFIX) and self.parser.get_method() == b"GET" and self._is_taken():
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # begins anew: with the scope that the usual way needs
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _is_taken(self) -> bool:
        """Put the click of a known link into the open batch, unless this request needs the usual way."""
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        code = self.url[len(_PREFIX) :].partition(b"?")[0].decode("latin-1")
        destination = self.redirect.links.live.get(code)
        if destination is None or self.parser.get_http_version() != "1.1":
            return False
        forwarded = []
        for name, value in self.headers:
            if name == b"x-forwarded-for":
                forwarded.append(value)
            elif name in _WITH_A_BODY:
                return False
        host = self.client[0] if self.client else ""
        if forwarded and host in self.proxies:
            host = self.proxies.get_trusted_client_address(b", ".join(forwarded).decode("latin-1"))[0] or host
        try:
            batch, index = self.redirect.record(code, "GET", self.headers, host)
        except Overloaded:
            return False
        open_ = _Open(self.parser.should_keep_alive())
        self.cycle = open_  # type: ignore[assignment]
        batch.click_ids.add_done_callback(partial(self._answer, open_, destination, index))
        return True

    def _answer(self, open_: _Open, destination: Destination, index: int, click_ids: asyncio.Future[list[str]]) -> None:
        """The click is stored, or nobody can say: tell the visitor."""
        open_.response_complete = True
        if open_.disconnected or self.transport.is_closing():
            return
        if click_ids.cancelled() or click_ids.exception() is not None:
            self.transport.write(_FAILED)
            self.transport.close()
            return
        location = destination.with_click(click_ids.result()[index]).encode("ascii")
        said = self.server_state.default_headers
        if self._defaults[0] is not said:  # uvicorn makes them anew every second
            type(self)._defaults = (said, b"".join(b"%b: %b\r\n" % header for header in said))
        tail = _TAIL if open_.keep_alive else _LAST
        self.transport.write(b"".join((_HEAD, self._defaults[1], b"location: ", location, tail)))
        if not open_.keep_alive:
            self.transport.close()
        self.on_response_complete()


def protocol_for(redirect: Redirect, trusted_proxies: str) -> type[RedirectProtocol]:
    """The protocol of a service.

    Args:
        trusted_proxies: comma-separated addresses whose ``X-Forwarded-For`` is believed.
    """
    proxies = ProxyHeadersMiddleware(None, trusted_proxies).trusted_hosts  # type: ignore[arg-type]
    return type("RedirectProtocol", (RedirectProtocol,), {"redirect": redirect, "proxies": proxies})
