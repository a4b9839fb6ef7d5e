"""Instagram's client over real HTTP against the sandbox world, and what the world refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.sandbox import keys
from affiliate_empire.sandbox.clock import stamp
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.errors import (
    AccountRestricted,
    CredentialsRejected,
    GrantEnded,
    QuotaExhausted,
    ReplyLost,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.instagram import (
    ContainerNotPublishable,
    ContainerStatus,
    InstagramClient,
    InstagramCredentials,
    Reel,
    failed_for_good,
)
from tests.factories.worlds import START, RunningWorld, WorldProcess, write_video

CAPTION = "#ad · Contains affiliate links.\n\nEighteen settings, one grinder?\n127.0.0.1:1/h/gearlab\nhttp://127.0.0.1:1/r/abc"
REEL = Reel(
    caption=CAPTION,
    share_to_feed=True,
    is_ai_generated=True,
    is_paid_partnership=True,
    cover_url=None,
    thumb_offset_ms=1000,
)
GRAPH = "/instagram/v26.0"
USER = SANDBOX_KEYS["instagram_user_id"]
PUBLISH = f"POST {GRAPH}/{USER}/media_publish"
UPLOAD = "POST /instagram_upload/*"


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


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "reel.mp4", seconds=4, index_first=True)


@pytest.fixture
def client(world: RunningWorld) -> Iterator[InstagramClient]:
    with closing(open_client(world)) as client:
        yield client


@pytest.fixture
def shared_client(shared_world: RunningWorld) -> Iterator[InstagramClient]:
    with closing(open_client(shared_world)) as client:
        yield client
    shared_world.clear_faults()


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[str]:
    """A folder that anybody may fetch from: ``<tmp_path>/public``."""
    folder = tmp_path / "public"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


def open_client(world: RunningWorld, **changes: Any) -> InstagramClient:
    token = changes.pop("token", SANDBOX_KEYS["instagram_access_token"])
    defaults: dict[str, Any] = {"clock": FixedClock(START), "timeout": 10.0, "pause": lambda seconds: None}
    return InstagramClient(
        f"{world.url}/instagram",
        f"{world.url}/instagram_upload",
        credentials=lambda: InstagramCredentials(USER, token),
        **(defaults | changes),
    )


def processed(client: InstagramClient, path: Path, **changes: Any) -> str:
    """A container that may be published."""
    container = client.create_container(replace(REEL, **changes), video_url=None)
    client.upload(container, path)
    assert client.wait_until_processed(container) == ContainerStatus("FINISHED", "Finished")
    return container


def ask(world: RunningWorld, method: str, path: str, **parameters: Any) -> tuple[int, dict[str, Any]]:
    """A call by hand, as any other client could make it."""
    headers = {"Authorization": f"Bearer {SANDBOX_KEYS['instagram_access_token']}"}
    query, form = (parameters, None) if method == "GET" else (None, parameters)
    with httpx.Client(trust_env=False, timeout=10, headers=headers) as http:
        reply = http.request(method, f"{world.url}{path}", params=query, data=form)
    return reply.status_code, reply.json()


# ---------------------------------------------------------------- posting
def test_a_published_container_is_one_reel_with_every_label(
    world: RunningWorld, client: InstagramClient, video: Path
) -> None:
    container = processed(client, video)
    assert world.witness("posts") == []
    media_id = client.publish(container)

    (post,) = world.witness("posts")
    assert (post["platform"], post["remote_id"], post["text"], post["public"]) == ("instagram", media_id, CAPTION, True)
    assert post["title"] == "Eighteen settings, one grinder?"
    assert (post["media"]["width"], post["media"]["height"]) == (90, 160)
    assert post["media"]["duration"] == pytest.approx(4, abs=0.2)
    flags = post["flags"]
    assert (flags["is_ai_generated"], flags["is_paid_partnership"], flags["share_to_feed"]) == (True, True, True)
    assert client.container_status(container).code == "PUBLISHED"
    status, node = ask(world, "GET", f"{GRAPH}/{media_id}", fields="media_product_type,is_ai_generated")
    assert (status, node) == (200, {"id": media_id, "media_product_type": "REELS", "is_ai_generated": True})


def test_labels_that_were_forgotten_stand_as_null_for_the_witness(
    world: RunningWorld, client: InstagramClient, video: Path
) -> None:
    _, made = ask(world, "POST", f"{GRAPH}/{USER}/media", media_type="REELS", upload_type="resumable")
    client.upload(made["id"], video)
    client.wait_until_processed(made["id"])
    client.publish(made["id"])

    (post,) = world.witness("posts")
    assert (post["flags"]["is_ai_generated"], post["flags"]["is_paid_partnership"]) == (None, None)


def test_the_file_is_fetched_from_a_public_address(
    world: RunningWorld, client: InstagramClient, video: Path, hosted: str, tmp_path: Path
) -> None:
    (tmp_path / "public" / "reel.mp4").write_bytes(video.read_bytes())
    container = client.create_container(REEL, video_url=f"{hosted}/reel.mp4")

    assert client.wait_until_processed(container).code == "FINISHED"
    media_id = client.publish(container)
    reel = httpx.get(client.fetch_reel(media_id).permalink, trust_env=False)
    assert reel.content == video.read_bytes()


@pytest.mark.parametrize("reason", ["missing", "robots", "beyond"])
def test_an_address_that_cannot_be_fetched_ends_the_container(
    client: InstagramClient, video: Path, hosted: str, tmp_path: Path, reason: str
) -> None:
    if reason == "robots":
        (tmp_path / "public" / "reel.mp4").write_bytes(video.read_bytes())
        (tmp_path / "public" / "robots.txt").write_text("User-agent: *\nDisallow: /\n")
    url = "https://example.com/reel.mp4" if reason == "beyond" else f"{hosted}/reel.mp4"
    status = client.container_status(client.create_container(REEL, video_url=url))

    assert status.code == "ERROR"
    assert ("robots.txt" in status.detail) == (reason == "robots")


def test_processing_takes_its_time(world: RunningWorld, client: InstagramClient, video: Path) -> None:
    container = client.create_container(REEL, video_url=None)
    assert client.container_status(container).code == "IN_PROGRESS"
    with pytest.raises(ContainerNotPublishable):
        client.publish(container)
    client.upload(container, video)
    assert client.container_status(container).code == "IN_PROGRESS"
    world.move_to(START + timedelta(minutes=2))
    assert client.container_status(container).code == "FINISHED"


def test_a_container_that_never_gets_its_video_is_given_up_for_now(client: InstagramClient) -> None:
    with pytest.raises(VendorUnavailable, match="still processing"):
        client.wait_until_processed(client.create_container(REEL, video_url=None))


def test_a_container_lives_a_day(world: RunningWorld, client: InstagramClient, video: Path) -> None:
    container = processed(client, video)
    world.move_to(START + timedelta(hours=24))

    assert client.container_status(container).code == "EXPIRED"
    with pytest.raises(ContainerNotPublishable) as refused:
        client.publish(container)
    assert refused.value.code == "-2.2207020"
    assert world.witness("posts") == []


def test_a_container_is_published_once(world: RunningWorld, client: InstagramClient, video: Path) -> None:
    container = processed(client, video)
    client.publish(container)

    with pytest.raises(ContainerNotPublishable):
        client.publish(container)
    assert len(world.witness("posts")) == 1


def test_a_publication_without_a_reply_is_known_by_its_container(
    world: RunningWorld, client: InstagramClient, video: Path
) -> None:
    container = processed(client, video)
    world.fault(PUBLISH, when="after", drop=True)
    with pytest.raises(ReplyLost):
        client.publish(container)

    assert client.container_status(container).code == "PUBLISHED"
    found = client.find_by_caption("/r/abc", since=START)
    assert found is not None
    assert [post["remote_id"] for post in world.witness("posts")] == [found.media_id]
    assert client.find_by_caption("/r/other", since=START) is None
    assert client.find_by_caption("/r/abc", since=START + timedelta(minutes=1)) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"error": {"message": "An unexpected error", "type": "OAuthException", "code": 2, "is_transient": True}}),
        (400, {"error": {"message": "Instagram server error", "code": -1, "error_subcode": 2207001}}),
        (502, "<html>Bad Gateway</html>"),
        (200, "<html>maintenance</html>"),
    ],
)
def test_an_answer_that_says_try_again_may_have_published(
    shared_world: RunningWorld, shared_client: InstagramClient, status: int, body: Any
) -> None:
    shared_world.fault(PUBLISH, status=status, body=body)
    with pytest.raises(ReplyLost):
        shared_client.publish("17000000000000001")


def test_a_lost_reply_to_what_nobody_sees_is_only_an_outage(
    world: RunningWorld, client: InstagramClient, video: Path
) -> None:
    container = client.create_container(REEL, video_url=None)
    world.fault(UPLOAD, when="after", drop=True)
    with pytest.raises(VendorUnavailable) as lost:
        client.upload(container, video)

    assert type(lost.value) is VendorUnavailable
    client.upload(container, video)  # it had arrived
    assert client.wait_until_processed(container).code == "FINISHED"


def test_containers_and_reels_survive_kill_9_of_the_world(tmp_path: Path, video: Path) -> None:
    world = WorldProcess(tmp_path / "home")
    with closing(open_client(world)) as client:
        container = processed(client, video)
        world.kill()
        with pytest.raises(VendorUnavailable):
            client.publish(container)
        world.start()
        media_id = client.publish(container)
        world.kill()
        world.start()
        assert client.container_status(container).code == "PUBLISHED"
        assert [post["remote_id"] for post in world.witness("posts")] == [media_id]
    world.stop()


# ---------------------------------------------------------------- what Reels do not take
@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"media_type": "IMAGE"}, 100),
        ({"upload_type": None}, 100),
        ({"video_url": "http://127.0.0.1:1/a.mp4"}, 100),  # and resumable
        ({"is_ai_generated": "maybe"}, 100),
        ({"caption": "x" * 2201}, 36004),
        ({"caption": "#a #b #c #d #e #f"}, 100),
        ({"aigc": "true"}, 100),
    ],
)
def test_what_a_container_may_not_say(shared_world: RunningWorld, parameters: dict[str, Any], code: int) -> None:
    wish = {"media_type": "REELS", "upload_type": "resumable"} | parameters
    wish = {name: value for name, value in wish.items() if value is not None}
    status, reply = ask(shared_world, "POST", f"{GRAPH}/{USER}/media", **wish)

    assert (status, reply["error"]["code"]) == (400, code)
    assert set(reply["error"]) >= {"message", "type", "fbtrace_id"}


@pytest.mark.parametrize("kind", ["short", "index last", "no video"])
def test_what_a_reel_may_not_be(client: InstagramClient, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "reel.mp4"
    if kind == "no video":
        path.write_bytes(b"not a video")
    else:
        write_video(path, seconds=2 if kind == "short" else 4, index_first=kind == "short")
    container = client.create_container(REEL, video_url=None)
    client.upload(container, path)
    status = client.wait_until_processed(container)

    assert status.code == "ERROR"
    assert "2207026" in status.detail
    assert failed_for_good(status)


def test_an_upload_must_bring_what_it_says(shared_world: RunningWorld, shared_client: InstagramClient) -> None:
    container = shared_client.create_container(REEL, video_url=None)
    url = f"{shared_world.url}/instagram_upload/ig-api-upload/v26.0/{container}"

    def send(token: str = SANDBOX_KEYS["instagram_access_token"], **headers: str) -> tuple[int, dict[str, Any]]:
        auth = {"Authorization": f"OAuth {token}"}
        reply = httpx.post(url, content=b"12345", headers=auth | headers, trust_env=False)
        return reply.status_code, reply.json()["debug_info"]

    assert send(token="x", offset="0", file_size="5")[1]["type"] == "NotAuthorizedError"
    assert send(offset="0")[1]["type"] == "PartialRequestError"
    assert send(offset="7", file_size="12")[1]["type"] == "OffsetInvalidError"
    assert send(offset="0", file_size="9")[1]["retriable"] is True
    assert send(offset="0", file_size="3")[1]["retriable"] is False


# ---------------------------------------------------------------- limits, standing, tokens, versions
def test_the_publishing_limit_is_read_and_enforced(world: RunningWorld, client: InstagramClient, video: Path) -> None:
    assert client.publishing_limit().total == 100
    world.put_account("instagram", USER, posts_per_day=1)
    client.publish(processed(client, video))
    limit = client.publishing_limit()
    assert (limit.used, limit.total, limit.window) == (1, 1, timedelta(days=1))

    with pytest.raises(QuotaExhausted) as full:
        client.publish(processed(client, video, caption="#ad another"))
    assert full.value.resets_at == START + timedelta(days=1)
    assert len(world.witness("posts")) == 1
    world.move_to(START + timedelta(hours=25))
    assert client.publishing_limit().used == 0


def test_a_restricted_account_may_not_publish(world: RunningWorld, client: InstagramClient, video: Path) -> None:
    container = processed(client, video)
    world.put_account("instagram", USER, standing="restricted")

    with pytest.raises(VendorRefused, match="open the Instagram app"):
        client.publish(container)
    assert world.witness("posts") == []


def test_400_containers_a_day(world: RunningWorld, client: InstagramClient) -> None:
    for _ in range(400):
        client.create_container(REEL, video_url=None)
    with pytest.raises(VendorUnavailable, match="fewer calls"):
        client.create_container(REEL, video_url=None)
    world.move_to(START + timedelta(hours=24))
    client.create_container(REEL, video_url=None)


def exchanged(world: RunningWorld, token: str = SANDBOX_KEYS["instagram_access_token"]) -> dict[str, Any]:
    """What Meta answers an owner who asks for a token that lives longer, as their guide has it."""
    app = {"client_id": keys.META_APP_ID, "client_secret": keys.META_APP_SECRET}
    asked = {"grant_type": "fb_exchange_token", "fb_exchange_token": token, **app}
    answer = httpx.get(f"{world.url}{GRAPH}/oauth/access_token", params=asked, timeout=10)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def test_the_world_exchanges_a_token_for_one_that_lives_60_days(world: RunningWorld) -> None:
    first = exchanged(world)
    assert first["expires_in"] == 60 * 24 * 3600
    with closing(open_client(world, token=first["access_token"])) as client:
        assert client.publishing_limit().used == 0
    assert exchanged(world, first["access_token"]) == first  # not a day old
    world.move_to(START + timedelta(days=1))
    assert exchanged(world, first["access_token"]) != first


def test_a_token_that_has_run_out_is_refused_with_the_remedy(tmp_path: Path) -> None:
    world = RunningWorld(tmp_path / "home", now=START - timedelta(days=61))
    token = str(exchanged(world)["access_token"])
    world.move_to(START)
    with (
        closing(open_client(world, token=token)) as client,
        pytest.raises(VendorRefused, match="empire connect instagram"),
    ):
        client.publishing_limit()
    world.stop()


@pytest.mark.parametrize("token", ["", "another", "tokén\n"])
def test_a_wrong_token_is_refused(shared_world: RunningWorld, token: str) -> None:
    with (
        closing(open_client(shared_world, token=token)) as client,
        pytest.raises(VendorRefused, match="empire connect instagram"),
    ):
        client.publishing_limit()


def test_the_account_and_its_token_are_asked_for_at_the_first_call(shared_world: RunningWorld) -> None:
    def missing() -> InstagramCredentials:
        raise LookupError("no token yet")

    client = InstagramClient(
        f"{shared_world.url}/instagram", f"{shared_world.url}/up", credentials=missing, clock=FixedClock(START)
    )
    with closing(client), pytest.raises(LookupError):
        client.publishing_limit()


@pytest.mark.parametrize("version", ["v20.0", "v99.0"])
def test_a_version_that_is_not_in_force_is_refused(shared_world: RunningWorld, version: str) -> None:
    status, reply = ask(shared_world, "GET", f"/instagram/{version}/{USER}/content_publishing_limit")
    assert (status, reply["error"]["code"]) == (400, 2635)


# ---------------------------------------------------------------- how it fares
def test_counts_come_late_and_never_as_zero(world: RunningWorld, client: InstagramClient, video: Path) -> None:
    media_id = client.publish(processed(client, video))
    assert client.fetch_counts([media_id]) == {}
    world.move_to(START + timedelta(hours=1, minutes=30))
    early = client.fetch_counts([media_id, "18000000000000000"])[media_id]
    (post,) = world.witness("posts")
    assert (early.views, early.likes, early.comments) == (post["views"], post["likes"], post["comments"])
    assert early.views > 0
    assert early.saves is None
    assert early.watch_seconds is None
    world.move_to(START + timedelta(hours=49))
    late = client.fetch_counts([media_id])[media_id]
    assert late.reach is not None
    assert 0 < late.reach < late.views
    assert late.saves is not None
    assert late.watch_seconds is not None
    assert 0 < late.watch_seconds < 4


def test_all_reels_are_found_over_the_pages_of_the_listing(
    world: RunningWorld, client: InstagramClient, video: Path
) -> None:
    ids = [client.publish(processed(client, video, caption=f"#ad {number}")) for number in range(3)]
    for _ in range(102):
        world.store.execute(
            "INSERT INTO instagram_media SELECT ?, ?, '', '{}', ?, 4.0, NULL",
            (f"19{_:015d}", f"c{_}", "2026-11-21T00:00:00.000000Z"),
        )

    assert set(client.fetch_states(ids)) == set(ids)


def test_a_reel_that_is_gone_is_told_from_one_that_stands(
    world: RunningWorld, client: InstagramClient, video: Path
) -> None:
    kept, removed = (client.publish(processed(client, video, caption=f"#ad {name}")) for name in ("a", "b"))
    world.store.execute("UPDATE instagram_media SET removed_at = ? WHERE media_id = ?", ("x", removed))

    states = client.fetch_states([kept, removed])
    assert (states[kept].standing, states[removed].standing) == ("public", "gone")
    assert client.fetch_states([]) == {}


@pytest.mark.parametrize("metric", ["plays", "impressions", "video_views", "clips_replays_count", "views,plays"])
def test_a_metric_that_is_gone_fails_the_whole_call(
    world: RunningWorld, client: InstagramClient, video: Path, metric: str
) -> None:
    media_id = client.publish(processed(client, video))
    status, reply = ask(world, "GET", f"{GRAPH}/{media_id}/insights", metric=metric)

    assert (status, reply["error"]["code"]) == (400, 100)
    assert ask(world, "GET", f"{GRAPH}/{media_id}/insights", metric="views") == (200, {"data": []})


@pytest.mark.parametrize(
    ("code", "subcode", "kind"),
    [
        (4, None, VendorUnavailable),
        (17, None, VendorUnavailable),
        (32, None, VendorUnavailable),
        (613, None, VendorUnavailable),
        (1, None, VendorUnavailable),
        (-2, 2207003, VendorUnavailable),
        (9, 2207042, QuotaExhausted),
        (4, 2207051, AccountRestricted),
        (25, 2207050, AccountRestricted),
        (24, 2207006, ContainerNotPublishable),
        (9007, 2207027, ContainerNotPublishable),
        (190, 463, GrantEnded),
        (10, None, CredentialsRejected),
        (352, 2207026, VendorRefused),
    ],
)
def test_every_code_is_decided_once(
    shared_world: RunningWorld, shared_client: InstagramClient, code: int, subcode: int | None, kind: type[Exception]
) -> None:
    problem = {"message": "no", "type": "OAuthException", "code": code} | (
        {"error_subcode": subcode} if subcode else {}
    )
    usage = '{"1": [{"type": "instagram", "estimated_time_to_regain_access": 3}]}'
    shared_world.fault(
        f"GET {GRAPH}/*", status=400, body={"error": problem}, headers={"X-Business-Use-Case-Usage": usage}
    )
    with pytest.raises(kind) as error:
        shared_client.publishing_limit()
    assert type(error.value) is kind
    if code in (4, 17, 32, 613) and subcode is None:
        assert isinstance(error.value, VendorUnavailable)
        assert error.value.retry_after == 180


def test_a_token_that_meta_quotes_is_not_repeated(shared_world: RunningWorld, shared_client: InstagramClient) -> None:
    problem = {"message": "Malformed access token EAAGsecret", "type": "OAuthException", "code": 190}
    shared_world.fault(f"GET {GRAPH}/*", status=400, body={"error": problem})
    with pytest.raises(GrantEnded) as error:
        shared_client.publishing_limit()
    assert "EAAGsecret" not in str(error.value)


def test_a_deleted_reel_is_gone_and_deleting_it_again_is_the_same(
    world: RunningWorld, client: InstagramClient, video: Path
) -> None:
    media_id = client.publish(processed(client, video))
    assert world.witness("posts")[0]["removed_at"] is None

    client.delete(media_id)
    client.delete(media_id)

    (post,) = world.witness("posts")
    assert (post["public"], post["removed_at"]) == (False, stamp(world.now()))
    assert client.fetch_states([media_id])[media_id].standing == "gone"


def test_a_token_that_may_not_delete_is_told_what_it_lacks(
    world: RunningWorld, client: InstagramClient, video: Path
) -> None:
    media_id = client.publish(processed(client, video))
    world.store.save_fact("instagram.no_deletion", "1")
    with pytest.raises(CredentialsRejected, match="instagram_manage_contents"):
        client.delete(media_id)
    assert client.fetch_states([media_id])[media_id].standing == "public"


def test_a_deletion_whose_reply_is_lost_says_so(world: RunningWorld, client: InstagramClient, video: Path) -> None:
    media_id = client.publish(processed(client, video))
    world.fault("DELETE /instagram/*", when="after", drop=True)
    with pytest.raises(ReplyLost):
        client.delete(media_id)
    assert client.fetch_states([media_id])[media_id].standing == "gone"
