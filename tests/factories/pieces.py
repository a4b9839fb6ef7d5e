"""Pieces as a plan leaves them in the ledger, with everything that they point at."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Piece, Product, Program, PromptVersion
from affiliate_empire.prompts import load_library

DAY = date(2026, 11, 20)
FACTS = {
    "F1": "Name: Burr Coffee Grinder, 18 Settings",
    "F2": "Category: Home & Kitchen > Coffee",
    "F3": "Brand: Harbor & Pine",
    "F4": "Price: 64.00 USD",
    "F5": "Conical steel burrs with 18 grind settings.",
    "F6": "Hopper holds 240 g of beans.",
    "F7": "Timer grinds for 2 to 12 cups.",
}


def plan_piece(ledger: Ledger, piece_id: str = "pc_grinder", **changes: Any) -> str:
    """A planned video (or what ``changes`` make of it); returns its id. May be called for several pieces."""
    kind = str(changes.get("kind", "video"))
    platform = "youtube" if kind == "video" else "blog"
    account = f"{platform}:gearlab"
    at = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
    version = str(changes.get("prompt_version", "video/question-hook@1" if kind == "video" else "post/plain-guide@1"))
    template = next(template for template in load_library() if template.prompt_version == version)
    rows = [
        Account(account_id=account, platform=platform, handle="gearlab", display_name="Gear Lab", status="active"),
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
            deeplink_domains=[],
            terms={},
            observed_at=at,
        ),
        PromptVersion(
            prompt_version=version,
            kind=kind,
            template=template.template,
            sha256=template.sha256,
            parent=None,
            status="active",
        ),
        Product(
            product_id="HP-1002",
            program_id="impact:1001",
            source="product_feed",
            native_id="HP-1002",
            title="Burr Coffee Grinder, 18 Settings",
            description="Conical steel burrs with 18 grind settings.",
            brand="Harbor & Pine",
            category="Home & Kitchen > Coffee",
            niche="kitchen",
            price_micros=64_000_000,
            currency="USD",
            availability="in_stock",
            url="https://shop.example.com/p/1",
            image_url="https://shop.example.com/p/1.jpg",
            commission_rate=Decimal("0.08"),
            first_seen_day=DAY,
            last_seen_day=DAY,
            observed_at=at,
        ),
    ]
    values = {
        "piece_id": piece_id,
        "day": DAY,
        "revision": 1,
        "kind": kind,
        "platform": platform,
        "account_id": account,
        "slot_at": at,
        "product_id": "HP-1002",
        "niche": "kitchen",
        "prompt_version": version,
        "arm": "exploit",
        "propensity": 1.0,
        "facts": FACTS,
        "max_cost_micros": 200_000,
        "status": "planned",
    }
    with ledger.begin() as session:
        for row in rows:
            session.merge(row)
        session.flush()
        session.add(Piece(**(values | changes)))
    return piece_id
