"""YouTube Analytics: how long a channel's videos are watched, and by how many beyond the first moment.

``reports.query`` through google-api-python-client (``affiliate_empire.vendors.google``). A day is reported 48 to 72
hours after it ended (Pacific time): what is not there yet is missing, never 0. Revenue metrics need another scope, and
thumbnail click-through is not in these reports. Views and likes so far come from ``affiliate_empire.vendors.youtube``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from affiliate_empire.vendors.errors import CredentialsRejected, VendorError, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.google import GoogleCredentials, GoogleService, GoogleTokens

_VENDOR = "youtube_analytics"
_SCOPES = ("https://www.googleapis.com/auth/yt-analytics.readonly",)
_METRICS = ("views", "engagedViews", "averageViewDuration", "averageViewPercentage", "shares", "subscribersGained")
_VIDEOS_PER_CALL = 200  # rows of a report by video
_BUSY = frozenset({"quotaExceeded", "rateLimitExceeded", "userRateLimitExceeded", "backendError", "internalError"})


@dataclass(frozen=True, kw_only=True)
class Engagement:
    """How a video was watched over the days of a report.

    ``engaged_views`` are what YouTube called views until 2026-08-24; ``watched_percent`` may pass 100 where a Short is
    seen more than once; ``raw`` is the report's row by metric.
    """

    engaged_views: int
    watch_seconds: float  # on average, of a view
    watched_percent: float  # on average, of the video's length
    shares: int
    subscribers_gained: int
    raw: dict[str, Any]


class YouTubeAnalyticsClient:
    """Reports of one channel: the one that granted the refresh token.

    Safe to use from several threads. Retries nothing.

    Args:
        base_url: ``https://youtubeanalytics.googleapis.com``, or the world's prefix.
        oauth_url: as ``YouTubeClient``'s.
        credentials: gives the grant, which must include ``yt-analytics.readonly``; asked at the first call.
        timeout: seconds one exchange may be silent.
    """

    def __init__(
        self, base_url: str, oauth_url: str, *, credentials: Callable[[], GoogleCredentials], timeout: float = 60.0
    ) -> None:
        self._api = GoogleService(
            ("youtubeAnalytics", "v2"),
            base_url,
            tokens=GoogleTokens(oauth_url, credentials, _SCOPES, vendor=_VENDOR, timeout=timeout),
            name="YouTube Analytics",
            vendor=_VENDOR,
            timeout=timeout,
            refusal=_refusal,
        )

    def fetch_engagement(self, video_ids: Sequence[str], *, since: date, until: date) -> dict[str, Engagement]:
        """Engagement by video id over the Pacific days ``since`` to ``until``; missing is what is not reported yet.

        Raises:
            CredentialsRejected: the grant is gone or lacks the scope: connect the channel again.
            VendorRefused: the query is not supported.
            VendorUnavailable: try again later.
        """
        found: dict[str, Engagement] = {}
        for start in range(0, len(video_ids), _VIDEOS_PER_CALL):
            ids = video_ids[start : start + _VIDEOS_PER_CALL]
            reply = self._api.read(partial(_request, ids=ids, since=since, until=until))
            names = [header["name"] for header in reply.get("columnHeaders", [])]
            for row in reply.get("rows", []):
                values = dict(zip(names, row, strict=True))
                found[values["video"]] = Engagement(
                    engaged_views=int(values["engagedViews"]),
                    watch_seconds=float(values["averageViewDuration"]),
                    watched_percent=float(values["averageViewPercentage"]),
                    shares=int(values["shares"]),
                    subscribers_gained=int(values["subscribersGained"]),
                    raw=values,
                )
        return found


def _request(api: Any, *, ids: Sequence[str], since: date, until: date) -> Any:
    return api.reports().query(
        ids="channel==MINE",
        startDate=since.isoformat(),
        endDate=until.isoformat(),
        metrics=",".join(_METRICS),
        dimensions="video",
        filters=f"video=={','.join(ids)}",
        sort="-views",  # a report by video must be sorted, downwards
        maxResults=_VIDEOS_PER_CALL,
    )


def _refusal(status: int, reason: str | None, message: str) -> VendorError:
    """The one place that decides what an error of YouTube Analytics means."""
    code = reason or str(status)
    if reason in _BUSY or status == 429 or status >= 500:
        return VendorUnavailable(f"YouTube Analytics is busy ({code}); try again later.", vendor=_VENDOR, code=code)
    if status == 401 or reason == "insufficientPermissions":
        return CredentialsRejected(
            f"YouTube Analytics rejected the grant ({code}): connect the channel again with `empire connect youtube` "
            "and grant yt-analytics.readonly.",
            vendor=_VENDOR,
            code=code,
        )
    return VendorRefused(f"YouTube Analytics refused the report ({code}): {message}", vendor=_VENDOR, code=code)
