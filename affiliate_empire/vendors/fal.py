"""fal: Pika's video models through fal's queue, by a thin client of ours.

The vendor's own SDK repeats the paid submit on time-outs and knows no other address; here a submit is one request, its
id is what everything hangs on, and polling is the caller's. Status and result lie under the application's path, without
the endpoint's (``fal-ai/pika/requests/…``). Nothing here retries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from affiliate_empire.policy import Policy, load_policy
from affiliate_empire.vendors.clips import Clip, JobStatus, as_data_uri, fetch_file
from affiliate_empire.vendors.errors import (
    ContentRefused,
    CredentialsRejected,
    QuotaExhausted,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.http import checked_key, open_http, retry_after, transport_failure

_VENDOR = "fal"
_APPLICATION = "fal-ai/pika"
_KEY_HINT = "put a valid key (id:secret) in EMPIRE_FAL_API_KEY"


class FalClient:
    """Pika on one account of fal. Safe to share between threads.

    Args:
        base_url: the queue, ``https://queue.fal.run``.
        api_key: gives the account's key, ``id:secret``; asked at the first call.
        timeout: seconds without an answer after which a reply counts as lost.
        policy: prices, since a reply names none; the policy in force when left out.
    """

    vendor = _VENDOR
    job_page = "fal.ai/dashboard, requests of fal-ai/pika"

    def __init__(
        self, base_url: str, api_key: Callable[[], str], timeout: float = 60.0, policy: Policy | None = None
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout
        self._policy = policy or load_policy()
        self._http = open_http(base_url, timeout=timeout)

    def close(self) -> None:
        self._http.close()

    def require_key(self) -> None:
        self._authorization()

    def submit(self, *, model: str, prompt: str, picture: bytes, seconds: int, resolution: str) -> str:
        asked = {
            "prompt": prompt,
            "image_url": as_data_uri(picture),
            "duration": seconds,
            "resolution": resolution,
        }
        reply = self._call("POST", model, json=asked)
        request_id = reply.get("request_id")
        if not isinstance(request_id, str) or not request_id:
            raise _unreadable()
        return request_id

    def fetch_status(self, job_id: str) -> JobStatus:
        reply = self._call("GET", f"{_APPLICATION}/requests/{job_id}/status", params={"logs": "false"})
        status = reply.get("status")
        if status in ("IN_QUEUE", "IN_PROGRESS"):
            return JobStatus(ended=False)
        if status != "COMPLETED":
            raise _unreadable()
        if not reply.get("error"):
            return JobStatus(ended=True)
        code = str(reply.get("error_type") or "failed")
        return JobStatus(ended=True, error=_failed(job_id, code, str(reply["error"])))

    def fetch_clip(self, job_id: str, *, model: str) -> Clip:
        try:
            reply = self._call("GET", f"{_APPLICATION}/requests/{job_id}")
        except VendorRefused as error:
            if error.code in ("401", "403", "404"):
                raise
            raise _failed(job_id, error.code or "failed", str(error)) from error
        video = reply.get("video")
        url = video.get("url") if isinstance(video, dict) else None
        if not isinstance(url, str):
            raise _unreadable()
        cost = self._policy.clip_cost_micros(model)
        return fetch_file(url, cost_micros=cost, timeout=self._timeout, vendor=_VENDOR, name="Pika")

    # ------------------------------------------------------------------ plumbing
    def _authorization(self) -> str:
        return "Key " + checked_key(self._api_key, vendor=_VENDOR, name="fal", hint=_KEY_HINT)

    def _call(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        headers = {"Authorization": self._authorization()}
        try:
            response = self._http.request(method, f"{self._base_url}/{path}", headers=headers, **sent)
        except httpx.TransportError as error:
            raise transport_failure(error, vendor=_VENDOR, name="fal") from error
        if response.status_code >= 300:
            raise _error(response)
        try:
            reply = response.json()
        except ValueError as error:
            raise _unreadable() from error
        if not isinstance(reply, dict):
            raise _unreadable()
        return reply


def _unreadable() -> ReplyLost:
    return ReplyLost("fal's answer cannot be read; run again later.", vendor=_VENDOR, code="unreadable")


def _failed(job_id: str, code: str, said: str) -> ContentRefused:
    """A job that ended without a clip. fal charges Pika by the clip, so there is nothing to pay."""
    return ContentRefused(
        f"Pika made no clip ({code}): {said.rstrip('.')}. Change the scene's visual.",
        vendor=_VENDOR,
        code=code,
        request_id=job_id,
    )


def _error(response: httpx.Response) -> VendorError:
    """The one place that decides what a status of fal's means."""
    status = response.status_code
    kinds, said = _detail(response)
    code = kinds[0] if kinds else str(status)
    if status == 429:
        return VendorUnavailable(
            "fal takes no more requests just now (429); try again later.",
            vendor=_VENDOR,
            code="429",
            retry_after=retry_after(response),
        )
    if status in (502, 503) and "nginx" in response.text and "x-fal-request-id" not in response.headers:
        # Turned away at the door, before the queue: the vendor's own client repeats a submit on this sign alone.
        return VendorUnavailable(f"fal is out of order ({status}); run again later.", vendor=_VENDOR, code=str(status))
    if status >= 500 or status < 400 or status in (408, 409):
        return ReplyLost(
            f"fal answered {status} without saying what became of the request; look at it before asking again.",
            vendor=_VENDOR,
            code=str(status),
        )
    if status == 401:
        return CredentialsRejected(f"fal does not accept the key: {_KEY_HINT}.", vendor=_VENDOR, code="401")
    if status in (402, 403) and any(word in said.lower() for word in ("balance", "billing")):
        return QuotaExhausted(
            "fal's balance is used up: top it up at fal.ai/dashboard/billing.", vendor=_VENDOR, code="403"
        )
    if status == 403:
        return VendorRefused(
            f"fal does not let this key do that ({said or 'no reason given'}): see fal.ai/dashboard, keys and account.",
            vendor=_VENDOR,
            code="403",
        )
    if status == 404:
        return VendorRefused(
            "fal knows no such model or request: choose another model in policy/models.toml.",
            vendor=_VENDOR,
            code="404",
        )
    if "content_policy_violation" in kinds:
        return ContentRefused(
            f"Pika's policy forbids this clip: {said}. Change the scene's visual.",
            vendor=_VENDOR,
            code="content_policy_violation",
        )
    return VendorRefused(f"fal refused the request ({code}): {said or 'no reason given'}.", vendor=_VENDOR, code=code)


def _detail(response: httpx.Response) -> tuple[list[str], str]:
    """Types and text of ``detail``: a sentence, or a list of what is wrong with the input."""
    try:
        body = response.json()
    except ValueError:
        return [], ""
    detail = body.get("detail") if isinstance(body, dict) else None
    if isinstance(detail, str):
        return [], detail.rstrip(".")
    entries = [entry for entry in detail if isinstance(entry, dict)] if isinstance(detail, list) else []
    kinds = [str(entry.get("type") or "invalid") for entry in entries]
    return kinds, "; ".join(str(entry.get("msg", "")).rstrip(".") for entry in entries)
