"""OpenAI: text as JSON by the Responses API, pictures by the Images API, moderation, through the official SDK.

One request per call: the SDK's own retries are off, because it would retry ``insufficient_quota`` and could pay twice
for a lost reply. ``responses.create`` is used and not ``responses.parse``, which throws away usage and request id when
an answer is truncated. Every failure leaves as an error of ``affiliate_empire.vendors.errors``, with its cost.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from affiliate_empire.policy import Policy, load_policy
from affiliate_empire.vendors.completion import Completion, TokenUsage, read_document
from affiliate_empire.vendors.errors import (
    CredentialsRejected,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.http import checked_key, connection_failure, is_loopback

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

_VENDOR = "openai"
_CONNECT_SECONDS = 5.0
_KEY_HINT = "put a valid key of your project in EMPIRE_OPENAI_API_KEY"
_MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"RIFF": "image/webp"}

Effort = Literal["none", "minimal", "low", "medium", "high"]
Quality = Literal["low", "medium", "high"]
ImageFormat = Literal["jpeg", "png", "webp"]

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class GeneratedImage:
    """A picture: ``data`` is a complete file of ``media_type``."""

    data: bytes
    media_type: str
    usage: TokenUsage
    cost_micros: int
    request_id: str


@dataclass(frozen=True)
class Moderation:
    """What the moderation says of one text. ``categories`` are those it was flagged for, as the vendor names them."""

    flagged: bool
    categories: list[str]


class OpenAIClient:
    """Client for one project. Safe to share between threads.

    Args:
        base_url: with its ``/v1``.
        api_key: gives the project's key; asked at the first call.
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
        self._sdk: OpenAI | None = None

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._sdk is not None:
                self._sdk.close()
                self._sdk = None

    def write_json(
        self,
        *,
        model: str,
        system: str,
        user: str,
        schema: dict[str, Any],
        schema_name: str,
        max_output_tokens: int,
        effort: Effort = "low",
    ) -> Completion:
        """Ask a model for one document that fits a strict JSON schema.

        ``max_output_tokens`` holds the reasoning too. Raises ``VendorRefused`` with ``cost_micros`` and the code
        ``refusal``, ``max_output_tokens``, ``content_filter`` or ``invalid_json`` when tokens were made for nothing.
        """

        def send(sdk: OpenAI) -> Any:
            return sdk.responses.with_raw_response.create(
                model=model,
                input=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                max_output_tokens=max_output_tokens,
                reasoning={"effort": effort},
                store=False,
                text={"format": {"type": "json_schema", "name": schema_name, "schema": schema, "strict": True}},
            )

        from openai.types.responses import Response

        request_id, response = self._exchange(send, Response, f"the model {model}")
        usage = _token_usage(response.usage)
        cost = self._text_cost(model, usage)
        if response.status == "failed" and response.error is not None:
            raise _failed(response.error.code, response.error.message, cost, request_id)
        if response.status == "incomplete":
            reason = (response.incomplete_details and response.incomplete_details.reason) or "incomplete"
            raise VendorRefused(
                f"OpenAI stopped before the {schema_name} was complete ({reason}); give it more output tokens or less "
                "to write.",
                vendor=_VENDOR,
                code=reason,
                cost_micros=cost,
                request_id=request_id,
            )
        if response.status != "completed":
            raise ReplyLost(
                f"OpenAI answered with the status {response.status} instead of a result; request {request_id}.",
                vendor=_VENDOR,
                code=str(response.status),
            )
        parts = [part for item in response.output if item.type == "message" for part in item.content]
        for part in parts:
            if part.type == "refusal":
                raise VendorRefused(
                    f"OpenAI's model declined to write the {schema_name}: {part.refusal}",
                    vendor=_VENDOR,
                    code="refusal",
                    cost_micros=cost,
                    request_id=request_id,
                )
        document = read_document("".join(part.text for part in parts if part.type == "output_text"))
        if document is None:
            raise VendorRefused(
                f"OpenAI's answer is no JSON object as the {schema_name} schema asks; request {request_id}.",
                vendor=_VENDOR,
                code="invalid_json",
                cost_micros=cost,
                request_id=request_id,
            )
        return Completion(document, usage, cost, request_id, str(response.model))

    def make_image(
        self, *, model: str, prompt: str, size: str, quality: Quality, output_format: ImageFormat = "jpeg"
    ) -> GeneratedImage:
        """Ask for one picture. ``size`` is ``WIDTHxHEIGHT`` in pixels, both divisible by 16."""

        def send(sdk: OpenAI) -> Any:
            return sdk.images.with_raw_response.generate(
                model=model,
                prompt=prompt,
                size=size,
                quality=quality,
                n=1,
                output_format=output_format,
                background="opaque",
                moderation="auto",
            )

        from openai.types import ImagesResponse

        request_id, response = self._exchange(send, ImagesResponse, f"the model {model}")
        if response.usage is None or not response.data or not response.data[0].b64_json:
            raise ReplyLost(
                f"OpenAI's image reply lacks its picture or its usage; request {request_id}.",
                vendor=_VENDOR,
                code="empty",
            )
        usage = TokenUsage(input=response.usage.input_tokens, output=response.usage.output_tokens)
        cost = self._policy.image_cost_micros(model, text_tokens=usage.input, output_tokens=usage.output)
        try:
            data = base64.b64decode(response.data[0].b64_json, validate=True)
        except binascii.Error:
            data = b""
        media_type = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
        if media_type is None:
            raise VendorRefused(
                f"OpenAI's picture is not a readable image file; request {request_id}.",
                vendor=_VENDOR,
                code="unreadable_image",
                cost_micros=cost,
                request_id=request_id,
            )
        return GeneratedImage(data, media_type, usage, cost, request_id)

    def moderate(self, texts: Sequence[str], *, model: str) -> list[Moderation]:
        """What the moderation says of each text, in their order. Free of charge.

        Raises:
            VendorUnavailable: it gave no verdict; that is never a pass.
            VendorRefused: key, model or input is not accepted.
        """
        from openai.types import ModerationCreateResponse

        def send(sdk: OpenAI) -> Any:
            return sdk.moderations.with_raw_response.create(model=model, input=list(texts))

        try:
            _, response = self._exchange(send, ModerationCreateResponse, f"the moderation model {model}")
        except ReplyLost as error:
            # Nothing is charged and nothing is changed by it, so it may be asked again without a thought.
            raise VendorUnavailable(
                f"OpenAI's moderation gave no readable verdict ({error.code}); run again later.",
                vendor=_VENDOR,
                code=error.code,
                retry_after=error.retry_after,
            ) from error
        if len(response.results) != len(texts):
            raise VendorUnavailable(
                f"OpenAI's moderation judged {len(response.results)} of {len(texts)} texts; run again later.",
                vendor=_VENDOR,
                code="incomplete",
            )
        verdicts = []
        for result in response.results:
            named = result.categories.model_dump(by_alias=True)
            verdicts.append(Moderation(result.flagged, sorted(name for name, is_so in named.items() if is_so is True)))
        return verdicts

    # ------------------------------------------------------------------ one exchange
    def _connected(self) -> OpenAI:
        """The SDK's client; made at first use because importing it takes a second."""
        import openai

        with self._lock:
            if self._sdk is None:
                self._sdk = openai.OpenAI(
                    base_url=self._base_url,
                    api_key=checked_key(self._api_key, vendor=_VENDOR, name="OpenAI", hint=_KEY_HINT),
                    max_retries=0,
                    timeout=openai.Timeout(self._timeout, connect=_CONNECT_SECONDS),
                    # A proxy from the environment must not be asked for an address of this machine.
                    http_client=openai.DefaultHttpxClient(trust_env=not is_loopback(self._base_url)),
                )
            return self._sdk

    def _exchange(self, send: Callable[[OpenAI], Any], expected: type[T], what: str) -> tuple[str, T]:
        """Sends once and reads the reply as ``expected``; gives the vendor's request id with it."""
        import openai

        sdk = self._connected()
        try:
            raw = send(sdk)
            request_id = str(raw.request_id or "")
            # The SDK builds models without checking them and returns an HTML page as a string.
            payload = json.loads(raw.http_response.content)
            return request_id, expected.model_validate(payload)
        except openai.APIStatusError as error:
            raise _refused_or_unavailable(error, what) from error
        except openai.APIConnectionError as error:
            raise connection_failure(error.__cause__ or error, vendor=_VENDOR, name="OpenAI") from error
        except (json.JSONDecodeError, UnicodeDecodeError, ValidationError, openai.APIResponseValidationError) as error:
            raise ReplyLost(
                "OpenAI's reply cannot be read (not the JSON its API promises); it is booked at its highest cost and "
                "may be repeated once.",
                vendor=_VENDOR,
                code="unreadable",
            ) from error

    def _text_cost(self, model: str, usage: TokenUsage) -> int:
        return self._policy.llm_cost_micros(
            model,
            input_tokens=usage.input,
            cached_tokens=usage.cached,
            cache_write_tokens=usage.cache_write,
            output_tokens=usage.output,
        )


def _token_usage(usage: Any) -> TokenUsage:
    if usage is None:
        return TokenUsage(0, 0)
    return TokenUsage(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cached=usage.input_tokens_details.cached_tokens,
        cache_write=usage.input_tokens_details.cache_write_tokens,
        reasoning=usage.output_tokens_details.reasoning_tokens,
    )


def _failed(code: str, message: str, cost_micros: int, request_id: str) -> VendorError:
    """A 200 whose response says ``failed``: transient on the vendor's side only if nothing was charged."""
    if code in ("server_error", "rate_limit_exceeded") and cost_micros == 0:
        return VendorUnavailable(f"OpenAI failed on its side ({code}); run again later.", vendor=_VENDOR, code=code)
    return VendorRefused(
        f"OpenAI failed the request for good ({code}): {message}",
        vendor=_VENDOR,
        code=code,
        cost_micros=cost_micros,
        request_id=request_id,
    )


def _refused_or_unavailable(error: APIStatusError, what: str) -> VendorError:
    """The error for an HTTP status, by status and the vendor's own code."""
    status = error.status_code
    code = str(error.code or status)
    said = str((error.body or {}).get("message", "") if isinstance(error.body, dict) else "").rstrip(".")
    if status == 401:
        return CredentialsRejected(f"OpenAI does not accept the key: {_KEY_HINT}.", vendor=_VENDOR, code=code)
    if status == 403:
        return VendorRefused(
            f"OpenAI does not let this project use {what}: allow it in the project's settings or {_KEY_HINT}.",
            vendor=_VENDOR,
            code=code,
        )
    if status == 404:
        return VendorRefused(
            f"OpenAI does not know {what} or has shut it down: choose another in policy/models.toml.",
            vendor=_VENDOR,
            code=code,
        )
    if status == 429 and (code == "insufficient_quota" or error.type == "insufficient_quota"):
        return VendorRefused(
            "OpenAI's credit or monthly limit is used up: add credit in the project's billing settings.",
            vendor=_VENDOR,
            code="insufficient_quota",
        )
    if status in (429, 503):
        wait = _retry_after(error)
        when = f"in {wait:.0f} s" if wait is not None else "later"
        return VendorUnavailable(
            f"OpenAI asks us to slow down ({code}); it may be tried again {when}.",
            vendor=_VENDOR,
            code=code,
            retry_after=wait,
        )
    if status == 500 and said:
        # The API itself says that it failed, so no answer was made; a gateway's bare 5xx proves nothing.
        return VendorUnavailable(
            f"OpenAI failed on its side ({code}); run again later.",
            vendor=_VENDOR,
            code=code,
            retry_after=_retry_after(error),
        )
    if status >= 500 or status in (408, 409):
        return ReplyLost(
            f"OpenAI answered {status} without saying what became of the call; it is booked at its highest cost and "
            "may be repeated once.",
            vendor=_VENDOR,
            code=code,
            retry_after=_retry_after(error),
        )
    return VendorRefused(
        f"OpenAI refused the request ({code}): {said or 'no reason given'}.", vendor=_VENDOR, code=code
    )


def _retry_after(error: APIStatusError) -> float | None:
    """Seconds that the vendor asks us to wait, if it says so."""
    for header, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(error.response.headers.get(header, "")) * scale)
        except ValueError:
            continue
    return None
