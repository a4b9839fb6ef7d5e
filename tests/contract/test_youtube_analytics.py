"""YouTube Analytics' client and Google's own unmodified SDK, over real HTTP, against the sandbox world."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.vendors.errors import CredentialsRejected, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.google import GoogleCredentials
from affiliate_empire.vendors.youtube import VideoMetadata, YouTubeClient
from affiliate_empire.vendors.youtube_analytics import YouTubeAnalyticsClient
from tests.factories.publishing import youtube_grant
from tests.factories.worlds import START, RunningWorld, write_video

# A week before the other tests' day: three days have to pass, and the clock never runs ahead of the wall.
BORN = START - timedelta(days=7)
DAY = date(2026, 11, 13)
REPORTS = "GET /youtube_analytics/v2/reports"
SCOPE = "https://www.googleapis.com/auth/"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("home"), now=BORN)
    yield world
    world.stop()


@pytest.fixture(scope="module")
def videos(world: RunningWorld, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two videos of the 13th, as they are five days later."""
    folder = tmp_path_factory.mktemp("videos")
    youtube = YouTubeClient(
        f"{world.url}/youtube", f"{world.url}/google_oauth", credentials=youtube_grant, clock=FixedClock(BORN)
    )
    ids = []
    with closing(youtube):
        for seed in range(2):
            path = write_video(folder / f"{seed}.mp4", seed=seed, seconds=8)
            session = youtube.start_upload(metadata(f"A quiet grinder, number {seed}?"), path.stat().st_size)
            ids.append(str(youtube.upload(session, path)["id"]))
    world.move_to(BORN + timedelta(days=5))
    return ids


@pytest.fixture
def client(world: RunningWorld) -> Iterator[YouTubeAnalyticsClient]:
    yield open_client(world)
    world.clear_faults()


def open_client(world: RunningWorld, **grant: str) -> YouTubeAnalyticsClient:
    return YouTubeAnalyticsClient(
        f"{world.url}/youtube_analytics",
        f"{world.url}/google_oauth",
        credentials=lambda: replace(youtube_grant(), **grant),
        timeout=10,
    )


def metadata(title: str) -> VideoMetadata:
    return VideoMetadata(
        title=title,
        description="#ad — a grinder in plain facts.",
        tags=("coffee",),
        category_id="26",
        language="en",
        privacy_status="public",
        publish_at=None,
        contains_synthetic_media=True,
        has_paid_product_placement=True,
        self_declared_made_for_kids=False,
        notify_subscribers=False,
    )


def token(world: RunningWorld, *scopes: str) -> str:
    grant = youtube_grant()
    form = {
        "grant_type": "refresh_token",
        "client_id": grant.client_id,
        "client_secret": grant.client_secret,
        "refresh_token": grant.refresh_token,
        "scope": " ".join(f"{SCOPE}{scope}" for scope in scopes),
    }
    reply = httpx.post(f"{world.url}/google_oauth/token", data=form, trust_env=False)
    return str(reply.raise_for_status().json()["access_token"])


def report(world: RunningWorld, *, scope: str = "yt-analytics.readonly", **changes: Any) -> httpx.Response:
    """A report asked for by hand; None leaves a parameter out."""
    query: dict[str, Any] = {"ids": "channel==MINE", "startDate": "2026-11-13", "endDate": "2026-11-18"}
    query |= {"metrics": "views", "dimensions": "video", "sort": "-views", "maxResults": "10"} | changes
    return httpx.get(
        f"{world.url}/youtube_analytics/v2/reports",
        params={name: value for name, value in query.items() if value is not None},
        headers={"Authorization": f"Bearer {token(world, scope)}"},
        trust_env=False,
    )


def test_engagement_by_video(world: RunningWorld, videos: list[str], client: YouTubeAnalyticsClient) -> None:
    found = client.fetch_engagement([*videos, "unknown-one"], since=DAY, until=DAY + timedelta(days=5))

    posts = {post["remote_id"]: post for post in world.witness("posts")}
    assert set(found) == set(videos)
    for video in videos:
        engaged = found[video]
        assert 0 < engaged.engaged_views < engaged.raw["views"] <= posts[video]["views"]
        assert 0 < engaged.watch_seconds <= 8
        assert engaged.watched_percent == pytest.approx(100 * engaged.watch_seconds / 8, abs=7)
        assert engaged.shares >= 0
        assert engaged.subscribers_gained >= 0
    assert client.fetch_engagement([], since=DAY, until=DAY) == {}


def test_a_day_is_reported_two_to_three_days_after_its_end(tmp_path: Path) -> None:
    world = RunningWorld(tmp_path, now=BORN)
    client = open_client(world)
    youtube = YouTubeClient(
        f"{world.url}/youtube", f"{world.url}/google_oauth", credentials=youtube_grant, clock=FixedClock(BORN)
    )
    path = write_video(tmp_path / "a.mp4")
    with closing(youtube):
        session = youtube.start_upload(metadata("Late?"), path.stat().st_size)
        video = str(youtube.upload(session, path)["id"])

    def seen(hours: float) -> int:
        world.move_to(BORN + timedelta(hours=hours))
        found = client.fetch_engagement([video], since=DAY, until=DAY + timedelta(days=9))
        return int(found[video].raw["views"]) if video in found else 0

    # The 13th ends 18 hours after 14:00 UTC, at midnight in California.
    assert seen(18 + 47) == 0
    first_day = seen(18 + 73)
    assert first_day > 0
    (post,) = world.witness("posts")
    assert first_day < post["views"]
    assert seen(18 + 24 + 73) >= first_day
    world.stop()


def test_googles_own_sdk_reads_the_same(world: RunningWorld, videos: list[str]) -> None:
    from google.oauth2.credentials import Credentials
    from googleapiclient.discovery import build_from_document
    from googleapiclient.discovery_cache import get_static_doc

    document = json.loads(get_static_doc("youtubeAnalytics", "v2"))
    document["rootUrl"] = document["baseUrl"] = f"{world.url}/youtube_analytics/"
    grant = youtube_grant()
    credentials = Credentials(
        token=None,
        refresh_token=grant.refresh_token,
        token_uri=f"{world.url}/google_oauth/token",
        client_id=grant.client_id,
        client_secret=grant.client_secret,
        scopes=[f"{SCOPE}yt-analytics.readonly"],
    )
    service = build_from_document(document, credentials=credentials)
    query = {"ids": "channel==MINE", "startDate": "2026-11-13", "endDate": "2026-11-18", "metrics": "views,likes"}
    total = service.reports().query(**query).execute()
    by_day = service.reports().query(**query, dimensions="day", sort="day").execute()
    by_video = service.reports().query(**query, dimensions="video", sort="-views", maxResults=1).execute()
    service.close()

    known = document["schemas"]["QueryResponse"]["properties"]
    for reply in (total, by_day, by_video):
        assert set(reply) <= set(known)
        assert reply["kind"] == "youtubeAnalytics#resultTable"
        for header in reply["columnHeaders"]:
            assert set(header) == set(document["schemas"]["ResultTableColumnHeader"]["properties"])
    assert [header["name"] for header in by_day["columnHeaders"]] == ["day", "views", "likes"]
    ((views, likes),) = total["rows"]
    assert sum(row[1] for row in by_day["rows"]) == views
    assert sum(row[2] for row in by_day["rows"]) == likes
    assert by_video["rows"][0][0] in videos
    assert len(by_video["rows"]) == 1


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"sort": None}, 400, "The query is not supported."),
        ({"sort": "views"}, 400, "The query is not supported."),
        ({"maxResults": None}, 400, "The query is not supported."),
        ({"maxResults": "201"}, 400, "The query is not supported."),
        ({"dimensions": "video,day"}, 400, "The query is not supported."),
        ({"filters": "country==US"}, 400, "The query is not supported."),
        ({"metrics": "impressions"}, 400, "Unknown identifier (impressions)"),
        ({"metrics": "views,estimatedRevenue"}, 403, "Insufficient permission"),
        ({"metrics": None}, 400, "Required parameter: metrics"),
        ({"startDate": "13.11.2026"}, 400, "YYYY-MM-DD"),
        ({"endDate": "2026-11-01"}, 400, "before the startDate"),
        ({"ids": "channel==UCsomebody"}, 403, "Forbidden"),
        ({"region": "US"}, 400, 'Unknown name "region"'),
    ],
)
def test_what_cannot_be_asked(world: RunningWorld, changes: dict[str, Any], status: int, message: str) -> None:
    reply = report(world, **changes)
    assert reply.status_code == status
    assert message in reply.json()["error"]["message"]


def test_the_grant_needs_the_scope(world: RunningWorld, client: YouTubeAnalyticsClient) -> None:
    assert report(world, scope="youtube.upload").status_code == 403
    assert report(world, scope="youtube.readonly").status_code == 200
    with pytest.raises(httpx.HTTPStatusError):
        token(world, "yt-analytics-monetary.readonly")
    world.fault("POST /google_oauth/token", status=400, body={"error": "invalid_scope"})
    with pytest.raises(CredentialsRejected, match=r"yt-analytics\.readonly"):
        client.fetch_engagement(["abc"], since=DAY, until=DAY)


def test_a_revoked_grant_is_refused_with_the_remedy(world: RunningWorld) -> None:
    with pytest.raises(CredentialsRejected, match="empire connect youtube"):
        open_client(world, refresh_token="revoked").fetch_engagement(["abc"], since=DAY, until=DAY)


def test_the_grant_is_asked_for_at_the_first_call(world: RunningWorld) -> None:
    def missing() -> GoogleCredentials:
        raise LookupError("not connected")

    client = YouTubeAnalyticsClient(f"{world.url}/youtube_analytics", world.url, credentials=missing)
    with pytest.raises(LookupError):
        client.fetch_engagement(["abc"], since=DAY, until=DAY)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (403, "quotaExceeded", VendorUnavailable),
        (500, "backendError", VendorUnavailable),
        (503, None, VendorUnavailable),
        (400, "badRequest", VendorRefused),
        (403, "forbidden", VendorRefused),
        (403, "insufficientPermissions", CredentialsRejected),
    ],
)
def test_errors_are_told_apart(
    world: RunningWorld, client: YouTubeAnalyticsClient, status: int, reason: str | None, kind: type[Exception]
) -> None:
    body = {"error": {"code": status, "message": "m", "errors": [{"reason": reason, "domain": "d", "message": "m"}]}}
    world.fault(REPORTS, status=status, body=body if reason else "<html>down</html>")
    with pytest.raises(kind) as error:
        client.fetch_engagement(["abc"], since=DAY, until=DAY)
    assert type(error.value) is kind
