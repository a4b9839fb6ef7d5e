"""Catalogue frames for tests: products of a programme, a few per niche."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from affiliate_empire.catalog.frames import PRODUCT_COLUMNS, Products, product_id_of

DAY = date(2026, 11, 21)


def product(native_id: str, **changes: Any) -> dict[str, Any]:
    """One product of programme ``impact:1001``; sound and complete unless told otherwise."""
    said = {
        "product_id": product_id_of("impact:1001", native_id),
        "program_id": "impact:1001",
        "network": "impact",
        "source": "product_feed",
        "native_id": native_id,
        "title": f"Canvas Daypack {native_id}",
        "description": "A light canvas daypack with two zip pockets. " * 5,
        "brand": "Harbor",
        "category": "Accessories > Bags",
        "niche": "accessories",
        "price_micros": 49_990_000,
        "currency": "USD",
        "availability": "in_stock",
        "url": f"https://shop.example.com/products/{native_id}",
        "image_url": f"https://shop.example.com/images/{native_id}.jpg",
        "commission_rate": 0.08,
        "first_seen_day": DAY,
        "observed_at": datetime(2026, 11, 21, 5, 15, tzinfo=UTC),
    }
    return said | changes


def products(*rows: dict[str, Any]) -> pd.DataFrame:
    """``Products``."""
    return Products.validate(pd.DataFrame(list(rows), columns=PRODUCT_COLUMNS))


def assortment(niches: int = 4, each: int = 5) -> pd.DataFrame:
    """Products of several niches at different prices."""
    return products(
        *(
            product(f"{niche}-{number}", niche=f"niche-{niche}", price_micros=(10 + 7 * number + niche) * 1_000_000)
            for niche in range(niches)
            for number in range(each)
        )
    )
