"""OpenAI: ``/openai/v1`` with Responses, Images, Moderations and Models, as strict as the vendor.

Checks what arrives (key, parameters, models that are gone, strict schemas, picture sizes), has the writer or the
painter work, counts tokens, charges, and answers in the vendor's form. The act and its charge are committed before the
reply. The moderation judges by a list of words (``_FLAGGED``) and costs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from affiliate_empire.sandbox import keys, prices
from affiliate_empire.sandbox.language_model import Answer, LanguageModel, strict_problem, tokens

if TYPE_CHECKING:
    from random import Random

    from starlette.routing import BaseRoute

    from affiliate_empire.sandbox.world import World

_RESPONSE_PARAMETERS = frozenset(
    [
        "access_programs",
        "background",
        "background_options",
        "context_management",
        "conversation",
        "image",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    ]
)
# What this world's models do not offer: asking for it is an error here, never silently ignored.
_NOT_OFFERED = ("background", "conversation", "image", "previous_response_id", "prompt", "tools", "stream")
_IMAGE_PARAMETERS = frozenset(
    [
        "background",
        "model",
        "moderation",
        "n",
        "output_compression",
        "output_format",
        "prompt",
        "quality",
        "safety_identifier",
        "size",
        "stream",
        "user",
    ]
)
_EFFORTS = {"none": (0, 0), "minimal": (0, 16), "low": (30, 120), "medium": (180, 480), "high": (500, 1400)}
_SIZE = re.compile(r"^([1-9]\d{0,4})x([1-9]\d{0,4})$")
_UNSAFE = re.compile(r"\b(?:nude|nudity|gore|beheading|swastika)\b", re.IGNORECASE)
_MODERATION_MODELS = ("omni-moderation-latest", "omni-moderation-2024-09-26")
# The vendor's categories, and the words that this world's moderation takes offence at; it looks for nothing else.
_FLAGGED = {
    "harassment": r"subhuman|worthless idiots?",
    "harassment/threatening": r"we will find you|you will pay with your life",
    "hate": r"inferior race|ethnic vermin",
    "hate/threatening": r"exterminate them",
    "illicit": r"launder money|cook meth|pick pockets",
    "illicit/violent": r"pipe bombs?|nerve agents?",
    "self-harm": r"suicide|self-harm|cut yourself",
    "self-harm/instructions": r"how to kill yourself",
    "self-harm/intent": r"i will kill myself",
    "sexual": r"porn(?:ographic)?|explicit sex",
    "sexual/minors": r"child porn",
    "violence": r"massacre|tortured to death",
    "violence/graphic": r"beheadings?|disembowel\w*",
}


class _Refused(Exception):
    """An error reply in the vendor's form."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, kind: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {"message": message, "type": kind or "invalid_request_error", "param": param, "code": code}
        }


def routes(world: World) -> list[BaseRoute]:
    """The vendor's routes."""
    vendor = _Vendor(world)
    return [
        Route("/openai/v1/responses", vendor.responses, methods=["POST"]),
        Route("/openai/v1/images/generations", vendor.images, methods=["POST"]),
        Route("/openai/v1/moderations", vendor.moderations, methods=["POST"]),
        Route("/openai/v1/models", vendor.models, methods=["GET"]),
        Route("/openai/{path:path}", vendor.unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


class _Vendor:
    def __init__(self, world: World) -> None:
        self.world = world
        self.language = LanguageModel(world, "openai")

    # ------------------------------------------------------------------------------------------------ routes
    async def responses(self, request: Request) -> Response:
        return await self._answer(request, self._respond)

    async def images(self, request: Request) -> Response:
        return await self._answer(request, self._draw)

    async def moderations(self, request: Request) -> Response:
        return await self._answer(request, self._judge)

    async def models(self, request: Request) -> Response:
        try:
            self._authorize(request)
        except _Refused as refused:
            return JSONResponse(refused.body, refused.status)
        today = self.world.now().date()
        alive: dict[str, prices.TextModel | prices.ImageModel] = {**prices.OPENAI_TEXT, **prices.IMAGE}
        listed = [
            {"id": name, "object": "model", "created": 1_780_000_000, "owned_by": "openai"}
            | ({"shutdown_date": model.shutdown.isoformat()} if model.shutdown else {})
            for name, model in alive.items()
            if model.shutdown is None or today < model.shutdown
        ]
        return JSONResponse({"object": "list", "data": listed})

    async def unknown(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/openai")
        refused = _Refused(404, f"Invalid URL ({request.method} {path})")
        return JSONResponse(refused.body, refused.status)

    # ------------------------------------------------------------------------------------------------ one call
    async def _answer(self, request: Request, act: Any) -> Response:
        began = time.perf_counter()
        headers = {"openai-version": "2020-10-01", "openai-organization": "sandbox"}
        try:
            self._authorize(request)
            raw = await request.body()
            body = _parsed(raw)
            rng = self.language.draw(request.url.path, raw)
            request_id = f"req_{rng.getrandbits(128):032x}"
            headers["x-request-id"] = request_id
            reply, operation, micros, detail = await to_thread.run_sync(act, body, rng)
            with self.world.store.transaction():
                self.language.count(request.url.path, raw)
                if micros:
                    self.world.charge("openai", operation, micros, request_id, detail)
        except _Refused as refused:
            headers.setdefault("x-request-id", f"req_{hashlib.sha256(str(began).encode()).hexdigest()[:32]}")
            return JSONResponse(refused.body, refused.status, headers)
        headers["openai-processing-ms"] = str(int((time.perf_counter() - began) * 1000))
        return JSONResponse(reply, headers=headers)

    def _authorize(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise _Refused(401, "You didn't provide an API key.", code=None)
        if key != keys.OPENAI:
            shown = f"{key[:3]}***{key[-4:]}" if len(key) > 8 else "***"
            raise _Refused(401, f"Incorrect API key provided: {shown}.", code="invalid_api_key")

    def _model(self, body: dict[str, Any], offered: dict[str, Any]) -> str:
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise _Refused(400, "you must provide a model parameter", param="model", code="missing_required_parameter")
        gone = prices.RETIRED.get(model) or (offered[model].shutdown if model in offered else None)
        if gone is not None and self.world.now().date() >= gone:
            raise _Refused(404, f"The model `{model}` has been shut down on {gone}.", code="model_not_found")
        if model not in offered:
            raise _Refused(
                404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
            )
        return model

    # ------------------------------------------------------------------------------------------------ text
    def _respond(self, body: dict[str, Any], rng: Random) -> tuple[dict[str, Any], str, int, dict[str, Any]]:
        _known(body, _RESPONSE_PARAMETERS)
        for name in _NOT_OFFERED:
            if body.get(name):
                raise _Refused(400, f"Unsupported parameter: '{name}'.", param=name, code="unsupported_parameter")
        model = self._model(body, prices.OPENAI_TEXT)
        prompt = _prompt(body)
        limit = body.get("max_output_tokens")
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 16):
            raise _Refused(
                400,
                f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {limit}.",
                param="max_output_tokens",
                code="integer_below_min_value",
            )
        effort = (body.get("reasoning") or {}).get("effort") or "medium"
        if effort not in _EFFORTS:
            raise _Refused(400, f"Invalid value: '{effort}'.", param="reasoning.effort", code="invalid_value")
        form = _format(body)
        schema = form.get("schema") if form["type"] == "json_schema" else None
        answer = self.language.answer(prompt, schema, reasoning=_EFFORTS[effort], limit=limit, rng=rng)
        tokens_in = 8 + tokens(prompt) + (tokens(json.dumps(schema)) if schema else 0)
        usage = {
            "input_tokens": tokens_in,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
            "total_tokens": tokens_in + answer.output_tokens,
        }
        micros = prices.OPENAI_TEXT[model].micros(input_tokens=tokens_in, output_tokens=answer.output_tokens)
        reply = self._response(body, model, form, effort, answer, usage, rng)
        return reply, "responses", micros, {"model": model, **usage}

    def _response(
        self,
        body: dict[str, Any],
        model: str,
        form: dict[str, Any],
        effort: str,
        answer: Answer,
        usage: dict[str, Any],
        rng: Random,
    ) -> dict[str, Any]:
        now, cut = int(self.world.now().timestamp()), answer.cut
        output: list[dict[str, Any]] = [{"id": f"rs_{rng.getrandbits(128):032x}", "type": "reasoning", "summary": []}]
        content: dict[str, Any] = (
            {"type": "refusal", "refusal": answer.refusal}
            if answer.refusal is not None
            else {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        )
        if answer.text or answer.refusal is not None:
            output.append(
                {
                    "id": f"msg_{rng.getrandbits(128):032x}",
                    "type": "message",
                    "role": "assistant",
                    "status": "incomplete" if cut else "completed",
                    "phase": "final_answer",
                    "content": [content],
                }
            )
        return {
            "id": f"resp_{rng.getrandbits(160):040x}",
            "object": "response",
            "created_at": now,
            "completed_at": None if cut else now,
            "status": "incomplete" if cut else "completed",
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "max_tool_calls": None,
            "metadata": body.get("metadata") or {},
            "model": model,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "prompt_cache_key": body.get("prompt_cache_key"),
            "reasoning": {"effort": effort, "summary": None},
            "safety_identifier": body.get("safety_identifier"),
            "service_tier": "default",
            "store": body.get("store", True),
            "temperature": 1.0,
            "text": {"format": form, "verbosity": "medium"},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": 0,
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": usage,
        }

    # ------------------------------------------------------------------------------------------------ pictures
    def _draw(self, body: dict[str, Any], rng: Random) -> tuple[dict[str, Any], str, int, dict[str, Any]]:
        from affiliate_empire.sandbox.painter import paint

        _known(body, _IMAGE_PARAMETERS)
        model = self._model({"model": "dall-e-2", **body}, prices.IMAGE)
        price = prices.IMAGE[model]
        prompt = body.get("prompt")
        if not isinstance(prompt, str) or not prompt.strip():
            raise _Refused(
                400, "Missing required parameter: 'prompt'.", param="prompt", code="missing_required_parameter"
            )
        if len(prompt) > 32_000:
            raise _Refused(400, "Invalid 'prompt': string too long.", param="prompt", code="string_above_max_length")
        if body.get("stream"):
            raise _Refused(400, "Unsupported parameter: 'stream'.", param="stream", code="unsupported_parameter")
        width, height = _size(body.get("size") or "auto")
        quality = _choice(body, "quality", "auto", ("auto", *price.oblong))
        quality = "medium" if quality == "auto" else quality
        file_format = _choice(body, "output_format", "png", ("png", "jpeg", "webp"))
        background = _choice(body, "background", "auto", ("auto", "opaque", "transparent"))
        _choice(body, "moderation", "auto", ("auto", "low"))
        count = body.get("n") or 1
        if not isinstance(count, int) or not 1 <= count <= 10:
            raise _Refused(400, f"Invalid 'n': expected 1 to 10, but got {count}.", param="n", code="invalid_value")
        if _UNSAFE.search(prompt):
            raise _Refused(
                400,
                "Your request was rejected by the safety system.",
                code="moderation_blocked",
                kind="image_generation_user_error",
            )
        pictures = [paint(prompt, width, height, rng, file_format=file_format) for _ in range(count)]
        tokens_in = tokens(prompt)
        tokens_out = price.tokens(width, height, quality) * count
        micros = prices.image_micros(model, text_tokens=tokens_in, output_tokens=tokens_out)
        reply = {
            "created": int(self.world.now().timestamp()),
            "background": "opaque" if background == "auto" else background,
            "output_format": file_format,
            "quality": quality,
            "size": f"{width}x{height}",
            "data": [{"b64_json": base64.b64encode(data).decode()} for data in pictures],
            "usage": {
                "input_tokens": tokens_in,
                "input_tokens_details": {"text_tokens": tokens_in, "image_tokens": 0},
                "output_tokens": tokens_out,
                "output_tokens_details": {"text_tokens": 0, "image_tokens": tokens_out},
                "total_tokens": tokens_in + tokens_out,
            },
        }
        return reply, "images", micros, {"model": model, "size": f"{width}x{height}", "quality": quality, "n": count}

    # ------------------------------------------------------------------------------------------------ moderation
    def _judge(self, body: dict[str, Any], rng: Random) -> tuple[dict[str, Any], str, int, dict[str, Any]]:
        _known(body, frozenset(("input", "model")))
        model = body.get("model") or _MODERATION_MODELS[0]
        if model not in _MODERATION_MODELS:
            raise _Refused(404, f"The model '{model}' does not exist.", param="model", code="model_not_found")
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts:
            raise _Refused(
                400, "Missing required parameter: 'input'.", param="input", code="missing_required_parameter"
            )
        for number, text in enumerate(texts):
            if not isinstance(text, str) or not text:
                raise _Refused(
                    400,
                    f"Invalid 'input[{number}]': this world judges texts.",
                    param=f"input[{number}]",
                    code="invalid_value",
                )
        results = [_verdict(text, rng) for text in texts]
        return {"id": f"modr-{rng.getrandbits(64):016x}", "model": _MODERATION_MODELS[1], "results": results}, "", 0, {}


def _verdict(text: str, rng: Random) -> dict[str, Any]:
    found = {
        category: re.search(rf"\b(?:{words})\b", text, re.IGNORECASE) is not None
        for category, words in _FLAGGED.items()
    }
    return {
        "flagged": any(found.values()),
        "categories": found,
        "category_scores": {
            name: rng.uniform(0.7, 0.99) if hit else rng.uniform(0, 0.02) for name, hit in found.items()
        },
        "category_applied_input_types": {name: ["text"] for name in found},
    }


# ---------------------------------------------------------------------------------------------------- checks
def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _Refused(400, "We could not parse the JSON body of your request.")
    return body


def _known(body: dict[str, Any], allowed: frozenset[str]) -> None:
    for name in body:
        if name not in allowed:
            raise _Refused(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def _choice(body: dict[str, Any], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = body.get(name)
    if value is None:
        return default
    if value not in allowed:
        supported = ", ".join(f"'{option}'" for option in allowed)
        raise _Refused(
            400,
            f"Invalid value: '{value}'. Supported values are: {supported}.",
            param=name,
            code="invalid_value",
        )
    return str(value)


def _size(text: Any) -> tuple[int, int]:
    """Width and height; both divisible by 16, at most 3:1, at most 3840 × 2160 in either direction."""
    if text == "auto":
        return 1024, 1536
    match = _SIZE.match(text) if isinstance(text, str) else None
    if match is None:
        raise _Refused(400, f"Invalid size '{text}'. Expected WIDTHxHEIGHT.", param="size", code="invalid_value")
    width, height = int(match[1]), int(match[2])
    long, short = max(width, height), min(width, height)
    if width % 16 or height % 16:
        raise _Refused(
            400, f"Invalid size '{text}'. Width and height must be divisible by 16.", param="size", code="invalid_value"
        )
    if long > 3 * short:
        raise _Refused(
            400, f"Invalid size '{text}'. The aspect ratio must be at most 3:1.", param="size", code="invalid_value"
        )
    if long > 3840 or short > 2160 or short < 256:
        raise _Refused(
            400, f"Invalid size '{text}'. Sizes go from 256 to 3840x2160.", param="size", code="invalid_value"
        )
    return width, height


def _prompt(body: dict[str, Any]) -> str:
    """The whole text that the model reads: instructions, then each message."""
    texts = [str(body["instructions"])] if body.get("instructions") else []
    messages = body.get("input")
    if isinstance(messages, str) and messages:
        texts.append(messages)
    elif isinstance(messages, list) and messages:
        for number, message in enumerate(messages):
            where = f"input[{number}]"
            if not isinstance(message, dict) or message.get("role") not in ("system", "developer", "user", "assistant"):
                raise _Refused(400, f"Invalid value for '{where}.role'.", param=f"{where}.role", code="invalid_value")
            content = message.get("content")
            if isinstance(content, str):
                texts.append(content)
                continue
            for part in content if isinstance(content, list) else [None]:
                if not isinstance(part, dict) or part.get("type") not in ("input_text", "output_text"):
                    raise _Refused(
                        400, f"Invalid value for '{where}.content'.", param=f"{where}.content", code="invalid_value"
                    )
                texts.append(str(part.get("text", "")))
    else:
        raise _Refused(400, "Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    return "\n\n".join(texts)


def _format(body: dict[str, Any]) -> dict[str, Any]:
    """The answer's form, checked: a strict JSON schema has to be one."""
    form = (body.get("text") or {}).get("format") or {"type": "text"}
    if form.get("type") == "text":
        return {"type": "text"}
    if form.get("type") != "json_schema":
        raise _Refused(400, f"Invalid value: '{form.get('type')}'.", param="text.format.type", code="invalid_value")
    if unknown := set(form) - {"type", "name", "schema", "strict", "description"}:
        name = sorted(unknown)[0]
        raise _Refused(
            400, f"Unknown parameter: 'text.format.{name}'.", param=f"text.format.{name}", code="unknown_parameter"
        )
    name, schema = form.get("name"), form.get("schema")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise _Refused(
            400, "Missing or invalid 'text.format.name'.", param="text.format.name", code="missing_required_parameter"
        )
    if not isinstance(schema, dict):
        raise _Refused(
            400, "Missing 'text.format.schema'.", param="text.format.schema", code="missing_required_parameter"
        )
    if form.get("strict"):
        problem = strict_problem(schema)
        if schema.get("type") != "object":
            problem = (), "schema must be a JSON Schema of 'type: \"object\"'"
        if problem is not None:
            raise _schema_refused(name, *problem)
    return {"type": "json_schema", "name": name, "schema": schema, "strict": bool(form.get("strict"))} | (
        {"description": form["description"]} if form.get("description") else {}
    )


def _schema_refused(name: str, path: tuple[str, ...], reason: str) -> _Refused:
    where = ", ".join(f"'{step}'" for step in path)
    return _Refused(
        400,
        f"Invalid schema for response_format '{name}': In context=({where}), {reason}.",
        param="text.format.schema",
        code="invalid_json_schema",
    )
