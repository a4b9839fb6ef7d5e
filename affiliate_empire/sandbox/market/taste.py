"""What people notice about a post, and how an audience responds to it.

Everything here is read from what was published: title, text, length, declarations, hour. Nothing knows a piece, a
prompt version or a link code: a better prompt does better only because its text made a better post.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from affiliate_empire.sandbox.catalog import Catalog, Item
from affiliate_empire.sandbox.market.audiences import Audience

ZONE = ZoneInfo("America/New_York")  # where this world's people live
# What each platform asks a publisher to declare: made with AI, and paid for. A blog has nobody to declare it to.
DECLARATIONS = {
    "youtube": ("containsSyntheticMedia", "hasPaidProductPlacement"),
    "tiktok": ("is_aigc", "brand_content_toggle"),
    "instagram": ("is_ai_generated", "is_paid_partnership"),
    "blog": (),
}
# Where the text below a video is all there is, its first sentence stands for a title.
_CAPTIONED = ("tiktok", "instagram")
_URL = re.compile(r"(?:https?://)?[\w.-]+(?::\d+)?/(?:h|r)/\S+|https?://\S+")
_TAG = re.compile(r"<[^>]*>")
_HASHTAG = re.compile(r"#\w+")
_DISCLOSURE = re.compile(
    r"#ad\b|#sponsored\b|\baffiliate links?\b|\bpaid promotion\b|\bsponsored\b|\bcommission\b", re.IGNORECASE
)
_AI = re.compile(r"\bAI\b|\bA\.I\.|\bartificial intelligence\b")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_NUMBER = re.compile(
    r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|twelve)\b(?=\s+\w*\s*(?:things?|reasons?|ways?|facts?|points?|tips?|details?|questions?|checks?))",
    re.IGNORECASE,
)
_YOU = re.compile(r"\byou(?:r|rs|'re|'ll|'ve)?\b", re.IGNORECASE)
_WARNING = re.compile(
    r"\b(?:stop|don't|never|mistakes?|avoid|wrong|before you buy|before buying|regret)\b", re.IGNORECASE
)
_SUPERLATIVE = re.compile(
    r"\b(?:best|ultimate|amazing|incredible|perfect|insane|must[- ]have|game[- ]chang\w+)\b", re.IGNORECASE
)
_MEASURE = re.compile(
    r"\d[\d.,]*\s?(?:%|cm|mm|m|km|kg|g|l|ml|litres?|liters?|w|watts?|hours?|minutes?|days?|inch|inches|lumens?|°c|mah|gb|tb|pieces?|pack)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Impression:
    """What a person takes in of a post."""

    item: Item | None  # the product it is about, as far as a reader can tell
    sureness: float  # 0 to 1
    hook: str
    question: bool
    number: bool
    addressed: bool
    warning: bool
    superlative: bool
    product_named: bool  # in the title
    title_characters: int
    shouting: float  # share of capitals in the title's letters
    exclamations: int
    measures: int
    hashtags: int
    words: int
    seconds: float | None
    disclosed: bool
    declared: bool  # all that the platform asks for (``DECLARATIONS``)
    local_hour: float

    @property
    def niche(self) -> str:
        return self.item.niche if self.item else "everything"

    @property
    def hook_pattern(self) -> tuple[bool, ...]:
        """How it begins, whatever it is about."""
        return self.question, self.number, self.addressed, self.warning, self.superlative


def impression(
    *,
    platform: str,
    title: str,
    text: str,
    media: Mapping[str, Any],
    flags: Mapping[str, Any],
    public_at: datetime,
    catalog: Catalog,
) -> Impression:
    """Read a post as a person does."""
    plain = _URL.sub(" ", _TAG.sub(" ", text))
    hook = _hook(plain)
    if platform in _CAPTIONED:
        title = hook
    item, sureness = catalog.spoken_of(title)
    if sureness < 0.6:
        # The title did not say it all: read on.
        item, sureness = catalog.spoken_of(title, plain)
    if sureness < 0.4:
        item, sureness = None, 0.0
    opening = f"{title} {hook}"
    letters = [letter for letter in title if letter.isalpha()]
    local = public_at.astimezone(ZONE)
    return Impression(
        item=item,
        sureness=sureness,
        hook=hook,
        question="?" in opening,
        number=bool(_NUMBER.search(opening)),
        addressed=bool(_YOU.search(opening)),
        warning=bool(_WARNING.search(opening)),
        superlative=bool(_SUPERLATIVE.search(opening)),
        product_named=item is not None and catalog.likeness(item, title) >= 0.5,
        title_characters=len(title),
        shouting=sum(letter.isupper() for letter in letters) / len(letters) if letters else 0.0,
        exclamations=opening.count("!"),
        measures=len(_MEASURE.findall(plain)),
        hashtags=len([tag for tag in _HASHTAG.findall(f"{title} {plain}") if tag.lower() != "#ad"]),
        words=len(plain.split()),
        seconds=_seconds(media),
        disclosed=bool(_DISCLOSURE.search(f"{title} {plain}")),
        declared=all(flags.get(name) is True for name in DECLARATIONS[platform]),
        local_hour=local.hour + local.minute / 60,
    )


def interest(seen: Impression, audience: Audience, liking: float) -> dict[str, float]:
    """What each trait of a post adds to the logarithm of its reach in an audience.

    Args:
        liking: how its product goes down on this platform (``Audiences.liking``).
    """
    parts = {
        "product": liking,
        "question": audience.question * seen.question,
        "number": audience.number * seen.number,
        "addressed": audience.addressed * seen.addressed,
        "warning": audience.warning * seen.warning,
        "superlative": audience.superlative * seen.superlative,
        "named": audience.named * seen.product_named,
        "facts": 0.04 * min(seen.measures, 5),
        "title": -0.5 * ((seen.title_characters - audience.title_characters) / 40) ** 2,
        "shouting": -1.2 * max(0.0, seen.shouting - 0.35) - 0.08 * min(seen.exclamations, 4),
        # Texts to read are not found by hashtags.
        "hashtags": 0.0 if seen.seconds is None else -0.015 * (min(seen.hashtags, 12) - audience.hashtags) ** 2,
        # Reach is withheld from what should have been declared and was not.
        "undeclared": 0.0 if seen.declared else -0.9,
        # Who posts when nobody is there is forgotten when they come; a text is found later, whenever it was put there.
        "hour": 0.0 if seen.seconds is None else 0.45 * math.log(audience.awake(seen.local_hour)),
    }
    if seen.seconds is None:
        parts["length"] = -0.25 * math.log(max(seen.words, 40) / audience.words) ** 2
    else:
        # Who is promised several things stays longer; who is asked wants the answer soon.
        wanted = audience.seconds * (1.25 if seen.number else 1.0) * (0.85 if seen.question else 1.0)
        parts["length"] = -1.1 * math.log(max(seen.seconds, 2.0) / wanted) ** 2
    return {name: max(-1.5, value) for name, value in parts.items()}


def curiosity(seen: Impression, audience: Audience) -> float:
    """The share of viewers who set out for the link; a post makes it at most twice or half its platform's usual."""
    pull = (
        audience.buying_mood
        + 0.18 * seen.product_named
        + 0.05 * min(seen.measures, 4)
        + 0.08 * seen.number
        - 0.15 * seen.superlative
        - 0.04 * seen.disclosed
        - 0.3 * (seen.item is None)
    )
    return audience.platform.follows * min(2.0, max(0.5, math.exp(pull)))


def _hook(plain: str) -> str:
    """The first sentence that is neither a disclosure nor a row of hashtags."""
    for found in _SENTENCE.finditer(plain):
        sentence = found[0].strip(" \t*_>#-")
        if len(sentence.split()) >= 3 and not _DISCLOSURE.search(found[0]) and not _AI.search(sentence):
            return sentence
    return ""


def _seconds(media: Mapping[str, Any]) -> float | None:
    for name in ("duration", "duration_seconds", "seconds"):
        value = media.get(name)
        if isinstance(value, int | float) and value > 0:
            return float(value)
    return None
