"""What every source's rows have in common: the meaning of a price, an availability, an address, and where rows end up.

A row is either a catalogue entry or is kept with the reason why not. The formats lie in ``feed`` and ``impact``.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from affiliate_empire.catalog.frames import (
    AVAILABILITIES,
    ENTRY_COLUMNS,
    REJECTED_COLUMNS,
    CatalogEntries,
    RejectedRows,
)
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.money import to_micros

# Google's own form: a point, then the currency. Nine digits keep the price within what micros of 64 bits can hold.
_PRICE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([A-Za-z]{3})")
_TAG = re.compile(r"<[^<>]*>")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ud800-\udfff\ufffe\uffff]")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class ParsedFeed:
    """What a source had: ``products`` (``CatalogEntries``) and ``rejected`` (``RejectedRows``); every row is in one."""

    products: pd.DataFrame
    rejected: pd.DataFrame


class Unusable(ValueError):
    """Why one row cannot be used; kept with the row, never shown as an error."""


class EntrySink:
    """Collects rows, usable and not; an id counts once."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.products: list[dict[str, Any]] = []
        self.rejected: list[dict[str, Any]] = []
        self.first_row_of: dict[str, int] = {}

    @property
    def seen(self) -> int:
        return len(self.products) + len(self.rejected)

    def take(self, number: int, row: Mapping[str, str], entry: Callable[[Mapping[str, str]], dict[str, Any]]) -> None:
        try:
            product = entry(row)
            earlier = self.first_row_of.setdefault(product["native_id"], number)
            if earlier != number:
                raise Unusable(f"id {product['native_id']!r} already stands in row {earlier}")
        except Unusable as reason:
            self.reject(number, str(reason), row)
        else:
            self.products.append(product | {"source": self.source})

    def reject(self, number: int, reason: str, row: Mapping[Any, Any]) -> None:
        raw = {storable(str(name)): storable(str(value)) for name, value in row.items()}
        self.rejected.append({"row_number": number, "reason": reason, "raw": raw, "source": self.source})

    def parsed(self, name: str) -> ParsedFeed:
        if not self.products:
            worst, times = Counter(row["reason"] for row in self.rejected).most_common(1)[0]
            count = len(self.rejected)
            rows = "its one row" if count == 1 else f"none of its {count:,} rows"
            raise BadInput(
                f"The {name} has no usable product: {rows}{' cannot be used' if count == 1 else ' can be used'} "
                f"(row {self.rejected[0]['row_number']}: {self.rejected[0]['reason']}"
                + (f"; most often, {times:,} times: {worst})" if count > 1 else ")")
                + ". Correct the feed and try again."
            )
        products = CatalogEntries.validate(pd.DataFrame(self.products)[ENTRY_COLUMNS])
        rejected = pd.DataFrame(self.rejected, columns=REJECTED_COLUMNS).astype({"row_number": "int64"})
        return ParsedFeed(products, RejectedRows.validate(rejected.astype({"reason": str, "source": str})))


def parse_price(text: str) -> tuple[int, str]:
    """Micros and currency of ``129.99 USD``.

    Raises:
        Unusable: not in that form, or not above zero.
    """
    stated = text.strip()
    if not stated:
        raise Unusable("price is empty")
    match = _PRICE.fullmatch(stated)
    if match is None:
        if re.fullmatch(r"-\s*\d.*", stated):
            raise Unusable(f"price {stated!r} is negative")
        if re.search(r"\d,\d", stated):
            raise Unusable(f"price {stated!r} has a comma, which could mean two things; write it like 12.90 EUR")
        raise Unusable(f"price {stated[:40]!r} is not an amount with its currency, like 12.90 EUR")
    micros = to_micros(Decimal(match[1]))
    if micros <= 0:
        raise Unusable(f"price {stated!r} is not above zero")
    return micros, match[2].upper()


def parse_availability(text: str) -> str:
    """One of ``AVAILABILITIES``.

    Raises:
        Unusable: another word.
    """
    word = re.sub(r"[\s_-]+", "_", text.strip().lower())
    word = {"available_for_order": "in_stock", "pre_order": "preorder", "back_order": "backorder"}.get(word, word)
    word = {"instock": "in_stock", "outofstock": "out_of_stock", "limitedavailability": "in_stock"}.get(word, word)
    if word not in AVAILABILITIES:
        raise Unusable(f"availability {text.strip()[:40]!r} is none of {', '.join(AVAILABILITIES)}")
    return word


def parse_url(text: str) -> str:
    """The product's address.

    Raises:
        Unusable: not http(s) with a host.
    """
    url = text.strip()
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and not _SPACE.search(url)
    except ValueError:
        sound = False
    if not sound or _UNPRINTABLE.search(url):
        raise Unusable(f"link {storable(url)[:80]!r} is no http(s) address")
    return url


def required(row: Mapping[str, str], name: str) -> str:
    """A field that must say something.

    Raises:
        Unusable: it is empty.
    """
    text = plain_text(row[name])
    if not text:
        raise Unusable(f"{name} is empty")
    return text


def plain_text(text: str) -> str:
    """Text without tags, entities, control characters and runs of white space."""
    return _SPACE.sub(" ", _UNPRINTABLE.sub(" ", html.unescape(_TAG.sub(" ", text)))).strip()


def storable(text: str) -> str:
    """Text that PostgreSQL can hold: bytes that were no UTF-8 and control characters are written out (``\\xe9``)."""

    def written_out(match: re.Match[str]) -> str:
        code = ord(match[0])
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\x{code:02x}"

    return _UNPRINTABLE.sub(written_out, text)
