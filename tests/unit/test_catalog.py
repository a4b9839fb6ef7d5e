"""Feeds and catalogues: what can be used goes on, what cannot is kept with its reason, and nothing is lost."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.catalog.feed import ParsedFeed, parse_feed
from affiliate_empire.catalog.frames import Products, combined_products, offered_products, product_id_of
from affiliate_empire.catalog.impact import parse_items
from affiliate_empire.catalog.niches import niche_of
from affiliate_empire.kernel.errors import BadInput

COLUMNS = ("id", "title", "description", "link", "image_link", "availability", "price", "product_type", "brand")
# Three rows of each category of the retail demo store's feed, as they are there; its licence lies beside it.
REAL_FEED = Path(__file__).parents[1] / "data/retail_demo_store_sample.google_merchant.tsv"


def row(**changes: str) -> dict[str, str]:
    said = {
        "id": "17",
        "title": "Canvas Daypack",
        "description": "A light canvas daypack with two zip pockets.",
        "link": "https://shop.example.com/products/17",
        "image_link": "https://shop.example.com/images/17.jpg",
        "availability": "in_stock",
        "price": "49.99 USD",
        "product_type": "Accessories > Backpacks",
        "brand": "Harbor",
    }
    return said | changes


def feed(*rows: dict[str, str], delimiter: str = "\t", quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def parsed(data: bytes) -> ParsedFeed:
    return parse_feed(data, source="product_feed")


def test_a_real_feed_parses_in_full() -> None:
    result = parsed(REAL_FEED.read_bytes())
    assert (len(result.products), len(result.rejected)) == (58, 0)
    assert result.products["niche"].nunique() == 20
    assert result.products["price_micros"].min() > 0


def test_a_row_becomes_a_product() -> None:
    [product] = parsed(feed(row())).products.to_dict("records")
    assert product == {
        "native_id": "17",
        "title": "Canvas Daypack",
        "description": "A light canvas daypack with two zip pockets.",
        "brand": "Harbor",
        "category": "Accessories > Backpacks",
        "niche": "accessories",
        "price_micros": 49_990_000,
        "currency": "USD",
        "availability": "in_stock",
        "url": "https://shop.example.com/products/17",
        "image_url": "https://shop.example.com/images/17.jpg",
        "source": "product_feed",
    }


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"price": "12,90 EUR"}, "comma"),
        ({"price": "1,299.00 USD"}, "comma"),
        ({"price": "N/A"}, "'N/A' is not an amount"),
        ({"price": "-4.00 USD"}, "negative"),
        ({"price": "0.00 USD"}, "not above zero"),
        ({"price": "49.99"}, "currency"),
        ({"price": ""}, "price is empty"),
        ({"price": "99999999999999999999 USD"}, "not an amount"),
        ({"id": " "}, "id is empty"),
        ({"title": "<b> </b>"}, "title is empty"),
        ({"link": "javascript:alert(1)"}, "no http"),
        ({"link": "https://"}, "no http"),
        ({"availability": "maybe"}, "'maybe'"),
        ({"id": "1"}, "already stands in row 2"),
    ],
)
def test_a_bad_row_is_kept_with_its_reason_and_the_good_one_goes_on(changes: dict[str, str], complaint: str) -> None:
    result = parsed(feed(row(id="1"), row(**changes)))
    assert result.products["native_id"].tolist() == ["1"]
    [rejected] = result.rejected.to_dict("records")
    assert complaint in rejected["reason"]
    assert rejected["row_number"] == 3
    assert rejected["raw"] == row(**changes)


def test_a_row_that_is_not_utf8_is_kept_readable_and_storable() -> None:
    data = feed(row(id="1"), row(title="Café")).replace("é".encode(), b"\xe9\x00")
    result = parsed(data)
    [rejected] = result.rejected.to_dict("records")
    assert rejected["reason"] == "title is not UTF-8 text"
    assert rejected["raw"]["title"] == r"Caf\xe9\x00"
    assert len(result.products) == 1


def test_a_row_of_another_width_is_kept_whole() -> None:
    data = feed(row(id="1")) + b"2\tshort row\n"
    [rejected] = parsed(data).rejected.to_dict("records")
    assert "has 2 fields where the header has 9" in rejected["reason"]
    assert rejected["raw"] == {"id": "2", "title": "short row"}


def test_a_stray_quotation_mark_does_not_swallow_the_rows_below_it() -> None:
    lines = feed(row(id="1"), row(id="2"), row(id="3")).decode().replace("Canvas Daypack", '"Canvas Daypack', 1)
    result = parsed(lines.encode())
    assert result.products["native_id"].tolist() == ["1", "2", "3"]
    assert result.products["title"].tolist()[0] == '"Canvas Daypack'


def test_quoted_fields_may_span_lines_and_row_numbers_stay_those_of_the_file() -> None:
    data = feed(row(id="1", description="Two\nlines"), row(id="2", price="N/A"), delimiter=",")
    result = parsed(data)
    assert result.products["description"].tolist() == ["Two lines"]
    assert result.rejected["row_number"].tolist() == [4]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + feed(row()),
        feed(row()).decode().encode("utf-16"),
        feed(row()).replace(b"\n", b"\r\n"),
        feed(row(), delimiter=","),
        feed(row(), delimiter=";", quoting=csv.QUOTE_ALL),
        feed(row()).replace(b"image_link", b"g:Image Link", 1).replace(b"id\t", b"ID\t", 1),
        b"\n\n" + feed(row()) + b"\n\n",
    ],
)
def test_what_says_one_thing_only_is_read(data: bytes) -> None:
    assert parsed(data).products["title"].tolist() == ["Canvas Daypack"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "empty"),
        (b" \n \n", "empty"),
        (feed(), "no rows"),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "HTML page"),
        (b"  <html lang=en>", "HTML page"),
        (feed(row()).replace(b"price", b"cost", 1), "lacks the column price"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "lacks the columns id, title"),
        (feed(row(price="12,90 EUR")), "row 2: price '12,90 EUR' has a comma"),
        (feed(row(price="N/A"), row(id="2", price="N/A")), "none of its 2 rows can be used"),
    ],
)
def test_a_feed_without_anything_usable_is_one_clear_sentence(data: bytes, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as caught:
        parsed(data)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    head = "\t".join(COLUMNS).encode() + b"\n"
    try:
        result = parsed(head + data)
    except BadInput:
        return
    assert len(result.products) + len(result.rejected) > 0


cell = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({name: cell for name in COLUMNS}), min_size=1, max_size=6))
def test_every_row_is_either_usable_or_rejected(rows: list[dict[str, str]]) -> None:
    result = parsed(feed(row(id="always"), *rows, quoting=csv.QUOTE_ALL))
    assert len(result.products) + len(result.rejected) == 1 + len(rows)


@pytest.mark.parametrize(
    ("category", "niche"),
    [
        ("accessories > backpack", "accessories"),
        ("Home &amp; Garden > Kitchen", "home-and-garden"),
        ("Elektronik/Audio", "elektronik"),
        ("Möbel", "mobel"),
        ("2271", "uncategorised"),
        ("", "uncategorised"),
    ],
)
def test_a_niche_is_the_top_of_the_category_in_one_spelling(category: str, niche: str) -> None:
    assert niche_of(category) == niche


def test_a_numeric_google_category_gives_way_to_a_named_one() -> None:
    assert niche_of("", "187") == "uncategorised"
    assert niche_of("187", "Apparel > Shoes") == "apparel"


def item(**changes: Any) -> dict[str, Any]:
    said = {
        "CatalogItemId": "9",
        "CampaignId": "1002",
        "Name": "Trail Lamp",
        "Description": "A headlamp.",
        "Manufacturer": "Northlight",
        "Url": "https://north.example.com/c/1/2/1002?u=x",
        "ImageUrl": "https://north.example.com/9.jpg",
        "CurrentPrice": "24.50",
        "Currency": "USD",
        "StockAvailability": "InStock",
        "OriginalFormatCategory": "Outdoors > Lights",
    }
    return said | changes


CAMPAIGN = {"CampaignId": "1002", "CampaignName": "Northlight"}


def test_impact_items_become_entries_and_bad_ones_are_kept() -> None:
    bad = [item(CatalogItemId="10", CurrentPrice="n/a"), item(CatalogItemId="11", CampaignId="7"), item()]
    result = parse_items([item(), *bad], CAMPAIGN)
    [product] = result.products.to_dict("records")
    assert (product["niche"], product["price_micros"], product["brand"]) == ("outdoors", 24_500_000, "Northlight")
    assert result.rejected["row_number"].tolist() == [2, 3, 4]
    assert parse_items([], CAMPAIGN).products.empty
    with pytest.raises(BadInput, match="Impact catalogue of Northlight"):
        parse_items([item(Name="")], CAMPAIGN)


def test_products_are_the_same_on_every_day_and_each_once() -> None:
    at = datetime(2026, 11, 21, 5, 15, tzinfo=UTC)
    entries = parsed(feed(row(id="1"), row(id="2"))).products
    terms = {"program_id": "impact:1001", "commission_rate": Decimal("0.08"), "day": date(2026, 11, 21)}
    offered = offered_products(entries, observed_at=at, **terms)
    again = offered_products(entries.iloc[::-1], observed_at=at, **terms)
    assert combined_products([offered, again]).equals(combined_products([again, offered]))
    assert set(offered["product_id"]) == {product_id_of("impact:1001", native) for native in ("1", "2")}
    assert offered["network"].unique().tolist() == ["impact"]
    assert Products.validate(offered).equals(offered)
