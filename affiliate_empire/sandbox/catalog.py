"""What can be bought in this world: merchants, their programmes, and their products.

The default merchants are Harbor & Pine (a Google Merchant feed; programme 1001) and Northlight (Impact's catalogue;
programme 1002). A feed handed in with ``--feed`` takes Harbor & Pine's place: it is served byte for byte, and what
this lenient reader understands of it is what shoppers know. The product's own, strict reader is elsewhere.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

COLUMNS = (
    "id", "title", "description", "link", "image_link", "availability", "price", "product_type", "brand", "condition",
)  # fmt: skip
_FOLDER = Path(__file__).parent / "shops"
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class Program:
    """An affiliate programme at Impact. ``commission_rate`` is a fraction of the sale."""

    program_id: str
    name: str
    ad_id: str
    commission_rate: Decimal
    domains: tuple[str, ...]
    catalog_id: str | None = None  # None: the merchant publishes a feed of its own
    cookie_days: int = 30
    locking_days: int = 30
    currency: str = "USD"


@dataclass(frozen=True)
class Item:
    """A product as its merchant describes it."""

    item_id: str
    title: str
    description: str
    link: str
    image_link: str
    availability: str
    price: Decimal
    currency: str
    product_type: str
    brand: str
    program_id: str

    @property
    def niche(self) -> str:
        """The audience it belongs to: the first level of its type."""
        return self.product_type.split(">")[0].strip().lower() or "everything"


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


class Catalog:
    """Programmes and products, and the ways people recognise a product: by its page, or by what is said of it."""

    def __init__(self, programs: list[Program], items: list[Item], feed: bytes) -> None:
        self.programs = {program.program_id: program for program in programs}
        self.items = {item.item_id: item for item in items}
        self.feed = feed  # the bytes of programme 1001's product feed
        self._by_page = {_page(item.link): item for item in items}
        self._titles = {item.item_id: frozenset(words(item.title)) for item in items}
        seen = Counter(word for title in self._titles.values() for word in title)
        self._weight = {word: math.log(1 + len(items) / count) for word, count in seen.items()}

    def at(self, url: str) -> Item | None:
        """The product whose page a URL is, whatever its query says."""
        page = _page(url)
        return self._by_page.get(page) or self.items.get(page.rsplit("/", 1)[-1])

    def spoken_of(self, *texts: str) -> tuple[Item | None, float]:
        """The product that a text is about, and how sure a reader is: the weighted share of its title's words found."""
        said = set(words(" ".join(texts)))
        best: tuple[Item | None, float] = (None, 0.0)
        for item_id, title in self._titles.items():
            found = title & said
            if not found:
                continue
            share = sum(self._weight[word] for word in found) / sum(self._weight[word] for word in title)
            if share > best[1]:
                best = (self.items[item_id], share)
        return best

    def likeness(self, item: Item, text: str) -> float:
        """Weighted share of the product's title found in a text, 0 to 1."""
        title, said = self._titles[item.item_id], set(words(text))
        return sum(self._weight[word] for word in title & said) / sum(self._weight[word] for word in title)

    def of(self, program_id: str) -> list[Item]:
        return [item for item in self.items.values() if item.program_id == program_id]


def open_catalog(base_url: str, feed: Path | None) -> Catalog:
    """The default shops, or a feed of the user's in Harbor & Pine's place.

    Raises:
        OSError: the feed cannot be read.
        ValueError, SyntaxError, EOFError, zlib.error: it is broken XML or a broken gzip file, or declares entities.
    """
    host = urlsplit(base_url).netloc
    northlight = _shop(_FOLDER / "northlight.tsv", base_url, "1002")
    programs = [
        Program("1001", "Harbor & Pine", "2001", Decimal("0.05"), (host,)),
        Program("1002", "Northlight", "2002", Decimal("0.04"), (host,), catalog_id="7002"),
    ]
    if feed is None:
        items = _shop(_FOLDER / "harbor_and_pine.tsv", base_url, "1001")
        data = _written(items)
    else:
        data = feed.read_bytes()
        items = read_feed(data, "1001")
        domains = tuple(sorted({urlsplit(item.link).netloc for item in items} - {""}))
        programs[0] = replace(programs[0], name=domains[0] if domains else "Merchant of the feed", domains=domains)
    return Catalog(programs, [*items, *northlight], data)


def read_feed(data: bytes, program_id: str) -> list[Item]:
    """Read what can be read of a Google Merchant feed (text or XML, packed or not); the rest is left out."""
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    rows = _marked_up(data) if data.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<") else _delimited(data)
    items: dict[str, Item] = {}
    for row in rows:
        item = _item(row, program_id)
        if item is not None:
            items.setdefault(item.item_id, item)
    return list(items.values())


def _delimited(data: bytes) -> Iterator[dict[str, str]]:
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace").lstrip()
    delimiter = max("\t,;|", key=text.split("\n", 1)[0].count)
    for row in csv.DictReader(io.StringIO(text), delimiter=delimiter):
        named = {(key or "").strip().lower(): value or "" for key, value in row.items() if isinstance(value, str)}
        yield {re.sub(r"[\s_-]+", "_", name.removeprefix("g:")): value for name, value in named.items()}


def _marked_up(data: bytes) -> Iterator[dict[str, str]]:
    """Items of RSS or Atom, each attribute by its name without its namespace; Google's own go before others."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        document = fromstring(data.removeprefix(codecs.BOM_UTF8).lstrip())
    except (ParseError, DefusedXmlException):
        return  # a web page, or half a feed: nothing of it can be read
    for item in document.iter():
        if item.tag.rpartition("}")[2] in ("item", "entry"):
            row: dict[str, str] = {}
            for child in sorted(item, key=lambda each: "base.google.com" not in each.tag):
                row.setdefault(child.tag.rpartition("}")[2], child.get("href") or "".join(child.itertext()))
            yield row


def _item(row: dict[str, str], program_id: str) -> Item | None:
    amount, _, currency = row.get("price", "").strip().partition(" ")
    try:
        price = Decimal(amount)
    except InvalidOperation:
        return None
    if not (price.is_finite() and price > 0 and row.get("id") and words(row.get("title", "")) and row.get("link")):
        return None
    return Item(
        item_id=row["id"],
        title=row["title"],
        description=row.get("description", ""),
        link=row["link"],
        image_link=row.get("image_link", ""),
        availability=row.get("availability", "in_stock"),
        price=price,
        currency=currency.strip().upper() or "USD",
        product_type=row.get("product_type", ""),
        brand=row.get("brand", ""),
        program_id=program_id,
    )


def _shop(path: Path, base_url: str, program_id: str) -> list[Item]:
    """A shop of ours; its pages are served by this world."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    items = []
    for row in rows:
        page = f"{base_url}/merchant/products/{row['id']}"
        item = _item({**row, "link": page, "image_link": f"{page}/image.svg", "availability": "in_stock"}, program_id)
        if item is None:
            raise ValueError(f"{path.name}: row {row['id']} cannot be used")
        items.append(item)
    return items


def _written(items: list[Item]) -> bytes:
    out = io.StringIO()
    rows = csv.writer(out, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    rows.writerow(COLUMNS)
    for item in items:
        rows.writerow(
            (
                item.item_id, item.title, item.description, item.link, item.image_link, item.availability,
                f"{item.price:.2f} {item.currency}", item.product_type, item.brand, "new",
            )
        )  # fmt: skip
    return out.getvalue().encode()


def _page(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc.lower()}{parts.path.rstrip('/')}"
