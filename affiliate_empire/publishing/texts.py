"""Titles and descriptions as they go out: the disclosure first, then the addresses a viewer can use.

Addresses in a Short's description cannot be clicked (YouTube, since 2023-08-31), so the hub page is written the way a
person types it; the piece's own link stands below it for the apps that copy text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from affiliate_empire.content.post import Post, slug
from affiliate_empire.content.script import Script
from affiliate_empire.policy import Policy

# YouTube: snippet.title 100 characters, snippet.description 5,000 bytes, snippet.tags 500 characters together.
TITLE_CHARACTERS = 100
DESCRIPTION_BYTES = 5000
TAG_CHARACTERS = 500
# TikTok: post_info.title 2,200 UTF-16 units. Instagram: 2,200 characters, 5 hashtags, of which "#ad" is one.
CAPTION_UNITS = 2200
CAPTION_HASHTAGS = 5

_ANGLE = re.compile(r"[<>]")  # YouTube refuses them in titles and descriptions
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class VideoText:
    """What stands beside a video. ``description`` begins with the disclosure."""

    title: str
    description: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class PostText:
    """How a post enters the blog's repository, and what is recorded of it. The disclosure begins its description.

    ``own`` is how the path of the piece's post ends, whatever its title.
    """

    title: str
    description: str
    slug: str
    path: str
    own: str
    message: str


def video_text(script: Script, *, hub_url: str, link_url: str, policy: Policy) -> VideoText:
    """A video's title, description and tags.

    Args:
        script: as published.
        hub_url: the account's hub page, ``https://…/h/{handle}``.
        link_url: the piece's tracking link, ``https://…/r/{code}``.
        policy: gives the disclosure.
    """
    hashtags = " ".join(f"#{tag}" for tag in script.hashtags[:5])
    head = f"{policy.disclosure('text')}\n\n"
    tail = f"\n\nEverything shown, in one place: {typed_address(hub_url)}\nThis product: {link_url}\n\n{hashtags}"
    room = DESCRIPTION_BYTES - len((head + tail).encode())
    description = f"{head}{_cut_to_bytes(_plain(script.description), room)}{tail}".rstrip()
    return VideoText(_title(script.title), description, _tags(script.hashtags))


@dataclass(frozen=True)
class CaptionText:
    """What stands below a video where a caption is all there is. ``caption`` begins with the disclosure."""

    title: str
    caption: str


def caption_text(script: Script, *, hub_url: str, link_url: str, policy: Policy) -> CaptionText:
    """A video's caption: disclosure, title, description, addresses, hashtags. Arguments as of ``video_text``."""
    disclosure, title = policy.disclosure("text"), _title(script.title)
    hashtags = " ".join(f"#{tag}" for tag in script.hashtags[: CAPTION_HASHTAGS - disclosure.count("#")])
    head = f"{disclosure}\n\n{_untagged(title)}\n\n"
    tail = f"\n\nEverything shown, in one place: {typed_address(hub_url)}\nThis product: {link_url}\n\n{hashtags}"
    room = CAPTION_UNITS - _utf16_units(head + tail)
    return CaptionText(title, f"{head}{_cut_to_units(_untagged(_plain(script.description)), room)}{tail}".rstrip())


def post_text(post: Post, *, piece_id: str, policy: Policy) -> PostText:
    """A post's address in the repository, its commit message, and the text recorded for it."""
    address = slug(post.title, piece_id)
    return PostText(
        title=_plain(post.title),
        description=f"{policy.disclosure('post')}\n\n{_plain(post.meta_description)}\n\n{policy.disclosure('ai')}",
        slug=address,
        path=f"content/posts/{address}.mdx",
        own=f"-{piece_id[-8:]}.mdx",
        message=f"Add the post {_plain(post.title)!r}\n\nPiece: {piece_id}",
    )


def typed_address(url: str) -> str:
    """An address as a person types it: without the scheme and a closing slash."""
    return re.sub(r"^https?://", "", url).rstrip("/")


def _title(title: str) -> str:
    text = _plain(title)
    if len(text) <= TITLE_CHARACTERS:
        return text
    return text[: TITLE_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip(" ,;:–-") + "…"


def _tags(hashtags: list[str]) -> tuple[str, ...]:
    kept: list[str] = []
    used = 0
    for tag in dict.fromkeys(_plain(tag) for tag in hashtags):
        used += len(tag) + 1  # YouTube counts the comma between two tags
        if tag and used <= TAG_CHARACTERS:
            kept.append(tag)
    return tuple(kept)


def _plain(text: str) -> str:
    return _SPACE.sub(" ", _ANGLE.sub("", text)).strip()


def _cut_to_bytes(text: str, room: int) -> str:
    return text if len(text.encode()) <= room else text.encode()[: max(0, room - 3)].decode(errors="ignore") + "…"


def _untagged(text: str) -> str:
    """Without signs that would make a hashtag of a word: their number is limited."""
    return text.replace("#", "")


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _cut_to_units(text: str, room: int) -> str:
    if _utf16_units(text) <= room:
        return text
    return text.encode("utf-16-le")[: 2 * max(0, room - 1)].decode("utf-16-le", errors="ignore") + "…"
