"""Pieces of two prompt versions as an audience treats them: skewed views, rare clicks, pieces that differ anyway."""

from __future__ import annotations

import math

import numpy as np

from affiliate_empire.experiments.sequential import compare

DAYS, A_DAY = 60, 20

Pieces = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def replay(seed: int, *, lift: float = 0.0, seen: float = 0.0, noise: float = 0.49, share: float = 0.5) -> Pieces:
    """Views, clicks, whether of b, platform: one entry per piece, in the order of their days.

    Args:
        seed: fixes everything.
        lift: what b adds to the log of click-through.
        seen: what b adds to the log of views.
        noise: standard deviation of a piece's own log click-through.
        share: of a day's pieces that are b's.
    """
    chance = np.random.default_rng(seed)
    is_b = np.concatenate([chance.permutation(A_DAY) < round(A_DAY * share) for _ in range(DAYS)])
    platform = chance.integers(0, 3, len(is_b))
    level = np.array([0.0, 0.7, -0.5])[platform]
    normal = chance.standard_normal((2, len(is_b)))
    views = np.maximum(1, np.exp(math.log(700) + seen * is_b + 1.5 * normal[0])).round()
    rate = np.minimum(1, 0.005 * np.exp(level + noise * normal[1] - noise**2 / 2 + lift * is_b))
    return views, chance.binomial(views.astype(int), rate).astype(float), is_b, platform


def first_decision(pieces: Pieces) -> tuple[int | None, str]:
    """The day on which somebody who looks every day sees a decision, and which."""
    views, clicks, is_b, platform = pieces
    for day in range(1, DAYS + 1):
        end = day * A_DAY
        result = compare(views[:end], clicks[:end], is_b[:end], platform[:end])
        if result.decision != "continue":
            return day, result.decision
    return None, "continue"
