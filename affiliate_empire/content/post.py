"""A blog post: its model, and its typesetting as MDX.

Links are ours alone: whatever a model or a merchant wrote is typeset as plain text, so that neither a foreign link nor
JSX can reach the page. What MDX that may be is ``affiliate_empire.content.mdx``'s.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from affiliate_empire.content.schema import strict_schema

POST_WORDS = (180, 900)
SECTIONS = (3, 7)
META_CHARACTERS = 160

_SPACE = re.compile(r"[^\S\n]+")
_FACT_ID = re.compile(r"^F[1-9]\d*$")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S*", re.IGNORECASE)
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+")
_BULLET = re.compile(r"^\s{0,3}(?:[-*+•])\s+")
_NUMBERED = re.compile(r"^\s{0,3}(\d{1,2})[.)]\s+")
# MDX reads a block that begins with these words as JavaScript.
_MODULE_WORD = re.compile(r"^(import|export)\b")
# Would begin a list in the midst of a paragraph.
_LIST_MARK = re.compile(r"^(\d{1,9})([.)])(?=\s|$)", re.ASCII)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Section(_Strict):
    """A heading and its paragraphs or bullet list."""

    heading: str = Field(description="Heading of the section, without markup.")
    markdown: str = Field(description="Paragraphs or a bullet list. No links, no images, no headings, no HTML.")
    fact_ids: list[str] = Field(description="Ids of the facts that the section relies on, such as F2.")


class Post(_Strict):
    """A blog post as the model returned it."""

    title: str = Field(description="Title of the post, at most 90 characters.")
    meta_description: str = Field(description="One sentence for search results, at most 160 characters.")
    sections: list[Section] = Field(description="Three to seven sections in order.")

    @field_validator("title", "meta_description")
    @classmethod
    def _one_line(cls, text: str) -> str:
        return re.sub(r"\s+", " ", text).strip()


def post_schema() -> dict[str, Any]:
    """The strict JSON schema a model fills to write a post."""
    return strict_schema(Post)


def post_problems(post: Post, facts: Collection[str]) -> list[str]:
    """Why a post cannot be published as it is, as sentences that also tell a model what to repair; empty when fit."""
    problems: list[str] = []
    fewest, most = SECTIONS
    if not fewest <= len(post.sections) <= most:
        problems.append(f"The post has {len(post.sections)} sections; it needs {fewest} to {most}.")
    if not post.title or len(post.title) > 90:
        problems.append(f"The title has {len(post.title)} characters; it needs 1 to 90.")
    if not post.meta_description or len(post.meta_description) > META_CHARACTERS:
        problems.append(
            f"The meta description has {len(post.meta_description)} characters; it needs 1 to {META_CHARACTERS}."
        )
    if any(not section.heading.strip() or not section.markdown.strip() for section in post.sections):
        problems.append("Every section needs a heading and a text.")
    words = sum(len(section.markdown.split()) for section in post.sections)
    shortest, longest = POST_WORDS
    if not shortest <= words <= longest:
        problems.append(f"The sections have {words} words together; they need {shortest} to {longest}.")
    cited = [fact for section in post.sections for fact in section.fact_ids]
    if unknown := sorted({fact for fact in cited if not _FACT_ID.match(fact) or fact not in facts}):
        problems.append(f"These facts do not exist: {', '.join(unknown)}.")
    if not cited:
        problems.append("No section names the facts it relies on.")
    return problems


def post_texts(post: Post) -> list[str]:
    """Everything of a post that people read."""
    return [post.title, post.meta_description, *(f"{section.heading}\n{section.markdown}" for section in post.sections)]


def slug(title: str, piece_id: str) -> str:
    """The post's address: its title in ASCII words and the end of the piece's id, so that two posts never share one."""
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    words = "-".join(re.findall(r"[a-z0-9]+", ascii_title.lower()))[:60].strip("-")
    return f"{words or 'post'}-{piece_id[-8:]}"


def render_mdx(
    post: Post,
    *,
    piece_id: str,
    published_on: date,
    product: str,
    link_url: str,
    disclosure: str,
    ai_statement: str,
    facts: Mapping[str, str] = MappingProxyType({}),
    tags: Sequence[str] = (),
) -> str:
    """The post as an MDX file: front matter, the disclosure before anything else, sections, links, facts, AI statement.

    ``link_url`` is our own tracking link; it stands twice (after the first section and at the end), each time in the
    site's component for it, which marks it ``sponsored nofollow``. ``facts`` are those of the product by id; the ones
    that the post cites are listed with the date, prices excepted: they would be stale tomorrow. Every other word is
    typeset as text.
    """
    front_matter = {
        "title": _printable(post.title).strip() or "Untitled",
        "description": _printable(post.meta_description),
        "date": published_on.isoformat(),
        "slug": slug(post.title, piece_id),
        "tags": [tag for tag in map(_printable, tags) if tag.strip()],
        "disclosure": _printable(disclosure),
    }
    # JSON scalars are valid YAML, with the quoting settled.
    head = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front_matter.items())
    link = (
        f'<AffiliateLink href="{html.escape(link_url, quote=True)}">'
        f"{escape_mdx(f'See {product} at the shop')}</AffiliateLink>"
    )
    blocks = [f"<Disclosure>{escape_mdx(disclosure)}</Disclosure>"]
    for number, section in enumerate(post.sections):
        heading = escape_mdx(section.heading)
        blocks += [f"## {heading}" if heading else "", _typeset(section.markdown)]
        if number == 0:
            blocks.append(link)
    blocks.append(link)
    cited = dict.fromkeys(fact for section in post.sections for fact in section.fact_ids)
    if listed := [line for fact in cited if (line := escape_mdx(_without_price(facts.get(fact, ""))))]:
        items = "\n".join(f"- {line}" for line in listed)
        blocks += [f'<Facts checked="{published_on.isoformat()}">', items, "</Facts>"]
    blocks.append(f"<AiStatement>{escape_mdx(ai_statement)}</AiStatement>")
    return f"---\n{head}\n---\n\n" + "\n\n".join(block for block in blocks if block) + "\n"


def escape_mdx(text: str) -> str:
    """A text as MDX shows it literally: no JSX, no expression, no emphasis; bare addresses, which become links, go."""
    return _escape_start(_escape_signs(text))


def _escape_signs(text: str) -> str:
    """What means something wherever it stands."""
    line = _ADDRESS.sub("", _printable(re.sub(r"\s+", " ", text)))
    line = html.escape(re.sub(r"\s+", " ", line).strip(), quote=False)
    return re.sub(r"[{}\\`\[\]|*_~#]", lambda sign: f"&#{ord(sign[0])};", line)


def _escape_start(line: str) -> str:
    """What means something at the beginning of a line."""
    line = _MODULE_WORD.sub(lambda word: f"&#{ord(word[0][0])};{word[0][1:]}", line)
    line = _LIST_MARK.sub(lambda mark: f"{mark[1]}&#{ord(mark[2])};", line)
    return re.sub(r"^[+=-]", lambda sign: f"&#{ord(sign[0])};", line)


def _without_price(fact: str) -> str:
    return "" if fact.lower().startswith("price") else fact


def _printable(text: str) -> str:
    """A text without control characters, separators and noncharacters, which YAML, XML or browsers refuse or act on."""
    return "".join(
        character
        for character in text
        if unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        and ord(character) & 0xFFFE != 0xFFFE
        and not 0xFDD0 <= ord(character) <= 0xFDEF
        and character != "\ufeff"
    )


def _typeset(markdown: str) -> str:
    """Paragraphs and bullet lists of a model's markdown; headings become bold lines, links their text."""
    lines: list[str] = []
    for raw in markdown.replace("\r\n", "\n").split("\n"):
        line = _ADDRESS.sub("", _LINK.sub(r"\1", _SPACE.sub(" ", raw))).strip()
        if _HEADING.match(line):
            lines += ["", _escape_start(_bold(_HEADING.sub("", line).replace("**", ""))), ""]
        elif _BULLET.match(line):
            lines.append(_marked("- ", _inline(_BULLET.sub("", line))))
        elif numbered := _NUMBERED.match(line):
            lines.append(_marked(f"{numbered[1]}. ", _inline(_NUMBERED.sub("", line))))
        else:
            lines.append(_inline(line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _marked(mark: str, text: str) -> str:
    return mark + text if text else ""


def _inline(text: str) -> str:
    """A line with ``**bold**`` kept where Markdown surely reads it as such, and everything else literal."""
    line = ""
    for number, part in enumerate(re.split(r"\*\*(.+?)\*\*", text)):
        typeset = _bold(part) if number % 2 and not line.endswith("*") else _escape_signs(part)
        line += f"{' ' if part[:1].isspace() else ''}{typeset}{' ' if part[-1:].isspace() else ''}"
    return _escape_start(re.sub(r" +", " ", line).strip())


def _bold(text: str) -> str:
    line = _escape_signs(text)
    return f"**{line}**" if line and line[0].isalnum() and line[-1].isalnum() else line
