"""ElevenLabs: ``/elevenlabs/v1/text-to-speech`` with timestamps, as strict as the vendor.

Checks what arrives (key, voice, model, text length, format), has the voice speak, charges by character, and answers in
the vendor's form. The act and its charge are committed before the reply.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import time
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from affiliate_empire.sandbox import keys, prices

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from affiliate_empire.sandbox.world import World

VOICES = {"pNInz6obpgDQGcFmaJgB": "Adam", "21m00Tcm4TlvDq8ikWAM": "Rachel"}
_PARAMETERS = frozenset(
    [
        "text",
        "model_id",
        "language_code",
        "voice_settings",
        "pronunciation_dictionary_locators",
        "seed",
        "previous_text",
        "next_text",
        "previous_request_ids",
        "next_request_ids",
        "use_pvc_as_ivc",
        "apply_text_normalization",
        "apply_language_text_normalization",
        "audio_effects",
    ]
)
_QUERY = frozenset(("output_format", "enable_logging", "optimize_streaming_latency"))
# The vendor's formats that this world can make; opus, wav, μ-law and A-law are refused as a plan's limit would be.
_FORMATS = re.compile(
    r"^(?P<codec>mp3|pcm)_(?P<rate>22050|24000|44100|16000|8000|32000|48000)(?:_(?P<kbits>32|48|64|96|128|192))?$"
)
_SETTINGS = {"stability": (0, 1), "similarity_boost": (0, 1), "style": (0, 1), "speed": (0.7, 1.2)}
_CONCURRENT = 10  # of the Pro plan
_QUEUE = 20  # waiting beyond those; more are turned away


class _Refused(Exception):
    """An error reply in the vendor's form."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(str(detail))
        self.status = status
        self.body = {"detail": detail}

    @classmethod
    def of(cls, status: int, code: str, message: str) -> _Refused:
        return cls(status, {"status": code, "message": message})

    @classmethod
    def invalid(cls, field: str, message: str, kind: str = "value_error") -> _Refused:
        return cls(422, [{"type": kind, "loc": ["body", field], "msg": message}])


def routes(world: World) -> list[BaseRoute]:
    """The vendor's routes."""
    vendor = _Vendor(world)
    return [
        Route("/elevenlabs/v1/text-to-speech/{voice_id}/with-timestamps", vendor.with_timestamps, methods=["POST"]),
        Route("/elevenlabs/{path:path}", vendor.unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


class _Vendor:
    def __init__(self, world: World) -> None:
        self.world = world
        self.speaking = 0

    async def unknown(self, request: Request) -> Response:
        return JSONResponse({"detail": "Not Found"}, 404)

    async def with_timestamps(self, request: Request) -> Response:
        if self.speaking >= _CONCURRENT + _QUEUE:
            busy = _Refused.of(429, "too_many_concurrent_requests", "Too many concurrent requests for your plan.")
            return JSONResponse(busy.body, busy.status, self._load())
        self.speaking += 1
        try:
            return await self._speak(request)
        except _Refused as refused:
            return JSONResponse(refused.body, refused.status, self._load())
        finally:
            self.speaking -= 1

    async def _speak(self, request: Request) -> Response:
        from affiliate_empire.sandbox.speech import speak

        began = time.perf_counter()
        self._authorize(request)
        voice = request.path_params["voice_id"]
        if voice not in VOICES:
            raise _Refused.of(404, "voice_not_found", f"A voice with the voice_id {voice} was not found.")
        output = _output(request)
        raw = await request.body()
        body = _parsed(raw)
        text, model, speed = _checked(body)
        seed = body.get("seed")
        if seed is None:
            seed = int.from_bytes(hashlib.sha256(raw).digest()[:4])
        spoken = await to_thread.run_sync(lambda: speak(text, seed=seed % 2**32, speed=speed, output=output))
        credits = math.ceil(len(text) * prices.SPEECH[model][0])
        request_id = self.world.rng("elevenlabs", hashlib.sha256(raw).hexdigest(), self._count()).randbytes(12).hex()
        self.world.charge(
            "elevenlabs",
            "text-to-speech",
            prices.speech_micros(credits),
            request_id,
            {"model": model, "voice": voice, "characters": len(text), "credits": credits},
        )
        alignment = {
            "characters": list(text),
            "character_start_times_seconds": spoken.starts,
            "character_end_times_seconds": spoken.ends,
        }
        reply = {
            "audio_base64": base64.b64encode(spoken.audio).decode(),
            "alignment": alignment,
            "normalized_alignment": alignment,
        }
        headers = {
            **self._load(),
            "character-cost": str(credits),
            "request-id": request_id,
            "history-item-id": request_id[::-1],
            "tts-latency-ms": str(int((time.perf_counter() - began) * 1000)),
        }
        return JSONResponse(reply, headers=headers)

    def _load(self) -> dict[str, str]:
        return {
            "current-concurrent-requests": str(self.speaking),
            "maximum-concurrent-requests": str(_CONCURRENT),
        }

    def _count(self) -> int:
        row = self.world.store.one("SELECT count(*) AS charged FROM charges WHERE vendor = 'elevenlabs'")
        return int(row["charged"]) if row else 0

    def _authorize(self, request: Request) -> None:
        key = request.headers.get("xi-api-key")
        if not key:
            raise _Refused.of(401, "needs_authorization", "Neither authorization header nor xi-api-key received.")
        if key != keys.ELEVENLABS:
            raise _Refused.of(401, "invalid_api_key", "Invalid API key")


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _Refused.invalid("body", "Input should be a valid JSON object", "json_invalid")
    return body


def _output(request: Request) -> tuple[str, int, int]:
    for name in request.query_params:
        if name not in _QUERY:
            raise _Refused(422, [{"type": "extra_forbidden", "loc": ["query", name], "msg": "Unknown query parameter"}])
    wanted = request.query_params.get("output_format", "mp3_44100_128")
    match = _FORMATS.match(wanted)
    if match is None or (match["codec"] == "mp3") != bool(match["kbits"]):
        raise _Refused.of(400, "invalid_output_format", f"The output format {wanted} is not available.")
    return match["codec"], int(match["rate"]), int(match["kbits"] or 0)


def _checked(body: dict[str, Any]) -> tuple[str, str, float]:
    """Text, model and speed of a request; raises where the vendor would."""
    for name in body:
        if name not in _PARAMETERS:
            raise _Refused.invalid(name, "Extra inputs are not permitted", "extra_forbidden")
    text = body.get("text")
    if not isinstance(text, str):
        raise _Refused.invalid("text", "Field required", "missing")
    if not text.strip():
        raise _Refused.of(400, "input_text_empty", "Text is empty.")
    model = body.get("model_id") or "eleven_multilingual_v2"
    if model not in prices.SPEECH:
        raise _Refused.of(400, "model_not_found", f"A model with model ID {model} does not exist.")
    longest = prices.SPEECH[model][1]
    if len(text) > longest:
        raise _Refused.of(
            400, "max_character_limit_exceeded", f"This request has {len(text)} characters; {model} takes {longest}."
        )
    seed = body.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= 4_294_967_295):
        raise _Refused.invalid("seed", "Input should be between 0 and 4294967295", "int_range")
    settings = body.get("voice_settings") or {}
    for name, value in settings.items():
        if name == "use_speaker_boost":
            continue
        low, high = _SETTINGS.get(name, (None, None))
        if low is None or high is None:
            raise _Refused.invalid(f"voice_settings.{name}", "Extra inputs are not permitted", "extra_forbidden")
        if value is not None and not low <= value <= high:
            raise _Refused.invalid(f"voice_settings.{name}", f"Input should be between {low} and {high}", "range")
    return text, model, float(settings.get("speed") or 1.0)
