"""A small business that is ready to publish: rows, files and clients around one world.

Run as a module it publishes one piece in a process of its own, which a test may kill.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from affiliate_empire.effects import Caps, Effects
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Artifact, Piece, Product, Program, PromptVersion, Publication
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.post_to_blog import BlogPoster
from affiliate_empire.operations.post_to_instagram import InstagramPoster
from affiliate_empire.operations.post_to_tiktok import TikTokPoster
from affiliate_empire.operations.post_to_youtube import YouTubePoster
from affiliate_empire.operations.posting import Poster
from affiliate_empire.operations.publish_piece import publish_piece, reconcile_publications
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS, Settings
from affiliate_empire.vault import Grants, RotatingTokens, Vault, open_master_keys
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.blog import BlogClient
from affiliate_empire.vendors.google import GoogleCredentials
from affiliate_empire.vendors.impact import ImpactClient
from affiliate_empire.vendors.instagram import InstagramClient, InstagramCredentials
from affiliate_empire.vendors.product_feed import ProductFeedClient
from affiliate_empire.vendors.tiktok import TikTokClient, TikTokOAuth
from affiliate_empire.vendors.world_clock import WorldClock
from affiliate_empire.vendors.youtube import YouTubeClient
from affiliate_empire.vendors.youtube_analytics import YouTubeAnalyticsClient

DAY = date(2026, 11, 20)
NICHE = "home & kitchen"
SLOT = datetime(2026, 11, 20, 14, 20, tzinfo=UTC)  # 09:20 in New York
TRACKING = "http://127.0.0.1:1"
Client = TypeVar("Client")
_AMPLE = Caps(day_micros=10**9, month_micros=10**9, run_micros=10**9)
_SCENES = ["This grinder has eighteen settings.", "Its hopper holds 240 g.", "It has steel burrs.", "See the link."]


def always(client: Client) -> PerAccount[Client]:
    """The same client whatever the account."""
    return PerAccount(lambda account_id: client)


def youtube_grant() -> GoogleCredentials:
    """The grant of the world's channel."""
    return GoogleCredentials(
        SANDBOX_KEYS["youtube_client_id"],
        SANDBOX_KEYS["youtube_client_secret"],
        SANDBOX_KEYS["youtube_refresh_token"],
    )


@dataclass
class Business:
    """Where everything is; enough to open the same business in another process."""

    ledger_url: str
    world_url: str
    home: str
    timeout: float = 30.0  # seconds until a vendor's reply counts as lost

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.ledger_url)
        self.clock = WorldClock(self.world_url, cache_seconds=0)
        self.effects = Effects(self.ledger, self.clock, caps=_AMPLE)
        self.media = MediaStore(Path(self.home) / "media")
        self.youtube = YouTubeClient(
            f"{self.world_url}/youtube",
            f"{self.world_url}/google_oauth",
            credentials=youtube_grant,
            clock=self.clock,
            timeout=self.timeout,
            pause=lambda seconds: None,
        )
        self.youtube_analytics = YouTubeAnalyticsClient(
            f"{self.world_url}/youtube_analytics", f"{self.world_url}/google_oauth", credentials=youtube_grant
        )
        self.instagram = InstagramClient(
            f"{self.world_url}/instagram",
            f"{self.world_url}/instagram_upload",
            credentials=lambda: InstagramCredentials(
                SANDBOX_KEYS["instagram_user_id"], SANDBOX_KEYS["instagram_access_token"]
            ),
            clock=self.clock,
            timeout=self.timeout,
            pause=lambda seconds: None,
        )
        self.tiktok_oauth = TikTokOAuth(
            f"{self.world_url}/tiktok",
            client_key=lambda: SANDBOX_KEYS["tiktok_client_key"],
            client_secret=lambda: SANDBOX_KEYS["tiktok_client_secret"],
        )
        self.vault = Vault(self.ledger, lambda: open_master_keys(Path(self.home), None))
        self.grants = Grants(self.vault, given=Settings().grant_of, clock=self.clock)
        self.tiktok = TikTokClient(
            f"{self.world_url}/tiktok",
            tokens=RotatingTokens(self.grants, "tiktok:gearlab", refresh=self.tiktok_oauth.refresh, clock=self.clock),
            clock=self.clock,
            timeout=self.timeout,
            chunk_bytes=5 * 1024 * 1024,
        )
        self.blog = BlogClient(
            str(Path(self.home) / "world" / "blog.git"), Path(self.home) / "blog", f"{self.world_url}/blog"
        )
        self.impact = ImpactClient(
            f"{self.world_url}/impact",
            account_sid=SANDBOX_KEYS["impact_account_sid"],
            auth_token=SANDBOX_KEYS["impact_auth_token"],
        )
        policy = load_policy()
        self.posters: dict[str, Poster] = {
            "youtube": YouTubePoster(always(self.youtube), clock=self.clock, media=self.media, policy=policy),
            "tiktok": TikTokPoster(
                always(self.tiktok),
                clock=self.clock,
                media=self.media,
                policy=policy,
                handoff=Path(self.home) / "handoff",
            ),
            "instagram": InstagramPoster(
                always(self.instagram), clock=self.clock, media=self.media, policy=policy, media_public_url=None
            ),
            "blog": BlogPoster(self.blog, clock=self.clock, policy=policy),
        }
        self.feed = ProductFeedClient(f"{self.world_url}/merchant/feed.tsv")

    def close(self) -> None:
        self.youtube.close()
        self.instagram.close()
        self.tiktok.close()
        self.impact.close()
        self.clock.close()
        self.ledger.dispose()

    def publish(self, piece_id: str) -> Publication:
        return publish_piece(
            piece_id,
            ledger=self.ledger,
            effects=self.effects,
            clock=self.clock,
            posters=self.posters,
            impact=self.impact,
            policy=load_policy(),
            calendar=BusinessCalendar(),
            tracking_url=TRACKING,
        )

    def reconcile(self, day: date = DAY, platform: str | None = None) -> list[Publication]:
        return reconcile_publications(
            day, ledger=self.ledger, effects=self.effects, posters=self.posters, platform=platform
        )

    def command(self, piece_id: str) -> list[str]:
        """What publishes a piece of this business in another process."""
        where = {name: value for name, value in asdict(self).items()}
        return [sys.executable, "-m", "tests.factories.publishing", json.dumps(where), piece_id]


def open_business(ledger: Ledger, world_url: str, home: Path) -> Business:
    """An account on each platform, a programme and a product of the world's feed; no piece yet."""
    business = Business(ledger.url, world_url, str(home))
    page = f"{world_url}/merchant/products/HP-1002"
    with ledger.begin() as session:
        for platform in ("youtube", "tiktok", "instagram", "blog"):
            session.add(
                Account(account_id=f"{platform}:gearlab", platform=platform, handle="gearlab", display_name="Gear Lab")
            )
        session.add(
            Program(
                program_id="impact:1001",
                network="impact",
                native_id="1001",
                name="Harbor & Pine",
                status="joined",
                commission_rate=Decimal("0.08"),
                currency="USD",
                cookie_days=30,
                deeplink=True,
                deeplink_domains=["127.0.0.1"],
                terms={},
                observed_at=SLOT,
            )
        )
        session.add(
            PromptVersion(
                prompt_version="video/question-hook@1",
                kind="video",
                template="t",
                sha256="s",
                parent=None,
                status="active",
            )
        )
        session.flush()
        session.add(
            Product(
                product_id="pd_grinder",
                program_id="impact:1001",
                source="product_feed",
                native_id="HP-1002",
                title="Burr Coffee Grinder, 18 Settings",
                description="",
                brand="Harbor & Pine",
                category="Home & Kitchen > Coffee",
                niche=NICHE,
                price_micros=64_000_000,
                currency="USD",
                availability="in_stock",
                url=page,
                image_url="",
                commission_rate=Decimal("0.08"),
                first_seen_day=DAY,
                last_seen_day=DAY,
                observed_at=SLOT,
            )
        )
    return business


def add_video(
    business: Business,
    path: Path,
    *,
    piece_id: str = "pc_video",
    slot_at: datetime = SLOT,
    platform: str = "youtube",
    account_id: str | None = None,
) -> str:
    """A piece whose video is ready; its account is the platform's ``gearlab`` unless another one is named."""
    script = {
        "title": "Eighteen settings, one grinder?",
        "hook": "Eighteen settings?",
        "scenes": [{"narration": text, "visual": "a grinder", "fact_ids": ["F1"]} for text in _SCENES],
        "description": "A burr grinder in plain facts.",
        "hashtags": ["coffee", "grinder", "kitchen"],
    }
    sha256 = business.media.save(path, "video/mp4")
    _add_piece(business, piece_id, "video", platform, slot_at, account_id or f"{platform}:gearlab")
    with business.ledger.begin() as session:
        session.add(_artifact(piece_id, "script", content=script))
        session.add(_artifact(piece_id, "video", sha256=sha256, media_type="video/mp4"))
    return piece_id


def add_post(business: Business, *, piece_id: str = "pc_post_0001", slot_at: datetime = SLOT) -> str:
    """A piece whose post is written."""
    post = {
        "title": "What a burr grinder does",
        "meta_description": "A burr grinder in plain facts.",
        "sections": [
            {"heading": f"Part {number}", "markdown": "It has eighteen settings.", "fact_ids": ["F1"]}
            for number in range(1, 4)
        ],
    }
    _add_piece(business, piece_id, "post", "blog", slot_at, "blog:gearlab")
    with business.ledger.begin() as session:
        session.add(_artifact(piece_id, "post", content=post))
    return piece_id


def _add_piece(business: Business, piece_id: str, kind: str, platform: str, slot_at: datetime, account_id: str) -> None:
    with business.ledger.begin() as session:
        session.add(
            Piece(
                piece_id=piece_id,
                day=DAY,
                revision=1,
                kind=kind,
                platform=platform,
                account_id=account_id,
                slot_at=slot_at,
                product_id="pd_grinder",
                niche=NICHE,
                prompt_version="video/question-hook@1",
                arm="exploit",
                propensity=1.0,
                facts={"F1": "It has eighteen settings."},
                max_cost_micros=1_000_000,
                status="planned",
                reason=None,
            )
        )


def _artifact(piece_id: str, step: str, **more: object) -> Artifact:
    values = {"inputs_sha256": "i", "sha256": None, "media_type": None, "content": {}, "effect_id": None} | more
    return Artifact(piece_id=piece_id, step=step, name="", **values)


def after(minutes: float) -> datetime:
    """So many minutes after the slot."""
    return SLOT + timedelta(minutes=minutes)


if __name__ == "__main__":
    Business(**json.loads(sys.argv[1])).publish(sys.argv[2])
