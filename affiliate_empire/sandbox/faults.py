"""Faults on demand: what goes wrong on the wire, before the vendor acts or after.

An ASGI layer in front of every address of the world but ``/_world``: vendors' APIs, their uploads and downloads, links
and shop pages. ``POST /_world/faults`` puts a rule in force, ``GET`` lists them with their hits, ``DELETE`` clears all.
A rule says which requests it catches (method and path glob), when, and what happens:

- ``status``, ``headers``, ``body``: a reply in place of the vendor's (text as it is, anything else as JSON).
- ``kind``: the same in the vendor's own words (``refusals``): ``busy``, ``down``, ``quota``, ``banned``, ``expired``
  (an access token in the middle of its life), ``error_in_200``, or of no vendor at all: ``html`` (a sign-in page with
  status 200), ``malformed`` (JSON that ends in the middle). ``headers`` are laid over the vendor's own.
- ``delay``: seconds by which the reply comes late. ``drip``: seconds over which its body trickles in.
- ``drop``: the connection is cut without a reply.
- ``when``: ``before`` the vendor acts (it never sees the request, unless it is only late), or ``after`` it did: a lost
  reply is ``{"when": "after", "drop": true}``, a spoilt one ``{"when": "after", "kind": "malformed"}``.
- ``times`` and ``skip``: how many matching requests are caught, after how many were let pass.

Examples::

    {"match": "POST /openai/v1/responses", "kind": "quota", "times": 3}
    {"match": "PUT /youtube/upload/*", "when": "after", "drop": true}
    {"match": "* /tiktok/*", "kind": "down", "skip": 2, "times": 5}
    {"match": "GET /merchant/feed.tsv", "drip": 4}
    {"match": "* /openai/*", "kind": "busy", "headers": {"Retry-After": "900"}}

``hits`` counts the requests that a rule caught, from the moment it catches them, so that a test can see that a hold has
begun. Restricted accounts and smaller quotas are no faults of the wire: ``accounts``. What goes wrong by itself:
``weather``.
"""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from affiliate_empire.sandbox.refusals import KINDS, Reply, knows, refusal, vendor_of
from affiliate_empire.sandbox.store import Store

_DROPS = 20  # pieces that a body trickles in


class FaultRefused(Exception):
    """The rule cannot be understood."""


@dataclass
class Fault:
    """One rule; what each field does stands above."""

    match: str  # "POST /openai/v1/responses", "* /youtube/*"
    when: Literal["before", "after"] = "before"
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    kind: str | None = None
    delay: float = 0.0
    drip: float = 0.0
    drop: bool = False
    times: int = 1
    skip: int = 0  # let so many matching requests pass first

    def __post_init__(self) -> None:
        method, _, path = self.match.partition(" ")
        if not method or not path.startswith(("/", "*")):
            raise FaultRefused('match is a method and a path glob, such as "POST /openai/v1/responses"')
        if self.when not in ("before", "after"):
            raise FaultRefused('when is "before" or "after"')
        if self.kind is not None and self.kind not in KINDS:
            raise FaultRefused(f"kind is one of {', '.join(KINDS)}")
        if not (self.status or self.kind or self.drop or self.delay or self.drip):
            raise FaultRefused("a fault needs a status, a kind, drop, delay or drip")
        if self.kind is not None and not set(vendor_of(path)) & set("*?["):
            try:
                refusal(self.kind, path)
            except LookupError as error:
                raise FaultRefused(str(error.args[0])) from error
        if self.times < 1 or self.skip < 0 or self.delay < 0 or self.drip < 0:
            raise FaultRefused("times is at least 1, skip, delay and drip at least 0")

    def catches(self, method: str, path: str) -> bool:
        wanted, _, glob = self.match.partition(" ")
        if wanted not in ("*", method) or not fnmatch.fnmatchcase(path, glob):
            return False
        # A glob over many vendors leaves those alone that have no such refusal.
        return self.kind is None or knows(self.kind, path)

    def reply(self, path: str) -> Reply | None:
        """What is said in the vendor's place; None when its own reply is given."""
        if self.kind is not None:
            reply = refusal(self.kind, path)
            return Reply(reply.status, reply.body, {**reply.headers, **self.headers})
        return Reply(self.status, "" if self.body is None else self.body, self.headers) if self.status else None


class Faults:
    """The rules in force, kept over restarts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rules: dict[str, tuple[Fault, list[int]]] = {}  # id → rule, [matches seen]
        for row in store.query("SELECT fault_id, rule, hits FROM faults ORDER BY number"):
            fault = Fault(**json.loads(row["rule"]))
            self._rules[row["fault_id"]] = (fault, [row["hits"] + (fault.skip if row["hits"] else 0)])
        self._numbers = itertools.count(1 + max((int(key[1:]) for key in self._rules), default=0))

    def add(self, rule: dict[str, Any]) -> str:
        """Put a rule in force; gives its id.

        Raises:
            FaultRefused: unknown fields, or a rule that does nothing.
        """
        try:
            fault = Fault(**rule)
        except TypeError as error:
            raise FaultRefused(str(error)) from error
        number = next(self._numbers)
        self._store.execute("INSERT INTO faults VALUES (?, ?, ?, 0)", (f"f{number}", number, json.dumps(asdict(fault))))
        self._rules[f"f{number}"] = (fault, [0])
        return f"f{number}"

    def clear(self) -> None:
        self._store.execute("DELETE FROM faults")
        self._rules.clear()

    def listing(self) -> list[dict[str, Any]]:
        return [
            {"id": key, **asdict(fault), "hits": max(0, seen[0] - fault.skip)}
            for key, (fault, seen) in self._rules.items()
        ]

    def take(self, method: str, path: str) -> Fault | None:
        """The first rule that still catches this request; counts the hit."""
        for key, (fault, seen) in self._rules.items():
            if seen[0] >= fault.skip + fault.times or not fault.catches(method, path):
                continue
            seen[0] += 1
            if seen[0] <= fault.skip:
                continue
            self._store.execute("UPDATE faults SET hits = ? WHERE fault_id = ?", (seen[0] - fault.skip, key))
            return fault
        return None


class FaultLayer:
    """ASGI middleware that lets the rules happen, and where none does, the weather.

    Args:
        weather: what happens to a request by itself, by method and path.
    """

    def __init__(self, app: ASGIApp, faults: Faults, weather: Callable[[str, str], Fault | None]) -> None:
        self.app = app
        self.faults = faults
        self.weather = weather

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_world"):
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        fault = self.faults.take(method, path) or self.weather(method, path)
        if fault is None:
            await self.app(scope, receive, send)
            return
        reply = fault.reply(path)
        acts = fault.when == "after" or not (fault.drop or reply)
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        if fault.when == "before" and fault.delay:
            if acts:  # the vendor has the whole request and is slow: it acts, whether or not its client still waits
                receive = await _whole(receive)
            await asyncio.sleep(fault.delay)
        if acts:
            await self.app(scope, receive, hold)
        if fault.when == "after":
            await asyncio.sleep(fault.delay)
        if fault.drop:
            await _drop(send, receive)
        else:
            for message in _messages(reply) if reply else held:
                await _send(message, send, fault.drip)


async def _whole(receive: Receive) -> Receive:
    """The request's body, read to its end, to be received once more."""
    messages: list[Message] = []
    while not messages or messages[-1].get("more_body"):
        messages.append(await receive())

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return again


def _messages(reply: Reply) -> list[Message]:
    headers = {
        "content-type": reply.media_type,
        **{name.lower(): value for name, value in reply.headers.items()},
        "content-length": str(len(reply.data)),
    }
    coded = [(name.encode("latin-1"), str(value).encode("latin-1")) for name, value in headers.items()]
    return [
        {"type": "http.response.start", "status": reply.status, "headers": coded},
        {"type": "http.response.body", "body": reply.data},
    ]


async def _send(message: Message, send: Send, drip: float) -> None:
    """Send a message; a body in pieces over ``drip`` seconds."""
    body = message.get("body", b"") if message["type"] == "http.response.body" else b""
    if not drip or not body:
        await send(message)
        return
    size = -(-len(body) // _DROPS)
    for start in range(0, len(body), size):
        await asyncio.sleep(drip / _DROPS)
        more = start + size < len(body) or message.get("more_body", False)
        await send({**message, "body": body[start : start + size], "more_body": more})


async def _drop(send: Send, receive: Receive) -> None:
    # ASGI has no word for hanging up. uvicorn hands its own bound method as `send`: behind it is the connection.
    send.__self__.transport.abort()  # type: ignore[attr-defined]
    while (await receive())["type"] != "http.disconnect":
        pass
