"""What this world's vendors of language models share: their writer and its temper, token counts, strict schemas.

A server (``servers.openai``, ``servers.anthropic``) reads its vendor's request, asks here, and answers in its vendor's
form. ``/_world/writer`` sets how often the writer misbehaves, for all of them.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from affiliate_empire.sandbox.writer import Temper, Writer

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from affiliate_empire.sandbox.world import World

_TABLE = "CREATE TABLE IF NOT EXISTS model_calls (body TEXT PRIMARY KEY, times INTEGER NOT NULL)"
_KEYWORDS_REFUSED = ("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "patternProperties")


@dataclass(frozen=True)
class Answer:
    """What the model gave. ``text`` is empty for a refusal; ``cut`` says that the limit came before the end."""

    text: str
    refusal: str | None
    cut: bool
    reasoning_tokens: int
    output_tokens: int  # the reasoning included


class LanguageModel:
    """The models of one vendor."""

    def __init__(self, world: World, vendor: str) -> None:
        self._world, self._vendor = world, vendor
        world.store.script(_TABLE)

    def draw(self, path: str, body: bytes) -> Random:
        """The chance of one call; the same request a second time is another draw, as it is at the vendors'."""
        digest = _digest(path, body)
        seen = self._world.store.one("SELECT times FROM model_calls WHERE body = ?", (digest,))
        return self._world.rng(self._vendor, digest, seen["times"] if seen else 0)

    def count(self, path: str, body: bytes) -> None:
        """Remember that a request was answered. Call it in the transaction that charges for it."""
        self._world.store.execute(
            "INSERT INTO model_calls VALUES (?, 1) ON CONFLICT (body) DO UPDATE SET times = times + 1",
            (_digest(path, body),),
        )

    def answer(
        self, prompt: str, schema: dict[str, Any] | None, *, reasoning: tuple[int, int], limit: int | None, rng: Random
    ) -> Answer:
        """Have the writer write.

        Args:
            prompt: the whole text that the model reads.
            schema: of the JSON to answer with; None for plain text.
            reasoning: fewest and most tokens that are thought before the first is written.
            limit: most output tokens, the reasoning included.
            rng: of ``draw``.
        """
        written = Writer(_temper(self._world)).write(prompt, schema, rng)
        if written.refusal is not None:
            text = ""
        else:
            text = json.dumps(written.document, ensure_ascii=False) if schema else str(written.document)
        thought = rng.randint(*reasoning)
        output = thought + tokens(text)
        cut = limit is not None and (output > limit or written.rambling)
        if cut and limit is not None:
            if written.rambling:
                thought = min(limit, int(limit * rng.uniform(0.4, 1.0)))
            text = text[: max(0, limit - thought) * 4]
            if written.rambling and len(text) > 8:
                text = text[: rng.randint(4, len(text) - 2)]
            thought, output = min(thought, limit), limit
        return Answer(text, written.refusal, cut, thought, output)


def writer_route(world: World) -> BaseRoute:
    """``/_world/writer``: how the writer misbehaves, as fractions of calls, kept over restarts."""

    async def temper(request: Request) -> Response:
        if request.method == "PUT":
            try:
                wish = Temper(**json.loads(await request.body()))
                if not all(0 <= rate <= 1 for rate in asdict(wish).values()):
                    raise ValueError("rates lie between 0 and 1")
            except (ValueError, TypeError) as error:
                return JSONResponse({"error": str(error)}, status_code=400)
            world.store.save_fact("writer.temper", json.dumps(asdict(wish)))
        return JSONResponse(asdict(_temper(world)))

    return Route("/_world/writer", temper, methods=["GET", "PUT"])


def tokens(text: str) -> int:
    """Tokens of a text: four characters each, the rule of thumb for English."""
    return math.ceil(len(text) / 4)


def strict_problem(node: Any, path: tuple[str, ...] = ()) -> tuple[tuple[str, ...], str] | None:
    """Where and why a JSON schema is not strict: every object closed, every property required, no refused keyword."""
    if isinstance(node, list):
        return _first(strict_problem(inner, (*path, str(number))) for number, inner in enumerate(node))
    if not isinstance(node, dict):
        return None
    for keyword in _KEYWORDS_REFUSED:
        if keyword in node:
            return path, f"'{keyword}' is not permitted"
    if node.get("type") == "object" or "properties" in node:
        if node.get("additionalProperties") is not False:
            return path, "'additionalProperties' is required to be supplied and to be false"
        if missing := [key for key in node.get("properties", {}) if key not in node.get("required", [])]:
            return path, (
                "'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{missing[0]}'"
            )
    if len(path) > 40:
        return path, "the schema is nested too deeply"
    nested = [
        strict_problem(inner, (*path, keyword, key))
        for keyword in ("properties", "$defs", "definitions")
        for key, inner in (node.get(keyword) or {}).items()
    ]
    return _first(
        [*nested, *(strict_problem(node[word], (*path, word)) for word in ("items", "anyOf") if word in node)]
    )


def _first(problems: Any) -> Any:
    return next((problem for problem in problems if problem is not None), None)


def _temper(world: World) -> Temper:
    kept = world.store.fact("writer.temper")
    return Temper(**json.loads(kept)) if kept else Temper()


def _digest(path: str, body: bytes) -> str:
    return hashlib.sha256(path.encode() + body).hexdigest()
