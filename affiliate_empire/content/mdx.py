"""The MDX that a post may consist of: a small grammar, and who breaks it.

MDX is code. What is pushed must compile, and must not run anything, on a host where this program has no say; so a page
is parsed here by a grammar of its own before it is committed, and whatever is not in it is refused. The grammar is a
small part of what the site's own strict build accepts (``site/lib/strict.mjs``); a test holds both against each other.

::

    page     = front matter, blocks between blank lines
    front    = title description date slug tags disclosure, in this order, each `key: JSON` on a line of its own
    block    = <Disclosure>text</Disclosure> (the first) | <AiStatement>text</AiStatement> (the last)
             | heading | lines | link | facts
    heading  = "## " text
    lines    = one or more of: [ "- " | number ". " ] { text | "**" text "**" }
    link     = <AffiliateLink href="address">text</AffiliateLink>
    facts    = <Facts checked="date">, a block of lines with "- ", </Facts>
    text     = characters that mean nothing to MDX, and character references for those that do
"""

from __future__ import annotations

import html
import json
import re
from datetime import date
from typing import Any

FRONT_MATTER = ("title", "description", "date", "slug", "tags", "disclosure")

_PAGE = re.compile(r"\A---\n(?P<head>(?:[^\n]+\n)+)---\n\n(?P<body>.+)\n\Z", re.DOTALL)
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]*")
# No sign of MDX, Markdown or a line's end; an ampersand only in a numeric or one of the four named references.
_SIGN = r"(?:[^\s<>{}\[\]`\\|*_~#&]| (?! )|&(?:#[0-9]{1,7}|amp|lt|gt|quot);)"
_TEXT = rf"(?! ){_SIGN}+(?<! )"
# What a line must not begin with, beside the signs that no text has: a list's mark, an underline, JavaScript.
_START = r"(?![-+=]|[0-9]{1,9}[.)](?:\s|$)|(?:import|export)\b)"
_BOLD = rf"\*\*(?=[^\W_]){_SIGN}+(?<=[^\W_])\*\*(?!\*)"
_LINE = re.compile(rf"(?:- |[0-9]{{1,2}}\. )?{_START}(?! )(?:{_BOLD}|{_SIGN})+(?<! )")
_HEADING = re.compile(rf"## {_TEXT}")
_LINK = re.compile(rf'<AffiliateLink href="(?P<href>[^\s"<>{{}}\\`]+)">{_TEXT}</AffiliateLink>')
_ADDRESS = re.compile(r"https?://[^\s\"'<>{}\\]+")
_FACTS = re.compile(r'<Facts checked="(?P<checked>\d{4}-\d\d-\d\d)">')
_NOTICE = re.compile(rf"<(?P<name>Disclosure|AiStatement)>{_TEXT}</(?P=name)>")


def mdx_problems(page: str) -> list[str]:
    """Why a page is not of the grammar, as sentences; empty when it will compile and run nothing."""
    found = _PAGE.match(page)
    if found is None:
        return ["The page does not begin with front matter, or does not end with one line's end."]
    problems = _problems_of_head(found["head"].splitlines())
    blocks = found["body"].split("\n\n")
    if not blocks[0].startswith("<Disclosure>"):
        problems.append("The page's first block is not the disclosure.")
    if not blocks[-1].startswith("<AiStatement>"):
        problems.append("The page's last block is not the statement that it was written with AI.")
    inside = False
    for number, block in enumerate(blocks):
        if inside and block == "</Facts>":
            inside = False
        elif not inside and (facts := _FACTS.fullmatch(block)) and _is_date(facts["checked"]):
            inside = True
        elif not _is_fit(block, first=number == 0, last=number == len(blocks) - 1, in_facts=inside):
            problems.append(f"Block {number + 1} is not text that a page may have: {block[:60]!r}.")
    if inside:
        problems.append("The list of facts is not closed.")
    return problems


def _is_fit(block: str, *, first: bool, last: bool, in_facts: bool) -> bool:
    lines = block.split("\n")
    if in_facts:
        return all(line.startswith("- ") and _LINE.fullmatch(line) for line in lines)
    if notice := _NOTICE.fullmatch(block):
        return first if notice["name"] == "Disclosure" else last
    if link := _LINK.fullmatch(block):
        return _ADDRESS.fullmatch(html.unescape(link["href"])) is not None
    return _HEADING.fullmatch(block) is not None or all(_LINE.fullmatch(line) for line in lines)


def _problems_of_head(lines: list[str]) -> list[str]:
    values: dict[str, Any] = {}
    for line in lines:
        key, colon, value = line.partition(": ")
        try:
            values[key] = json.loads(value) if colon else None
        except ValueError:
            values[key] = None
    if [line.partition(": ")[0] for line in lines] != list(FRONT_MATTER):
        return [f"The front matter is not {', '.join(FRONT_MATTER)}, in this order."]
    fit = {
        "title": _is_text(values["title"]) and bool(values["title"]),
        "description": _is_text(values["description"]),
        "date": _is_text(values["date"]) and _is_date(values["date"]),
        "slug": _is_text(values["slug"]) and _SLUG.fullmatch(values["slug"]) is not None,
        "tags": isinstance(values["tags"], list) and all(_is_text(tag) and tag.strip() for tag in values["tags"]),
        "disclosure": _is_text(values["disclosure"]) and bool(values["disclosure"]),
    }
    return [f"The front matter's {key} is not what it should be." for key, is_fit in fit.items() if not is_fit]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\n" not in value


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
