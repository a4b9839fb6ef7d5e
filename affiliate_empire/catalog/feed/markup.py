"""Feeds as XML: RSS 2.0 or Atom, with Google's attributes in the namespace ``g``.

A row's number is its place among the items. Items are read one after the other and forgotten, so memory does not grow
with the feed; declarations of entities, with which a small file can unfold to gigabytes, are refused unread. XML that
breaks off is refused as a whole: nobody can say what the rest would have taken back.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from affiliate_empire.catalog.entries import EntrySink
from affiliate_empire.catalog.feed.attributes import REQUIRED, entry, html_page
from affiliate_empire.kernel.errors import BadInput

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

GOOGLE = "http://base.google.com/ns/1.0"
ATOM = "http://www.w3.org/2005/Atom"

# What an item may say in its format's own words: Google lets these do without the prefix.
_OWN_WORDS = {
    "rss": {"title": "title", "link": "link", "description": "description"},
    f"{{{ATOM}}}feed": {
        f"{{{ATOM}}}title": "title",
        f"{{{ATOM}}}link": "link",
        f"{{{ATOM}}}summary": "description",
        f"{{{ATOM}}}content": "description",
    },
}
_ITEM = {"rss": "item", f"{{{ATOM}}}feed": f"{{{ATOM}}}entry"}
_DEEPEST = 20
_ELEMENTS_OF_ITEM = 2_000


def read_markup(data: bytes, sink: EntrySink) -> set[str]:
    """Put every item into the sink; gives the attributes that any item has.

    Raises:
        BadInput: no well-formed XML, no RSS 2.0 or Atom, or attributes in another namespace than Google's.
    """
    from defusedxml import DefusedXmlException, DTDForbidden

    named: set[str] = set()
    elsewhere: set[str] = set()
    try:
        for number, (root, item) in enumerate(_items(data), start=1):
            row = _row(item, _OWN_WORDS[root], elsewhere)
            named |= set(row)
            sink.take(number, dict.fromkeys(REQUIRED, "") | row, entry)
    except ParseError as error:
        line, column = error.position
        raise BadInput(
            f"The product feed is XML that is broken or cut off at line {line}, column {column + 1}: fetch it again."
        ) from error
    except DTDForbidden as error:
        if error.name.lower() == "html":
            raise html_page() from error
        raise _with_declarations() from error
    except DefusedXmlException as error:
        raise _with_declarations() from error
    except (LookupError, ValueError) as error:
        raise BadInput(
            "The product feed's XML is in an encoding that cannot be read: ask the merchant for UTF-8."
        ) from error
    if elsewhere and not set(REQUIRED) <= named:
        raise BadInput(
            f"The product feed has its attributes in the namespace {sorted(elsewhere)[0][:80]!r}: they belong in "
            f"Google's, xmlns:g={GOOGLE!r}."
        )
    return named or set(REQUIRED)  # a feed without items lacks no attribute


def _items(data: bytes) -> Iterator[tuple[str, Element]]:
    """Each item, with the tag of the root; it is emptied when the next one is asked for."""
    from defusedxml.ElementTree import iterparse

    open_elements: list[Element] = []
    root, inside, count = "", 0, 0
    source = io.BytesIO(data.removeprefix(codecs.BOM_UTF8).lstrip())
    for event, element in iterparse(source, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            if not open_elements:
                root = _known_root(element.tag)
            open_elements.append(element)
            if not inside and element.tag == _ITEM[root]:
                inside, count = len(open_elements), 0
            count += 1
            if len(open_elements) > _DEEPEST or (inside and count > _ELEMENTS_OF_ITEM):
                raise BadInput(
                    "The product feed's XML is nested deeper or has larger items than any product feed: check its "
                    "address, and ask the merchant for the Google Merchant file."
                )
            continue
        open_elements.pop()
        if inside and len(open_elements) + 1 == inside:
            yield root, element
            inside = 0
        if not inside and open_elements:
            del open_elements[-1][:]  # what was read is forgotten


def _known_root(tag: str) -> str:
    if tag in _ITEM:
        return tag
    name = _parted(tag)[1]
    if name.lower() == "html":
        raise html_page()
    if name == "feed":
        raise BadInput(f"The product feed's <feed> is not in Atom's namespace: it needs xmlns={ATOM!r}.")
    raise BadInput(
        f"The product feed is XML, but neither RSS 2.0 nor Atom (it begins with <{name[:40]}>): ask the merchant for "
        "the Google Merchant form of the feed."
    )


def _row(item: Element, own_words: dict[str, str], elsewhere: set[str]) -> dict[str, str]:
    """Attribute → text. Google's words go before the format's own; of several the first counts."""
    own: dict[str, str] = {}
    google: dict[str, str] = {}
    for child in item:
        namespace, name = _parted(child.tag)
        text = "".join(child.itertext())
        if namespace == GOOGLE:
            google.setdefault(name, text)
        elif child.tag in own_words:
            if name == "link" and not text.strip() and child.get("rel", "alternate") == "alternate":
                text = child.get("href", "")
            if text.strip():
                own.setdefault(own_words[child.tag], text)
        elif name in REQUIRED and namespace != ATOM:
            elsewhere.add(namespace)
    return own | google


def _parted(tag: str) -> tuple[str, str]:
    namespace, _, name = tag.rpartition("}")
    return namespace.removeprefix("{"), name


def _with_declarations() -> BadInput:
    return BadInput(
        "The product feed's XML declares a document type or entities, which no product feed needs and which can do "
        "harm: ask the merchant for a feed without them."
    )
