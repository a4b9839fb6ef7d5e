"""ElevenLabs' client and the unmodified SDK, over real HTTP, against the sandbox world."""

from __future__ import annotations

import base64
import io
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import av
import httpx
import pytest
from elevenlabs import ElevenLabs
from elevenlabs.types import AudioWithTimestampsResponse

from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient
from affiliate_empire.vendors.errors import ReplyLost, VendorRefused, VendorUnavailable
from tests.factories.worlds import RunningWorld

VOICE, MODEL = "pNInz6obpgDQGcFmaJgB", "eleven_multilingual_v2"
SPEAK = "POST /elevenlabs/v1/text-to-speech/*"
TEXT = "Looking for a grinder? This is an ad, made with A.I. I may earn a commission. It holds 240 g of beans."
POLICY = load_policy()


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
def client(world: RunningWorld) -> Iterator[ElevenLabsClient]:
    client = ElevenLabsClient(f"{world.url}/elevenlabs", lambda: SANDBOX_KEYS["elevenlabs"], timeout=20)
    yield client
    client.close()


def speak(client: ElevenLabsClient, **changes: Any) -> Any:
    return client.speak(**({"text": TEXT, "voice_id": VOICE, "model": MODEL, "seed": 7} | changes))


def charges(world: RunningWorld) -> list[dict[str, Any]]:
    return [charge for charge in world.witness("charges") if charge["vendor"] == "elevenlabs"]


def decoded(audio: bytes) -> tuple[str, int, float]:
    """Codec, sample rate and seconds of a sound file, by decoding all of it."""
    with av.open(io.BytesIO(audio)) as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(stream))
        return stream.codec_context.name, stream.rate, samples / stream.rate


def test_speech_is_a_real_mp3_timed_to_its_characters(client: ElevenLabsClient, world: RunningWorld) -> None:
    before = len(charges(world))
    speech = speak(client)
    codec, rate, seconds = decoded(speech.audio)
    assert codec.startswith("mp3")
    assert rate == 44_100
    assert "".join(speech.characters) == TEXT
    assert len(speech.starts) == len(speech.ends) == len(TEXT)
    assert all(start <= end for start, end in zip(speech.starts, speech.ends, strict=True))
    assert speech.starts == sorted(speech.starts)
    assert seconds - 1.0 < speech.ends[-1] < seconds
    assert 5 < seconds < 12
    (charge,) = charges(world)[before:]
    assert charge["micros"] == speech.cost_micros == POLICY.speech_cost_micros(MODEL, len(TEXT))
    assert charge["request_id"] == speech.request_id
    assert speech.characters_charged == len(TEXT)


def test_a_pause_stands_where_the_text_has_a_full_stop(client: ElevenLabsClient) -> None:
    speech = speak(client)
    stop = TEXT.index("?")
    assert speech.starts[stop + 2] - speech.ends[stop] > 0.3
    inside = TEXT.index("A.I.") + 1  # no breath inside an abbreviation
    assert speech.starts[inside + 1] - speech.ends[inside] < 0.05


def test_the_same_seed_gives_the_same_sound_and_is_charged_again(client: ElevenLabsClient, world: RunningWorld) -> None:
    before = len(charges(world))
    first, second = speak(client), speak(client)
    assert first.audio == second.audio
    assert first.request_id != second.request_id
    assert len(charges(world)) == before + 2


def test_the_unmodified_sdk_reads_a_reply_that_its_own_model_accepts(world: RunningWorld) -> None:
    with httpx.Client(trust_env=False, timeout=30) as http:
        sdk = ElevenLabs(
            base_url=f"{world.url}/elevenlabs", api_key=SANDBOX_KEYS["elevenlabs"], httpx_client=http, timeout=30
        )
        raw = sdk.text_to_speech.with_raw_response.convert_with_timestamps(
            VOICE,
            text="Hello world.",
            model_id=MODEL,
            output_format="mp3_44100_128",
            voice_settings={"stability": 0.5, "speed": 1.1},  # type: ignore[arg-type]
            request_options={"max_retries": 0},
        )
    assert raw.headers["character-cost"] == "12"
    assert raw.headers["request-id"]
    assert int(raw.headers["maximum-concurrent-requests"]) > 0
    checked = AudioWithTimestampsResponse.model_validate(raw.data.model_dump(by_alias=True), strict=True)
    assert checked.alignment is not None
    assert checked.normalized_alignment is not None
    assert base64.b64decode(checked.audio_base_64)


@pytest.mark.parametrize(
    ("path", "change", "status", "code"),
    [
        (f"{VOICE}/with-timestamps", {"model_id": "eleven_monolingual_v1"}, 400, "model_not_found"),
        (f"{VOICE}/with-timestamps", {"text": "x" * 10_001}, 400, "max_character_limit_exceeded"),
        (
            f"{VOICE}/with-timestamps",
            {"text": "x" * 3_001, "model_id": "eleven_v3"},
            400,
            "max_character_limit_exceeded",
        ),
        (f"{VOICE}/with-timestamps", {"text": "  "}, 400, "input_text_empty"),
        (f"{VOICE}/with-timestamps?output_format=mp3_44100_320", {}, 400, "invalid_output_format"),
        ("nobody/with-timestamps", {}, 404, "voice_not_found"),
        (f"{VOICE}/with-timestamps", {"tone": "gay"}, 422, "extra_forbidden"),
        (f"{VOICE}/with-timestamps?speed=2", {}, 422, "extra_forbidden"),
        (f"{VOICE}/with-timestamps", {"text": None}, 422, "missing"),
        (f"{VOICE}/with-timestamps", {"seed": -1}, 422, "int_range"),
        (f"{VOICE}/with-timestamps", {"voice_settings": {"stability": 2}}, 422, "range"),
    ],
)
def test_requests_are_refused_as_the_vendor_refuses(
    world: RunningWorld, path: str, change: dict[str, Any], status: int, code: str
) -> None:
    before = len(charges(world))
    reply = httpx.post(
        f"{world.url}/elevenlabs/v1/text-to-speech/{path}",
        json={"text": "Hello.", "model_id": MODEL} | change,
        headers={"xi-api-key": SANDBOX_KEYS["elevenlabs"]},
        trust_env=False,
    )
    detail = reply.json()["detail"]
    assert (reply.status_code, detail["status"] if isinstance(detail, dict) else detail[0]["type"]) == (status, code)
    assert len(charges(world)) == before


# ---------------------------------------------------------------------------------------------- every failure, mapped
@pytest.mark.parametrize("key", ["wrong", "", "clé"])
def test_a_wrong_key_names_the_setting(world: RunningWorld, key: str) -> None:
    client = ElevenLabsClient(f"{world.url}/elevenlabs", lambda: key)
    with pytest.raises(VendorRefused, match="EMPIRE_ELEVENLABS_API_KEY"):
        speak(client)
    client.close()


def test_an_unknown_voice_names_where_it_is_chosen(client: ElevenLabsClient) -> None:
    with pytest.raises(VendorRefused, match=r"nobody.*policy/models\.toml") as refused:
        speak(client, voice_id="nobody")
    assert refused.value.code == "voice_not_found"


@pytest.mark.parametrize(
    ("status", "detail", "headers", "expected", "code", "retry_after"),
    [
        (401, {"status": "quota_exceeded", "message": "m"}, {}, VendorRefused, "quota_exceeded", None),
        (400, {"status": "quota_exceeded", "message": "m"}, {}, VendorRefused, "quota_exceeded", None),
        (429, {"status": "too_many_concurrent_requests", "message": "m"}, {"retry-after": "3"}, VendorUnavailable,
         "too_many_concurrent_requests", 3.0),
        (429, {"status": "system_busy", "message": "m"}, {}, VendorUnavailable, "system_busy", None),
        (500, {"status": "internal_error", "message": "m"}, {}, VendorUnavailable, "internal_error", None),
        (422, [{"type": "missing", "loc": ["body", "text"], "msg": "Field required"}], {}, VendorRefused, "422", None),
        (403, {"status": "only_for_creator+", "message": "m"}, {}, VendorRefused, "only_for_creator+", None),
    ],
)  # fmt: skip
def test_each_status_has_its_meaning(
    client: ElevenLabsClient,
    world: RunningWorld,
    status: int,
    detail: Any,
    headers: dict[str, str],
    expected: type,
    code: str,
    retry_after: float | None,
) -> None:
    before = len(charges(world))
    world.fault(SPEAK, status=status, body={"detail": detail}, headers=headers)
    with pytest.raises(expected) as raised:
        speak(client)
    assert type(raised.value) is expected
    assert raised.value.code == code
    assert getattr(raised.value, "retry_after", None) == retry_after
    assert len(charges(world)) == before


@pytest.mark.parametrize("status", [502, 504, 500, 422])
def test_a_gateway_that_answers_in_the_vendors_place(
    client: ElevenLabsClient, world: RunningWorld, status: int
) -> None:
    world.fault(SPEAK, status=status, body="<html>error</html>")
    expected = VendorRefused if status == 422 else ReplyLost
    with pytest.raises(expected):
        speak(client)


@pytest.mark.parametrize("body", ["<html>maintenance</html>", '{"audio_base64": "AA', {"nope": 1}, [], ""])
def test_a_200_that_cannot_be_read_is_a_lost_reply(client: ElevenLabsClient, world: RunningWorld, body: Any) -> None:
    before = len(charges(world))
    world.fault(SPEAK, when="after", status=200, body=body)
    with pytest.raises(ReplyLost):
        speak(client)
    assert len(charges(world)) == before + 1


def test_speech_without_timing_is_refused_with_its_cost(client: ElevenLabsClient, world: RunningWorld) -> None:
    body = {"audio_base64": base64.b64encode(b"sound").decode(), "alignment": None}
    world.fault(SPEAK, status=200, body=body, headers={"character-cost": "40"})
    with pytest.raises(VendorRefused) as refused:
        speak(client)
    assert refused.value.code == "no_alignment"
    assert refused.value.cost_micros == 3200


def test_a_lost_reply_is_told_from_a_call_that_never_left(client: ElevenLabsClient, world: RunningWorld) -> None:
    before = len(charges(world))
    world.fault(SPEAK, when="after", drop=True)
    with pytest.raises(ReplyLost):
        speak(client)
    assert len(charges(world)) == before + 1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    with pytest.raises(VendorUnavailable) as unavailable:
        speak(ElevenLabsClient(f"http://127.0.0.1:{closed}", lambda: "key"))
    assert not isinstance(unavailable.value, ReplyLost)


def test_a_reply_later_than_the_time_out_is_lost(world: RunningWorld) -> None:
    world.fault(SPEAK, when="after", delay=2.0)
    client = ElevenLabsClient(f"{world.url}/elevenlabs", lambda: SANDBOX_KEYS["elevenlabs"], timeout=1)
    with pytest.raises(ReplyLost):
        speak(client, text="Hello.")
    client.close()


def test_nothing_is_ever_sent_twice(client: ElevenLabsClient, world: RunningWorld) -> None:
    world.fault(SPEAK, status=429, body={"detail": {"status": "system_busy", "message": "m"}}, times=1)
    with pytest.raises(VendorUnavailable):
        speak(client, text="Hello.")
    assert speak(client, text="Hello.").audio  # the one fault was used up by the one request
