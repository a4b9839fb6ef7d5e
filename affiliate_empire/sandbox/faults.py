"""Faults on demand: what goes wrong on the wire, before the vendor acts or after.

An ASGI layer in front of every vendor (never in front of ``/_world``). A rule says which requests (method and path
glob), when, and what happens; ``hits`` counts the requests that it caught, from the moment it catches them, so that a
test can see that a hold has begun.
"""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from affiliate_empire.sandbox.store import Store


class FaultRefused(Exception):
    """The rule cannot be understood."""


@dataclass
class Fault:
    """One rule.

    ``before``: the vendor never sees the request (unless nothing but ``delay`` is asked for: then it is only late).
    ``after``: the vendor acts, then the reply is held, lost or replaced.
    """

    match: str  # "POST /openai/v1/responses", "* /youtube/*"
    when: Literal["before", "after"] = "before"
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None  # text as it is; anything else as JSON
    delay: float = 0.0  # seconds
    drop: bool = False  # close the connection without a reply
    times: int = 1
    skip: int = 0  # let so many matching requests pass first

    def __post_init__(self) -> None:
        method, _, path = self.match.partition(" ")
        if not method or not path.startswith(("/", "*")):
            raise FaultRefused('match is a method and a path glob, such as "POST /openai/v1/responses"')
        if self.when not in ("before", "after"):
            raise FaultRefused('when is "before" or "after"')
        if not (self.status or self.drop or self.delay):
            raise FaultRefused("a fault needs a status, drop or delay")
        if self.times < 1 or self.skip < 0 or self.delay < 0:
            raise FaultRefused("times is at least 1, skip and delay at least 0")

    def catches(self, method: str, path: str) -> bool:
        wanted, _, glob = self.match.partition(" ")
        return wanted in ("*", method) and fnmatch.fnmatchcase(path, glob)


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
    """ASGI middleware that lets the rules happen."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_world"):
            await self.app(scope, receive, send)
            return
        fault = self.faults.take(scope["method"], scope["path"])
        if fault is None:
            await self.app(scope, receive, send)
        elif fault.when == "before":
            await asyncio.sleep(fault.delay)
            if fault.drop:
                await _drop(send, receive)
            elif fault.status:
                await _reply(fault, send)
            else:
                await self.app(scope, receive, send)
        else:
            held: list[Message] = []

            async def hold(message: Message) -> None:
                held.append(message)

            await self.app(scope, receive, hold)
            await asyncio.sleep(fault.delay)
            if fault.drop:
                await _drop(send, receive)
            elif fault.status:
                await _reply(fault, send)
            else:
                for message in held:
                    await send(message)


async def _reply(fault: Fault, send: Send) -> None:
    text = fault.body if isinstance(fault.body, str) else "" if fault.body is None else json.dumps(fault.body)
    kind = "text/plain; charset=utf-8" if isinstance(fault.body, str) or fault.body is None else "application/json"
    headers = {"content-type": kind, **{name.lower(): value for name, value in fault.headers.items()}}
    data = text.encode()
    headers["content-length"] = str(len(data))
    await send(
        {
            "type": "http.response.start",
            "status": fault.status,
            "headers": [(name.encode("latin-1"), str(value).encode("latin-1")) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": data})


async def _drop(send: Send, receive: Receive) -> None:
    # ASGI has no word for hanging up. uvicorn hands its own bound method as `send`: behind it is the connection.
    send.__self__.transport.abort()  # type: ignore[attr-defined]
    while (await receive())["type"] != "http.disconnect":
        pass
