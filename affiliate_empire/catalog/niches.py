"""A product's niche: the top level of the merchant's category, in one spelling."""

from __future__ import annotations

import html
import re
import unicodedata

UNCATEGORISED = "uncategorised"
_LEVEL = re.compile(r"\s*(?:>|›|»|/|\||→)\s*")


def niche_of(*categories: str) -> str:
    """The niche of the first category that names something: ``Home & Garden > Kitchen`` is ``home-and-garden``.

    A Google product category given as a bare number (``2271``) names nothing to a reader and is passed over.
    """
    for category in categories:
        for level in _LEVEL.split(html.unescape(category)):
            plain = (
                unicodedata.normalize("NFKD", level).encode("ascii", "ignore").decode().lower().replace("&", " and ")
            )
            words = re.findall(r"[a-z0-9]+", plain)
            if words and not all(word.isdigit() for word in words):
                return "-".join(words)[:60].strip("-")
    return UNCATEGORISED
