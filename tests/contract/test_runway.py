"""Runway's client and the vendor's own SDK, over real HTTP, against the sandbox world."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from runwayml import BadRequestError, RunwayML

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
from affiliate_empire.vendors.runway import RunwayClient
from tests.factories.media import jpeg
from tests.factories.worlds import RunningWorld

POLICY = load_policy()
MODEL = POLICY.model("runway", datetime(2026, 11, 20).date())
NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)
BEGIN = "POST /runway/v1/image_to_video"
HEADERS = {"Authorization": f"Bearer {SANDBOX_KEYS['runway']}", "X-Runway-Version": "2024-11-06"}
ASKED = {"model": MODEL, "promptText": "p", "ratio": "720:1280", "duration": 5}


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("world"), now=NOW)
    yield world
    world.stop()


@pytest.fixture
def world(module_world: RunningWorld) -> RunningWorld:
    module_world.clear_faults()
    return module_world


@pytest.fixture
def client(world: RunningWorld) -> Iterator[RunwayClient]:
    client = RunwayClient(f"{world.url}/runway", lambda: SANDBOX_KEYS["runway"], timeout=20)
    yield client
    client.close()


@pytest.fixture
def sdk(world: RunningWorld) -> Iterator[RunwayML]:
    with httpx.Client(trust_env=False) as http:
        yield RunwayML(
            api_key=SANDBOX_KEYS["runway"],
            base_url=f"{world.url}/runway",
            max_retries=0,
            http_client=http,
            _strict_response_validation=True,
        )


def submit(client: RunwayClient, **changes: Any) -> str:
    seconds, ratio = POLICY.clip_format(MODEL)
    asked: dict[str, Any] = {"model": MODEL, "prompt": "The camera goes round a grinder.", "picture": jpeg()}
    return client.submit(**(asked | {"seconds": seconds, "resolution": ratio} | changes))


def ended(client: RunwayClient, job_id: str) -> int:
    looks = 1
    while not client.fetch_status(job_id).ended:
        looks += 1
    return looks


def charges(world: RunningWorld) -> list[dict[str, Any]]:
    return [charge for charge in world.witness("charges") if charge["vendor"] == "runway"]


def test_a_clip_is_a_real_video_and_its_task_names_the_bill(client: RunwayClient, world: RunningWorld) -> None:
    before = len(charges(world))
    task_id = submit(client)
    assert ended(client, task_id) == 3
    clip = client.fetch_clip(task_id, model=MODEL)
    assert (clip.width, clip.height) == (720, 1280)
    assert clip.seconds == pytest.approx(5, abs=0.1)
    (charge,) = charges(world)[before:]
    assert charge["request_id"] == task_id
    assert charge["micros"] == clip.cost_micros == POLICY.clip_cost_micros(MODEL) == 250_000


def test_the_unmodified_sdk_reads_every_reply_in_strict_mode(sdk: RunwayML) -> None:
    task_id = sdk.image_to_video.create(
        model="gen4_turbo", prompt_image=as_data_uri(jpeg()), prompt_text="p", ratio="720:1280", duration=2
    ).id
    seen = [sdk.tasks.retrieve(task_id) for _ in range(3)]
    assert [task.status for task in seen] == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert seen[2].status == "SUCCEEDED"
    assert httpx.get(seen[2].output[0], trust_env=False).content[4:8] == b"ftyp"
    failing = sdk.text_to_video.create(model="gen4.5", prompt_text="gore", ratio="720:1280", duration=2).id
    for _ in range(2):
        sdk.tasks.retrieve(failing)
    failed = sdk.tasks.retrieve(failing)
    assert failed.status == "FAILED"
    assert failed.failure_code == "SAFETY.INPUT.TEXT"
    cancelled = sdk.text_to_video.create(model="gen4.5", prompt_text="p", ratio="720:1280", duration=2).id
    sdk.tasks.delete(cancelled)
    assert sdk.tasks.retrieve(cancelled).status == "CANCELLED"
    with pytest.raises(BadRequestError):
        sdk.image_to_video.create(
            model="gen4_turbo",
            prompt_image=as_data_uri(jpeg()),
            ratio="1080:1920",
            duration=5,  # type: ignore[call-overload]
        )


def test_more_than_a_few_at_once_wait_as_throttled(client: RunwayClient, sdk: RunwayML, world: RunningWorld) -> None:
    world.witness("charges")  # ends what others left open
    tasks = [submit(client) for _ in range(4)]
    assert sdk.tasks.retrieve(tasks[0]).status == "PENDING"
    assert sdk.tasks.retrieve(tasks[3]).status == "THROTTLED"
    assert not client.fetch_status(tasks[1]).ended
    assert ended(client, tasks[3]) == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": "gen3a_turbo"}, "model"),
        ({"ratio": "9:16"}, "ratio"),
        ({"ratio": "1080:1920"}, "ratio"),
        ({"duration": 1}, "duration"),
        ({"duration": 5.5}, "duration"),
        ({"promptText": "😀" * 501}, "promptText"),
        ({"seed": -1}, "seed"),
        ({"aspect_ratio": "9:16"}, "aspect_ratio"),
        ({"promptImage": "http://127.0.0.1/a.jpg"}, "promptImage"),
        ({"promptImage": "data:image/jpeg;base64,bm8="}, "promptImage"),
        ({"promptImage": "data:image/jpeg;base64," + "A" * (5 * 1024 * 1024)}, "promptImage"),
    ],
)
def test_what_the_vendor_rejects_is_rejected(world: RunningWorld, change: dict[str, Any], field: str) -> None:
    asked = ASKED | {"promptImage": as_data_uri(jpeg())} | change
    reply = httpx.post(f"{world.url}/runway/v1/image_to_video", json=asked, headers=HEADERS, trust_env=False)
    assert reply.status_code == 400
    assert reply.json()["issues"][0]["path"] == [field]


def test_gen4_turbo_needs_a_picture(world: RunningWorld) -> None:
    url = f"{world.url}/runway/v1/text_to_video"
    assert httpx.post(url, json=ASKED, headers=HEADERS, trust_env=False).status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Authorization": "Bearer no"}, 401), ({"X-Runway-Version": "2023-01-01"}, 400), ({"X-Runway-Version": ""}, 400)],
)
def test_key_and_version_are_required(world: RunningWorld, headers: dict[str, str], status: int) -> None:
    asked = ASKED | {"promptImage": as_data_uri(jpeg())}
    url = f"{world.url}/runway/v1/image_to_video"
    assert httpx.post(url, json=asked, headers=HEADERS | headers, trust_env=False).status_code == status


def test_a_long_prompt_is_cut_to_what_is_taken(client: RunwayClient) -> None:
    assert ended(client, submit(client, prompt="wörter 😀 " * 300)) == 3


def test_a_failed_task_says_why_and_what_it_cost(client: RunwayClient, world: RunningWorld) -> None:
    task_id = submit(client, prompt="gore on a table")
    ended(client, task_id)
    error = client.fetch_status(task_id).error
    assert isinstance(error, ContentRefused)
    assert (error.code, error.cost_micros, error.request_id) == ("SAFETY.INPUT.TEXT", 0, task_id)
    charged = {"id": task_id, "status": "FAILED", "failure": "bad", "failureCode": "SAFETY.OUTPUT.VIDEO"}
    world.fault("GET /runway/v1/tasks/*", status=200, body=charged | {"cost": {"credits": 25}})
    status = client.fetch_status(task_id)
    assert status.error is not None
    assert status.error.cost_micros == 250_000


def test_an_address_expires_and_asking_again_gives_a_fresh_one(client: RunwayClient, world: RunningWorld) -> None:
    task_id = submit(client)
    ended(client, task_id)
    url = f"{world.url}/runway/v1/tasks/{task_id}"
    stale = httpx.get(url, headers=HEADERS, trust_env=False).json()["output"][0]
    assert httpx.get(stale, trust_env=False).status_code == 200
    world.move_to(NOW + timedelta(hours=25))
    assert httpx.get(stale, trust_env=False).status_code == 403
    assert client.fetch_clip(task_id, model=MODEL).width == 720


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"status": 400, "body": {"error": "You do not have enough credits."}}, QuotaExhausted, "buy more"),
        ({"status": 400, "body": {"error": "Validation failed"}}, VendorRefused, "Validation failed"),
        ({"status": 401, "body": {"error": "no"}}, CredentialsRejected, "EMPIRE_RUNWAY_API_KEY"),
        ({"status": 429, "headers": {"retry-after": "3"}}, VendorUnavailable, "later"),
        ({"status": 503, "body": {"error": "busy"}}, VendorUnavailable, "later"),
        ({"status": 502, "body": "<html>Bad Gateway</html>"}, ReplyLost, "502"),
        ({"status": 500, "body": {"error": "oops"}}, ReplyLost, "look at it"),
        ({"status": 200, "body": "<html>"}, ReplyLost, "cannot be read"),
        ({"drop": True}, ReplyLost, "no readable reply"),
    ],
)
def test_each_failure_of_a_submit_has_its_error(
    client: RunwayClient, world: RunningWorld, fault: dict[str, Any], error: type[VendorError], words: str
) -> None:
    world.fault(BEGIN, **fault)
    with pytest.raises(error, match=words) as caught:
        submit(client)
    assert type(caught.value) is error
    assert world.fault_hits() == 1  # asked once, never again
