"""Feeds as delimited text: a header with the attributes' names, then a row per product.

A row's number is the line that it begins on; the header's line counts.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator

from affiliate_empire.catalog.entries import EntrySink
from affiliate_empire.catalog.feed.attributes import REQUIRED, entry

_QUOTED_LINES = 50  # a quoted field may span this many lines; more is taken for a stray quotation mark
_LINE_END = re.compile(r"\r\n|\n|\r")  # and nothing else: str.splitlines would also cut at form feeds and U+2028


def read_delimited(data: bytes, sink: EntrySink) -> set[str]:
    """Put every row into the sink; gives the attributes that the header names. No row is read if one is missing."""
    lines = _LINE_END.split(_decode(data))
    header_at = next(number for number, line in enumerate(lines) if line.strip())
    delimiter = max("\t,;|", key=lines[header_at].count)
    header = [_column(name) for name in next(csv.reader([lines[header_at]], delimiter=delimiter))]
    if not set(REQUIRED) <= set(header):
        return set(header)
    for number, fields in _records(lines, header_at + 1, delimiter, len(header)):
        if len(fields) != len(header):
            raw = dict(enumerate(fields)) if len(fields) > len(header) else dict(zip(header, fields, strict=False))
            sink.reject(number, f"has {len(fields)} fields where the header has {len(header)}", raw)
            continue
        row: dict[str, str] = {}
        for name, value in zip(header, fields, strict=True):
            row.setdefault(name, value)
        sink.take(number, row, entry)
    return set(header)


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
