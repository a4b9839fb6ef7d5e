"""Items of an Impact catalogue as catalogue entries. Numbers arrive as strings and are read straight to Decimal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from affiliate_empire.catalog.entries import (
    EntrySink,
    ParsedFeed,
    Unusable,
    parse_availability,
    parse_price,
    parse_url,
    plain_text,
    required,
)
from affiliate_empire.catalog.frames import CatalogEntries, RejectedRows
from affiliate_empire.catalog.niches import niche_of

SOURCE = "impact"
_CATEGORIES = ("OriginalFormatCategory", "Category", "ProductType", "SubCategory")


def parse_items(items: Sequence[Mapping[str, Any]], campaign: Mapping[str, Any]) -> ParsedFeed:
    """Usable and rejected items of one programme's catalogue.

    Args:
        items: ``Items`` of ``GET /Catalogs/{id}/Items``; every value may be a string.
        campaign: the programme's entry of ``GET /Campaigns``.

    Raises:
        BadInput: there are items and none can be used.
    """
    sink = EntrySink(SOURCE)
    for number, item in enumerate(items, start=1):
        said = {str(name): "" if value is None else str(value) for name, value in item.items()}
        sink.take(number, said, lambda row: _entry(row, str(campaign["CampaignId"])))
    if not sink.seen:
        return ParsedFeed(CatalogEntries.empty(), RejectedRows.empty())
    return sink.parsed(f"Impact catalogue of {campaign.get('CampaignName') or campaign['CampaignId']}")


def _entry(item: Mapping[str, str], campaign_id: str) -> dict[str, Any]:
    for name in ("CatalogItemId", "Name", "Url", "CurrentPrice"):
        if name not in item:
            raise Unusable(f"{name} is missing")
    if item.get("CampaignId", campaign_id) != campaign_id:
        raise Unusable(f"belongs to the programme {item['CampaignId']}, not to {campaign_id}")
    price_micros, currency = parse_price(f"{item['CurrentPrice'].strip()} {item.get('Currency') or 'USD'}")
    categories = [item.get(name, "") for name in _CATEGORIES]
    return {
        "native_id": required(item, "CatalogItemId"),
        "title": required(item, "Name"),
        "description": plain_text(item.get("Description", "")),
        "brand": plain_text(item.get("Manufacturer", "")),
        "category": next((plain_text(category) for category in categories if category.strip()), ""),
        "niche": niche_of(*categories),
        "price_micros": price_micros,
        "currency": currency,
        "availability": parse_availability(item.get("StockAvailability") or "InStock"),
        "url": parse_url(item["Url"]),
        "image_url": item.get("ImageUrl", "").strip(),
    }
