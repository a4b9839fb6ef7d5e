"""ElevenLabs: a text spoken by a voice, with the time of every character, through the official SDK.

One request per call (``max_retries`` is 0): a repeated call is a second charge. The SDK neither checks what it received
nor wraps network failures, so both are done here: every failure leaves as an error of
``affiliate_empire.vendors.errors``.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import ValidationError

from affiliate_empire.policy import Policy, load_policy
from affiliate_empire.vendors.errors import (
    CredentialsRejected,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.http import checked_key, open_http, transport_failure

if TYPE_CHECKING:
    from elevenlabs import ElevenLabs

_VENDOR = "elevenlabs"
_KEY_HINT = "put a valid key in EMPIRE_ELEVENLABS_API_KEY"
_OUTPUT_FORMAT = "mp3_44100_128"


@dataclass(frozen=True)
class Speech:
    """Spoken text. ``starts`` and ``ends`` are seconds from the file's beginning, a pair per character of the text."""

    audio: bytes
    media_type: str
    characters: list[str]
    starts: list[float]
    ends: list[float]
    characters_charged: int
    cost_micros: int
    request_id: str


class ElevenLabsClient:
    """Client for one workspace. Safe to share between threads.

    Args:
        base_url: without ``/v1``.
        api_key: gives the workspace's key; asked at the first call.
        timeout: seconds without an answer after which a reply counts as lost.
        policy: prices; the policy in force when left out.
    """

    def __init__(
        self, base_url: str, api_key: Callable[[], str], timeout: float = 120.0, policy: Policy | None = None
    ) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._timeout = timeout
        self._policy = policy or load_policy()
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._sdk: ElevenLabs | None = None

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._http is not None:
                self._http.close()
            self._http = self._sdk = None

    def speak(self, *, text: str, voice_id: str, model: str, seed: int) -> Speech:
        """Have a text spoken.

        Raises:
            VendorRefused: key, credit, voice, model or text is not accepted.
            VendorUnavailable: too many at once, or out of reach; nothing was charged.
            ReplyLost: the reply never came or cannot be read; it may have been charged.
        """
        from elevenlabs.core import ApiError
        from elevenlabs.types import AudioWithTimestampsResponse

        sdk = self._connected()
        try:
            response = sdk.text_to_speech.with_raw_response.convert_with_timestamps(
                voice_id,
                text=text,
                model_id=model,
                output_format=_OUTPUT_FORMAT,
                seed=seed,
                request_options={"max_retries": 0, "timeout_in_seconds": int(max(1, self._timeout))},
            )
        except ApiError as error:
            raise _refused_or_unavailable(error, voice_id, model) from error
        except httpx.TransportError as error:
            raise transport_failure(error, vendor=_VENDOR, name="ElevenLabs") from error
        except (TypeError, ValueError) as error:  # the SDK trips over a reply that is JSON but no object
            raise _unreadable(type(error).__name__) from error
        headers = response.headers
        request_id = headers.get("request-id", "")
        try:
            # The SDK's own object is built without checks: a reply of {"nope": 1} would pass.
            reply = AudioWithTimestampsResponse.model_validate(response.data.model_dump(by_alias=True))
            audio = base64.b64decode(reply.audio_base_64, validate=True)
            charged = int(headers.get("character-cost", len(text)))
        except (ValidationError, binascii.Error, ValueError, AttributeError) as error:
            raise _unreadable(request_id) from error
        alignment = reply.alignment
        if not audio or alignment is None or "".join(alignment.characters) != text:
            raise VendorRefused(
                f"ElevenLabs spoke the text but sent no timing for it; request {request_id}.",
                vendor=_VENDOR,
                code="no_alignment",
                cost_micros=self._policy.speech_cost_micros(model, charged),
                request_id=request_id,
            )
        return Speech(
            audio=audio,
            media_type="audio/mpeg",
            characters=list(alignment.characters),
            starts=list(alignment.character_start_times_seconds),
            ends=list(alignment.character_end_times_seconds),
            characters_charged=charged,
            cost_micros=self._policy.speech_cost_micros(model, charged),
            request_id=request_id,
        )

    def _connected(self) -> ElevenLabs:
        """The SDK's client; made at first use because importing it takes a second."""
        from elevenlabs import ElevenLabs

        with self._lock:
            if self._sdk is None:
                key = checked_key(self._api_key, vendor=_VENDOR, name="ElevenLabs", hint=_KEY_HINT)
                self._http = open_http(self._base_url, timeout=self._timeout)
                self._sdk = ElevenLabs(
                    base_url=self._base_url, api_key=key, timeout=self._timeout, httpx_client=self._http
                )
            return self._sdk


def _unreadable(detail: str) -> ReplyLost:
    return ReplyLost(
        f"ElevenLabs' reply cannot be read ({detail or 'no request id'}); it is booked at its highest cost and "
        "may be repeated once.",
        vendor=_VENDOR,
        code="unreadable",
    )


def _refused_or_unavailable(error: Any, voice_id: str, model: str) -> VendorError:
    """The error for an HTTP status, by status and ``detail.status``."""
    status = int(error.status_code or 0)
    detail = error.body.get("detail") if isinstance(error.body, dict) else None
    code, said = str(status), ""
    if isinstance(detail, dict):
        code, said = str(detail.get("status") or status), str(detail.get("message") or "").rstrip(".")
    elif isinstance(detail, list) and detail:
        said = "; ".join(str(item.get("msg", item)) if isinstance(item, dict) else str(item) for item in detail)
    if status < 300:
        return _unreadable(f"status {status}")
    if code == "quota_exceeded":  # documented under 400 and 401, so it is looked at before the status
        return VendorRefused(
            "ElevenLabs' character credit is used up: raise the plan or wait for the next period.",
            vendor=_VENDOR,
            code=code,
        )
    if status == 401:
        return CredentialsRejected(f"ElevenLabs does not accept the key: {_KEY_HINT}.", vendor=_VENDOR, code=code)
    if status == 429 or code in ("too_many_concurrent_requests", "system_busy"):
        wait = _retry_after(error.headers or {})
        when = f"in {wait:.0f} s" if wait is not None else "later"
        return VendorUnavailable(
            f"ElevenLabs is busy ({code}); it may be tried again {when}.", vendor=_VENDOR, code=code, retry_after=wait
        )
    if status in (500, 503) and said:
        # The API itself says that it failed, so nothing was spoken; a gateway's bare 5xx proves nothing.
        return VendorUnavailable(f"ElevenLabs failed on its side ({code}); run again later.", vendor=_VENDOR, code=code)
    if status >= 500 or status in (408, 409):
        return ReplyLost(
            f"ElevenLabs answered {status} without saying what became of the call; it is booked at its highest cost "
            "and may be repeated once.",
            vendor=_VENDOR,
            code=code,
        )
    if code in ("voice_not_found", "model_not_found", "invalid_model_id") or status == 404:
        return VendorRefused(
            f"ElevenLabs does not know the voice {voice_id} or the model {model}: choose others in policy/models.toml.",
            vendor=_VENDOR,
            code=code,
        )
    return VendorRefused(
        f"ElevenLabs refused the request ({code}): {said or 'no reason given'}.", vendor=_VENDOR, code=code
    )


def _retry_after(headers: dict[str, str]) -> float | None:
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None
