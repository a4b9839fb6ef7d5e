"""Product feeds in Google Merchant format: tab- or comma-separated text with the standard attributes.

Strict about meaning, patient with form: what says one thing only is read (column names in any case, a byte-order
mark, UTF-16, quoted fields); what could mean two things (``12,90 EUR``) is rejected with a reason. Rows that cannot be
used are returned beside the others; an error is raised only when nothing can be used. Attributes:
support.google.com/merchants, "Product data specification".
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping
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
from affiliate_empire.catalog.niches import niche_of
from affiliate_empire.kernel.errors import BadInput

__all__ = ["REQUIRED_COLUMNS", "ParsedFeed", "parse_feed"]

REQUIRED_COLUMNS = ("id", "title", "description", "link", "price", "availability")

_QUOTED_LINES = 50  # a quoted field may span this many lines; more is taken for a stray quotation mark
_LINE_END = re.compile(r"\r\n|\n|\r")  # and nothing else: str.splitlines would also cut at form feeds and U+2028


def parse_feed(data: bytes, *, source: str) -> ParsedFeed:
    """Read a product feed.

    Args:
        data: the feed's bytes (not compressed).
        source: name kept in every row, ``product_feed``.

    Raises:
        BadInput: it is no such feed (HTML, XML, empty), lacks a required column, or has no usable row.
    """
    text = _decode(data)
    lines = _LINE_END.split(text)
    header_at = next((number for number, line in enumerate(lines) if line.strip()), None)
    if header_at is None:
        raise BadInput("The product feed is empty: ask the merchant for a Google Merchant file with its rows.")
    start = lines[header_at].lstrip().lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<body")):
        raise BadInput(
            "The product feed is an HTML page, not a feed: check its address, and whether it asks for a login."
        )
    if start.startswith("<"):
        raise BadInput("The product feed is XML: ask the merchant for the tab-separated form of the same feed.")
    delimiter = max("\t,;|", key=lines[header_at].count)
    header = [_column(name) for name in next(csv.reader([lines[header_at]], delimiter=delimiter))]
    missing = [column for column in REQUIRED_COLUMNS if column not in header]
    if missing:
        raise BadInput(
            f"The product feed lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: "
            "export it again with the standard Google Merchant attributes."
        )
    sink = EntrySink(source)
    for number, fields in _records(lines, header_at + 1, delimiter, len(header)):
        if len(fields) != len(header):
            raw = dict(enumerate(fields)) if len(fields) > len(header) else dict(zip(header, fields, strict=False))
            sink.reject(number, f"has {len(fields)} fields where the header has {len(header)}", raw)
            continue
        row: dict[str, str] = {}
        for name, value in zip(header, fields, strict=True):
            row.setdefault(name, value)
        sink.take(number, row, _entry)
    if not sink.seen:
        raise BadInput("The product feed has a header and no rows: ask the merchant why it is empty today.")
    return sink.parsed("product feed")


def _decode(data: bytes) -> str:
    """The text; bytes that are not UTF-8 become lone surrogates, so that only their rows are lost."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="surrogateescape")


def _column(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower().removeprefix("g:")).strip("_")


def _records(lines: list[str], start: int, delimiter: str, width: int) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of their first line (from 1). A quotation mark that never closes does not eat the feed."""
    at = start
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        fields, used = _record(lines, at, delimiter, width)
        yield at + 1, fields
        at += used


def _record(lines: list[str], at: int, delimiter: str, width: int) -> tuple[list[str], int]:
    for used in range(1, _QUOTED_LINES + 1 if '"' in lines[at] else 2):
        if at + used > len(lines):
            break
        try:
            [fields] = csv.reader(["\n".join(lines[at : at + used])], delimiter=delimiter, strict=True)
        except (csv.Error, ValueError):
            continue
        if len(fields) == width:
            return fields, used
        if used == 1:
            break
    return lines[at].split(delimiter), 1


def _entry(row: Mapping[str, str]) -> dict[str, Any]:
    """One product of a feed's row.

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
