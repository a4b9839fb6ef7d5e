"""YouTube Analytics: ``/youtube_analytics/v2/reports`` for the channel of ``youtube.py``, with its tokens and videos.

As strict as the real one about what may be asked together (metrics, dimensions, sorting, paging), and as late: a day of
the channel, which is a Pacific day, is reported 48 to 72 hours after it ended. Counts are the world's; what usually
goes with them (engagement, watch time, shares, subscribers) is drawn once per video.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from affiliate_empire.sandbox.clock import instant
from affiliate_empire.sandbox.consent import belongs
from affiliate_empire.sandbox.market.reach import step_of
from affiliate_empire.sandbox.servers.youtube import CHANNEL, PLATFORM

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

DELAY_HOURS = (48, 72)
ROWS = 200  # of a report by video
FILTERED_VIDEOS = 500

_PACIFIC = ZoneInfo("America/Los_Angeles")
_SCOPES = frozenset({"yt-analytics.readonly", "youtube.readonly", "youtube"})
_PARAMETERS = frozenset(
    {"ids", "startDate", "endDate", "metrics", "dimensions", "filters", "sort", "maxResults", "startIndex", "currency",
     "includeHistoricalChannelData", "alt", "key", "fields", "prettyPrint", "quotaUser", "access_token"}
)  # fmt: skip
_COUNTED = ("views", "likes", "comments")
_METRICS = {
    "views": "INTEGER", "engagedViews": "INTEGER", "likes": "INTEGER", "comments": "INTEGER", "shares": "INTEGER",
    "estimatedMinutesWatched": "INTEGER", "averageViewDuration": "INTEGER", "averageViewPercentage": "FLOAT",
    "subscribersGained": "INTEGER", "subscribersLost": "INTEGER",
}  # fmt: skip
_MONEY = frozenset(
    {"estimatedRevenue", "estimatedAdRevenue", "estimatedRedPartnerRevenue", "grossRevenue", "cpm", "playbackBasedCpm",
     "monetizedPlaybacks", "adImpressions"}
)  # fmt: skip
_DIMENSIONS = {"video": "STRING", "day": "STRING"}
_NOT_SUPPORTED = "The query is not supported. Check the documentation for supported queries."
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}


class Refused(Exception):
    """An error of Google's newer APIs."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        problem = {"message": message, "domain": "global", "reason": reason}
        error = {"code": status, "message": message, "errors": [problem], "status": _STATUS[status]}
        self.response = JSONResponse({"error": error}, status)


def routes(world: World) -> list[BaseRoute]:
    """``/youtube_analytics/v2/reports``."""
    analytics = _Analytics(world)
    return [Route("/youtube_analytics/v2/reports", analytics.query, methods=["GET"])]


class _Analytics:
    def __init__(self, world: World) -> None:
        self.world = world
        self.store = world.store

    async def query(self, request: Request) -> Response:
        """``reports.query``."""
        try:
            return JSONResponse(self._report(request.query_params, self._authorize(request)))
        except Refused as refusal:
            return refusal.response

    def _authorize(self, request: Request) -> str:
        """The channel of the token."""
        kind, _, access = request.headers.get("authorization", "").partition(" ")
        row = self.store.one(
            "SELECT expires_at, scope FROM youtube_tokens JOIN google_grants USING (token) WHERE token = ?",
            (access.strip(),),
        )
        if kind != "Bearer" or row is None or instant(row["expires_at"]) <= self.world.now():
            raise Refused(401, "authError", "Request had invalid authentication credentials.")
        if not _SCOPES & {scope.rsplit("/", 1)[-1] for scope in row["scope"].split()}:
            raise Refused(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
        return self.world.consent.owner(PLATFORM, access.strip())

    def _report(self, query: Mapping[str, str], channel: str) -> dict[str, Any]:
        for name in query:
            if name not in _PARAMETERS:
                raise Refused(400, "badRequest", f'Invalid JSON payload received. Unknown name "{name}".')
        for name in ("ids", "startDate", "endDate", "metrics"):
            if not query.get(name):
                raise Refused(400, "required", f"Required parameter: {name}")
        if query["ids"] not in ("channel==MINE", f"channel=={channel}"):
            raise Refused(403, "forbidden", "Forbidden")
        first, last = _day(query["startDate"], "startDate"), _day(query["endDate"], "endDate")
        if last < first:
            raise Refused(400, "badRequest", "The endDate must not be before the startDate.")
        metrics, dimensions = query["metrics"].split(","), query.get("dimensions", "")
        for name in metrics:
            if name in _MONEY:
                raise Refused(403, "forbidden", "Insufficient permission to access this report.")
            if name not in _METRICS:
                raise Refused(400, "badRequest", f"Unknown identifier ({name}) given in field parameters.metrics.")
        if dimensions not in ("", *_DIMENSIONS) or len(set(metrics)) != len(metrics):
            raise Refused(400, "badRequest", _NOT_SUPPORTED)
        videos = self._videos(query.get("filters"), channel)
        limit = _whole(query.get("maxResults"), ROWS)
        descending, order = _order(query.get("sort", ""), metrics, dimensions)
        if dimensions == "video" and not ("maxResults" in query and limit <= ROWS and descending and order in metrics):
            raise Refused(400, "badRequest", _NOT_SUPPORTED)
        rows = self._rows(videos, first, min(last, self._reported_until()), metrics, dimensions)
        names = [*([dimensions] if dimensions else []), *metrics]
        if order:
            rows.sort(key=lambda row: row[names.index(order)], reverse=descending)
        start = _whole(query.get("startIndex"), 1) - 1
        headers = [
            {
                "name": name,
                "columnType": "DIMENSION" if name in _DIMENSIONS else "METRIC",
                "dataType": _DIMENSIONS.get(name) or _METRICS[name],
            }
            for name in names
        ]
        return {
            "kind": "youtubeAnalytics#resultTable",
            "columnHeaders": headers,
            "rows": rows[start : start + limit],
        }

    def _videos(self, filters: str | None, channel: str) -> dict[str, float]:
        """The channel's videos that the filter lets through, with their length in seconds."""
        wanted: list[str] | None = None
        if filters:
            match = re.fullmatch(r"video==([\w,-]+)", filters)
            if match is None or len(wanted := match[1].split(",")) > FILTERED_VIDEOS:
                raise Refused(400, "badRequest", _NOT_SUPPORTED)
        rows = self.store.query(
            "SELECT video_id, media FROM youtube_videos WHERE failure IS NULL AND rejection IS NULL"  # noqa: S608
            f" AND {belongs('youtube_videos.upload_id', CHANNEL)} = ?",
            (channel,),
        )
        return {
            row["video_id"]: float(json.loads(row["media"]).get("duration", 0.0))
            for row in rows
            if wanted is None or row["video_id"] in wanted
        }

    def _reported_until(self) -> date:
        """The last Pacific day that is in the reports by now."""
        now = self.world.now()
        day = now.astimezone(_PACIFIC).date()
        while _midnight(day + timedelta(days=1)) + timedelta(hours=self._delay(day)) > now:
            day -= timedelta(days=1)
        return day

    def _delay(self, day: date) -> float:
        return self.world.rng("youtube_analytics", "delay", day).uniform(*DELAY_HOURS)

    def _rows(
        self, videos: Mapping[str, float], first: date, last: date, metrics: list[str], dimensions: str
    ) -> list[list[Any]]:
        rows = []
        for day, counted in self._counted(videos, first, last, by_day=dimensions == "day"):
            groups = [(video, {video: counts}) for video, counts in counted.items()]
            for key, members in groups if dimensions == "video" else [(day, counted)]:
                values = self._values(members, videos)
                rows.append([*([key] if dimensions else []), *(values[name] for name in metrics)])
        return rows

    def _counted(
        self, videos: Mapping[str, float], first: date, last: date, *, by_day: bool
    ) -> Iterator[tuple[str, dict[str, sqlite3.Row]]]:
        """Counts by video, of each Pacific day or of all together; only where there were views."""
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        for day, until in zip(days, days, strict=True) if by_day else [(first, last)] if days else []:
            span = step_of(_midnight(day)), step_of(_midnight(until + timedelta(days=1)))
            rows = self.store.query(
                "SELECT remote_id, sum(views) AS views, sum(likes) AS likes, sum(comments) AS comments FROM views"
                " WHERE platform = ? AND step >= ? AND step < ? GROUP BY remote_id HAVING sum(views) > 0",
                (PLATFORM, *span),
            )
            counted = {row["remote_id"]: row for row in rows if row["remote_id"] in videos}
            if counted:
                yield day.isoformat(), counted

    def _values(self, members: Mapping[str, sqlite3.Row], videos: Mapping[str, float]) -> dict[str, float]:
        """The metrics of some videos together: sums, and means weighted by views."""
        sums = dict.fromkeys((*_METRICS, "seconds", "percent"), 0.0)
        for video, counts in members.items():
            views, habits = counts["views"], self.world.rng(PLATFORM, "habits", video)
            percent = habits.uniform(40, 95)
            for name in _COUNTED:
                sums[name] += counts[name]
            sums["engagedViews"] += round(views * habits.uniform(0.5, 0.75))
            sums["shares"] += round(views * habits.uniform(0.002, 0.01))
            sums["subscribersGained"] += round(views * habits.uniform(0, 0.003))
            sums["percent"] += views * percent
            sums["seconds"] += views * videos[video] * percent / 100
        return {name: int(sums[name]) for name in _METRICS} | {
            "estimatedMinutesWatched": round(sums["seconds"] / 60),
            "averageViewDuration": round(sums["seconds"] / sums["views"]),
            "averageViewPercentage": round(sums["percent"] / sums["views"], 2),
        }


def _day(text: str, name: str) -> date:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise Refused(400, "badRequest", f"Invalid value '{text}' for {name}: it must be YYYY-MM-DD.")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(400, "badRequest", f"Invalid value '{text}' for {name}.") from None


def _whole(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdigit() or int(text) < 1:
        raise Refused(400, "badRequest", f"Invalid value '{text}': it must be a number from 1.")
    return int(text)


def _order(sort: str, metrics: list[str], dimensions: str) -> tuple[bool, str]:
    """Whether it is sorted downwards, and by what; this world sorts by one column."""
    name = sort.removeprefix("-")
    if name and name not in (*metrics, dimensions):
        raise Refused(400, "badRequest", _NOT_SUPPORTED)
    return sort.startswith("-"), name


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=_PACIFIC)
