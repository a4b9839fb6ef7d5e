"""Every vendor's client on a bad network: a name that does not resolve, a web page where an answer was expected.

Each call is made once. What comes of it is one sentence; nothing that is no answer is taken for data, and where the
call may have been carried out (it pays, or it shows something to somebody) the error says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from affiliate_empire.catalog.feed import parse_feed
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.anthropic import AnthropicClient
from affiliate_empire.vendors.blog import BlogClient, Page, content_hash
from affiliate_empire.vendors.ecb import ECBClient
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient
from affiliate_empire.vendors.errors import ReplyLost, VendorUnavailable
from affiliate_empire.vendors.fal import FalClient
from affiliate_empire.vendors.google_trends import GoogleTrendsClient
from affiliate_empire.vendors.impact import ImpactClient
from affiliate_empire.vendors.instagram import InstagramClient, InstagramCredentials, Reel
from affiliate_empire.vendors.openai import OpenAIClient
from affiliate_empire.vendors.product_feed import ProductFeedClient
from affiliate_empire.vendors.runway import RunwayClient
from affiliate_empire.vendors.tiktok import TikTokClient, TikTokOAuth, Upload
from affiliate_empire.vendors.youtube import VideoMetadata, YouTubeClient
from affiliate_empire.vendors.youtube_analytics import YouTubeAnalyticsClient
from tests.factories.media import jpeg
from tests.factories.publishing import youtube_grant
from tests.factories.worlds import RunningWorld

NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)
POLICY = load_policy()
PAGE = "<!doctype html><html><head><title>Welcome</title></head><body>Log in to the hotel's network.</body></html>"
# Longer than a name may be, so the machine's own resolver says no: nothing is asked of any name server. It begins like
# an address of this machine, which the suite's guard lets pass; it is none, and nothing answers to it.
NOWHERE = "http://127." + ".".join(["1" * 63] * 4)
CLOCK = FixedClock(NOW)
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


@dataclass
class Bench:
    """Opens clients at a base address, and closes them; ``folder`` takes files."""

    base: str
    folder: Path
    _opened: list[Any] = field(default_factory=list)

    def __call__(self, client: Any) -> Any:
        self._opened.append(client)
        return client

    def openai(self) -> OpenAIClient:
        return self(OpenAIClient(f"{self.base}/openai/v1", lambda: SANDBOX_KEYS["openai"], timeout=10))

    def anthropic(self) -> AnthropicClient:
        return self(AnthropicClient(f"{self.base}/anthropic", lambda: SANDBOX_KEYS["anthropic"], timeout=10))

    def elevenlabs(self) -> ElevenLabsClient:
        return self(ElevenLabsClient(f"{self.base}/elevenlabs", lambda: SANDBOX_KEYS["elevenlabs"], timeout=10))

    def fal(self) -> FalClient:
        return self(FalClient(f"{self.base}/fal", lambda: SANDBOX_KEYS["fal"], timeout=10))

    def runway(self) -> RunwayClient:
        return self(RunwayClient(f"{self.base}/runway", lambda: SANDBOX_KEYS["runway"], timeout=10))

    def tiktok(self) -> TikTokClient:
        return self(TikTokClient(f"{self.base}/tiktok", tokens=lambda rejected=None: "t", clock=CLOCK, timeout=10))

    def instagram(self) -> InstagramClient:
        credentials = InstagramCredentials(SANDBOX_KEYS["instagram_user_id"], SANDBOX_KEYS["instagram_access_token"])
        urls = f"{self.base}/instagram", f"{self.base}/instagram_upload"
        return self(InstagramClient(*urls, credentials=lambda: credentials, clock=CLOCK, timeout=10))

    def youtube(self) -> YouTubeClient:
        urls = f"{self.base}/youtube", f"{self.base}/google_oauth"
        return self(YouTubeClient(*urls, credentials=youtube_grant, clock=CLOCK, timeout=10, pause=lambda _: None))

    def analytics(self) -> YouTubeAnalyticsClient:
        urls = f"{self.base}/youtube_analytics", f"{self.base}/google_oauth"
        return YouTubeAnalyticsClient(*urls, credentials=youtube_grant, timeout=10)

    def impact(self) -> ImpactClient:
        sid, token = SANDBOX_KEYS["impact_account_sid"], SANDBOX_KEYS["impact_auth_token"]
        return self(ImpactClient(f"{self.base}/impact", account_sid=sid, auth_token=token, timeout=10))

    def google_trends(self) -> GoogleTrendsClient:
        return GoogleTrendsClient(f"{self.base}/google_trends", timeout=10)

    def close(self) -> None:
        for client in self._opened:
            client.close()


@dataclass(frozen=True)
class Call:
    """One call of one client.

    Attributes:
        make: opens the client and makes the call.
        match: its requests, as the world's faults name them.
        acts: it may have been paid for or seen, so a reply that cannot be read is a lost one.
    """

    make: Callable[[Bench], Any]
    match: str
    acts: bool = False


def film(client: FalClient | RunwayClient, role: str) -> str:
    seconds, resolution = POLICY.clip_format(model(role))
    return client.submit(model=model(role), prompt="Round it.", picture=jpeg(), seconds=seconds, resolution=resolution)


def write(client: OpenAIClient | AnthropicClient, role: str) -> Any:
    return client.write_json(
        model=POLICY.model(role, NOW.date()),
        system="s",
        user="u",
        schema=SCHEMA,
        schema_name="x",
        max_output_tokens=100,
    )


def model(role: str) -> str:
    return POLICY.model(role, NOW.date())


def read_feed(bench: Bench) -> None:
    """A feed is what its merchant's server says: what it means is the catalogue's to say."""
    data = ProductFeedClient(f"{bench.base}/merchant/feed.tsv", timeout=10).fetch()
    with pytest.raises(BadInput, match="HTML page"):
        parse_feed(data, source="product_feed")
    raise VendorUnavailable("It was read as no feed.", vendor="product_feed")


def send_bytes(bench: Bench) -> None:
    file = bench.folder / "short.mp4"
    file.write_bytes(b"0" * 10)
    bench.tiktok().upload(Upload("v_pub_file~1", f"{bench.base}/tiktok/upload/video/1", 10, 10, 1), file)


VIDEO = VideoMetadata(
    title="t",
    description="d",
    tags=(),
    category_id="26",
    language="en",
    privacy_status="public",
    publish_at=None,
    contains_synthetic_media=True,
    has_paid_product_placement=True,
    self_declared_made_for_kids=False,
    notify_subscribers=False,
)
REEL = Reel(
    caption="c",
    share_to_feed=True,
    is_ai_generated=True,
    is_paid_partnership=False,
    cover_url=None,
    thumb_offset_ms=1000,
)
SINCE, UNTIL = date(2026, 11, 1), date(2026, 11, 10)

CALLS = {
    "openai text": Call(lambda on: write(on.openai(), "script"), "* /openai/*", acts=True),
    "openai picture": Call(
        lambda on: on.openai().make_image(model=model("image"), prompt="p", size="864x1536", quality="low"),
        "* /openai/*",
        acts=True,
    ),
    "openai moderation": Call(lambda on: on.openai().moderate(["x"], model=model("moderation")), "* /openai/*"),
    "anthropic": Call(lambda on: write(on.anthropic(), "post"), "* /anthropic/*", acts=True),
    "elevenlabs": Call(
        lambda on: on.elevenlabs().speak(text="Hi.", voice_id=model("voice"), model=model("voice_model"), seed=1),
        "* /elevenlabs/*",
        acts=True,
    ),
    "fal submit": Call(lambda on: film(on.fal(), "pika"), "* /fal/*", acts=True),
    "fal status": Call(lambda on: on.fal().fetch_status("x"), "* /fal/*"),
    "fal clip": Call(lambda on: on.fal().fetch_clip("x", model=model("pika")), "* /fal/*"),
    "runway submit": Call(lambda on: film(on.runway(), "runway"), "* /runway/*", acts=True),
    "runway status": Call(lambda on: on.runway().fetch_status("x"), "* /runway/*"),
    "youtube session": Call(lambda on: on.youtube().start_upload(VIDEO, 10), "* /youtube/*"),
    "youtube session status": Call(
        lambda on: on.youtube().session_status(f"{on.base}/youtube/upload/youtube/v3/videos?upload_id=x", 10),
        "* /youtube/*",
    ),
    "youtube states": Call(lambda on: on.youtube().fetch_status(["x"]), "* /youtube/*"),
    "youtube counts": Call(lambda on: on.youtube().fetch_counts(["x"]), "* /youtube/*"),
    "youtube search": Call(lambda on: on.youtube().find_by_description("/r/x", since=NOW), "* /youtube/*"),
    "google's tokens": Call(lambda on: on.youtube().start_upload(VIDEO, 10), "* /google_oauth/*"),
    "youtube analytics": Call(
        lambda on: on.analytics().fetch_engagement(["x"], since=SINCE, until=UNTIL), "* /youtube_analytics/*"
    ),
    "tiktok creator": Call(lambda on: on.tiktok().fetch_creator_info(), "* /tiktok/*"),
    "tiktok draft": Call(lambda on: on.tiktok().start_draft(10), "* /tiktok/*"),
    "tiktok bytes": Call(send_bytes, "* /tiktok/*", acts=True),
    "tiktok status": Call(lambda on: on.tiktok().fetch_status("v_pub_file~1"), "* /tiktok/*"),
    "tiktok counts": Call(lambda on: on.tiktok().fetch_counts(["1"]), "* /tiktok/*"),
    "tiktok's tokens": Call(
        lambda on: TikTokOAuth(f"{on.base}/tiktok", client_key=lambda: "k", client_secret=lambda: "s").refresh("token"),
        "* /tiktok/*",
    ),
    "instagram container": Call(lambda on: on.instagram().create_container(REEL, video_url=None), "* /instagram/*"),
    "instagram publish": Call(lambda on: on.instagram().publish("1"), "* /instagram/*", acts=True),
    "instagram status": Call(lambda on: on.instagram().container_status("1"), "* /instagram/*"),
    "instagram counts": Call(lambda on: on.instagram().fetch_counts(["1"]), "* /instagram/*"),
    "impact programmes": Call(lambda on: on.impact().fetch_campaigns(), "* /impact/*"),
    "impact actions": Call(lambda on: on.impact().fetch_actions(NOW.replace(day=1), NOW), "* /impact/*"),
    "impact link": Call(lambda on: on.impact().create_tracking_link("1001", f"{on.base}/x"), "* /impact/*"),
    "google trends": Call(
        lambda on: on.google_trends().fetch_interest(["tea"], "2026-08-01 2026-11-20"), "* /google_trends/*"
    ),
    "trending": Call(lambda on: on.google_trends().fetch_trending(), "* /google_trends/*"),
    "ecb": Call(lambda on: on(ECBClient(f"{on.base}/ecb", timeout=10)).fetch_latest(), "* /ecb/*"),
    "product feed": Call(lambda on: read_feed(on), "* /merchant/*"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("world"), now=NOW)
    yield world
    world.stop()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(NOWHERE, tmp_path)
    yield bench
    bench.close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of this machine would be asked to resolve the name."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def is_one_sentence(error: BaseException) -> bool:
    said = str(error)
    secrets = [key for key in SANDBOX_KEYS.values() if key in said]
    return len(said.splitlines()) == 1 and said.endswith(".") and "<" not in said and not secrets


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_name_that_does_not_resolve(call: Call, bench: Bench) -> None:
    with pytest.raises(VendorUnavailable, match=r"could not (be reached|reach)") as error:
        call.make(bench)
    assert not isinstance(error.value, ReplyLost)  # nothing was sent, so nothing can have happened
    assert is_one_sentence(error.value)


def test_a_blog_whose_name_does_not_resolve(bench: Bench) -> None:
    blog = BlogClient(f"{NOWHERE}/blog.git", bench.folder, "https://blog.example")
    with pytest.raises(VendorUnavailable, match="could not be reached") as error:
        blog.publish([Page("a.mdx", content_hash("a"), "", None, "a")], at=NOW)
    assert not isinstance(error.value, ReplyLost)
    assert is_one_sentence(error.value)


@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_web_page_instead_of_an_answer(call: Call, status: int, bench: Bench, world: RunningWorld) -> None:
    bench.base = world.url
    world.clear_faults()
    world.fault(call.match, status=status, headers={"content-type": "text/html"}, body=PAGE, times=100)
    with pytest.raises(VendorUnavailable) as error:
        call.make(bench)
    assert world.fault_hits() >= 1
    assert is_one_sentence(error.value)
    if call.acts:
        assert isinstance(error.value, ReplyLost)
