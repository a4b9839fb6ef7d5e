"""fal's client over real HTTP, against the sandbox world's queue."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.clips import as_data_uri
from affiliate_empire.vendors.errors import (
    ContentRefused,
    CredentialsRejected,
    QuotaExhausted,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.fal import FalClient
from tests.factories.media import jpeg
from tests.factories.worlds import RunningWorld

POLICY = load_policy()
MODEL = POLICY.model("pika", datetime(2026, 11, 20).date())
SUBMIT, STATUS = f"POST /fal/{MODEL}", "GET /fal/fal-ai/pika/requests/*/status"
KEY = {"Authorization": f"Key {SANDBOX_KEYS['fal']}"}
BALANCE = {"detail": "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."}


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("world"), now=datetime(2026, 11, 20, 14, tzinfo=UTC))
    yield world
    world.stop()


@pytest.fixture
def world(module_world: RunningWorld) -> RunningWorld:
    module_world.clear_faults()
    return module_world


@pytest.fixture
def client(world: RunningWorld) -> Iterator[FalClient]:
    client = FalClient(f"{world.url}/fal", lambda: SANDBOX_KEYS["fal"], timeout=20)
    yield client
    client.close()


def submit(client: FalClient, **changes: Any) -> str:
    asked: dict[str, Any] = {
        "model": MODEL,
        "prompt": "The camera goes round a grinder.",
        "picture": jpeg(),
        "seconds": 5,
    }
    return client.submit(**(asked | {"resolution": "720p"} | changes))


def ended(client: FalClient, job_id: str) -> int:
    """Looks until a job has ended; returns how many it took."""
    looks = 1
    while not client.fetch_status(job_id).ended:
        looks += 1
    return looks


def charges(world: RunningWorld) -> list[dict[str, Any]]:
    return [charge for charge in world.witness("charges") if charge["vendor"] == "fal"]


def test_a_clip_is_a_real_video_of_the_pictures_shape_charged_once(client: FalClient, world: RunningWorld) -> None:
    before = len(charges(world))
    job_id = submit(client)
    assert ended(client, job_id) == 3
    clip = client.fetch_clip(job_id, model=MODEL)
    assert (clip.width, clip.height) == (720, 1280)
    assert clip.seconds == pytest.approx(5, abs=0.1)
    assert client.fetch_clip(job_id, model=MODEL) == clip
    (charge,) = charges(world)[before:]
    assert charge["request_id"] == job_id
    assert charge["micros"] == clip.cost_micros == POLICY.clip_cost_micros(MODEL)


def test_a_job_that_nobody_asks_for_is_charged_all_the_same(client: FalClient, world: RunningWorld) -> None:
    before = len(charges(world))
    job_id = submit(client)
    assert [charge["request_id"] for charge in charges(world)[before:]] == [job_id]
    assert client.fetch_status(job_id).ended


def test_the_queue_speaks_the_vendors_form(world: RunningWorld) -> None:
    with httpx.Client(base_url=f"{world.url}/fal", headers=KEY, trust_env=False) as http:
        asked = {"prompt": "p", "image_url": as_data_uri(jpeg()), "duration": 5}
        told = http.post(MODEL, json=asked).json()
        assert told["status"] == "IN_QUEUE"
        assert isinstance(told["queue_position"], int)
        base = f"{world.url}/fal/fal-ai/pika/requests/{told['request_id']}"  # without the endpoint's own path
        assert (told["response_url"], told["status_url"], told["cancel_url"]) == (
            base,
            f"{base}/status",
            f"{base}/cancel",
        )
        assert http.get(base).status_code == 400
        seen = [http.get(told["status_url"], params={"logs": "true"}) for _ in range(3)]
        assert [(reply.status_code, reply.json()["status"]) for reply in seen] == [
            (202, "IN_QUEUE"),
            (202, "IN_PROGRESS"),
            (200, "COMPLETED"),
        ]
        assert "queue_position" in seen[0].json()
        assert seen[1].json()["logs"]
        assert {"logs", "metrics"} <= set(seen[2].json())
        video = http.get(base).json()["video"]
        assert set(video) == {"url", "content_type", "file_name", "file_size"}
        file = httpx.get(video["url"], trust_env=False)  # a public address: no key is asked for
        assert (len(file.content), file.headers["content-type"]) == (video["file_size"], "video/mp4")
        assert http.put(told["cancel_url"]).status_code == 400


def test_a_cancelled_job_is_gone_and_not_charged(client: FalClient, world: RunningWorld) -> None:
    before = len(charges(world))
    job_id = submit(client)
    url = f"{world.url}/fal/fal-ai/pika/requests/{job_id}/cancel"
    assert httpx.put(url, headers=KEY, trust_env=False).status_code == 202
    with pytest.raises(VendorRefused) as gone:
        client.fetch_status(job_id)
    assert gone.value.code == "404"
    assert len(charges(world)) == before


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"aspect_ratio": "9:16"}, "extra_forbidden"),
        ({"duration": 7}, "literal_error"),
        ({"resolution": "4k"}, "literal_error"),
        ({"prompt": "  "}, "string_too_short"),
        ({"image_url": "data:image/jpeg;base64,bm90IGEgcGljdHVyZQ=="}, "file_download_error"),
        ({"prompt": "gore on a table"}, "content_policy_violation"),
    ],
)
def test_what_the_model_refuses_ends_the_job_without_a_clip_or_a_charge(
    client: FalClient, world: RunningWorld, change: dict[str, Any], kind: str
) -> None:
    before = len(charges(world))
    asked = {"prompt": "p", "image_url": as_data_uri(jpeg()), "duration": 5, "resolution": "720p"} | change
    reply = httpx.post(f"{world.url}/fal/{MODEL}", json=asked, headers=KEY, trust_env=False)
    job_id = reply.json()["request_id"]
    ended(client, job_id)
    status = client.fetch_status(job_id)
    assert isinstance(status.error, ContentRefused)
    assert (status.error.code, status.error.cost_micros, status.error.request_id) == (kind, 0, job_id)
    with pytest.raises(ContentRefused) as refused:
        client.fetch_clip(job_id, model=MODEL)
    assert refused.value.code == kind
    assert len(charges(world)) == before


def test_from_text_alone_the_shape_is_asked_for(client: FalClient, world: RunningWorld) -> None:
    asked = {"prompt": "A grinder on a podium", "aspect_ratio": "9:16"}
    url = f"{world.url}/fal/fal-ai/pika/v2.2/text-to-video"
    job_id = httpx.post(url, json=asked, headers=KEY, trust_env=False).json()["request_id"]
    ended(client, job_id)
    clip = client.fetch_clip(job_id, model=MODEL)
    assert (clip.width, clip.height) == (720, 1280)


@pytest.mark.parametrize("key", ["", "Bearer x", "Key wrong:key", SANDBOX_KEYS["fal"]])
def test_only_the_accounts_key_is_accepted(world: RunningWorld, key: str) -> None:
    reply = httpx.post(f"{world.url}/fal/{MODEL}", json={}, headers={"Authorization": key}, trust_env=False)
    assert reply.status_code == 401


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"status": 403, "body": BALANCE}, QuotaExhausted, "top it up"),
        (
            {"status": 403, "body": {"detail": "User is locked. Reason: Terms of service."}},
            VendorRefused,
            "Terms of service",
        ),
        ({"status": 401, "body": {"detail": "no"}}, CredentialsRejected, "EMPIRE_FAL_API_KEY"),
        ({"status": 404, "body": {"detail": "no"}}, VendorRefused, "policy/models.toml"),
        (
            {"status": 422, "body": {"detail": [{"type": "content_policy_violation", "msg": "no", "loc": ["body"]}]}},
            ContentRefused,
            "policy forbids",
        ),
        ({"status": 422, "body": {"detail": [{"type": "missing", "msg": "Field required"}]}}, VendorRefused, "missing"),
        ({"status": 429, "headers": {"retry-after": "7"}}, VendorUnavailable, "later"),
        ({"status": 502, "body": "<center>nginx</center>"}, VendorUnavailable, "out of order"),
        ({"status": 502, "body": "bad gateway"}, ReplyLost, "look at it"),
        ({"status": 500, "body": {"detail": "oops"}}, ReplyLost, "look at it"),
        ({"status": 200, "body": "<html>"}, ReplyLost, "cannot be read"),
        ({"status": 200, "body": {"id": 1}}, ReplyLost, "cannot be read"),
        ({"drop": True}, ReplyLost, "no readable reply"),
    ],
)
def test_each_failure_of_a_submit_has_its_error(
    client: FalClient, world: RunningWorld, fault: dict[str, Any], error: type[VendorError], words: str
) -> None:
    world.fault(SUBMIT, **fault)
    with pytest.raises(error, match=words) as caught:
        submit(client)
    assert type(caught.value) is error
    assert world.fault_hits() == 1  # asked once, never again


def test_an_unreachable_queue_is_unavailable_and_a_late_reply_is_lost(world: RunningWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    client = FalClient(f"http://127.0.0.1:{closed}", lambda: "k:s")
    with pytest.raises(VendorUnavailable) as unavailable:
        submit(client)
    client.close()
    assert not isinstance(unavailable.value, ReplyLost)
    world.fault(SUBMIT, when="after", delay=2.0)
    slow = FalClient(f"{world.url}/fal", lambda: SANDBOX_KEYS["fal"], timeout=1)
    with pytest.raises(ReplyLost):
        submit(slow)
    slow.close()


def test_a_clip_that_is_no_video_is_not_taken_for_one(client: FalClient, world: RunningWorld) -> None:
    job_id = submit(client)
    ended(client, job_id)
    world.fault("GET /fal/files/*", status=200, body="<html>")
    with pytest.raises(ReplyLost, match="cannot be read"):
        client.fetch_clip(job_id, model=MODEL)
    assert client.fetch_clip(job_id, model=MODEL).data


def test_without_a_key_nothing_is_sent(world: RunningWorld) -> None:
    def none() -> str:
        raise Misconfigured("EMPIRE_FAL_API_KEY is not set")

    client = FalClient(f"{world.url}/fal", none)
    with pytest.raises(Misconfigured):
        submit(client)
    client.close()
