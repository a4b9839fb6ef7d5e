"""Audiences: who is there on a platform for a niche, what they like, and when they are awake.

All of it is latent: drawn once from the world's seed, told to nobody but the witness (``/_world/truth``).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

RngOf = Callable[..., random.Random]


@dataclass(frozen=True)
class Audience:
    """An audience's size and tastes. Weights add to the logarithm of a post's reach."""

    platform: str
    niche: str
    size: float  # people a typical post reaches in the end
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
    peaks: tuple[tuple[float, float, float], ...]  # local hour, width in hours, height
    patience: float  # hours within which most of a post's views come

    def awake(self, local_hour: float) -> float:
        """Activity at a local hour; about 1 on the day's average."""
        total = 0.30
        for hour, width, height in self.peaks:
            apart = abs(local_hour - hour)
            apart = min(apart, 24 - apart)
            total += height * math.exp(-0.5 * (apart / width) ** 2)
        return total / self._mean

    @property
    def _mean(self) -> float:
        return 0.30 + sum(height * width * math.sqrt(2 * math.pi) / 24 for _, width, height in self.peaks)

    def share_seen(self, age_hours: float) -> float:
        """The share of a post's views that has come by an age."""
        return 0.0 if age_hours <= 0 else 1 - math.exp(-((age_hours / self.patience) ** 0.8))


_SIZES = {"youtube": 3300.0, "blog": 800.0}
_PATIENCE = {"youtube": 16.0, "blog": 26.0}


class Audiences:
    """Every audience of a world."""

    def __init__(self, rng: RngOf) -> None:
        self._rng = rng
        self.of = lru_cache(maxsize=None)(self._draw)
        self._bursts = lru_cache(maxsize=4096)(self._bursts_of)

    def _draw(self, platform: str, niche: str) -> Audience:
        # Tastes belong to a platform first; a niche differs from its platform by less.
        common, own = self._rng("taste", platform), self._rng("taste", platform, niche)

        def taste(mean: float, between_platforms: float, between_niches: float) -> float:
            return common.gauss(mean, between_platforms) + own.gauss(0, between_niches)

        return Audience(
            platform=platform,
            niche=niche,
            size=_SIZES.get(platform, 2500.0) * math.exp(own.gauss(0, 0.22)),
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
            purse=taste(0.0, 0.05, 0.12),
            peaks=(
                (12.5 + own.gauss(0, 0.5), 2.6, 0.75 + own.uniform(-0.15, 0.15)),
                (20.3 + own.gauss(0, 0.5), 2.4, 1.50 + own.uniform(-0.25, 0.25)),
                (7.5 + own.gauss(0, 0.4), 1.4, 0.35 + own.uniform(-0.1, 0.1)),
            ),
            patience=_PATIENCE.get(platform, 20.0) * math.exp(own.gauss(0, 0.08)),
        )

    def trend(self, niche: str, day: date) -> float:
        """How much a niche is talked of on a day: 1 as a rule, more while a trend lasts."""
        return self._bursts(niche, day.toordinal())

    def _bursts_of(self, niche: str, ordinal: int) -> float:
        # A trend is born on some days and fades over one to three weeks; each day is looked back on by itself, so that
        # no day has to be lived through to know the next.
        total = 0.0
        for back in range(45):
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
                **{name: value for name, value in vars(self.of(platform, niche)).items()},
                "trend": {
                    (today + timedelta(days=ahead)).isoformat(): round(
                        self.trend(niche, today + timedelta(days=ahead)), 4
                    )
                    for ahead in range(-7, 1)
                },
            }
            for platform, niche in pairs
        }
