"""Anthropic: ``/anthropic/v1/messages`` and the list of models, with API version 2026-10-21, as strict as the vendor.

Checks what arrives (key, version, parameters, models that are gone, strict schemas, a prefilled answer), has the writer
work, counts tokens, charges, and answers in the vendor's form. The act and its charge are committed before the reply.
System blocks that are marked for the cache and long enough are kept for as long as they ask, by the world's clock.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from affiliate_empire.sandbox import keys, prices
from affiliate_empire.sandbox.clock import stamp
from affiliate_empire.sandbox.language_model import LanguageModel, strict_problem, tokens

if TYPE_CHECKING:
    from random import Random

    from starlette.routing import BaseRoute

    from affiliate_empire.sandbox.world import World

VERSION = "2026-10-21"
_PARAMETERS = frozenset(
    [
        "cache_control",
        "container",
        "diagnostics",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    ]
)
# What this world's models do not offer: asking for it is an error here, never silently ignored.
_NOT_OFFERED = (
    "cache_control", "container", "diagnostics", "inference_geo", "speed", "stop_sequences", "stream", "tools",
    "tool_choice",
)  # fmt: skip
_SAMPLING = ("temperature", "top_p", "top_k")
_EFFORTS = {"low": (30, 120), "medium": (180, 480), "high": (500, 1400), "xhigh": (900, 2600), "max": (1500, 5000)}
_MOST_TOKENS = 128_000
_SHORTEST_CACHED = 1024  # tokens; a shorter block is read anew each time
_KEPT = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1)}
_TABLE = "CREATE TABLE IF NOT EXISTS anthropic_cache (prefix TEXT PRIMARY KEY, until TEXT NOT NULL)"


class _Refused(Exception):
    """An error reply in the vendor's form."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind

    @classmethod
    def invalid(cls, message: str) -> _Refused:
        return cls(400, "invalid_request_error", message)

    def body(self, request_id: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": self.kind, "message": str(self)}, "request_id": request_id}


def routes(world: World) -> list[BaseRoute]:
    """The vendor's routes."""
    world.store.script(_TABLE)
    vendor = _Vendor(world)
    return [
        Route("/anthropic/v1/messages", vendor.messages, methods=["POST"]),
        Route("/anthropic/v1/models", vendor.models, methods=["GET"]),
        Route("/anthropic/{path:path}", vendor.unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


class _Vendor:
    def __init__(self, world: World) -> None:
        self.world = world
        self.language = LanguageModel(world, "anthropic")

    # ------------------------------------------------------------------------------------------------ routes
    async def messages(self, request: Request) -> Response:
        raw = await request.body()
        rng = self.language.draw(request.url.path, raw)
        request_id = f"req_{rng.getrandbits(120):030x}"

        def act() -> dict[str, Any]:
            reply, micros, detail = self._write(_parsed(raw), rng)
            with self.world.store.transaction():
                self.language.count(request.url.path, raw)
                self.world.charge("anthropic", "messages", micros, request_id, detail)
            return reply

        return await self._answer(request, request_id, act)

    async def models(self, request: Request) -> Response:
        return await self._answer(request, f"req_{time.time_ns():030x}", self._list)

    async def unknown(self, request: Request) -> Response:
        refused = _Refused(404, "not_found_error", "Not Found")
        return JSONResponse(refused.body(request_id := f"req_{time.time_ns():030x}"), 404, {"request-id": request_id})

    async def _answer(self, request: Request, request_id: str, act: Callable[[], dict[str, Any]]) -> Response:
        headers = {"request-id": request_id, "anthropic-organization-id": "sandbox"}
        try:
            _authorize(request)
            return JSONResponse(await to_thread.run_sync(act), headers=headers)
        except _Refused as refused:
            return JSONResponse(refused.body(request_id), refused.status, headers)

    def _list(self) -> dict[str, Any]:
        listed = [
            {
                "type": "model",
                "id": name,
                "display_name": name.replace("-", " ").title(),
                "created_at": "2026-06-01T00:00:00Z",
                "lifecycle": "active",
                "max_tokens": _MOST_TOKENS,
            }
            for name in prices.ANTHROPIC_TEXT
        ]
        return {"data": listed, "has_more": False, "first_id": listed[0]["id"], "last_id": listed[-1]["id"]}

    # ------------------------------------------------------------------------------------------------ one message
    def _write(self, body: dict[str, Any], rng: Random) -> tuple[dict[str, Any], int, dict[str, Any]]:
        _check_parameters(body)
        model = self._model(body.get("model"))
        limit = body.get("max_tokens")
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise _Refused.invalid("max_tokens: Field required: an integer of at least 1")
        if limit > _MOST_TOKENS:
            raise _Refused.invalid(f"max_tokens: {limit} > {_MOST_TOKENS}, the most that {model} writes")
        system = _texts(body.get("system") or [], "system")
        conversation = _conversation(body.get("messages"))
        schema, effort = _output(body.get("output_config") or {})
        thinks = (body.get("thinking") or {"type": "adaptive"}).get("type") != "disabled"
        prompt = "\n\n".join([*(text for text, _ in system), *conversation])
        answer = self.language.answer(
            prompt, schema, reasoning=_EFFORTS[effort] if thinks else (0, 0), limit=limit, rng=rng
        )
        tokens_in = 8 + tokens(prompt) + (tokens(json.dumps(schema)) if schema else 0)
        read, written = self._cached(model, system)
        usage = {
            "input_tokens": tokens_in - read - sum(written.values()),
            "cache_creation_input_tokens": sum(written.values()),
            "cache_read_input_tokens": read,
            "cache_creation": {f"ephemeral_{ttl}_input_tokens": count for ttl, count in written.items()},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"thinking_tokens": answer.reasoning_tokens},
            "server_tool_use": None,
            "service_tier": "standard",
            "inference_geo": "global",
        }
        micros = prices.ANTHROPIC_TEXT[model].micros(
            input_tokens=tokens_in,
            output_tokens=answer.output_tokens,
            cached_tokens=read,
            written_tokens=written["5m"],
            written_hour_tokens=written["1h"],
        )
        content: list[dict[str, Any]] = []
        if answer.reasoning_tokens:
            content.append({"type": "thinking", "thinking": "", "signature": f"{rng.getrandbits(256):064x}"})
        if answer.text:
            content.append({"type": "text", "text": answer.text, "citations": None})
        refused = {"type": "refusal", "category": "general_harms", "explanation": answer.refusal}
        reply = {
            "id": f"msg_{rng.getrandbits(120):030x}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": "refusal" if answer.refusal else "max_tokens" if answer.cut else "end_turn",
            "stop_sequence": None,
            "stop_details": refused if answer.refusal else None,
            "usage": usage,
        }
        return reply, micros, {"model": model, **usage}

    def _model(self, model: Any) -> str:
        if not isinstance(model, str) or not model:
            raise _Refused.invalid("model: Field required")
        gone = prices.RETIRED.get(model)
        if model not in prices.ANTHROPIC_TEXT or (gone is not None and self.world.now().date() >= gone):
            raise _Refused(404, "not_found_error", f"model: {model}")
        return model

    def _cached(self, model: str, system: list[tuple[str, str | None]]) -> tuple[int, dict[str, int]]:
        """Tokens of the system text that lay in the cache, and those that were written to it, by how long they stay."""
        marked = [number for number, (_, ttl) in enumerate(system) if ttl is not None]
        written = dict.fromkeys(_KEPT, 0)
        if not marked:
            return 0, written
        prefix = "\n\n".join(text for text, _ in system[: marked[-1] + 1])
        count, ttl = tokens(prefix), system[marked[-1]][1] or "5m"
        if count < _SHORTEST_CACHED:
            return 0, written
        key, now = hashlib.sha256(f"{model}\n{prefix}".encode()).hexdigest(), self.world.now()
        kept = self.world.store.one("SELECT until FROM anthropic_cache WHERE prefix = ?", (key,))
        self.world.store.execute(
            "INSERT INTO anthropic_cache VALUES (?, ?) ON CONFLICT (prefix) DO UPDATE SET until = excluded.until",
            (key, stamp(now + _KEPT[ttl])),
        )
        if kept is not None and kept["until"] >= stamp(now):
            return count, written
        return 0, written | {ttl: count}


# ---------------------------------------------------------------------------------------------------- checks
def _authorize(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or key != keys.ANTHROPIC:
        raise _Refused(401, "authentication_error", "invalid bearer token")
    version = request.headers.get("anthropic-version")
    if version is None:
        raise _Refused.invalid("anthropic-version: header is required")
    if version != VERSION:
        raise _Refused.invalid(f"anthropic-version: {version!r} is not {VERSION!r}, the version that this world speaks")


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _Refused.invalid("The request body is not valid JSON")
    return body


def _check_parameters(body: dict[str, Any]) -> None:
    for name in body:
        if name in _SAMPLING:
            raise _Refused.invalid(f"{name}: sampling parameters are not supported from API version {VERSION} on")
        if name not in _PARAMETERS:
            raise _Refused.invalid(f"{name}: Extra inputs are not permitted")
    for name in _NOT_OFFERED:
        if body.get(name):
            raise _Refused.invalid(f"{name}: not supported by this model")
    if (body.get("thinking") or {"type": "adaptive"}).get("type") not in ("adaptive", "disabled"):
        raise _Refused.invalid("thinking.type: Input should be 'adaptive' or 'disabled'")


def _conversation(messages: Any) -> list[str]:
    """The texts of the messages in order; the last word has to be the user's."""
    if not isinstance(messages, list) or not messages:
        raise _Refused.invalid("messages: Field required: at least one message")
    texts = []
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            raise _Refused.invalid(f"messages.{number}.role: Input should be 'user' or 'assistant'")
        if extra := set(message) - {"role", "content"}:
            raise _Refused.invalid(f"messages.{number}.{min(extra)}: Extra inputs are not permitted")
        read = _texts(message.get("content"), f"messages.{number}.content")
        if not any(text.strip() for text, _ in read):
            raise _Refused.invalid(f"messages.{number}: text content blocks must be non-empty")
        texts += [text for text, _ in read]
    if messages[0]["role"] != "user":
        raise _Refused.invalid("messages: first message must use the 'user' role")
    if messages[-1]["role"] != "user":
        raise _Refused.invalid("This model does not support assistant message prefill: the last message is the user's.")
    return texts


def _texts(content: Any, where: str) -> list[tuple[str, str | None]]:
    """Text blocks, each with how long it wants to be cached; None where it does not."""
    if isinstance(content, str):
        return [(content, None)]
    if not isinstance(content, list):
        raise _Refused.invalid(f"{where}: Input should be a string or a list of text blocks")
    blocks: list[tuple[str, str | None]] = []
    for number, block in enumerate(content):
        if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise _Refused.invalid(f"{where}.{number}: Input should be a text block")
        if extra := set(block) - {"type", "text", "cache_control", "citations"}:
            raise _Refused.invalid(f"{where}.{number}.{min(extra)}: Extra inputs are not permitted")
        mark = block.get("cache_control")
        if mark is not None and (mark.get("type") != "ephemeral" or mark.get("ttl", "5m") not in _KEPT):
            raise _Refused.invalid(f"{where}.{number}.cache_control: 'ephemeral' with a ttl of '5m' or '1h'")
        blocks.append((block["text"], None if mark is None else mark.get("ttl", "5m")))
    return blocks


def _output(config: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The schema of the answer, if there is one, and the effort."""
    if extra := set(config) - {"effort", "format"}:
        raise _Refused.invalid(f"output_config.{min(extra)}: Extra inputs are not permitted")
    effort = config.get("effort") or "high"
    if effort not in _EFFORTS:
        raise _Refused.invalid(f"output_config.effort: Input should be one of {', '.join(_EFFORTS)}")
    form = config.get("format")
    if form is None:
        return None, effort
    if form.get("type") != "json_schema" or set(form) != {"type", "schema"} or not isinstance(form["schema"], dict):
        raise _Refused.invalid("output_config.format: Input should be of type 'json_schema', with its schema")
    if problem := strict_problem(form["schema"]):
        path, reason = problem
        raise _Refused.invalid(f"output_config.format.schema: {'.'.join(path) or 'the root'}: {reason}")
    return form["schema"], effort
