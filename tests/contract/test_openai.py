"""OpenAI's client and the unmodified SDK, over real HTTP, against the sandbox world."""

from __future__ import annotations

import base64
import io
import json
import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import httpx
import openai
import pytest
from openai.types import ImagesResponse
from openai.types.responses import Response
from PIL import Image

from affiliate_empire.content import Script, post_schema, script_schema
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS, Settings
from affiliate_empire.vendors.errors import ReplyLost, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.openai import OpenAIClient
from tests.factories.worlds import RunningWorld

TEXT, IMAGE = "gpt-6.1-terra", "gpt-image-2.5-flare"
RESPONSES, IMAGES = "POST /openai/v1/responses", "POST /openai/v1/images/generations"
FAIR = {"truncated": 0.0, "refusal": 0.0, "invented_claim": 0.0}
PROMPT = """Write a script.
## Product
Burr Coffee Grinder
## Facts
F1: Name: Burr Coffee Grinder
F2: Price: 64.00 USD
F3: Conical steel burrs with 18 grind settings.
F4: Hopper holds 240 g of beans.
## Hook
Open with a question.
## Length
4 scenes. 60 to 74 words.
"""
POLICY = load_policy()
MODERATIONS = "POST /openai/v1/moderations"


def key() -> str:
    return SANDBOX_KEYS["openai"]


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("world"), now=datetime(2026, 11, 20, 14, tzinfo=UTC))
    yield world
    world.stop()


@pytest.fixture
def world(module_world: RunningWorld) -> RunningWorld:
    module_world.clear_faults()
    temper(module_world)
    return module_world


@pytest.fixture
def client(world: RunningWorld) -> Iterator[OpenAIClient]:
    client = OpenAIClient(f"{world.url}/openai/v1", key, timeout=10)
    yield client
    client.close()


@pytest.fixture
def sdk(world: RunningWorld) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{world.url}/openai/v1",
        api_key=SANDBOX_KEYS["openai"],
        max_retries=0,
        _strict_response_validation=True,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as sdk:
        yield sdk


def temper(world: RunningWorld, **rates: float) -> None:
    httpx.put(f"{world.url}/_world/writer", json=FAIR | rates, trust_env=False).raise_for_status()


def charges(world: RunningWorld) -> list[dict[str, Any]]:
    return [charge for charge in world.witness("charges") if charge["vendor"] == "openai"]


def write(client: OpenAIClient, **changes: Any) -> Any:
    call = {
        "model": TEXT,
        "system": "You write scripts.",
        "user": PROMPT,
        "schema": script_schema(),
        "schema_name": "Script",
        "max_output_tokens": 2000,
    }
    return client.write_json(**(call | changes))


def draw(client: OpenAIClient, **changes: Any) -> Any:
    call = {"model": IMAGE, "prompt": "Illustration of a red kettle on a table", "size": "864x1536", "quality": "low"}
    return client.make_image(**(call | changes))


# ---------------------------------------------------------------------------------------------- the happy path
def test_a_written_document_fits_its_schema_and_costs_what_the_vendor_charged(
    client: OpenAIClient, world: RunningWorld
) -> None:
    before = len(charges(world))
    completion = write(client)
    script = Script.model_validate(completion.document)
    assert len(script.scenes) == 4
    assert script.hook.endswith("?")
    assert {fact for scene in script.scenes for fact in scene.fact_ids} <= {"F1", "F2", "F3", "F4"}
    (charge,) = charges(world)[before:]
    assert charge["micros"] == completion.cost_micros > 0
    assert charge["request_id"] == completion.request_id
    assert completion.cost_micros == POLICY.llm_cost_micros(
        TEXT, input_tokens=completion.usage.input, cached_tokens=0, output_tokens=completion.usage.output
    )
    bound = POLICY.llm_max_cost_micros(
        TEXT, input_chars=len(PROMPT) + 20 + len(json.dumps(script_schema())), max_output_tokens=2000
    )
    assert completion.cost_micros <= bound


def test_a_drawn_picture_is_a_whole_jpeg_of_the_asked_size(client: OpenAIClient, world: RunningWorld) -> None:
    before = len(charges(world))
    drawn = draw(client)
    picture = Image.open(io.BytesIO(drawn.data))
    picture.load()
    assert (picture.format, picture.size, drawn.media_type) == ("JPEG", (864, 1536), "image/jpeg")
    (charge,) = charges(world)[before:]
    assert charge["micros"] == drawn.cost_micros
    assert drawn.usage.output == POLICY.image_output_tokens(IMAGE, "864x1536", "low")
    assert drawn.cost_micros <= POLICY.image_max_cost_micros(IMAGE, prompt_chars=39, size="864x1536", quality="low")


def test_the_unmodified_sdk_accepts_every_reply_strictly(sdk: openai.OpenAI) -> None:
    form = {"type": "json_schema", "name": "Post", "schema": post_schema(), "strict": True}
    raw = sdk.responses.with_raw_response.create(model=TEXT, input=PROMPT, text={"format": form})  # type: ignore[call-overload]
    assert raw.request_id.startswith("req_")
    response = raw.parse()
    assert isinstance(response, Response)
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.input_tokens_details.cache_write_tokens == 0
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert json.loads(response.output_text)["sections"]
    pictures = sdk.images.generate(model=IMAGE, prompt="a mug", size="1024x1536", quality="low", output_format="jpeg")
    assert isinstance(pictures, ImagesResponse)
    assert pictures.data is not None
    assert base64.b64decode(pictures.data[0].b64_json or "")[:3] == b"\xff\xd8\xff"
    assert TEXT in [model.id for model in sdk.models.list()]


def test_the_same_request_again_is_another_draw(client: OpenAIClient) -> None:
    assert write(client).request_id != write(client).request_id


# ---------------------------------------------------------------------------------------------- as strict as the vendor
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": TEXT, "input": "x", "temprature": 1}, 400, "unknown_parameter"),
        ({"model": TEXT, "input": "x", "response_format": {}}, 400, "unknown_parameter"),
        ({"model": TEXT, "input": "x", "tools": [{"type": "web_search"}]}, 400, "unsupported_parameter"),
        ({"model": TEXT}, 400, "missing_required_parameter"),
        ({"input": "x"}, 400, "missing_required_parameter"),
        ({"model": "gpt-4-turbo", "input": "x"}, 404, "model_not_found"),
        ({"model": TEXT, "input": "x", "max_output_tokens": 4}, 400, "integer_below_min_value"),
        ({"model": TEXT, "input": "x", "reasoning": {"effort": "enormous"}}, 400, "invalid_value"),
        ({"model": TEXT, "input": [{"role": "boss", "content": "x"}]}, 400, "invalid_value"),
    ],
)
def test_responses_are_refused_as_the_vendor_refuses(
    world: RunningWorld, body: dict[str, Any], status: int, code: str
) -> None:
    before = len(charges(world))
    reply = post(world, "responses", body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert len(charges(world)) == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda schema: schema.pop("additionalProperties"),
        lambda schema: schema["required"].remove("hook"),
        lambda schema: schema["properties"]["scenes"]["items"].pop("additionalProperties"),
        lambda schema: schema.update(allOf=[]),
        lambda schema: schema.update(type="array"),
    ],
)
def test_a_schema_that_is_not_strict_is_refused(world: RunningWorld, spoil: Any) -> None:
    schema = script_schema()
    spoil(schema)
    form = {"type": "json_schema", "name": "Script", "schema": schema, "strict": True}
    reply = post(world, "responses", {"model": TEXT, "input": "x", "text": {"format": form}})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_json_schema")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"size": "1080x1920"}, 400, "invalid_value"),  # 1080 is not divisible by 16
        ({"size": "512x1552"}, 400, "invalid_value"),  # steeper than 3:1
        ({"size": "4096x2304"}, 400, "invalid_value"),
        ({"size": "big"}, 400, "invalid_value"),
        ({"quality": "hd"}, 400, "invalid_value"),
        ({"output_format": "bmp"}, 400, "invalid_value"),
        ({"response_format": "b64_json"}, 400, "unknown_parameter"),
        ({"style": "vivid"}, 400, "unknown_parameter"),
        ({"n": 11}, 400, "invalid_value"),
        ({"prompt": ""}, 400, "missing_required_parameter"),
        ({"prompt": "p" * 32_001}, 400, "string_above_max_length"),
        ({"prompt": "nude"}, 400, "moderation_blocked"),
        ({"model": "dall-e-3"}, 404, "model_not_found"),
        ({"model": "gpt-image-1"}, 404, "model_not_found"),
        ({"model": TEXT}, 404, "model_not_found"),
    ],
)
def test_pictures_are_refused_as_the_vendor_refuses(
    world: RunningWorld, change: dict[str, Any], status: int, code: str
) -> None:
    reply = post(world, "images/generations", {"model": IMAGE, "prompt": "a mug", "size": "864x1536"} | change)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def post(world: RunningWorld, path: str, body: dict[str, Any]) -> httpx.Response:
    headers = {"authorization": f"Bearer {SANDBOX_KEYS['openai']}"}
    return httpx.post(f"{world.url}/openai/v1/{path}", json=body, headers=headers, trust_env=False, timeout=30)


# ---------------------------------------------------------------------------------------------- every failure, mapped
def test_a_wrong_key_names_the_setting(world: RunningWorld) -> None:
    client = OpenAIClient(f"{world.url}/openai/v1", lambda: "sk-wrong-key-1234")
    for call in (write, draw):
        with pytest.raises(VendorRefused, match="EMPIRE_OPENAI_API_KEY"):
            call(client)
    client.close()


@pytest.mark.parametrize("wrong", ["", "  ", "clé-secrète", "two\nlines"])
def test_an_impossible_key_is_refused_before_anything_is_sent(wrong: str) -> None:
    with pytest.raises(VendorRefused, match="EMPIRE_OPENAI_API_KEY"):
        write(OpenAIClient("http://127.0.0.1:9/v1", lambda: wrong))


def test_a_missing_key_is_told_at_the_first_call() -> None:
    settings = Settings(_env_file=None, mode="live")  # type: ignore[call-arg]
    client = OpenAIClient("http://127.0.0.1:9/v1", lambda: settings.secret("openai"))
    for call in (write, draw):
        with pytest.raises(Misconfigured, match="EMPIRE_OPENAI_API_KEY"):
            call(client)


def test_a_retired_model_is_refused_for_good(client: OpenAIClient) -> None:
    with pytest.raises(VendorRefused, match=r"dall-e-3.*policy/models\.toml") as refused:
        draw(client, model="dall-e-3")
    assert refused.value.code == "model_not_found"
    assert not isinstance(refused.value, VendorUnavailable)


def test_a_truncated_answer_keeps_its_cost(client: OpenAIClient, world: RunningWorld) -> None:
    with pytest.raises(VendorRefused) as refused:
        write(client, max_output_tokens=150)
    assert refused.value.code == "max_output_tokens"
    assert refused.value.cost_micros == charges(world)[-1]["micros"] > 0


def test_a_bad_temper_can_cut_an_answer_that_had_room(client: OpenAIClient, world: RunningWorld) -> None:
    temper(world, truncated=1.0)
    with pytest.raises(VendorRefused) as refused:
        write(client)
    assert refused.value.code == "max_output_tokens"
    assert refused.value.cost_micros == charges(world)[-1]["micros"] >= 2000 * 5


def test_a_refusal_keeps_its_cost(client: OpenAIClient, world: RunningWorld) -> None:
    temper(world, refusal=1.0)
    with pytest.raises(VendorRefused) as refused:
        write(client)
    assert refused.value.code == "refusal"
    assert refused.value.cost_micros == charges(world)[-1]["micros"] > 0


def test_a_failed_response_is_an_error_although_its_status_is_200(client: OpenAIClient, world: RunningWorld) -> None:
    for code, usage, expected in (
        ("server_error", None, VendorUnavailable),
        ("image_content_policy_violation", None, VendorRefused),
        ("server_error", USAGE, VendorRefused),
    ):
        body = RESPONSE | {"status": "failed", "error": {"code": code, "message": "no"}, "usage": usage}
        world.fault(RESPONSES, status=200, body=body)
        with pytest.raises(expected) as raised:
            write(client)
        assert type(raised.value) is expected
        assert raised.value.code == code


USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 110,
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "```json", "annotations": []}],
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": TEXT,
    "status": "completed",
    "output": [MESSAGE],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": USAGE,
}


@pytest.mark.parametrize("text", ["```json", "[1]", '{"title": "\\u0000"}', '{"title": "\\ud800"}', ""])
def test_text_that_is_no_document_is_refused_with_its_cost(
    client: OpenAIClient, world: RunningWorld, text: str
) -> None:
    message = MESSAGE | {"content": [{"type": "output_text", "text": text, "annotations": []}]}
    world.fault(RESPONSES, status=200, body=RESPONSE | {"output": [message]})
    with pytest.raises(VendorRefused) as refused:
        write(client)
    assert refused.value.code == "invalid_json"
    assert refused.value.cost_micros == 150


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected", "code", "retry_after"),
    [
        (429, {"code": "rate_limit_exceeded"}, {"retry-after": "7"}, VendorUnavailable, "rate_limit_exceeded", 7.0),
        (429, {"code": "slow_down"}, {"retry-after-ms": "1500"}, VendorUnavailable, "slow_down", 1.5),
        (429, {"code": "insufficient_quota"}, {"retry-after": "1"}, VendorRefused, "insufficient_quota", None),
        (503, {"code": "server_is_overloaded"}, {}, VendorUnavailable, "server_is_overloaded", None),
        (500, {"code": "server_error"}, {}, VendorUnavailable, "server_error", None),
        (403, {"code": "unsupported_country"}, {}, VendorRefused, "unsupported_country", None),
        (400, {"code": "invalid_prompt"}, {}, VendorRefused, "invalid_prompt", None),
        (422, {"code": None}, {}, VendorRefused, "422", None),
        (502, "<html>bad gateway</html>", {}, ReplyLost, "502", None),
        (504, "<html>gateway time-out</html>", {}, ReplyLost, "504", None),
        (409, {"code": "conflict"}, {}, ReplyLost, "conflict", None),
    ],
)
def test_each_status_has_its_meaning(
    client: OpenAIClient,
    world: RunningWorld,
    status: int,
    body: Any,
    headers: dict[str, str],
    expected: type,
    code: str,
    retry_after: float | None,
) -> None:
    if isinstance(body, dict):
        body = {"error": {"message": "Something.", "type": "t", "param": None, **body}}
    for match, call in ((RESPONSES, write), (IMAGES, draw)):
        before = len(charges(world))
        world.fault(match, status=status, body=body, headers=headers)
        with pytest.raises(expected) as raised:
            call(client)
        assert type(raised.value) is expected
        assert raised.value.code == code
        assert getattr(raised.value, "retry_after", None) == retry_after
        assert len(charges(world)) == before


@pytest.mark.parametrize(
    "body",
    ["<html>maintenance</html>", '{"id": "resp_1", "obj', {"id": "x"}, [1], "", {**RESPONSE, "status": "queued"}],
)
def test_a_200_that_cannot_be_read_is_a_lost_reply(client: OpenAIClient, world: RunningWorld, body: Any) -> None:
    for match, call in ((RESPONSES, write), (IMAGES, draw)):
        before = len(charges(world))
        world.fault(match, when="after", status=200, body=body, headers={"content-type": "application/json"})
        with pytest.raises(ReplyLost):
            call(client)
        assert len(charges(world)) == before + 1  # the vendor acted: that is why it must not be called unavailable


def test_a_lost_reply_is_told_from_a_call_that_never_left(client: OpenAIClient, world: RunningWorld) -> None:
    before = len(charges(world))
    world.fault(RESPONSES, when="after", drop=True)
    with pytest.raises(ReplyLost):
        write(client)
    assert len(charges(world)) == before + 1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    with pytest.raises(VendorUnavailable) as unavailable:
        write(OpenAIClient(f"http://127.0.0.1:{closed}/v1", key))
    assert not isinstance(unavailable.value, ReplyLost)


def test_a_reply_later_than_the_time_out_is_lost(world: RunningWorld) -> None:
    world.fault(RESPONSES, when="after", delay=1.5)
    client = OpenAIClient(f"{world.url}/openai/v1", key, timeout=0.5)
    with pytest.raises(ReplyLost):
        write(client)
    client.close()


def test_nothing_is_ever_sent_twice(client: OpenAIClient, world: RunningWorld) -> None:
    world.fault(RESPONSES, status=429, body={"error": {"message": "m", "type": "t", "code": "c"}}, times=1)
    with pytest.raises(VendorUnavailable):
        write(client)
    assert write(client).document  # the one fault was used up by the one request


def test_prices_are_those_of_the_policy_in_force() -> None:
    assert POLICY.model("script", date(2026, 11, 20)) == TEXT
    assert POLICY.model("image", date(2026, 11, 20)) == IMAGE


# ---------------------------------------------------------------------------------------------- moderation
def test_each_text_gets_its_verdict_and_none_is_charged(client: OpenAIClient, world: RunningWorld) -> None:
    before = len(charges(world))
    model = POLICY.model("moderation", date(2026, 11, 20))
    clean, foul = client.moderate(["A kettle for two cups.", "This kettle is for pornographic torture."], model=model)
    assert (clean.flagged, clean.categories) == (False, [])
    assert (foul.flagged, foul.categories) == (True, ["sexual"])
    assert len(charges(world)) == before


def test_the_unmodified_sdk_accepts_a_verdict_strictly(sdk: openai.OpenAI) -> None:
    verdict = sdk.moderations.create(
        model="omni-moderation-latest", input="How to kill yourself with a kettle"
    ).results[0]
    assert verdict.categories.self_harm_instructions
    assert verdict.category_scores.self_harm_instructions > verdict.category_scores.hate


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "missing_required_parameter"),
        ({"input": []}, 400, "missing_required_parameter"),
        ({"input": ["x", ""]}, 400, "invalid_value"),
        ({"input": "x", "model": "gpt-6.1-terra"}, 404, "model_not_found"),
        ({"input": "x", "threshold": 0.5}, 400, "unknown_parameter"),
    ],
)
def test_moderation_is_refused_as_the_vendor_refuses(
    world: RunningWorld, body: dict[str, Any], status: int, code: str
) -> None:
    reply = post(world, "moderations", body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "body": {"error": {"message": "m", "type": "t", "code": "server_is_overloaded"}}},
        {"status": 502, "body": "<html>bad gateway</html>"},
        {"status": 200, "body": "<html>maintenance</html>"},
        {"status": 200, "body": {"id": "modr-1", "model": "m", "results": []}},
        {"when": "after", "drop": True},
    ],
)
def test_an_outage_of_the_moderation_is_never_a_pass(
    client: OpenAIClient, world: RunningWorld, fault: dict[str, Any]
) -> None:
    world.fault(MODERATIONS, **fault)
    with pytest.raises(VendorUnavailable) as unavailable:
        client.moderate(["A kettle."], model="omni-moderation-latest")
    assert not isinstance(unavailable.value, ReplyLost)  # nothing can have been charged: it may be asked again
