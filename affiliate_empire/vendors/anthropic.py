"""Anthropic: documents as JSON by the Messages API (version 2026-10-21), through the official SDK.

One request per call: the SDK's own retries are off, because it would retry a spend limit and could pay twice for a lost
reply. ``messages.create`` is used and not ``messages.parse``, which throws away usage and request id when an answer is
truncated; why the model stopped is read before what it wrote. Every failure leaves as an error of
``affiliate_empire.vendors.errors``, with its cost.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

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
    from anthropic import Anthropic, APIStatusError
    from anthropic.types import Message

_VENDOR = "anthropic"
_CONNECT_SECONDS = 5.0
_KEY_HINT = "put a valid key of your workspace in EMPIRE_ANTHROPIC_API_KEY"
# An overload lasts minutes; what the reply says about it is often nothing.
_OVERLOAD_SECONDS = 180.0
_SPEND_LIMITS = (
    "contract_spend_limit_reached",
    "enforced_spend_limit_reached",
    "linked_organization_billing_unavailable",
    "linked_organization_spend_limit_reached",
    "organization_on_hold",
)

Effort = Literal["low", "medium", "high"]


class AnthropicClient:
    """Client for one workspace; a ``DocumentWriter``. Safe to share between threads.

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
        self._sdk: Anthropic | None = None

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

        ``max_output_tokens`` holds the thinking too. Raises ``VendorRefused`` with ``cost_micros`` and the code
        ``refusal``, ``max_tokens`` (or another reason to stop) or ``invalid_json`` when tokens were made for nothing.
        """

        def send(sdk: Anthropic) -> Any:
            # The system text is not marked for the cache: ours are far shorter than what is cached at all.
            return sdk.messages.with_raw_response.create(
                model=model,
                max_tokens=max_output_tokens,
                system=system,
                messages=[{"role": "user", "content": user}],
                output_config={"effort": effort, "format": {"type": "json_schema", "schema": schema}},
            )

        request_id, message = self._exchange(send, model)
        usage = _token_usage(message)
        cost = self._policy.llm_cost_micros(
            model,
            input_tokens=usage.input,
            cached_tokens=usage.cached,
            cache_write_tokens=usage.cache_write,
            output_tokens=usage.output,
        )

        def refused(said: str, code: str) -> VendorRefused:
            return VendorRefused(said, vendor=_VENDOR, code=code, cost_micros=cost, request_id=request_id)

        if message.stop_reason == "refusal":
            why = message.stop_details.explanation if message.stop_details else None
            raise refused(
                f"Anthropic's model declined to write the {schema_name}: {why or 'it gave no reason'}", "refusal"
            )
        if message.stop_reason != "end_turn":
            raise refused(
                f"Anthropic's model stopped before the {schema_name} was complete ({message.stop_reason}); give it "
                "more output tokens or less to write.",
                str(message.stop_reason),
            )
        document = read_document("".join(block.text for block in message.content if block.type == "text"))
        if document is None:
            raise refused(
                f"Anthropic's answer is no JSON object as the {schema_name} schema asks; request {request_id}.",
                "invalid_json",
            )
        return Completion(document, usage, cost, request_id, str(message.model))

    # ------------------------------------------------------------------ one exchange
    def _connected(self) -> Anthropic:
        """The SDK's client; made at first use because importing it takes a second."""
        import anthropic

        with self._lock:
            if self._sdk is None:
                self._sdk = anthropic.Anthropic(
                    base_url=self._base_url,
                    api_key=checked_key(self._api_key, vendor=_VENDOR, name="Anthropic", hint=_KEY_HINT),
                    max_retries=0,
                    timeout=anthropic.Timeout(self._timeout, connect=_CONNECT_SECONDS),
                    # A proxy from the environment must not be asked for an address of this machine.
                    http_client=anthropic.DefaultHttpxClient(trust_env=not is_loopback(self._base_url)),
                )
            return self._sdk

    def _exchange(self, send: Callable[[Anthropic], Any], model: str) -> tuple[str, Message]:
        """Sends once and reads the reply; gives the vendor's request id with it."""
        import anthropic
        from anthropic.types import Message

        sdk = self._connected()
        try:
            raw = send(sdk)
            # The SDK builds models without checking them and returns an HTML page as a string.
            return str(raw.request_id or ""), Message.model_validate(json.loads(raw.http_response.content))
        except anthropic.APIStatusError as error:
            raise _refused_or_unavailable(error, model) from error
        except anthropic.APIConnectionError as error:
            raise connection_failure(error.__cause__ or error, vendor=_VENDOR, name="Anthropic") from error
        except (ValueError, ValidationError, anthropic.APIResponseValidationError) as error:
            raise ReplyLost(
                "Anthropic's reply cannot be read (not the JSON its API promises); it is booked at its highest cost "
                "and may be repeated once.",
                vendor=_VENDOR,
                code="unreadable",
            ) from error


def _token_usage(message: Message) -> TokenUsage:
    """The vendor counts what its cache gave and took beside the input, we count it within."""
    usage = message.usage
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return TokenUsage(
        input=usage.input_tokens + cached + written,
        output=usage.output_tokens,
        cached=cached,
        cache_write=written,
        reasoning=usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else 0,
    )


def _refused_or_unavailable(error: APIStatusError, model: str) -> VendorError:
    """The error for an HTTP status, by status and the vendor's own type and code."""
    status = error.status_code
    code = str(error.error_code or error.type or status)
    said = (error.api_message or "").rstrip(".")
    if code in _SPEND_LIMITS or status == 402:
        return VendorRefused(
            "Anthropic's credit or spend limit is used up: add credit or raise the limit in the console's billing "
            "settings.",
            vendor=_VENDOR,
            code=code,
        )
    if status == 529 or error.type == "overloaded_error":  # its type comes with other statuses, too
        wait = max(_OVERLOAD_SECONDS, _retry_after(error) or 0.0)
        return VendorUnavailable(
            f"Anthropic is overloaded; it may be tried again in {wait / 60:.0f} minutes.",
            vendor=_VENDOR,
            code=code,
            retry_after=wait,
        )
    if status == 401:
        return CredentialsRejected(f"Anthropic does not accept the key: {_KEY_HINT}.", vendor=_VENDOR, code=code)
    if status == 403:
        return VendorRefused(
            f"Anthropic does not let this workspace use the model {model}: allow it in the console or {_KEY_HINT}.",
            vendor=_VENDOR,
            code=code,
        )
    if status == 404:
        return VendorRefused(
            f"Anthropic does not know the model {model} or has retired it: choose another in policy/models.toml.",
            vendor=_VENDOR,
            code=code,
        )
    if status == 429 or (status in (500, 503) and said):
        # A 5xx that the API itself explains made no answer; a gateway's bare one proves nothing.
        wait_for = _retry_after(error)
        when = f"in {wait_for:.0f} s" if wait_for is not None else "later"
        return VendorUnavailable(
            f"Anthropic cannot answer now ({code}); it may be tried again {when}.",
            vendor=_VENDOR,
            code=code,
            retry_after=wait_for,
        )
    if status >= 500 or status in (408, 409):
        return ReplyLost(
            f"Anthropic answered {status} without saying what became of the call; it is booked at its highest cost and "
            "may be repeated once.",
            vendor=_VENDOR,
            code=code,
            retry_after=_retry_after(error),
        )
    return VendorRefused(
        f"Anthropic refused the request ({code}): {said or 'no reason given'}.", vendor=_VENDOR, code=code
    )


def _retry_after(error: APIStatusError) -> float | None:
    """Seconds that the vendor asks us to wait, if it says so."""
    try:
        return max(0.0, float(error.response.headers.get("retry-after", "")))
    except ValueError:
        return None
