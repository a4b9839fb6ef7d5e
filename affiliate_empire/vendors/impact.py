"""impact.com's partner API (Mediapartners v16): joined programmes, catalogues, tracking links, actions.

Numbers arrive as strings and leave here as they came: ``affiliate_empire.catalog.impact`` and
``affiliate_empire.analytics`` turn them into Decimals. A click on a tracking link and the Event Notifications that
impact.com sends do not pass through here (``affiliate_empire.tracking``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from affiliate_empire.vendors.errors import (
    CredentialsRejected,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.http import open_http, retry_after, transport_failure

_VENDOR = "impact"
_VERSION = "16"
_ACTIONS_WINDOW = timedelta(days=30)  # the API allows 45; shorter windows meet its intermittent 5xx less often

# A catalogue's FTPLocations carry the FTP password in clear: they never leave this module.
_SECRET_FIELDS = ("FTPLocations",)


class ImpactClient:
    """One media partner account.

    Safe to use from several threads. Retries nothing.

    Args:
        base_url: ``https://api.impact.com``, or the world's prefix.
        account_sid: user name of the HTTP Basic credentials, and part of every path.
        auth_token: their password.
        timeout: seconds one exchange may be silent.
        page_size: rows asked for at once.
    """

    def __init__(
        self, base_url: str, *, account_sid: str, auth_token: str, timeout: float = 30.0, page_size: int = 100
    ) -> None:
        self._root = f"{base_url.rstrip('/')}/Mediapartners/{account_sid}"
        self._page_size = str(page_size)
        self._http = open_http(
            base_url,
            auth=(account_sid, auth_token),
            timeout=timeout,
            headers={"Accept": "application/json", "IR-Version": _VERSION},
        )

    def close(self) -> None:
        self._http.close()

    def fetch_campaigns(self) -> list[dict[str, Any]]:
        """The joined programmes. The API knows no others: those not yet joined are seen in impact.com's own pages only.

        Raises:
            VendorUnavailable, VendorRefused: as for every call of this client.
        """
        return list(self._pages("/Campaigns", "Campaigns", {}))

    def fetch_catalogs(self) -> list[dict[str, Any]]:
        """The product catalogues of joined programmes, without their FTP passwords."""
        return [
            {name: value for name, value in catalog.items() if name not in _SECRET_FIELDS}
            for catalog in self._pages("/Catalogs", "Catalogs", {})
        ]

    def fetch_catalog_items(self, catalog_id: str) -> list[dict[str, Any]]:
        """Every item of a catalogue, in the vendor's order (the API ends at 20,000: larger ones are refused by it)."""
        return list(self._pages(f"/Catalogs/{catalog_id}/Items", "Items", {}))

    def fetch_public_terms(self, campaign_id: str) -> dict[str, Any]:
        """What a programme pays, for what, and for how long after a click (``PayoutTermsList``)."""
        return self._call("GET", f"/Campaigns/{campaign_id}/PublicTerms", {})

    def create_tracking_link(self, program_id: str, deep_link: str) -> str:
        """The tracking URL of a product page, without sub-id: the tracking service adds ``subId1`` per click.

        Asking twice makes no harm: a link is an address, not a promise to pay.

        Raises:
            VendorRefused: the programme is not joined, or the page is outside its deep-link domains.
        """
        reply = self._call("POST", f"/Programs/{program_id}/TrackingLinks", {"DeepLink": deep_link})
        link = reply.get("TrackingURL")
        if not isinstance(link, str) or not link:
            raise VendorUnavailable(
                "impact.com answered without a tracking URL; try again later.", vendor=_VENDOR, code="unreadable"
            )
        return link

    def fetch_actions(self, start: datetime, end: datetime) -> list[dict[str, Any]]:
        """Actions last updated in ``[start, end]``, oldest window first, each once (its latest state).

        Longer spans are read in windows the API accepts.
        """
        actions: dict[str, dict[str, Any]] = {}
        end = _whole_second_after(end)
        while start < end:
            until = min(start + _ACTIONS_WINDOW, end)
            window = {"StartDate": _instant(start), "EndDate": _instant(until)}
            for action in self._pages("/Actions", "Actions", window):
                actions[action["Id"]] = action
            start = until
        return list(actions.values())

    # ------------------------------------------------------------------ plumbing
    def _pages(self, path: str, field: str, params: dict[str, str]) -> Iterator[dict[str, Any]]:
        page, pages = 1, 1
        while page <= pages:
            reply = self._call("GET", path, {**params, "Page": str(page), "PageSize": self._page_size})
            rows = reply.get(field)
            if not isinstance(rows, list):
                raise VendorUnavailable(
                    f"impact.com answered {path} without {field}; try again later.", vendor=_VENDOR, code="unreadable"
                )
            yield from rows
            pages = int(reply.get("@numpages", "1"))
            page += 1

    def _call(self, method: str, path: str, params: dict[str, str]) -> dict[str, Any]:
        try:
            response = self._http.request(method, f"{self._root}{path}", params=params)
        except httpx.TransportError as error:
            raise transport_failure(error, vendor=_VENDOR, name="impact.com") from error
        if response.status_code >= 400:
            raise self._error(response)
        try:
            document = response.json()
        except ValueError as error:
            raise ReplyLost(
                "impact.com's answer cannot be read; try again later.", vendor=_VENDOR, code="unreadable"
            ) from error
        if not isinstance(document, dict):
            raise ReplyLost("impact.com's answer cannot be read; try again later.", vendor=_VENDOR, code="unreadable")
        return document

    def _error(self, response: httpx.Response) -> VendorError:
        """The one place that decides what an impact.com error means."""
        status = response.status_code
        try:
            message = str(response.json()["Message"])
        except (ValueError, KeyError, TypeError):
            message = "no reason given"
        if status == 429 or status >= 500:
            return VendorUnavailable(
                f"impact.com is busy ({status}); try again later.",
                vendor=_VENDOR,
                code=str(status),
                retry_after=retry_after(response),
            )
        if status == 401:
            return CredentialsRejected(
                "impact.com rejected the credentials: check EMPIRE_IMPACT_ACCOUNT_SID and EMPIRE_IMPACT_AUTH_TOKEN.",
                vendor=_VENDOR,
                code="401",
            )
        if status == 403:
            return CredentialsRejected(
                f"impact.com's token lacks a scope for this call ({message}): add it in impact.com's API settings.",
                vendor=_VENDOR,
                code="403",
            )
        return VendorRefused(f"impact.com refused the request ({status}): {message}", vendor=_VENDOR, code=str(status))


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _whole_second_after(at: datetime) -> datetime:
    """The API takes whole seconds: an end that is cut down would leave out what happened in its last fraction."""
    return at if at.microsecond == 0 else at.replace(microsecond=0) + timedelta(seconds=1)
