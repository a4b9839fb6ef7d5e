"""Disclosures: that the words which must stand in a text stand there, first and whole.

The texts are policy. The picture's label is judged on the rendered file (``affiliate_empire.media.quality``).
"""

from __future__ import annotations

import html
import re

from affiliate_empire.policy import Policy

# The site's component marks its link by itself (``site/components/post.jsx``).
_LINK = re.compile(r"<(?P<name>\w+)\s[^>]*\bhref=[^>]*>", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def check_description(text: str, policy: Policy) -> list[str]:
    """A video's description: the disclosure is its first line, above every link and above the fold."""
    first = text.strip().split("\n", 1)[0].strip()
    if first != policy.disclosure("text"):
        return ["The description's first line is not the disclosure."]
    return []


def check_spoken(text: str, policy: Policy) -> list[str]:
    """What the voice says: the spoken disclosure, whole."""
    if _plain(policy.disclosure("spoken")) not in _plain(text):
        return ["The spoken text lacks the disclosure."]
    return []


def check_page(mdx: str, policy: Policy) -> list[str]:
    """A blog page: disclosure above the first link, the AI statement, every link marked as sponsored."""
    reasons = []
    body = _plain(html.unescape(mdx))
    links = list(_LINK.finditer(mdx))
    before = _plain(html.unescape(mdx[: links[0].start()] if links else mdx))
    # The front matter repeats the disclosure for the site's feed; what counts is the article itself.
    article = before.split("---", 2)[-1]
    if _plain(policy.disclosure("post")) not in article:
        reasons.append("The affiliate disclosure does not stand above the first link.")
    if _plain(policy.disclosure("ai")) not in body:
        reasons.append("The page lacks the statement that it was written with AI.")
    plain = [link[0] for link in links if link["name"] != "AffiliateLink"]
    if any("sponsored" not in link or "nofollow" not in link for link in plain):
        reasons.append('A link is neither an AffiliateLink nor marked rel="sponsored nofollow".')
    return reasons


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text).strip().lower()
