"""Audiences: who is there on a platform for a niche, what they like, and when they are awake.

What a platform is to everybody (``PLATFORMS``) is public; every taste is latent: drawn once from the world's seed, told
to nobody but the witness (``/_world/truth``). ``docs/sandbox.md`` says where the figures come from.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

RngOf = Callable[..., random.Random]
Peaks = tuple[tuple[float, float, float], ...]  # local hour, width in hours, height
_NIGHT = 0.15  # when all sleep: a fifth of the mean, as in a real shop's logs (docs/sandbox.md)


@dataclass(frozen=True)
class Platform:
    """A place where posts are seen; what distinguishes it from the others for every niche.

    Attributes:
        size: people whom a typical post of a small account reaches in the end.
        patience: hours within which most of a post's views come.
        fading: exponent of the curve; the smaller, the longer the tail.
        spread: standard deviation of the logarithm of a post's luck.
        catches: chance that a typical post catches on.
        ceiling: by what factor of itself a post grows at most when it does.
        follows: share of viewers who set out for the link of a typical post.
        buys: added to the logarithm of the share of visitors who buy.
        thrift: price elasticity of that share: the larger, the rarer are dear purchases.
        regret: added to the share of sales that is sent back.
        likes, comments: shares of viewers.
        lag: days by which a trend arrives later than where it was born.
        weekend: added to the logarithm of views on Saturdays and Sundays.
        peaks: when people are there.
        caption_links: whether an address in a post's text can be tapped.
    """

    size: float
    patience: float
    fading: float
    spread: float
    catches: float
    ceiling: float
    follows: float
    buys: float
    thrift: float
    regret: float
    likes: float
    comments: float
    lag: int
    weekend: float
    peaks: Peaks
    caption_links: bool


PLATFORMS = {
    "youtube": Platform(
        size=1650, patience=16, fading=0.80, spread=0.55, catches=0.05, ceiling=10, follows=0.0140, buys=0.0,
        thrift=0.40, regret=0.0, likes=0.031, comments=0.0022, lag=2, weekend=0.05,
        peaks=((12.5, 2.6, 0.75), (20.3, 2.4, 1.50), (7.5, 1.4, 0.35)), caption_links=False,
    ),
    "tiktok": Platform(
        size=900, patience=10, fading=0.70, spread=0.95, catches=0.07, ceiling=25, follows=0.0060, buys=-0.55,
        thrift=0.60, regret=0.03, likes=0.055, comments=0.0025, lag=0, weekend=0.10,
        peaks=((13.0, 2.0, 0.50), (21.6, 2.2, 1.80), (17.0, 1.5, 0.40)), caption_links=False,
    ),
    "instagram": Platform(
        size=800, patience=14, fading=0.75, spread=0.75, catches=0.04, ceiling=12, follows=0.0075, buys=-0.35,
        thrift=0.50, regret=0.02, likes=0.042, comments=0.0018, lag=1, weekend=0.05,
        peaks=((12.0, 2.0, 0.90), (19.2, 2.4, 1.30), (8.0, 1.3, 0.45)), caption_links=False,
    ),
    "blog": Platform(
        size=600, patience=36, fading=0.80, spread=0.40, catches=0.02, ceiling=6, follows=0.0400, buys=0.25,
        thrift=0.30, regret=-0.01, likes=0.0, comments=0.0, lag=4, weekend=-0.25,
        peaks=((10.5, 2.4, 1.10), (14.5, 2.6, 0.90), (20.5, 2.2, 0.80)), caption_links=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Audience:
    """The people of a niche on a platform. Weights add to the logarithm of a post's reach."""

    name: str  # platform/niche
    platform: Platform
    size: float  # people whom a typical post reaches in the end
    question: float
    number: float
    addressed: float
    warning: float
    superlative: float
    named: float
    title_characters: float  # the length of title it likes
    seconds: float  # the length of video it likes
    words: float  # the length of text it likes
    hashtags: float
    buying_mood: float  # adds to the logarithm of the share that follows a link
    purse: float  # adds to the logarithm of the share of visitors that buys
    peaks: Peaks
    weekend: float
    patience: float

    def awake(self, local_hour: float) -> float:
        """Activity at a local hour; about 1 on the day's average."""
        total = _NIGHT
        for hour, width, height in self.peaks:
            apart = abs(local_hour - hour)
            apart = min(apart, 24 - apart)
            total += height * math.exp(-0.5 * (apart / width) ** 2)
        return total / self._mean

    @property
    def _mean(self) -> float:
        return _NIGHT + sum(height * width * math.sqrt(2 * math.pi) / 24 for _, width, height in self.peaks)

    def share_seen(self, age_hours: float) -> float:
        """The share of a post's views that has come by an age."""
        return 0.0 if age_hours <= 0 else 1 - math.exp(-((age_hours / self.patience) ** self.platform.fading))


class Audiences:
    """Every audience of a world."""

    def __init__(self, rng: RngOf) -> None:
        self._rng = rng
        self.of = lru_cache(maxsize=None)(self._draw)
        self.liking = lru_cache(maxsize=None)(self._liking_of)
        self._bursts = lru_cache(maxsize=4096)(self._bursts_of)

    def _draw(self, platform: str, niche: str) -> Audience:
        # Tastes belong to a platform first; a niche differs from its platform by less.
        common, own = self._rng("taste", platform), self._rng("taste", platform, niche)
        place = PLATFORMS[platform]

        def taste(mean: float, between_platforms: float, between_niches: float) -> float:
            return common.gauss(mean, between_platforms) + own.gauss(0, between_niches)

        return Audience(
            name=f"{platform}/{niche}",
            platform=place,
            size=place.size * math.exp(own.gauss(0, 0.28)),
            question=taste(0.10, 0.22, 0.12),
            number=taste(0.10, 0.22, 0.12),
            addressed=taste(0.05, 0.10, 0.06),
            warning=taste(0.05, 0.12, 0.08),
            superlative=taste(-0.15, 0.10, 0.05),
            named=taste(0.05, 0.08, 0.05),
            title_characters=common.uniform(40, 56) + own.uniform(-6, 6),
            seconds=common.uniform(24, 34) * math.exp(own.gauss(0, 0.08)),
            words=common.uniform(380, 700) * math.exp(own.gauss(0, 0.1)),
            hashtags=common.uniform(3, 5),
            buying_mood=taste(0.0, 0.06, 0.12),
            purse=place.buys + taste(0.0, 0.05, 0.12),
            peaks=tuple(
                (hour + own.gauss(0, 0.5), width, height * math.exp(own.gauss(0, 0.15)))
                for hour, width, height in place.peaks
            ),
            weekend=place.weekend + own.gauss(0, 0.08),
            patience=place.patience * math.exp(own.gauss(0, 0.08)),
        )

    def _liking_of(self, platform: str, item_id: str) -> float:
        """How a product goes down on a platform, whatever is said of it: adds to the logarithm of reach."""
        return self._rng("liking", platform, item_id).gauss(0, 0.22)

    def trend(self, niche: str, day: date, platform: str | None = None) -> float:
        """How much a niche is talked of on a day: 1 as a rule, more while a trend lasts.

        Args:
            platform: where; trends reach some platforms days later (``Platform.lag``). None: where they are born.
        """
        return self._bursts(niche, day.toordinal() - (PLATFORMS[platform].lag if platform else 0))

    def _bursts_of(self, niche: str, ordinal: int) -> float:
        # A trend is born on some days and fades over one to three weeks; each day is looked back on by itself, so that
        # no day has to be lived through to know the next.
        total = 0.0
        for back in range(90):
            born = self._rng("trend", niche, ordinal - back)
            if born.random() < 0.02:
                height, weeks = born.uniform(0.2, 0.9), born.uniform(1.0, 3.0)
                rise = 1 - math.exp(-(back + 1) / 1.5)
                total += height * rise * math.exp(-back / (7 * weeks))
        return 1 + total

    def appeal(self, item_id: str) -> float:
        """A product's quality: adds to the logarithm of the share of its visitors that buys."""
        return self._rng("appeal", item_id).gauss(0, 0.22)

    def flaw(self, item_id: str) -> float:
        """The share of a product's sales that is sent back."""
        return min(0.25, self._rng("flaw", item_id).gammavariate(3, 0.022))

    def truth(self, pairs: list[tuple[str, str]], today: date) -> dict[str, Any]:
        """The latents of audiences, for the witness."""
        return {
            f"{platform}/{niche}": {
                **asdict(self.of(platform, niche)),
                "trend": {
                    day.isoformat(): round(self.trend(niche, day, platform), 4)
                    for day in (today + timedelta(days=ahead) for ahead in range(-7, 1))
                },
            }
            for platform, niche in pairs
        }
