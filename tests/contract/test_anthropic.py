"""Anthropic's client and the unmodified SDK, over real HTTP, against the sandbox world."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import Message

from affiliate_empire.content import Post, post_schema
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS, Settings
from affiliate_empire.vendors.anthropic import AnthropicClient
from affiliate_empire.vendors.errors import ReplyLost, VendorRefused, VendorUnavailable
from tests.factories.worlds import RunningWorld

MODEL = "claude-sonnet-5-5"
MESSAGES = "POST /anthropic/v1/messages"
FAIR = {"truncated": 0.0, "refusal": 0.0, "invented_claim": 0.0}
BORN = datetime(2026, 11, 20, 14, tzinfo=UTC)
POLICY = load_policy()
PROMPT = """Write a post.
## Product
Burr Coffee Grinder
## Facts
F1: Name: Burr Coffee Grinder
F2: Price: 64.00 USD
F3: Conical steel burrs with 18 grind settings.
F4: Hopper holds 240 g of beans.
## Length
4 sections. 250 to 350 words.
"""


def key() -> str:
    return SANDBOX_KEYS["anthropic"]


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("world"), now=BORN)
    yield world
    world.stop()


@pytest.fixture
def world(module_world: RunningWorld) -> RunningWorld:
    module_world.clear_faults()
    temper(module_world)
    return module_world


@pytest.fixture
def client(world: RunningWorld) -> Iterator[AnthropicClient]:
    client = AnthropicClient(f"{world.url}/anthropic", key, timeout=10)
    yield client
    client.close()


@pytest.fixture
def sdk(world: RunningWorld) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=f"{world.url}/anthropic",
        api_key=key(),
        max_retries=0,
        _strict_response_validation=True,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
    ) as sdk:
        yield sdk


def temper(world: RunningWorld, **rates: float) -> None:
    httpx.put(f"{world.url}/_world/writer", json=FAIR | rates, trust_env=False).raise_for_status()


def charges(world: RunningWorld) -> list[dict[str, Any]]:
    return [charge for charge in world.witness("charges") if charge["vendor"] == "anthropic"]


def write(client: AnthropicClient, **changes: Any) -> Any:
    call = {
        "model": MODEL,
        "system": "You write posts.",
        "user": PROMPT,
        "schema": post_schema(),
        "schema_name": "Post",
        "max_output_tokens": 3000,
    }
    return client.write_json(**(call | changes))


def post(world: RunningWorld, body: dict[str, Any], **headers: str) -> httpx.Response:
    given = {"authorization": f"Bearer {key()}", "anthropic-version": "2026-10-21"} | headers
    said = {name: value for name, value in given.items() if value}
    return httpx.post(f"{world.url}/anthropic/v1/messages", json=body, headers=said, trust_env=False, timeout=30)


# ---------------------------------------------------------------------------------------------- the happy path
def test_a_written_document_fits_its_schema_and_costs_what_the_vendor_charged(
    client: AnthropicClient, world: RunningWorld
) -> None:
    before = len(charges(world))
    completion = write(client)
    document = Post.model_validate(completion.document)
    assert {fact for section in document.sections for fact in section.fact_ids} <= {"F1", "F2", "F3", "F4"}
    (charge,) = charges(world)[before:]
    assert charge["micros"] == completion.cost_micros > 0
    assert charge["request_id"] == completion.request_id
    assert completion.usage.reasoning > 0  # it thought, and the thoughts are no part of the document
    bound = POLICY.llm_max_cost_micros(
        MODEL, input_chars=len(PROMPT) + 16 + len(json.dumps(post_schema())), max_output_tokens=3000
    )
    assert completion.cost_micros <= bound
    assert POLICY.model("post", date(2026, 11, 20)) == MODEL
    assert POLICY.vendor_of(MODEL) == "anthropic"


def test_the_unmodified_sdk_accepts_every_reply_strictly(sdk: anthropic.Anthropic, world: RunningWorld) -> None:
    form: Any = {"format": {"type": "json_schema", "schema": post_schema()}}
    raw = sdk.messages.with_raw_response.create(
        model=MODEL, max_tokens=6000, messages=[{"role": "user", "content": PROMPT}], output_config=form
    )
    assert str(raw.request_id).startswith("req_")
    message = raw.parse()
    assert isinstance(message, Message)
    assert (message.stop_reason, message.usage.service_tier) == ("end_turn", "standard")
    assert json.loads(message.content[-1].text)["sections"]  # type: ignore[union-attr]
    temper(world, refusal=1.0)
    message = sdk.messages.create(model=MODEL, max_tokens=500, messages=[{"role": "user", "content": PROMPT}])
    assert (message.stop_reason, message.stop_details is not None) == ("refusal", True)
    assert MODEL in [model.id for model in sdk.models.list()]


def test_the_same_request_again_is_another_draw(client: AnthropicClient) -> None:
    assert write(client).request_id != write(client).request_id


def test_a_long_system_text_is_written_to_the_cache_once_and_read_from_it_while_it_lasts(
    sdk: anthropic.Anthropic, world: RunningWorld
) -> None:
    def ask() -> Message:
        return sdk.messages.create(
            model=MODEL,
            max_tokens=4000,
            system=[{"type": "text", "text": "Be plain. " * 500, "cache_control": {"type": "ephemeral"}}],
            messages=[{"role": "user", "content": PROMPT}],
        )

    def counted(message: Message) -> tuple[int | None, int | None]:
        return message.usage.cache_creation_input_tokens, message.usage.cache_read_input_tokens

    first, second = ask(), ask()
    assert counted(first) == (1250, 0)
    assert counted(second) == (0, 1250)
    world.move_to(world.now() + timedelta(minutes=6))
    assert counted(ask()) == (1250, 0)
    for message, charge in zip((first, second), charges(world)[-3:], strict=False):
        usage = message.usage
        cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        assert charge["micros"] == POLICY.llm_cost_micros(
            MODEL,
            input_tokens=usage.input_tokens + cached + written,
            cached_tokens=cached,
            cache_write_tokens=written,
            output_tokens=usage.output_tokens,
        )


# ---------------------------------------------------------------------------------------------- as strict as the vendor
HELLO = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize(
    ("change", "status", "kind", "says"),
    [
        ({"temperature": 1.0}, 400, "invalid_request_error", "temperature"),
        ({"top_p": 1.0}, 400, "invalid_request_error", "top_p"),
        ({"top_k": 5}, 400, "invalid_request_error", "top_k"),
        ({"output_format": {}}, 400, "invalid_request_error", "output_format: Extra inputs"),
        ({"tools": [{"name": "emit"}]}, 400, "invalid_request_error", "tools"),
        ({"model": None}, 400, "invalid_request_error", "model"),
        ({"model": "claude-3-5-haiku-20241022"}, 404, "not_found_error", "claude-3-5-haiku"),
        ({"model": "gpt-6.1-terra"}, 404, "not_found_error", "gpt-6.1-terra"),
        ({"max_tokens": None}, 400, "invalid_request_error", "max_tokens"),
        ({"max_tokens": 0}, 400, "invalid_request_error", "max_tokens"),
        ({"max_tokens": 500_000}, 400, "invalid_request_error", "128000"),
        ({"messages": []}, 400, "invalid_request_error", "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "invalid_request_error", "messages.0.role"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, "invalid_request_error", "non-empty"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]},
            400,
            "invalid_request_error",
            "prefill",
        ),
        ({"output_config": {"effort": "enormous"}}, 400, "invalid_request_error", "effort"),
        ({"output_config": {"format": {"type": "json"}}}, 400, "invalid_request_error", "json_schema"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}},
            400,
            "invalid_request_error",
            "additionalProperties",
        ),
        (
            {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "2h"}}]},
            400,
            "invalid_request_error",
            "cache_control",
        ),
    ],
)
def test_messages_are_refused_as_the_vendor_refuses(
    world: RunningWorld, change: dict[str, Any], status: int, kind: str, says: str
) -> None:
    before = len(charges(world))
    reply = post(world, {name: value for name, value in (HELLO | change).items() if value is not None})
    error = reply.json()
    assert (reply.status_code, error["type"], error["error"]["type"]) == (status, "error", kind)
    assert says in error["error"]["message"]
    assert error["request_id"] == reply.headers["request-id"]
    assert len(charges(world)) == before


def test_the_version_has_to_be_named_and_the_key_stands_in_the_bearer(world: RunningWorld) -> None:
    for headers, status in (
        ({"anthropic-version": ""}, 400),
        ({"anthropic-version": "2023-06-01"}, 400),
        ({"authorization": "", "x-api-key": key()}, 401),
        ({"authorization": "Bearer sk-wrong"}, 401),
        ({}, 200),
    ):
        assert post(world, HELLO, **headers).status_code == status


# ---------------------------------------------------------------------------------------------- every failure, mapped
def test_a_wrong_key_names_the_setting_and_a_missing_one_is_told_at_the_first_call(world: RunningWorld) -> None:
    for wrong in ("sk-ant-wrong", "clé", ""):
        client = AnthropicClient(f"{world.url}/anthropic", lambda given=wrong: given)  # type: ignore[misc]
        with pytest.raises(VendorRefused, match="EMPIRE_ANTHROPIC_API_KEY"):
            write(client)
        client.close()
    settings = Settings(_env_file=None, mode="live")  # type: ignore[call-arg]
    with pytest.raises(Misconfigured, match="EMPIRE_ANTHROPIC_API_KEY"):
        write(AnthropicClient("http://127.0.0.1:9", lambda: settings.secret("anthropic")))


def test_an_unknown_model_says_where_to_choose_another(client: AnthropicClient) -> None:
    with pytest.raises(VendorRefused, match=r"claude-none.*policy/models\.toml"):
        write(client, model="claude-none")


def test_a_truncated_answer_keeps_its_cost(client: AnthropicClient, world: RunningWorld) -> None:
    with pytest.raises(VendorRefused) as refused:
        write(client, max_output_tokens=150)
    assert refused.value.code == "max_tokens"
    assert refused.value.cost_micros == charges(world)[-1]["micros"] >= 150 * 10
    temper(world, truncated=1.0)
    with pytest.raises(VendorRefused) as refused:
        write(client)
    assert refused.value.cost_micros == charges(world)[-1]["micros"] >= 3000 * 10


def test_a_refusal_keeps_its_cost_and_its_reason(client: AnthropicClient, world: RunningWorld) -> None:
    temper(world, refusal=1.0)
    with pytest.raises(VendorRefused, match="can't help") as refused:
        write(client)
    assert refused.value.code == "refusal"
    assert refused.value.cost_micros == charges(world)[-1]["micros"] > 0
    assert refused.value.request_id == charges(world)[-1]["request_id"]


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [{"type": "text", "text": "```json"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 100, "output_tokens": 10},
}


@pytest.mark.parametrize("text", ["```json", "[1]", '{"title": "\\u0000"}', '{"title": "\\ud800"}', ""])
def test_text_that_is_no_document_is_refused_with_its_cost(
    client: AnthropicClient, world: RunningWorld, text: str
) -> None:
    world.fault(MESSAGES, status=200, body=MESSAGE | {"content": [{"type": "text", "text": text}]})
    with pytest.raises(VendorRefused) as refused:
        write(client)
    assert (refused.value.code, refused.value.cost_micros) == ("invalid_json", 300)


def test_why_it_stopped_is_read_before_what_it_wrote(client: AnthropicClient, world: RunningWorld) -> None:
    whole = [{"type": "text", "text": "{}"}]
    for reason in ("refusal", "pause_turn", "model_context_window_exceeded", None):
        world.fault(MESSAGES, status=200, body=MESSAGE | {"content": whole, "stop_reason": reason})
        with pytest.raises(VendorRefused) as refused:
            write(client)
        assert refused.value.code == str(reason)


def test_what_the_cache_took_and_gave_is_priced(client: AnthropicClient, world: RunningWorld) -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 10,
        "cache_creation_input_tokens": 2000,
        "cache_read_input_tokens": 3000,
    }
    world.fault(MESSAGES, status=200, body=MESSAGE | {"content": [{"type": "text", "text": "{}"}], "usage": usage})
    completion = write(client)
    assert completion.usage.input == 5100
    assert completion.cost_micros == 100 * 2 + 2000 * 2.5 + 3000 * 0.1 + 10 * 10


@pytest.mark.parametrize(
    ("status", "kind", "code", "headers", "expected", "retry_after"),
    [
        (429, "rate_limit_error", None, {"retry-after": "7"}, VendorUnavailable, 7.0),
        (429, "rate_limit_error", "ramp_limit_exceeded", {}, VendorUnavailable, None),
        (429, "rate_limit_error", "enforced_spend_limit_reached", {"retry-after": "1"}, VendorRefused, None),
        (429, "rate_limit_error", "contract_spend_limit_reached", {}, VendorRefused, None),
        (402, "billing_error", None, {}, VendorRefused, None),
        (400, "invalid_request_error", "organization_on_hold", {}, VendorRefused, None),
        (529, "overloaded_error", None, {}, VendorUnavailable, 180.0),
        (529, "overloaded_error", None, {"retry-after": "600"}, VendorUnavailable, 600.0),
        (500, "overloaded_error", None, {}, VendorUnavailable, 180.0),  # its type comes with other statuses, too
        (500, "api_error", None, {}, VendorUnavailable, None),
        (503, "api_error", None, {}, VendorUnavailable, None),
        (504, "timeout_error", None, {}, ReplyLost, None),
        (409, "conflict_error", None, {}, ReplyLost, None),
        (403, "permission_error", None, {}, VendorRefused, None),
        (413, "request_too_large", None, {}, VendorRefused, None),
        (400, "invalid_request_error", None, {}, VendorRefused, None),
        (500, None, None, {}, ReplyLost, None),
        (502, None, None, {}, ReplyLost, None),
    ],
)
def test_each_status_has_its_meaning(
    client: AnthropicClient,
    world: RunningWorld,
    status: int,
    kind: str | None,
    code: str | None,
    headers: dict[str, str],
    expected: type,
    retry_after: float | None,
) -> None:
    details = {"error_code": code} if code else None
    body: Any = {"type": "error", "error": {"type": kind, "message": "Something.", "details": details}}
    before = len(charges(world))
    world.fault(MESSAGES, status=status, body=body if kind else "<html>bad gateway</html>", headers=headers)
    with pytest.raises(expected) as raised:
        write(client)
    assert type(raised.value) is expected
    assert raised.value.code == (code or kind or str(status))
    assert getattr(raised.value, "retry_after", None) == retry_after
    assert len(charges(world)) == before


@pytest.mark.parametrize("body", ["<html>maintenance</html>", '{"id": "msg_1", "ty', {"id": "x"}, [1], ""])
def test_a_200_that_cannot_be_read_is_a_lost_reply(client: AnthropicClient, world: RunningWorld, body: Any) -> None:
    before = len(charges(world))
    world.fault(MESSAGES, when="after", status=200, body=body, headers={"content-type": "application/json"})
    with pytest.raises(ReplyLost):
        write(client)
    assert len(charges(world)) == before + 1  # the vendor acted: that is why it must not be called unavailable


def test_a_lost_reply_is_told_from_a_call_that_never_left(client: AnthropicClient, world: RunningWorld) -> None:
    before = len(charges(world))
    world.fault(MESSAGES, when="after", drop=True)
    with pytest.raises(ReplyLost):
        write(client)
    assert len(charges(world)) == before + 1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    with pytest.raises(VendorUnavailable) as unavailable:
        write(AnthropicClient(f"http://127.0.0.1:{closed}", key))
    assert not isinstance(unavailable.value, ReplyLost)
    world.fault(MESSAGES, when="after", delay=1.5)
    slow = AnthropicClient(f"{world.url}/anthropic", key, timeout=0.5)
    with pytest.raises(ReplyLost):
        write(slow)
    slow.close()


def test_nothing_is_ever_sent_twice(client: AnthropicClient, world: RunningWorld) -> None:
    world.fault(MESSAGES, status=529, body={"type": "error", "error": {"type": "overloaded_error", "message": "m"}})
    with pytest.raises(VendorUnavailable):
        write(client)
    assert write(client).document  # the one fault was used up by the one request
