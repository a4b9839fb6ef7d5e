"""How each vendor words what goes wrong: too busy, out of order, quota used up, account banned, or not itself at all.

For faults (``{"kind": "quota"}``) and the weather. A vendor is the first part of a path. Every reply here is one that
the vendor's documents (or its SDK) know; ``busy`` and ``down`` mean that nothing happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KINDS = ("busy", "down", "quota", "banned", "expired", "error_in_200", "html", "malformed")
_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1><p>{1}</p></body></html>"
_SOON = {"Retry-After": "1"}


@dataclass(frozen=True)
class Reply:
    """A reply to give. ``body``: text as it is (HTML when it looks so), anything else as JSON."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()

    @property
    def media_type(self) -> str:
        if not isinstance(self.body, str):
            return "application/json"
        return "text/html; charset=utf-8" if self.body.lstrip().startswith("<") else "text/plain; charset=utf-8"


# status, the vendor's word for it, its sentence → its body
_Form = Callable[[int, str, str], Any]


def _openai(status: int, code: str, message: str) -> Any:
    kind = {429: "requests", 401: "invalid_request_error"}.get(status, "server_error")
    return {"error": {"message": message, "type": code if code == "insufficient_quota" else kind, "param": None,
                      "code": code}}  # fmt: skip


def _google(status: int, reason: str, message: str) -> Any:
    problem = {"message": message, "domain": "youtube.quota" if "xceeded" in reason else "global", "reason": reason}
    return {"error": {"code": status, "message": message, "errors": [problem]}}


def _tiktok(status: int, code: str, message: str) -> Any:
    return {"data": {}, "error": {"code": code, "message": message, "log_id": "0" * 32}}


def _graph(status: int, code: str, message: str) -> Any:
    number, _, subcode = code.partition(".")
    error: dict[str, Any] = {"message": f"(#{number}) {message}", "type": "OAuthException", "code": int(number)}
    if subcode:
        error["error_subcode"] = int(subcode)
    return {"error": {**error, "is_transient": number == "2", "fbtrace_id": "A" * 22}}


_FORMS: dict[str, _Form] = {
    "openai": _openai,
    "anthropic": lambda status, code, message: {
        "type": "error", "error": {"type": code, "message": message}, "request_id": "req_011CSandbox"
    },
    "elevenlabs": lambda status, code, message: {"detail": {"status": code, "message": message}},
    "youtube": _google,
    "youtube_analytics": _google,
    "google_oauth": lambda status, code, message: {"error": code, "error_description": message},
    "tiktok": _tiktok,
    "instagram": _graph,
    "instagram_upload": lambda status, code, message: {
        "debug_info": {"retriable": status >= 429, "type": code, "message": message}
    },
    "impact": lambda status, code, message: {"Status": "ERROR", "Message": message},
    "fal": lambda status, code, message: {"detail": message},
    "runway": lambda status, code, message: {"error": message},
}  # fmt: skip

# By vendor: (status, the vendor's word, its sentence). Who is not named has no such account or quota.
_BUSY: dict[str, tuple[int, str, str]] = {
    "openai": (429, "rate_limit_exceeded", "Rate limit reached for requests. Please try again in 1s."),
    "anthropic": (429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    "elevenlabs": (429, "too_many_concurrent_requests", "Too many concurrent requests for your plan."),
    "youtube": (403, "rateLimitExceeded", "The request cannot be completed because of its rate."),
    "youtube_analytics": (429, "rateLimitExceeded", "The request cannot be completed because of its rate."),
    "google_oauth": (503, "temporarily_unavailable", "The server is temporarily unable to handle the request."),
    "tiktok": (429, "rate_limit_exceeded", "The API rate limit was exceeded. Please try again later."),
    "instagram": (400, "4", "Application request limit reached"),
    "instagram_upload": (429, "RateLimitError", "Too many uploads at once"),
    "impact": (429, "", "Rate limit exceeded."),
    "fal": (429, "", "Too many requests. Please try again later."),
    "runway": (429, "", "You exceeded your rate limit for this model."),
}
_DOWN: dict[str, tuple[int, str, str]] = {
    "openai": (503, "server_error", "The engine is currently overloaded, please try again later."),
    "anthropic": (503, "api_error", "The service is temporarily unavailable."),
    "elevenlabs": (503, "system_busy", "We are experiencing heavy traffic, please try again."),
    "youtube": (503, "backendError", "The service is temporarily unavailable."),
    "youtube_analytics": (503, "backendError", "The service is temporarily unavailable."),
    "google_oauth": (503, "temporarily_unavailable", "The server is temporarily unable to handle the request."),
    "tiktok": (503, "internal_error", "Something is wrong. Please try again later."),
    "instagram": (503, "2", "An unexpected error has occurred. Please retry your request later."),
    "instagram_upload": (503, "ServiceUnavailable", "The upload service is busy"),
    "impact": (503, "", "The service is unavailable."),
    "runway": (503, "", "The service is temporarily overloaded."),
}
_QUOTA: dict[str, tuple[int, str, str]] = {
    "openai": (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing."),
    "anthropic": (400, "billing_error", "Your credit balance is too low to access the Anthropic API."),
    "elevenlabs": (401, "quota_exceeded", "This request exceeds your quota of 0 credits."),
    "youtube": (403, "quotaExceeded", "The request cannot be completed because you have exceeded your quota."),
    "youtube_analytics": (403, "quotaExceeded", "The request cannot be completed because you exceeded your quota."),
    "tiktok": (403, "spam_risk_too_many_posts", "The daily post cap from the API is reached for the current user."),
    "instagram": (400, "9.2207042", "The user has reached the maximum number of posts that can be published by API."),
    "impact": (429, "", "Rate limit exceeded."),
    "fal": (403, "", "User is locked. Reason: Exhausted balance."),
    "runway": (400, "", "You do not have enough credits to run this task."),
}
_BANNED: dict[str, tuple[int, str, str]] = {
    "openai": (401, "account_deactivated", "Your OpenAI account has been deactivated."),
    "anthropic": (403, "permission_error", "This organization has been disabled."),
    "elevenlabs": (401, "detected_unusual_activity", "Unusual activity detected. Free Tier usage disabled."),
    "youtube": (403, "authenticatedUserAccountSuspended", "The authenticated user's YouTube account is suspended."),
    "google_oauth": (400, "invalid_grant", "Account has been deleted or disabled."),
    "tiktok": (403, "spam_risk_user_banned_from_posting", "The user is banned from making new posts."),
    "instagram": (400, "25.2207050", "The Instagram professional account is inactive, checkpointed, or restricted."),
    "impact": (403, "", "Access denied: the account is suspended."),
    "fal": (403, "", "User is locked. Reason: Terms of service."),
    "runway": (403, "", "This organization is suspended."),
}
# An access token that a client can renew by itself; keys and long-lived tokens need their owner.
_EXPIRED: dict[str, tuple[int, str, str]] = {
    "youtube": (401, "authError", "Invalid Credentials"),
    "youtube_analytics": (401, "authError", "Invalid Credentials"),
    "tiktok": (401, "access_token_invalid", "The access token is invalid or not found in the request."),
}
_TABLES = {"busy": _BUSY, "down": _DOWN, "quota": _QUOTA, "banned": _BANNED, "expired": _EXPIRED}
# Without a word of their own for being busy or out of order: a gateway's page speaks for them.
_BEHIND_A_GATEWAY = frozenset({"google_trends", "ecb", "merchant", "fal"})


def vendor_of(path: str) -> str:
    """The vendor at whose address a path is."""
    return path.split("/", 2)[1] if path.startswith("/") else ""


def refusal(kind: str, path: str) -> Reply:
    """What the vendor at ``path`` says.

    Args:
        kind: one of ``KINDS``. ``html``: a sign-in page of the network between, with status 200; ``malformed``: JSON
            that ends in the middle, with status 200; ``error_in_200``: what the vendor says when it is out of order,
            with status 200.

    Raises:
        LookupError: no such kind, or this vendor has none of it.
    """
    if kind == "html":
        return Reply(200, _PAGE.format("Welcome", "Sign in to use this network."))
    if kind == "malformed":
        return Reply(200, '{"data": [{"id": "1", "stat')
    vendor = vendor_of(path)
    if path.startswith("/tiktok/upload/") and kind in ("busy", "error_in_200"):  # where bytes go it says no words
        return Reply(429, "", _SOON) if kind == "busy" else Reply(200, "")
    if kind == "error_in_200" and (said := _DOWN.get(vendor) or _BUSY.get(vendor)):
        return Reply(200, _FORMS[vendor](*said))
    if kind == "expired" and path.startswith("/tiktok/upload/"):
        raise LookupError("TikTok's upload address takes no token")
    headers = _SOON if kind in ("busy", "down") else {}
    if (vendor, kind) == ("impact", "busy"):
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}
    if known := _TABLES.get(kind, {}).get(vendor):
        return Reply(known[0], _FORMS[vendor](*known), headers)
    if kind in ("busy", "down") and vendor in _BEHIND_A_GATEWAY:
        title = "429 Too Many Requests" if kind == "busy" else "503 Service Temporarily Unavailable"
        return Reply(int(title[:3]), _PAGE.format(title, "nginx"), headers)
    raise LookupError(f"{vendor or path} knows no {kind!r}: kinds are {', '.join(KINDS)}, and not every vendor has all")


def knows(kind: str, path: str) -> bool:
    """Whether the vendor at ``path`` has a word for it."""
    try:
        refusal(kind, path)
    except LookupError:
        return False
    return True
