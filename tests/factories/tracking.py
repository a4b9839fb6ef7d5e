"""Rows a tracking link hangs on: an account, a product, a piece, its publication."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Account,
    Base,
    Effect,
    Link,
    Piece,
    Product,
    Program,
    PromptVersion,
    Publication,
)

PUBLISHED_AT = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
TARGET_URL = "https://shop.example.net/c/77/88/1001?u=https%3A%2F%2Fshop.example.net%2Fp%2F1#reviews"


def publish_link(
    ledger: Ledger,
    code: str,
    *,
    handle: str = "gearlab",
    product_title: str = "Trail Lamp 400",
    title: str = "One lamp, forty nights?",
    target_url: str = TARGET_URL,
    published_at: datetime = PUBLISHED_AT,
    minute: int = 0,
) -> None:
    """A published video with its link ``code``; several may share a handle (give each its own ``minute``)."""
    day = published_at.date()
    account, product, piece = f"youtube:{handle}", f"impact:1001:{code}", f"pc_{code}"
    rows: list[Base] = [
        Account(account_id=account, platform="youtube", handle=handle, display_name="Gear Lab", niche=None),
        Program(
            program_id="impact:1001",
            network="impact",
            native_id="1001",
            name="Shop",
            status="joined",
            commission_rate=Decimal("0.08"),
            currency="USD",
            cookie_days=30,
            deeplink=True,
            deeplink_domains=[],
            terms={},
            observed_at=published_at,
        ),
        PromptVersion(
            prompt_version="video/question-hook@1",
            kind="video",
            template="…",
            sha256="0" * 64,
            parent=None,
            status="active",
        ),
        Product(
            product_id=product,
            program_id="impact:1001",
            source="impact",
            native_id=code,
            title=product_title,
            description="A lamp.",
            brand="Trail",
            category="Camping",
            niche="outdoor",
            price_micros=39_000_000,
            currency="USD",
            availability="in_stock",
            url="https://shop.example.net/p/1",
            image_url="https://shop.example.net/p/1.jpg",
            commission_rate=Decimal("0.08"),
            first_seen_day=day,
            last_seen_day=day,
            observed_at=published_at,
        ),
        Piece(
            piece_id=piece,
            day=day,
            revision=1,
            kind="video",
            platform="youtube",
            account_id=account,
            slot_at=published_at.replace(minute=minute),
            product_id=product,
            niche="outdoor",
            prompt_version="video/question-hook@1",
            arm="exploit",
            propensity=1.0,
            facts={},
            max_cost_micros=0,
            reason=None,
        ),
        Effect(
            effect_id=f"ef_{code}",
            key=f"publish:{piece}:{account}",
            kind="at_most_once",
            vendor="youtube",
            operation="upload",
            fingerprint="0" * 64,
            state="settled",
            day=day,
            epoch=1,
        ),
        Publication(
            publication_id=f"pb_{code}",
            piece_id=piece,
            account_id=account,
            platform="youtube",
            day=day,
            effect_id=f"ef_{code}",
            remote_id=code,
            url=f"https://www.youtube.com/shorts/{code}",
            title=title,
            description="",
            disclosures={},
            slot_at=published_at,
            published_at=published_at,
        ),
        Link(
            code=code,
            piece_id=piece,
            account_id=account,
            product_id=product,
            network="impact",
            target_url=target_url,
            sub_id_parameter="subId1",
        ),
    ]
    with ledger.begin() as session:
        for row in rows:
            session.merge(row)
            session.flush()
