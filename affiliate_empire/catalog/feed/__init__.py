"""Product feeds in Google Merchant format: delimited text (``delimited``) or XML (``markup``), with one meaning.

Strict about meaning, patient with form: what says one thing only is read (column names in any case, a byte-order
mark, UTF-16, quoted fields); what could mean two things (``12,90 EUR``) is rejected with a reason. Rows that cannot be
used are returned beside the others; an error is raised only when nothing can be used. Attributes:
support.google.com/merchants, "Product data specification".
"""

from __future__ import annotations

import codecs

from affiliate_empire.catalog.entries import EntrySink, ParsedFeed
from affiliate_empire.catalog.feed.attributes import REQUIRED, html_page
from affiliate_empire.catalog.feed.delimited import read_delimited
from affiliate_empire.catalog.feed.markup import read_markup
from affiliate_empire.kernel.errors import BadInput

__all__ = ["ParsedFeed", "parse_feed"]

_HTML = ("<!doctype html", "<html", "<head", "<body")


def parse_feed(data: bytes, *, source: str) -> ParsedFeed:
    """Read a product feed: tab-, comma-, semicolon- or bar-separated text, RSS 2.0 or Atom.

    Args:
        data: the feed's bytes (not compressed).
        source: name kept in every row, ``product_feed``.

    Raises:
        BadInput: it is no such feed (HTML, other XML, cut off, empty), lacks a required attribute, or has no usable
            row.
    """
    start = _start(data)
    if not start:
        raise BadInput("The product feed is empty: ask the merchant for a Google Merchant file with its rows.")
    if start.startswith(_HTML):
        raise html_page()
    sink = EntrySink(source)
    named = read_markup(data, sink) if start.startswith("<") else read_delimited(data, sink)
    missing = [name for name in REQUIRED if name not in named]
    if missing:
        raise BadInput(
            f"The product feed lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: "
            "export it again with the standard Google Merchant attributes."
        )
    if not sink.seen:
        raise BadInput("The product feed has no rows: ask the merchant why it is empty today.")
    return sink.parsed("product feed")


def _start(data: bytes) -> str:
    """What the feed begins with, in lower case; empty if there is nothing but white space."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace").lstrip()[:100].lower()
    return data.removeprefix(codecs.BOM_UTF8).lstrip()[:100].decode("utf-8", errors="replace").lower()
