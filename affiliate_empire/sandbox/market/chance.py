"""Draws that the standard generator lacks."""

from __future__ import annotations

import math
import random


def poisson(rng: random.Random, mean: float) -> int:
    """A Poisson draw; from a mean of 60 on by its normal limit, which no audience could tell apart."""
    if mean <= 0:
        return 0
    if mean > 60:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    # Knuth's product of uniforms.
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def binomial(rng: random.Random, trials: int, share: float) -> int:
    """How many of ``trials`` happen."""
    if trials <= 0 or share <= 0:
        return 0
    if trials > 400:
        return min(trials, poisson(rng, trials * share))
    return sum(rng.random() < share for _ in range(trials))
