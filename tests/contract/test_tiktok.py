"""TikTok's client over real HTTP against the sandbox world, and the world's refusals in TikTok's own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.sandbox.servers.tiktok import CREATOR
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.counts import PostState
from affiliate_empire.vendors.errors import (
    AccountRestricted,
    CredentialsRejected,
    GrantEnded,
    QuotaExhausted,
    ReplyLost,
    RouteClosed,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.oauth import Grant
from affiliate_empire.vendors.tiktok import PostInfo, TikTokClient, TikTokOAuth, Upload, UploadGone, is_publish_id
from tests.factories.worlds import START, RunningWorld, WorldProcess, write_video

CHUNK = "PUT /tiktok/upload/video/"
STATUS = "POST /tiktok/v2/post/publish/status/fetch/"
INIT = "POST /tiktok/v2/post/publish/video/init/"
CAPTION = "#ad · Contains affiliate links.\n\nA quiet grinder?\n\nFacts: gear.example/h/gearlab\n\n#coffee"


@dataclass
class Pair:
    """Tokens as a single process would keep them."""

    oauth: TikTokOAuth
    grant: Grant | None = None
    refresh_token: str = SANDBOX_KEYS["tiktok_refresh_token"]
    renewals: int = 0

    def __call__(self, rejected: str | None = None) -> str:
        if self.grant is None or self.grant.access_token == rejected:
            self.grant = self.oauth.refresh(self.refresh_token)
            self.refresh_token = self.grant.refresh_token
            self.renewals += 1
        return self.grant.access_token


def open_oauth(world: RunningWorld, **changes: Any) -> TikTokOAuth:
    keys: dict[str, Callable[[], str]] = {
        "client_key": lambda: SANDBOX_KEYS["tiktok_client_key"],
        "client_secret": lambda: SANDBOX_KEYS["tiktok_client_secret"],
    }
    return TikTokOAuth(f"{world.url}/tiktok", **(keys | changes))


def open_client(world: RunningWorld, **changes: Any) -> TikTokClient:
    settings: dict[str, Any] = {"tokens": Pair(open_oauth(world)), "clock": FixedClock(START), "timeout": 10.0}
    return TikTokClient(f"{world.url}/tiktok", **(settings | changes))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path / "home")
    yield world
    world.stop()


@pytest.fixture
def client(world: RunningWorld) -> Iterator[TikTokClient]:
    client = open_client(world)
    yield client
    client.close()


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    """For tests that leave nothing behind that another could see."""
    world = RunningWorld(tmp_path_factory.mktemp("shared"))
    yield world
    world.stop()


@pytest.fixture(scope="module")
def shared_tokens(shared_world: RunningWorld) -> Pair:
    return Pair(open_oauth(shared_world))


@pytest.fixture
def shared_client(shared_world: RunningWorld, shared_tokens: Pair) -> Iterator[TikTokClient]:
    shared_tokens(rejected=shared_tokens())  # limits are counted by token
    client = open_client(shared_world, tokens=shared_tokens)
    yield client
    shared_world.clear_faults()
    client.close()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reel(tmp_path_factory.mktemp("reel") / "reel.mp4")


def write_reel(path: Path, **changes: Any) -> Path:
    """What TikTok takes: 360×640 at 30 frames a second."""
    shape: dict[str, Any] = {"size": (360, 640), "rate": 30}
    return write_video(path, **(shape | changes))


def post_info(**changes: Any) -> PostInfo:
    plain = PostInfo(
        title=CAPTION,
        privacy_level="PUBLIC_TO_EVERYONE",
        disable_comment=False,
        disable_duet=False,
        disable_stitch=False,
        brand_content_toggle=True,
        brand_organic_toggle=False,
        is_aigc=True,
    )
    return replace(plain, **changes)


def begin(client: TikTokClient, video: Path, **changes: Any) -> Upload:
    return client.start_post(post_info(**changes), video.stat().st_size)


def publish(client: TikTokClient, video: Path, **changes: Any) -> str:
    upload = begin(client, video, **changes)
    client.upload(upload, video)
    return upload.publish_id


def refusal(answer: Callable[[], object]) -> VendorError:
    with pytest.raises(VendorError) as caught:
        answer()
    return caught.value


# ---------------------------------------------------------------- posting
def test_a_direct_post_is_one_post_with_every_flag(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    info = client.fetch_creator_info()
    assert (info.username, info.longest_seconds, info.comment_disabled) == (CREATOR, 600, False)
    assert "PUBLIC_TO_EVERYONE" in info.privacy_levels
    upload = begin(client, video)
    assert world.witness("posts") == []
    before = client.fetch_status(upload.publish_id)
    assert (before.status, before.uploaded_bytes, before.post_id) == ("PROCESSING_UPLOAD", 0, None)
    client.upload(upload, video)

    (post,) = world.witness("posts")
    assert (post["account"], post["title"], post["text"]) == (CREATOR, "A quiet grinder?", CAPTION)
    assert post["media"] == {"duration": pytest.approx(2, abs=0.2), "width": 360, "height": 640, "audio": False}
    assert post["flags"]["is_aigc"] is True
    assert post["flags"]["brand_content_toggle"] is True
    assert post["flags"]["brand_organic_toggle"] is False
    assert post["flags"]["privacy_level"] == "PUBLIC_TO_EVERYONE"


def test_one_seed_is_one_world_wherever_our_services_listen(tmp_path: Path, video: Path) -> None:
    posts = []
    for host in ("127.0.0.1:40001", "127.0.0.1:40002"):
        world = RunningWorld(tmp_path / host[-1])
        client = open_client(world)
        try:
            publish(client, video, title=f"{CAPTION} http://{host}/h/gearlab")
            posts += [post["remote_id"] for post in world.witness("posts")]
        finally:
            client.close()
            world.stop()
    assert len(posts) == 2
    assert len(set(posts)) == 1


def test_the_posts_id_is_told_when_moderation_is_done(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    publish_id = publish(client, video)
    taken = client.fetch_status(publish_id)
    assert (taken.status, taken.uploaded_bytes) == ("PROCESSING_UPLOAD", video.stat().st_size)
    assert client.fetch_states([publish_id]) == {publish_id: PostState("processing")}
    world.move_to(START + timedelta(seconds=21))
    processed = client.fetch_status(publish_id)
    assert (processed.status, processed.post_id) == ("PUBLISH_COMPLETE", None)
    world.move_to(START + timedelta(minutes=2))

    (post,) = world.witness("posts")
    post_id = client.fetch_status(publish_id).post_id
    assert post_id == post["remote_id"]
    assert client.fetch_states([post_id, "7000000000000000001"]) == {
        post_id: PostState("public"),
        "7000000000000000001": PostState("gone"),
    }
    public = client.fetch_public_videos([post_id])[post_id]
    assert public.posted_at == START
    assert public.url == client.url(post_id, CREATOR)
    page = httpx.get(public.url, trust_env=False)
    assert page.status_code == 200
    assert "SIMULATED" in page.text


def test_counters_are_the_worlds(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    publish_id = publish(client, video)
    world.move_to(START + timedelta(hours=6))
    post_id = client.fetch_status(publish_id).post_id
    assert post_id is not None
    counts = client.fetch_counts([post_id, publish_id, "7000000000000000001"])

    (post,) = world.witness("posts")
    assert set(counts) == {post_id}
    assert counts[post_id].views == post["views"] > 0
    assert counts[post_id].raw["view_count"] == post["views"]
    assert counts[post_id].shares is not None
    assert client.fetch_counts([]) == {}


def test_more_ids_than_one_call_takes(world: RunningWorld, client: TikTokClient) -> None:
    ids = [str(7_000_000_000_000_000_000 + number) for number in range(45)]
    assert set(client.fetch_states(ids)) == set(ids)


def test_chunks_go_in_order_and_go_on_where_they_stopped(world: RunningWorld, tmp_path: Path) -> None:
    client = open_client(world, chunk_bytes=5 * 1024 * 1024)
    large = write_reel(tmp_path / "large.mp4", padding=12_000_000)
    upload = begin(client, large)
    assert upload.chunks == 2  # the last one takes the rest
    world.fault(CHUNK, status=503, skip=1)
    with pytest.raises(ReplyLost):
        client.upload(upload, large)
    received = client.fetch_status(upload.publish_id).uploaded_bytes
    assert received == upload.chunk_size
    assert world.witness("posts") == []

    with pytest.raises(ReplyLost):
        client.upload(upload, large)  # from the start again: not the next chunk
    client.upload(upload, large, received=received)
    assert client.fetch_status(upload.publish_id).uploaded_bytes == large.stat().st_size
    assert len(world.witness("posts")) == 1
    client.close()


def test_a_lost_reply_after_the_last_chunk_is_told_by_the_publish_id(
    world: RunningWorld, client: TikTokClient, video: Path
) -> None:
    upload = begin(client, video)
    world.fault(CHUNK, when="after", drop=True)
    with pytest.raises(ReplyLost):
        client.upload(upload, video)

    assert client.fetch_status(upload.publish_id).uploaded_bytes == upload.size
    with pytest.raises(ReplyLost):
        client.upload(upload, video)  # the address takes nothing twice
    assert len(world.witness("posts")) == 1


def test_an_upload_address_lives_one_hour(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    upload = begin(client, video)
    world.move_to(START + timedelta(hours=1))
    with pytest.raises(UploadGone):
        client.upload(upload, video)
    with pytest.raises(UploadGone):
        client.upload(replace(upload, url=f"{upload.url}x"), video)
    assert client.fetch_status(upload.publish_id).uploaded_bytes == 0
    assert world.witness("posts") == []


def test_a_publish_survives_kill_9_of_the_world(tmp_path: Path, video: Path) -> None:
    world = WorldProcess(tmp_path / "home")
    client = open_client(world)
    half, whole = begin(client, video), begin(client, video)
    client.upload(whole, video)
    world.kill()
    world.start()

    assert client.fetch_status(half.publish_id).uploaded_bytes == 0
    client.upload(half, video)
    assert len(world.witness("posts")) == 2
    client.close()
    world.stop()


def test_a_draft_waits_until_the_creator_posts_it(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    upload = client.start_draft(video.stat().st_size)
    assert is_publish_id(upload.publish_id)
    client.upload(upload, video)
    world.move_to(START + timedelta(minutes=1))
    assert client.fetch_status(upload.publish_id).status == "SEND_TO_USER_INBOX"
    assert not world.witness("posts")[0]["public"]
    world.move_to(START + timedelta(hours=5))

    posted = client.fetch_status(upload.publish_id)
    (post,) = world.witness("posts")
    assert (posted.status, posted.post_id) == ("PUBLISH_COMPLETE", post["remote_id"])
    assert (post["text"], post["public"], post["flags"]["from_inbox"]) == ("", True, True)
    assert post["remote_id"] in client.fetch_public_videos([post["remote_id"]])


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ({"size": (90, 160)}, "picture_size_check_failed"),
        ({"rate": 10}, "frame_rate_check_failed"),
        ({"size": (20, 20), "rate": 1, "seconds": 601}, "duration_check_failed"),
        (None, "file_format_check_failed"),
    ],
)
def test_media_that_tiktok_cannot_post(
    world: RunningWorld, client: TikTokClient, tmp_path: Path, shape: dict[str, Any] | None, reason: str
) -> None:
    path = tmp_path / "broken.mp4"
    if shape is None:
        path.write_bytes(b"not a video")
    else:
        write_reel(path, **shape)
    publish_id = publish(client, path)
    world.move_to(START + timedelta(minutes=1))

    status = client.fetch_status(publish_id)
    assert (status.status, status.fail_reason, status.post_id) == ("FAILED", reason, None)
    assert client.fetch_states([publish_id]) == {publish_id: PostState("processing")}  # its own status tells more
    assert client.failure(reason).code == reason
    assert world.witness("posts") == []


# ---------------------------------------------------------------- what TikTok refuses
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"title": "x" * 2201}, "invalid_params"),
        ({"title": "😀" * 1101}, "invalid_params"),  # counted in UTF-16
        ({"title": None}, "invalid_params"),
        ({"privacy_level": "FOLLOWER_OF_CREATOR"}, "privacy_level_option_mismatch"),
        ({"privacy_level": "SELF_ONLY"}, "invalid_params"),  # branded content
        ({"privacy_level": None}, "invalid_params"),
        ({"is_aigc": "yes"}, "invalid_params"),
    ],
)
def test_a_post_that_breaks_a_rule(
    shared_client: TikTokClient, video: Path, changes: dict[str, Any], code: str
) -> None:
    error = refusal(lambda: begin(shared_client, video, **changes))
    of_the_route = code == "privacy_level_option_mismatch"
    assert (type(error), error.code) == (RouteClosed if of_the_route else VendorRefused, code)


def test_the_longest_caption_is_taken(shared_client: TikTokClient, video: Path) -> None:
    assert begin(shared_client, video, title="x" * 2200)


def test_an_unaudited_client_posts_for_nobody_but_the_creator(
    world: RunningWorld, client: TikTokClient, video: Path
) -> None:
    world.store.save_fact("tiktok.unaudited", "1")
    error = refusal(lambda: begin(client, video))
    assert error.code == "unaudited_client_can_only_post_to_private_accounts"
    assert type(error) is RouteClosed
    assert "take another route" in str(error)
    world.store.save_fact("tiktok.private", "1")
    assert client.fetch_creator_info().privacy_levels[0] == "FOLLOWER_OF_CREATOR"
    hidden = publish(client, video, privacy_level="SELF_ONLY", brand_content_toggle=False)
    world.move_to(START + timedelta(hours=5))

    status = client.fetch_status(hidden)
    assert (status.status, status.post_id) == ("PUBLISH_COMPLETE", None)  # SELF_ONLY: never told
    (post,) = world.witness("posts")
    assert not post["public"]
    assert client.fetch_states([post["remote_id"]])[post["remote_id"]].standing == "gone"


def test_a_creator_without_comments_gets_none(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    world.store.save_fact("tiktok.comment_disabled", "1")
    assert client.fetch_creator_info().comment_disabled
    assert refusal(lambda: begin(client, video)).code == "invalid_params"
    assert begin(client, video, disable_comment=True)


def test_a_scope_that_was_not_granted(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    world.store.save_fact("tiktok.scopes", "video.upload")
    for answer in (client.fetch_creator_info, lambda: begin(client, video), lambda: client.fetch_counts(["7"])):
        error = refusal(answer)
        assert (type(error), error.code) == (CredentialsRejected, "scope_not_authorized")
    assert client.start_draft(video.stat().st_size)


def test_the_creators_posts_of_a_day_are_counted(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    world.put_account("tiktok", posts_per_day=2)
    late = begin(client, video)
    publish(client, video)
    publish(client, video)
    for answer in (client.fetch_creator_info, lambda: begin(client, video)):  # the first one with HTTP 200
        error = refusal(answer)
        assert isinstance(error, QuotaExhausted)
        assert (error.code, error.resets_at) == ("spam_risk_too_many_posts", START + timedelta(hours=24))
    client.upload(late, video)  # begun in time, complete too late
    world.move_to(START + timedelta(minutes=1))
    failed = client.fetch_status(late.publish_id)
    assert (failed.status, failed.fail_reason) == ("FAILED", "spam_risk_too_many_posts")
    assert isinstance(client.failure(failed.fail_reason), QuotaExhausted)
    assert len(world.witness("posts")) == 2

    world.move_to(START + timedelta(hours=24))
    assert begin(client, video)


def test_usually_fifteen(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    for number in range(15):
        publish(client, video)
        world.move_to(START + timedelta(minutes=number + 1))
    assert refusal(client.fetch_creator_info).code == "spam_risk_too_many_posts"


def test_five_drafts_may_wait(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    for _ in range(5):
        client.upload(client.start_draft(video.stat().st_size), video)
    world.move_to(START + timedelta(minutes=1))
    error = refusal(lambda: client.start_draft(video.stat().st_size))
    assert isinstance(error, QuotaExhausted)
    assert error.code == "spam_risk_too_many_pending_share"


def test_a_banned_account_may_not_post(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    world.put_account("tiktok", CREATOR, standing="restricted")
    for answer in (
        client.fetch_creator_info,
        lambda: begin(client, video),
        lambda: client.start_draft(video.stat().st_size),
    ):
        error = refusal(answer)
        assert (type(error), error.code) == (AccountRestricted, "spam_risk_user_banned_from_posting")


@pytest.mark.parametrize(
    ("limit", "ask"),
    [
        (20, lambda client: client.fetch_creator_info()),
        (6, lambda client: client.start_draft(100)),
        (30, lambda client: client.fetch_status("v_pub_file~1")),
    ],
)
def test_calls_per_minute(world: RunningWorld, client: TikTokClient, limit: int, ask: Any) -> None:
    def code() -> str | None:
        try:
            ask(client)
        except VendorError as error:
            return error.code
        return None

    assert "rate_limit_exceeded" not in [code() for _ in range(limit)]
    error = refusal(lambda: ask(client))
    assert isinstance(error, VendorUnavailable)
    assert (error.code, error.retry_after) == ("rate_limit_exceeded", 60.0)
    world.move_to(START + timedelta(minutes=1))
    assert code() != "rate_limit_exceeded"


def test_the_server_is_as_strict_as_the_vendor(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    access = Pair(open_oauth(world))()

    def ask(path: str, body: Any, **headers: str) -> tuple[int, str]:
        sent = {"Authorization": f"Bearer {access}", "Content-Type": "application/json; charset=UTF-8"} | headers
        reply = httpx.post(f"{world.url}/tiktok/v2/{path}", json=body, headers=sent, trust_env=False)
        assert set(reply.json()) == {"data", "error"}
        assert set(reply.json()["error"]) == {"code", "message", "log_id"}
        return reply.status_code, reply.json()["error"]["code"]

    invalid = (400, "invalid_params")
    info = {"privacy_level": "PUBLIC_TO_EVERYONE", "title": "A"}

    def source(size: int = 100, chunk: int = 100, count: int = 1, **more: Any) -> dict[str, Any]:
        return {"source": "FILE_UPLOAD", "video_size": size, "chunk_size": chunk, "total_chunk_count": count} | more

    init, draft = "post/publish/video/init/", "post/publish/inbox/video/init/"
    assert ask(init, {"post_info": info, "source_info": source()}) == (200, "ok")
    assert (
        ask(init, {"post_info": info, "source_info": source()}, Authorization="Bearer x")[1] == "access_token_invalid"
    )
    assert ask(init, {"post_info": info}) == invalid
    assert ask(init, {"source_info": source()}) == invalid
    assert ask(init, {"post_info": info | {"mood": "b"}, "source_info": source()}) == invalid
    assert ask(init, {"post_info": info, "source_info": source(), "colour": "red"}) == invalid
    world.move_to(START + timedelta(minutes=1))
    pull = {"source": "PULL_FROM_URL", "video_url": "https://example.com/v.mp4"}
    assert ask(init, {"post_info": info, "source_info": pull}) == (403, "url_ownership_unverified")
    assert ask(draft, {"post_info": info, "source_info": source()}) == invalid
    assert ask(f"{draft}?colour=red", {"source_info": source()}) == invalid
    assert ask(draft, {"source_info": source()}, **{"Content-Type": "text/plain"}) == invalid
    assert ask("post/publish/status/fetch/", {"publish_id": "v_pub_file~1"}) == (400, "invalid_publish_id")
    assert ask("post/publish/status/fetch/", {}) == invalid
    query = "video/query/?fields=id"
    assert ask("video/query/", {"filters": {"video_ids": ["7"]}}) == invalid
    assert ask(f"{query},mood", {"filters": {"video_ids": ["7"]}}) == invalid
    assert ask(query, {"filters": {"video_ids": ["7"] * 21}}) == invalid
    assert ask(query, {"filters": {"video_ids": []}}) == invalid
    assert ask(query, {"filters": {"video_ids": [7]}}) == invalid
    assert ask(query, {"filters": {"video_ids": ["7"]}}) == (200, "ok")


MB = 1024 * 1024


@pytest.mark.parametrize(
    ("size", "chunk", "count", "taken"),
    [
        (4 * MB, 4 * MB, 1, True),
        (4 * MB, 2 * MB, 2, False),  # under 5 MB goes whole
        (12 * MB, 5 * MB, 2, True),
        (12 * MB, 5 * MB, 3, False),  # rounded down, not up
        (12 * MB, 4 * MB, 3, False),
        (64 * MB, 64 * MB, 1, True),
        (65 * MB, 65 * MB, 1, False),
        (127 * MB, 64 * MB, 1, True),
        (200 * MB, 64 * MB, 3, True),
        (5000 * MB, 64 * MB, 78, False),
        (0, 0, 0, False),
    ],
)
def test_chunks_follow_the_media_transfer_guide(
    shared_world: RunningWorld, shared_tokens: Pair, size: int, chunk: int, count: int, taken: bool
) -> None:
    source = {"source": "FILE_UPLOAD", "video_size": size, "chunk_size": chunk, "total_chunk_count": count}
    reply = httpx.post(
        f"{shared_world.url}/tiktok/v2/post/publish/inbox/video/init/",
        json={"source_info": source},
        headers={"Authorization": f"Bearer {shared_tokens(rejected=shared_tokens())}"},
        trust_env=False,
    )
    assert reply.json()["error"]["code"] == ("ok" if taken else "invalid_params")


def test_a_chunk_must_be_the_next_one_and_whole(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    data = video.read_bytes()
    upload = begin(client, video)

    def put(content: bytes, span: str, kind: str = "video/mp4") -> int:
        headers = {"Content-Range": span, "Content-Type": kind}
        return httpx.put(upload.url, content=content, headers=headers, trust_env=False).status_code

    whole = f"bytes 0-{len(data) - 1}/{len(data)}"
    assert put(data, whole, "text/plain") == 400
    assert put(data[:-1], whole) == 400
    assert put(data, "") == 400
    assert put(data[:100], f"bytes 0-99/{len(data)}") == 416
    assert put(data[1:], f"bytes 1-{len(data) - 1}/{len(data)}") == 416
    assert put(data, whole) == 201
    assert put(data, whole) == 416
    assert len(world.witness("posts")) == 1


# ---------------------------------------------------------------- tokens
def test_a_refresh_token_works_once(world: RunningWorld) -> None:
    oauth = open_oauth(world)
    first = oauth.refresh(SANDBOX_KEYS["tiktok_refresh_token"])
    assert (first.expires_in, first.refresh_expires_in) == (7200, 180 * 86400)
    error = refusal(lambda: oauth.refresh(SANDBOX_KEYS["tiktok_refresh_token"]))
    assert (type(error), error.code) == (GrantEnded, "invalid_grant")
    assert "empire connect tiktok" in str(error)
    second = oauth.refresh(first.refresh_token)
    assert second.access_token != first.access_token
    world.move_to(START + timedelta(days=1))
    third = oauth.refresh(second.refresh_token)
    assert third.refresh_token not in repr(third)
    assert third.access_token not in repr(third)


def test_a_wrong_client_is_not_a_dead_grant(shared_world: RunningWorld) -> None:
    oauth = open_oauth(shared_world, client_secret=lambda: "wrong")
    error = refusal(lambda: oauth.refresh(SANDBOX_KEYS["tiktok_refresh_token"]))
    assert (type(error), error.code) == (CredentialsRejected, "invalid_client")
    assert "EMPIRE_TIKTOK_CLIENT_SECRET" in str(error)


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}, {"status": 200, "body": "<html>"}])
def test_a_token_endpoint_that_does_not_answer(
    shared_world: RunningWorld, shared_client: TikTokClient, shared_tokens: Pair, fault: dict[str, Any]
) -> None:
    shared_world.fault("POST /tiktok/v2/oauth/token/", **fault)
    with pytest.raises(VendorUnavailable):
        open_oauth(shared_world).refresh(shared_tokens.refresh_token)


def test_an_access_token_that_ran_out_is_renewed_once(world: RunningWorld, video: Path) -> None:
    tokens = Pair(open_oauth(world))
    client = open_client(world, tokens=tokens)
    upload = begin(client, video)
    world.move_to(START + timedelta(minutes=50))
    client.upload(upload, video)
    world.move_to(START + timedelta(hours=2))
    assert client.fetch_status(upload.publish_id).status == "PUBLISH_COMPLETE"
    assert tokens.renewals == 2
    client.close()


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "spam_risk_too_many_posts", QuotaExhausted),
        (200, "spam_risk_too_many_posts", QuotaExhausted),
        (403, "reached_active_user_cap", QuotaExhausted),
        (429, "rate_limit_exceeded", VendorUnavailable),
        (500, "internal_error", VendorUnavailable),
        (403, "unaudited_client_can_only_post_to_private_accounts", RouteClosed),
        (403, "url_ownership_unverified", CredentialsRejected),
        (200, "some_new_code", VendorRefused),
    ],
)
def test_errors_are_told_apart_by_code(
    shared_world: RunningWorld, shared_client: TikTokClient, status: int, code: str, kind: type[VendorError]
) -> None:
    body = {"data": {}, "error": {"code": code, "message": "m", "log_id": "l"}}
    shared_world.fault(STATUS, status=status, body=body)
    error = refusal(lambda: shared_client.fetch_status("v_pub_file~1"))
    assert (type(error), error.code) == (kind, code)
    assert getattr(error, "resets_at", None) == (
        datetime(2026, 11, 21, 14, tzinfo=UTC) if kind is QuotaExhausted else None
    )


def test_replies_that_cannot_be_read(world: RunningWorld, client: TikTokClient, video: Path) -> None:
    world.fault(STATUS, status=502, body="<html>")
    assert type(refusal(lambda: client.fetch_status("v_pub_file~1"))) is VendorUnavailable
    bodies: list[Any] = ["<html>", {"data": {}, "error": {"code": "ok", "message": "", "log_id": "l"}}, []]
    for body in bodies:
        world.fault("* /tiktok/v2/post/*", status=200, body=body, times=3)
        for answer in (
            client.fetch_creator_info,
            lambda: begin(client, video),
            lambda: client.fetch_status("v_pub_file~1"),
        ):
            assert type(refusal(answer)) is ReplyLost
    world.fault(INIT, when="after", drop=True)
    assert type(refusal(lambda: begin(client, video))) is ReplyLost
