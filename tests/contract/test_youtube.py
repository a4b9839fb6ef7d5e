"""YouTube's client and Google's own unmodified SDK, over real HTTP, against the sandbox world."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.sandbox.clock import stamp
from affiliate_empire.sandbox.servers.youtube import CHANNEL
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.counts import PostState
from affiliate_empire.vendors.errors import (
    AccountRestricted,
    CredentialsRejected,
    QuotaExhausted,
    ReplyLost,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.google import GoogleCredentials
from affiliate_empire.vendors.youtube import (
    Completed,
    Expired,
    Incomplete,
    UploadSessionGone,
    VideoMetadata,
    YouTubeClient,
)
from tests.factories.worlds import START, RunningWorld, WorldProcess, write_video

UPLOAD = "PUT /youtube/upload/youtube/v3/videos"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path / "home")
    yield world
    world.stop()


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    """For tests that leave nothing behind that another could see."""
    world = RunningWorld(tmp_path_factory.mktemp("shared"))
    yield world
    world.stop()


@pytest.fixture
def shared_client(shared_world: RunningWorld) -> Iterator[YouTubeClient]:
    client = open_client(shared_world)
    yield client
    shared_world.clear_faults()
    client.close()


@pytest.fixture
def client(world: RunningWorld) -> Iterator[YouTubeClient]:
    client = open_client(world)
    yield client
    client.close()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "short.mp4")


def open_client(world: RunningWorld, **changes: Any) -> YouTubeClient:
    grant = GoogleCredentials(
        SANDBOX_KEYS["youtube_client_id"],
        SANDBOX_KEYS["youtube_client_secret"],
        changes.pop("refresh_token", SANDBOX_KEYS["youtube_refresh_token"]),
    )
    if "client_secret" in changes:
        grant = replace(grant, client_secret=changes.pop("client_secret"))
    defaults: dict[str, Any] = {"clock": FixedClock(START), "timeout": 10.0, "pause": lambda seconds: None}
    return YouTubeClient(
        f"{world.url}/youtube", f"{world.url}/google_oauth", credentials=lambda: grant, **(defaults | changes)
    )


def metadata(**changes: Any) -> VideoMetadata:
    plain = VideoMetadata(
        title="A quiet grinder?",
        description="#ad — link: http://127.0.0.1:1/r/abc\nFacts from the shop.",
        tags=("coffee", "burr grinder"),
        category_id="26",
        language="en",
        privacy_status="public",
        publish_at=None,
        contains_synthetic_media=True,
        has_paid_product_placement=True,
        self_declared_made_for_kids=False,
        notify_subscribers=False,
    )
    return replace(plain, **changes)


def publish(client: YouTubeClient, path: Path, **changes: Any) -> str:
    session = client.start_upload(metadata(**changes), path.stat().st_size)
    return str(client.upload(session, path)["id"])


def test_an_upload_is_one_post_with_every_flag(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    video_id = publish(client, video)

    (post,) = world.witness("posts")
    assert post["remote_id"] == video_id
    assert post["title"] == "A quiet grinder?"
    assert post["text"].startswith("#ad")
    assert post["public"]
    assert post["media"]["width"] == 90
    assert post["media"]["duration"] == pytest.approx(2, abs=0.2)
    flags = post["flags"]
    assert flags["containsSyntheticMedia"] is True
    assert flags["hasPaidProductPlacement"] is True
    assert flags["selfDeclaredMadeForKids"] is False
    assert flags["notifySubscribers"] is False
    assert flags["short"] is True
    assert flags["duplicate_of"] is None


def test_nothing_is_visible_before_the_last_byte(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    session = client.start_upload(metadata(), video.stat().st_size)

    assert client.session_status(session, video.stat().st_size) == Incomplete(0)
    assert world.witness("posts") == []


def test_a_scheduled_video_becomes_public_at_its_time(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    slot = START + timedelta(minutes=30)
    video_id = publish(client, video, privacy_status="private", publish_at=slot)

    (post,) = world.witness("posts")
    assert datetime.fromisoformat(post["public_at"]) == slot
    assert not post["public"]
    before = client.fetch_status([video_id])[video_id]
    assert (before.privacy_status, before.publish_at, before.upload_status) == ("private", slot, "uploaded")
    world.move_to(slot + timedelta(minutes=1))
    after = client.fetch_status([video_id])[video_id]
    assert (after.privacy_status, after.publish_at, after.upload_status) == ("public", None, "processed")
    assert datetime.fromisoformat(after.raw["snippet"]["publishedAt"]) == slot


def test_a_large_file_goes_in_chunks(world: RunningWorld, client: YouTubeClient, tmp_path: Path) -> None:
    large = write_video(tmp_path / "large.mp4", padding=20_000_000)
    session = client.start_upload(metadata(), large.stat().st_size)
    world.fault(UPLOAD, status=503, skip=2)  # the status question and the first chunk pass, the second chunk does not

    assert client.upload(session, large)["id"] == world.witness("posts")[0]["remote_id"]
    assert world.fault_hits() == 1


def test_a_lost_reply_after_acceptance_is_found_by_asking(
    world: RunningWorld, client: YouTubeClient, video: Path
) -> None:
    session = client.start_upload(metadata(), video.stat().st_size)
    world.fault(UPLOAD, when="after", drop=True, skip=1)  # skips the status question: the bytes' own reply is lost

    accepted = client.upload(session, video)

    assert world.fault_hits() == 1
    assert [post["remote_id"] for post in world.witness("posts")] == [accepted["id"]]
    assert client.session_status(session, video.stat().st_size) == Completed(accepted)


def test_an_upload_that_never_gets_an_answer_is_a_lost_reply(
    world: RunningWorld, client: YouTubeClient, video: Path
) -> None:
    session = client.start_upload(metadata(), video.stat().st_size)
    world.fault(UPLOAD, when="after", drop=True, skip=1, times=50)

    with pytest.raises(ReplyLost):
        client.upload(session, video)

    world.clear_faults()
    assert isinstance(client.session_status(session, video.stat().st_size), Completed)
    assert len(world.witness("posts")) == 1


def test_uploading_twice_on_one_session_posts_once(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    session = client.start_upload(metadata(), video.stat().st_size)

    assert client.upload(session, video) == client.upload(session, video)
    assert len(world.witness("posts")) == 1


def test_a_session_survives_kill_9_of_the_world(tmp_path: Path) -> None:
    world = WorldProcess(tmp_path / "home")
    client = open_client(world)
    large = write_video(tmp_path / "large.mp4", padding=10_000_000)
    size = large.stat().st_size
    session = client.start_upload(metadata(), size)
    first = 4 * 1024 * 1024
    with large.open("rb") as file:
        reply = httpx.put(
            session, content=file.read(first), headers={"Content-Range": f"bytes 0-{first - 1}/{size}"}, trust_env=False
        )
    assert (reply.status_code, reply.headers["range"]) == (308, f"bytes=0-{first - 1}")

    world.kill()
    with pytest.raises(VendorUnavailable):
        client.session_status(session, size)
    world.start()

    assert client.session_status(session, size) == Incomplete(first)
    assert client.upload(session, large)["id"] == world.witness("posts")[0]["remote_id"]
    client.close()
    world.stop()


def test_an_expired_session_is_gone_and_nothing_was_posted(
    world: RunningWorld, client: YouTubeClient, video: Path
) -> None:
    session = client.start_upload(metadata(), video.stat().st_size)
    world.move_to(START + timedelta(hours=30))
    assert client.session_status(session, video.stat().st_size) == Incomplete(0)  # and a new token was fetched
    unknown = session.replace("AEnB2U", "AEnB2X")

    assert client.session_status(unknown, video.stat().st_size) == Expired()
    with pytest.raises(UploadSessionGone):
        client.upload(unknown, video)
    assert world.witness("posts") == []


def test_a_session_that_vanishes_after_the_last_byte_is_not_called_gone(
    world: RunningWorld, client: YouTubeClient, video: Path
) -> None:
    session = client.start_upload(metadata(), video.stat().st_size)
    world.fault(UPLOAD, when="after", drop=True, skip=1)
    world.fault(UPLOAD, status=404, skip=1)

    with pytest.raises(ReplyLost):
        client.upload(session, video)
    assert len(world.witness("posts")) == 1


def test_statistics_and_status_by_id(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    video_id = publish(client, video)

    statistics = client.fetch_counts([video_id, "unknown-one"])

    (post,) = world.witness("posts")
    assert set(statistics) == {video_id}
    assert statistics[video_id].views == post["views"]
    assert isinstance(statistics[video_id].raw["statistics"]["viewCount"], str)
    assert set(client.fetch_status([video_id, "unknown-one"])) == {video_id}
    states = client.fetch_states([video_id, "unknown-one"])
    assert {name: state.standing for name, state in states.items()} == {video_id: "processing", "unknown-one": "gone"}
    world.move_to(START + timedelta(minutes=5))
    assert client.fetch_states([video_id])[video_id].standing == "public"
    assert client.fetch_counts([]) == {}


def test_the_same_file_again_is_rejected_as_a_duplicate(
    world: RunningWorld, client: YouTubeClient, video: Path
) -> None:
    first = publish(client, video)
    second = publish(client, video)
    world.move_to(START + timedelta(minutes=5))

    state = client.fetch_status([second])[second]
    assert (state.upload_status, state.reason) == ("rejected", "duplicate")
    assert client.fetch_states([second])[second] == PostState("rejected", "rejected: duplicate")
    duplicate = next(post for post in world.witness("posts") if post["remote_id"] == second)
    assert duplicate["flags"]["duplicate_of"] == first
    assert duplicate["removed_at"] is not None


def test_a_file_that_is_no_video_fails_in_processing(
    world: RunningWorld, client: YouTubeClient, tmp_path: Path
) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"not a video")
    video_id = publish(client, path)
    world.move_to(START + timedelta(minutes=5))

    state = client.fetch_status([video_id])[video_id]
    assert (state.upload_status, state.reason) == ("failed", "invalidFile")
    assert not world.witness("posts")[0]["public"]


def test_a_published_video_is_found_by_its_link(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    video_id = publish(client, video)
    world.move_to(START + timedelta(minutes=5))

    found = client.find_by_description("/r/abc", since=START)
    assert found is not None
    assert found["id"] == video_id
    assert client.find_by_description("/r/other", since=START) is None
    assert client.find_by_description("/r/abc", since=START + timedelta(minutes=1)) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"title": ""}, "invalidTitle"),
        ({"title": "x" * 101}, "invalidTitle"),
        ({"title": "a <b>"}, "invalidTitle"),
        ({"description": "y" * 5001}, "invalidDescription"),
        ({"tags": ("z" * 300, "w" * 300)}, "invalidTags"),
        ({"category_id": "999"}, "invalidCategoryId"),
        ({"publish_at": START}, "invalidPublishAt"),  # public and scheduled
        ({"privacy_status": "hidden"}, "badRequest"),
    ],
)
def test_what_youtube_refuses(shared_client: YouTubeClient, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(VendorRefused) as refusal:
        shared_client.start_upload(metadata(**changes), 100)
    assert refusal.value.code == code


def test_the_server_is_as_strict_as_the_vendor(shared_world: RunningWorld) -> None:
    address = f"{shared_world.url}/youtube/upload/youtube/v3/videos"
    token = httpx.post(
        f"{shared_world.url}/google_oauth/token",
        data={
            "grant_type": "refresh_token",
            "client_id": SANDBOX_KEYS["youtube_client_id"],
            "client_secret": SANDBOX_KEYS["youtube_client_secret"],
            "refresh_token": SANDBOX_KEYS["youtube_refresh_token"],
        },
        trust_env=False,
    ).json()["access_token"]

    def start(query: str, body: dict[str, Any]) -> tuple[int, str]:
        reply = httpx.post(
            f"{address}?{query}", json=body, headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )
        return reply.status_code, reply.json()["error"]["errors"][0]["reason"] if reply.content else ""

    snippet = {"title": "A"}
    assert start("uploadType=resumable", {"snippet": snippet}) == (400, "missingRequiredParameter")
    assert start("uploadType=resumable&part=snippet", {"snippet": snippet, "status": {}}) == (400, "unexpectedPart")
    assert start("uploadType=resumable&part=snippet,looks", {"snippet": snippet}) == (400, "unknownPart")
    assert start("uploadType=resumable&part=snippet&colour=red", {"snippet": snippet}) == (400, "unexpectedParameter")
    assert start("uploadType=resumable&part=snippet", {"snippet": {"title": "A", "mood": "b"}}) == (400, "badRequest")
    assert start("uploadType=resumable&part=snippet,status", {"snippet": snippet}) == (400, "missingRequiredParameter")
    # Lenient where YouTube is: no flag at all is accepted, and the video would be public.
    assert start("uploadType=resumable&part=snippet", {"snippet": snippet}) == (200, "")
    unsigned = httpx.post(f"{address}?uploadType=resumable&part=snippet", json={"snippet": snippet}, trust_env=False)
    assert unsigned.status_code == 401


def test_flags_that_were_not_sent_stand_as_null(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    from googleapiclient.http import MediaFileUpload

    media = MediaFileUpload(str(video), mimetype="video/mp4", resumable=True, chunksize=-1)
    body = {"snippet": {"title": "Forgotten flags"}}
    with closing(sdk(world)) as service:
        service.videos().insert(part="snippet", body=body, media_body=media).execute()

    flags = world.witness("posts")[0]["flags"]
    assert flags["privacyStatus"] == "public"
    assert flags["notifySubscribers"] is True
    assert flags["containsSyntheticMedia"] is None
    assert flags["selfDeclaredMadeForKids"] is None
    assert flags["hasPaidProductPlacement"] is None
    media.stream().close()


def test_googles_own_sdk_uploads_in_chunks_and_resumes(world: RunningWorld, tmp_path: Path) -> None:
    from googleapiclient.errors import HttpError
    from googleapiclient.http import MediaFileUpload

    path = write_video(tmp_path / "sdk.mp4", padding=600_000)
    media = MediaFileUpload(str(path), mimetype="video/mp4", resumable=True, chunksize=256 * 1024)
    body = {
        "snippet": {"title": "By the SDK", "description": "d", "categoryId": "26"},
        "status": {"privacyStatus": "private", "publishAt": "2026-11-20T15:00:00Z", "selfDeclaredMadeForKids": False},
        "paidProductPlacementDetails": {"hasPaidProductPlacement": True},
    }
    service = sdk(world)
    request = service.videos().insert(part="snippet,status,paidProductPlacementDetails", body=body, media_body=media)
    world.fault(UPLOAD, status=503, skip=1)
    response, failures = None, []
    while response is None:
        try:
            _, response = request.next_chunk()
        except HttpError as error:
            failures.append(error.status_code)

    assert failures == [503]
    assert response["status"]["privacyStatus"] == "private"
    assert response["paidProductPlacementDetails"] == {"hasPaidProductPlacement": True}
    assert [post["remote_id"] for post in world.witness("posts")] == [response["id"]]
    media.stream().close()
    service.close()


def test_replies_hold_only_what_googles_schema_knows(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    video_id = publish(client, video)
    service = sdk(world)
    parts = "snippet,status,statistics,contentDetails,processingDetails,paidProductPlacementDetails"
    listing = service.videos().list(part=parts, id=video_id).execute()
    conforms("VideoListResponse", listing)
    conforms(
        "BatchGetStatsResponse", service.videos().batchGetStats(part="statistics,snippet", id=[video_id]).execute()
    )
    channels = service.channels().list(part="snippet,contentDetails", mine=True).execute()
    conforms("ChannelListResponse", channels)
    uploads = channels["items"][0]["contentDetails"]["relatedPlaylists"]["uploads"]
    conforms("PlaylistItemListResponse", service.playlistItems().list(part="snippet", playlistId=uploads).execute())
    service.close()


def test_a_revoked_grant_and_a_wrong_client_are_refused(shared_world: RunningWorld) -> None:
    for changes, remedy in (
        ({"refresh_token": "revoked"}, "empire connect youtube"),
        ({"client_secret": "wrong"}, "EMPIRE_YOUTUBE_CLIENT_SECRET"),
    ):
        client = open_client(shared_world, **changes)
        with pytest.raises(VendorRefused, match=remedy):
            client.start_upload(metadata(), 100)
        with pytest.raises(VendorRefused, match=remedy):
            client.fetch_counts(["abc"])
        client.close()


def test_a_token_endpoint_that_is_down_is_unavailable(shared_world: RunningWorld, shared_client: YouTubeClient) -> None:
    shared_world.fault("POST /google_oauth/token", drop=True, times=20)
    with pytest.raises(VendorUnavailable):
        shared_client.start_upload(metadata(), 100)


def test_a_token_endpoint_that_is_out_of_order_behind_a_200_does_not_end_the_grant(
    shared_world: RunningWorld, shared_client: YouTubeClient
) -> None:
    shared_world.fault("POST /google_oauth/token", kind="error_in_200", times=20)
    with pytest.raises(VendorUnavailable):
        shared_client.start_upload(metadata(), 100)


@pytest.mark.parametrize(
    ("status", "reason", "kind", "resets"),
    [
        (403, "quotaExceeded", QuotaExhausted, datetime(2026, 11, 21, 8, 0, tzinfo=UTC)),  # midnight Pacific
        (400, "uploadLimitExceeded", QuotaExhausted, START + timedelta(hours=24)),
        (403, "uploadLimitExceeded", QuotaExhausted, START + timedelta(hours=24)),
        (403, "rateLimitExceeded", VendorUnavailable, None),
        (500, "backendError", VendorUnavailable, None),
        (403, "forbidden", CredentialsRejected, None),
        (403, "youtubeSignupRequired", CredentialsRejected, None),
        (400, "invalidTitle", VendorRefused, None),
        (403, "authenticatedUserAccountSuspended", AccountRestricted, None),
    ],
)
def test_errors_are_told_apart_by_reason(
    shared_world: RunningWorld,
    shared_client: YouTubeClient,
    status: int,
    reason: str,
    kind: type[Exception],
    resets: datetime | None,
) -> None:
    body = {"error": {"code": status, "message": "m", "errors": [{"reason": reason, "domain": "d", "message": "m"}]}}
    shared_world.fault("* /youtube/*", status=status, body=body, times=2)

    with pytest.raises(kind) as writing:
        shared_client.start_upload(metadata(), 100)
    with pytest.raises(kind) as reading:
        shared_client.fetch_status(["abc"])

    for error in (writing.value, reading.value):
        assert type(error) is kind
        assert error.code == reason  # type: ignore[attr-defined]
        assert getattr(error, "resets_at", None) == resets


def test_the_channels_daily_limit(world: RunningWorld, client: YouTubeClient, tmp_path: Path) -> None:
    path = tmp_path / "tiny.mp4"
    for number in range(15):
        path.write_bytes(b"tiny" + bytes([number]))
        publish(client, path)
    with pytest.raises(QuotaExhausted) as refusal:
        client.start_upload(metadata(), 100)
    assert refusal.value.code == "uploadLimitExceeded"

    world.move_to(START + timedelta(hours=24, minutes=1))
    assert client.start_upload(metadata(), 100)


def test_a_suspended_channel_may_not_upload_and_a_limited_one_only_so_often(
    world: RunningWorld, client: YouTubeClient, video: Path
) -> None:
    world.put_account("youtube", standing="restricted")
    with pytest.raises(VendorRefused) as suspended:
        client.start_upload(metadata(), 100)
    assert suspended.value.code == "authenticatedUserAccountSuspended"
    world.put_account("youtube", CHANNEL, standing="ok", posts_per_day=1)
    publish(client, video)
    with pytest.raises(QuotaExhausted) as limited:
        client.start_upload(metadata(), 100)
    assert limited.value.code == "uploadLimitExceeded"
    assert len(world.witness("posts")) == 1


def sdk(world: RunningWorld) -> Any:
    from google.oauth2.credentials import Credentials
    from googleapiclient.discovery import build_from_document
    from googleapiclient.discovery_cache import get_static_doc

    document = json.loads(get_static_doc("youtube", "v3"))
    document["rootUrl"] = document["baseUrl"] = f"{world.url}/youtube/"
    credentials = Credentials(
        token=None,
        refresh_token=SANDBOX_KEYS["youtube_refresh_token"],
        token_uri=f"{world.url}/google_oauth/token",
        client_id=SANDBOX_KEYS["youtube_client_id"],
        client_secret=SANDBOX_KEYS["youtube_client_secret"],
    )
    return build_from_document(document, credentials=credentials)


def conforms(schema: str, document: dict[str, Any]) -> None:
    """Every field is one that Google's discovery document names, with its JSON type."""
    from googleapiclient.discovery_cache import get_static_doc

    schemas = json.loads(get_static_doc("youtube", "v3"))["schemas"]
    types = {"string": str, "boolean": bool, "integer": int, "array": list, "object": dict}

    def check(wanted: dict[str, Any], value: Any, where: str) -> None:
        if "$ref" in wanted:
            wanted = schemas[wanted["$ref"]]
        assert isinstance(value, types[wanted["type"]]), where
        if "enum" in wanted:
            assert value in wanted["enum"], where
        if isinstance(value, list):
            for item in value:
                check(wanted["items"], item, where)
        if isinstance(value, dict) and "properties" in wanted:
            for name, content in value.items():
                assert name in wanted["properties"], f"{where}.{name}"
                check(wanted["properties"][name], content, f"{where}.{name}")

    check(schemas[schema], document, schema)


def test_a_deleted_video_is_gone_and_deleting_it_again_is_the_same(
    world: RunningWorld, client: YouTubeClient, video: Path
) -> None:
    video_id, other = publish(client, video), publish(client, write_video(video.parent / "b.mp4", seconds=3), title="B")
    assert world.witness("posts")[0]["removed_at"] is None

    client.delete(video_id)
    client.delete(video_id)

    gone, stands = world.witness("posts")
    assert (gone["public"], gone["removed_at"]) == (False, stamp(world.now()))
    assert (stands["remote_id"], stands["public"]) == (other, True)
    assert client.fetch_states([video_id, other]) == {video_id: PostState("gone"), other: PostState("processing")}
    assert httpx.get(client.url(video_id)).status_code == 404


def test_an_unlisted_video_keeps_its_labels(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    video_id = publish(client, video)

    assert client.hide(client.fetch_status([video_id])[video_id]) == "unlisted"
    assert client.hide(client.fetch_status([video_id])[video_id]) == "unlisted"

    (post,) = world.witness("posts")
    flags = post["flags"]
    assert (post["public"], flags["privacyStatus"]) == (False, "unlisted")
    assert (flags["containsSyntheticMedia"], flags["selfDeclaredMadeForKids"]) == (True, False)
    assert flags["hasPaidProductPlacement"]
    assert httpx.get(client.url(video_id)).status_code == 200  # for who has its address


def test_a_video_that_is_hidden_before_its_time_never_becomes_public(
    world: RunningWorld, client: YouTubeClient, video: Path
) -> None:
    soon = START + timedelta(minutes=10)
    video_id = publish(client, video, privacy_status="private", publish_at=soon)

    assert client.hide(client.fetch_status([video_id])[video_id]) == "private"

    world.move_to(soon + timedelta(minutes=1))
    state = client.fetch_status([video_id])[video_id]
    assert (state.privacy_status, state.publish_at) == ("private", None)
    assert not world.witness("posts")[0]["public"]


def test_deleting_needs_a_scope_of_its_own(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    video_id = publish(client, video)
    token = client._tokens.bearer()
    reply = httpx.delete(
        f"{world.url}/youtube/youtube/v3/videos", params={"id": video_id}, headers={"Authorization": f"Bearer {token}"}
    )
    assert (reply.status_code, reply.json()["error"]["errors"][0]["reason"]) == (403, "insufficientPermissions")
    assert client.fetch_states([video_id])[video_id].standing != "gone"


def test_a_deletion_whose_reply_is_lost_says_so(world: RunningWorld, client: YouTubeClient, video: Path) -> None:
    video_id = publish(client, video)
    world.fault("DELETE /youtube/youtube/v3/videos", when="after", drop=True)
    with pytest.raises(ReplyLost):
        client.delete(video_id)
    assert client.fetch_states([video_id])[video_id].standing == "gone"
