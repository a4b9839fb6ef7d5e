"""The wire misbehaves: by a rule when told to, by chance when there is weather; and what our clients make of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from affiliate_empire.operations.patience import Patience
from affiliate_empire.sandbox.faults import FaultRefused, Faults
from affiliate_empire.sandbox.refusals import knows, refusal
from affiliate_empire.sandbox.store import Store
from affiliate_empire.sandbox.weather import LEVELS, VENDORS
from affiliate_empire.sandbox.world import World
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.ecb import ECBClient
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient
from affiliate_empire.vendors.errors import ReplyLost, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.impact import ImpactClient
from affiliate_empire.vendors.openai import OpenAIClient
from tests.factories.worlds import START, RunningWorld, WorldProcess


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    yield world
    world.stop()


def impact_client(world: RunningWorld) -> ImpactClient:
    sid, token = SANDBOX_KEYS["impact_account_sid"], SANDBOX_KEYS["impact_auth_token"]
    return ImpactClient(f"{world.url}/impact", account_sid=sid, auth_token=token)


def put_weather(world: RunningWorld, level: Any) -> httpx.Response:
    return httpx.put(f"{world.url}/_world/weather", json={"level": level}, trust_env=False)


def weather(world: RunningWorld) -> dict[str, Any]:
    return httpx.get(f"{world.url}/_world/weather", trust_env=False).json()  # type: ignore[no-any-return]


# ---------------------------------------------------------------- faults in the vendor's words


def test_every_route_of_every_vendor_can_be_hit(world: RunningWorld) -> None:
    from affiliate_empire.sandbox.world import SERVERS

    routes = [route for server in SERVERS for route in server.routes(world._world)]
    assert len(routes) > 50
    with httpx.Client(base_url=world.url, trust_env=False) as http:
        for route in routes:
            path = "/".join(
                part if not part.startswith("{") else "x"
                for part in route.path.split("/")  # type: ignore[attr-defined]
            )
            for method in sorted((route.methods or {"GET"}) - {"HEAD"}):  # type: ignore[attr-defined]
                world.fault(f"{method} {path.replace('{', '*').replace('}', '*')}", status=418, body="hit")
                reply = http.request(method, path)
                assert (reply.status_code, reply.text) == (418, "hit"), f"{method} {path}"
                world.clear_faults()


def test_every_vendor_that_has_weather_has_words_for_being_busy_and_down() -> None:
    for vendor in VENDORS - {"instagram_upload"}:
        for kind in ("busy", "down"):
            reply = refusal(kind, f"/{vendor}/x")
            assert reply.status in (400, 403, 429, 503)
            assert reply.headers
    for kind in ("quota", "banned"):
        assert sum(knows(kind, f"/{vendor}/x") for vendor in VENDORS) >= 9
    assert all(knows(kind, "/anything") for kind in ("html", "malformed"))
    assert not knows("quota", "/ecb/stats")


Call = Callable[[RunningWorld], object]


def speak(world: RunningWorld) -> object:
    client = ElevenLabsClient(f"{world.url}/elevenlabs", lambda: SANDBOX_KEYS["elevenlabs"])
    try:
        return client.speak(text="Hello.", voice_id="pNInz6obpgDQGcFmaJgB", model="eleven_flash_v2_5", seed=1)
    finally:
        client.close()


def moderate(world: RunningWorld) -> object:
    client = OpenAIClient(f"{world.url}/openai/v1", lambda: SANDBOX_KEYS["openai"])
    try:
        return client.write_json(
            model="gpt-5-mini", system="s", user="u", schema={"type": "object", "properties": {}, "required": [],
            "additionalProperties": False}, schema_name="n", max_output_tokens=100,
        )  # fmt: skip
    finally:
        client.close()


def campaigns(world: RunningWorld) -> object:
    client = impact_client(world)
    try:
        return client.fetch_campaigns()
    finally:
        client.close()


@pytest.mark.parametrize(("vendor", "call"), [("elevenlabs", speak), ("openai", moderate), ("impact", campaigns)])
def test_clients_tell_the_vendors_words_apart(world: RunningWorld, vendor: str, call: Call) -> None:
    for kind in ("busy", "down"):
        world.fault(f"* /{vendor}/*", kind=kind)
        with pytest.raises(VendorUnavailable) as unavailable:
            call(world)
        assert type(unavailable.value) is VendorUnavailable, "nothing happened, and that is what it says"
        if kind == "busy":
            assert unavailable.value.retry_after == 1
    for kind in ("html", "malformed"):
        world.fault(f"* /{vendor}/*", kind=kind)
        with pytest.raises((VendorUnavailable, VendorRefused)):
            call(world)
    world.fault(f"* /{vendor}/*", kind="banned")
    with pytest.raises(VendorRefused):
        call(world)
    assert world.witness("charges") == []


def test_a_reply_spoilt_after_the_act_is_a_lost_one_and_charged(world: RunningWorld) -> None:
    world.fault("POST /elevenlabs/*", when="after", kind="malformed")
    with pytest.raises(ReplyLost):
        speak(world)
    assert len(world.witness("charges")) == 1


def test_a_body_can_trickle_in_and_is_whole_in_the_end(world: RunningWorld) -> None:
    whole = httpx.get(f"{world.url}/merchant/feed.tsv", trust_env=False).content
    world.fault("GET /merchant/feed.tsv", drip=0.4)
    began, pieces = time.monotonic(), []
    with httpx.stream("GET", f"{world.url}/merchant/feed.tsv", trust_env=False) as reply:
        pieces = list(reply.iter_raw())
    assert time.monotonic() - began >= 0.35
    assert b"".join(pieces) == whole
    assert len(pieces) > 3


def test_a_kind_that_the_vendor_does_not_know_is_refused_at_once(tmp_path: Path) -> None:
    faults = Faults(Store(tmp_path / "w.sqlite3"))
    for rule in ({"match": "GET /ecb/*", "kind": "quota"}, {"match": "* /openai/*", "kind": "tired"}):
        with pytest.raises(FaultRefused):
            faults.add(rule)
    faults.add({"match": "* /*", "kind": "quota", "times": 5})
    assert faults.take("GET", "/ecb/stats") is None
    fault = faults.take("POST", "/openai/v1/responses")
    assert fault is not None
    reply = fault.reply("/openai/v1/responses")
    assert reply is not None
    assert json.loads(reply.data)["error"]["code"] == "insufficient_quota"


# ---------------------------------------------------------------- weather
def fates(home: Path, level: str, *, seed: int = 7, calls: int = 1500) -> list[str | None]:
    """What becomes of so many reads and writes of a vendor."""
    world = World(home, "http://127.0.0.1:9", seed, now=START)
    world.weather.put({"level": level})
    fates = []
    for number in range(calls):
        method = ("GET", "POST")[number % 2]
        fault = world.weather.take(method, "/impact/Mediapartners/x/Actions")
        what = None
        if fault is not None:
            what = f"{fault.status}" if fault.status else "slow" if fault.delay else f"drop {fault.when} {method}"
        fates.append(what)
    world.close()
    return fates


def test_the_weather_is_as_bad_as_said_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    calm, mild, rough = (fates(tmp_path / level, level) for level in LEVELS)
    assert set(calm) == {None}
    hit = [fate for fate in mild if fate]
    assert 0.01 < len(hit) / 1500 < 0.03
    assert {"429", "503", "slow"} <= set(hit)
    assert "drop before POST" not in hit
    assert not any(fate.startswith("drop after") for fate in hit)
    assert 0.08 < sum(fate is not None for fate in rough) / 1500 < 0.14
    assert {"drop before POST", "drop before GET", "drop after POST"} <= set(rough)
    assert fates(tmp_path / "again", "mild") == mild
    assert fates(tmp_path / "other", "mild", seed=8) != mild


def test_the_weather_goes_on_where_it_was_after_a_kill(tmp_path: Path) -> None:
    world = WorldProcess(tmp_path)
    assert weather(world) == {"level": "calm", "requests": {}, "faults": {}, "total": 0}
    assert put_weather(world, "rough").json()["level"] == "rough"
    with httpx.Client(base_url=world.url, trust_env=False, timeout=10) as http:
        for _ in range(60):
            try:
                http.get("/ecb/stats/eurofxref/eurofxref-daily.xml")
            except httpx.TransportError:
                continue
    before = weather(world)
    assert before["requests"] == {"ecb": 60}
    assert before["total"] == sum(before["faults"]["ecb"].values()) > 0
    world.kill()
    world.start()
    assert weather(world) == before
    for wish in ("stormy", None, 3):
        assert put_weather(world, wish).status_code == 400
    assert weather(world)["level"] == "rough"
    world.stop()


def test_people_and_our_own_controls_have_no_weather(world: RunningWorld) -> None:
    put_weather(world, "rough")
    take = world._world.weather.take
    paths = ("/merchant/products/HP-1005", "/impact_click/c/1/2/3", "/blog/posts/x", "/favicon.ico", "/")
    assert all(take("GET", path) is None for path in paths for _ in range(200))
    assert any(take("GET", "/merchant/feed.tsv") for _ in range(200))


def test_our_clients_get_through_rough_weather_with_patience(world: RunningWorld) -> None:
    put_weather(world, "rough")
    patience = Patience(attempts=6, wait=lambda seconds: None)
    client, bank = impact_client(world), ECBClient(f"{world.url}/ecb")
    for number in range(60):
        assert len(patience.ask(client.fetch_campaigns, seed=str(number), lost_too=True)) == 2
        patience.ask(bank.fetch_latest, seed=str(number), lost_too=True)
    client.close()
    bank.close()
    told = weather(world)
    assert set(told["faults"]) == {"impact", "ecb"}
    assert told["total"] >= 6
