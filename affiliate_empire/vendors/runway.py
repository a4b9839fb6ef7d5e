"""Runway: clips from a still, by a thin client of ours.

The vendor's SDK waits without end for a cancelled task and repeats the paid call; here a task is begun by one request,
its id is what everything hangs on, and polling is the caller's. ``cost.credits`` of a task is the bill. Nothing here
retries.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
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

_VENDOR = "runway"
_VERSION = "2024-11-06"
_KEY_HINT = "put a valid key in EMPIRE_RUNWAY_API_KEY"
_LONGEST_PROMPT = 1000  # UTF-16 units


class RunwayClient:
    """One organization's key. Safe to share between threads.

    Args:
        base_url: without ``/v1``.
        api_key: gives the organization's key; asked at the first call.
        timeout: seconds without an answer after which a reply counts as lost.
        policy: what a credit costs; the policy in force when left out.
    """

    vendor = _VENDOR
    job_page = "dev.runwayml.com, request history"

    def __init__(
        self, base_url: str, api_key: Callable[[], str], timeout: float = 60.0, policy: Policy | None = None
    ) -> None:
        self._base_url = f"{base_url.rstrip('/')}/v1"
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
            "model": model,
            "promptText": _shortened(prompt),
            "promptImage": as_data_uri(picture),
            "ratio": resolution,
            "duration": seconds,
        }
        task_id = self._call("POST", "image_to_video", json=asked).get("id")
        if not isinstance(task_id, str) or not task_id:
            raise _unreadable()
        return task_id

    def fetch_status(self, job_id: str) -> JobStatus:
        task = self._call("GET", f"tasks/{job_id}")
        status = task.get("status")
        if status in ("PENDING", "THROTTLED", "RUNNING"):
            return JobStatus(ended=False)
        if status == "SUCCEEDED":
            return JobStatus(ended=True)
        if status not in ("FAILED", "CANCELLED"):
            raise _unreadable()
        code = str(task.get("failureCode") or status)
        error = ContentRefused(
            f"Runway made no clip ({code}): {str(task.get('failure') or 'no reason given').rstrip('.')}. "
            "Change the scene's visual.",
            vendor=_VENDOR,
            code=code,
            cost_micros=self._cost_micros(task),
            request_id=job_id,
        )
        return JobStatus(ended=True, error=error)

    def fetch_clip(self, job_id: str, *, model: str) -> Clip:
        # Asked anew: the address of a finished clip expires within a day, and each answer carries a fresh one.
        task = self._call("GET", f"tasks/{job_id}")
        output = task.get("output")
        url = output[0] if isinstance(output, list) and output else None
        if not isinstance(url, str):
            raise _unreadable()
        cost = self._cost_micros(task)
        return fetch_file(url, cost_micros=cost, timeout=self._timeout, vendor=_VENDOR, name="Runway")

    # ------------------------------------------------------------------ plumbing
    def _cost_micros(self, task: dict[str, Any]) -> int:
        cost = task.get("cost")
        credits = cost.get("credits") if isinstance(cost, dict) else None
        if not isinstance(credits, int | float):
            raise _unreadable()
        return self._policy.credits_cost_micros(_VENDOR, Decimal(str(credits)))

    def _authorization(self) -> str:
        return "Bearer " + checked_key(self._api_key, vendor=_VENDOR, name="Runway", hint=_KEY_HINT)

    def _call(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        headers = {"Authorization": self._authorization(), "X-Runway-Version": _VERSION}
        try:
            response = self._http.request(method, f"{self._base_url}/{path}", headers=headers, **sent)
        except httpx.TransportError as error:
            raise transport_failure(error, vendor=_VENDOR, name="Runway") from error
        if response.status_code >= 300:
            raise _error(response)
        try:
            reply = response.json()
        except ValueError as error:
            raise _unreadable() from error
        if not isinstance(reply, dict):
            raise _unreadable()
        return reply


def _shortened(prompt: str) -> str:
    """A prompt of at most as many UTF-16 units as are taken, cut at a word."""
    units = prompt.encode("utf-16-le")
    if len(units) <= 2 * _LONGEST_PROMPT:
        return prompt
    return units[: 2 * _LONGEST_PROMPT].decode("utf-16-le", errors="ignore").rsplit(" ", 1)[0]


def _unreadable() -> ReplyLost:
    return ReplyLost("Runway's answer cannot be read; run again later.", vendor=_VENDOR, code="unreadable")


def _error(response: httpx.Response) -> VendorError:
    """The one place that decides what a status of Runway's means."""
    status = response.status_code
    said = _said(response)
    # By the vendor's own table these were turned away and may be sent again, if it is the vendor who says so.
    if status == 429 or (status in (502, 503, 504) and said is not None):
        return VendorUnavailable(
            f"Runway takes no more requests just now ({status}); try again later.",
            vendor=_VENDOR,
            code=str(status),
            retry_after=retry_after(response),
        )
    if status >= 500 or status < 400 or status in (408, 409):
        return ReplyLost(
            f"Runway answered {status} without saying what became of the request; look at it before asking again.",
            vendor=_VENDOR,
            code=str(status),
        )
    if status == 401:
        return CredentialsRejected(f"Runway does not accept the key: {_KEY_HINT}.", vendor=_VENDOR, code="401")
    if status == 404:
        return VendorRefused("Runway knows no such task or path.", vendor=_VENDOR, code="404")
    if "credit" in (said or "").lower():
        return QuotaExhausted(
            "Runway's credits are used up: buy more at dev.runwayml.com, billing.", vendor=_VENDOR, code=str(status)
        )
    return VendorRefused(
        f"Runway refused the request ({status}): {said or 'no reason given'}.", vendor=_VENDOR, code=str(status)
    )


def _said(response: httpx.Response) -> str | None:
    """``error``, and what is wrong with which field; None when it is not Runway's API that answers."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return None
    issues = body.get("issues")
    entries = [entry for entry in issues if isinstance(entry, dict)] if isinstance(issues, list) else []
    told = "; ".join(f"{'.'.join(map(str, entry.get('path', [])))} {entry.get('message', '')}" for entry in entries)
    error = str(body.get("error") or "no reason given").rstrip(".")
    return f"{error}: {told}" if told else error
