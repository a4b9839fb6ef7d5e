"""What a feed's row says, whatever form it came in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from affiliate_empire.catalog.entries import (
    Unusable,
    parse_availability,
    parse_price,
    parse_url,
    plain_text,
    required,
)
from affiliate_empire.catalog.niches import niche_of
from affiliate_empire.kernel.errors import BadInput

REQUIRED = ("id", "title", "description", "link", "price", "availability")


def entry(row: Mapping[str, str]) -> dict[str, Any]:
    """One product of a row, attribute → text; every attribute of ``REQUIRED`` is there, if perhaps empty.

    Raises:
        Unusable: with the reason.
    """
    for name, value in row.items():
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise Unusable(f"{name} is not UTF-8 text")
    price_micros, currency = parse_price(row["price"])
    categories = [row.get("product_type", ""), row.get("google_product_category", "")]
    return {
        "native_id": required(row, "id"),
        "title": required(row, "title"),
        "description": plain_text(row["description"]),
        "brand": plain_text(row.get("brand", "")),
        "category": next((plain_text(category) for category in categories if category.strip()), ""),
        "niche": niche_of(*categories),
        "price_micros": price_micros,
        "currency": currency,
        "availability": parse_availability(row["availability"]),
        "url": parse_url(row["link"]),
        "image_url": row.get("image_link", "").strip(),
    }


def html_page() -> BadInput:
    """A page where a feed was expected: servers answer 200 with it."""
    return BadInput("The product feed is an HTML page, not a feed: check its address, and whether it asks for a login.")
