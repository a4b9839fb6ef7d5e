"""Partially pooled log-linear regression: how strongly each kind of group differs is learned, not set.

An outcome's log is an intercept plus effects. An effect belongs to a *block*: all products, all pairs of niche and
prompt, the slopes of all features on one platform. The effects of a block are draws of one normal distribution whose
spread is estimated from the block's own effects (empirical Bayes), so a block without support fades to nothing and a
group without pieces stands at its block's mean. Slopes that can only lower the outcome (fatigue) are half-normal.

**Inference.** Coordinate ascent on a factorised posterior: each effect in turn is given its exact posterior with all
others at their means. Spreads follow MacKay's fixed point ``τ² = Σm² / Σ(1 − v/τ²)`` with two pseudo-effects of
the expected size as hyper-prior. Counts are negative binomial by quasi-likelihood: each sweep linearises them anew,
and the dispersion beyond Poisson is estimated by moments. A sweep costs ``O(rows × blocks)``.

MacKay, *Bayesian Interpolation*, Neural Computation 1992; Breslow and Clayton, *Approximate Inference in Generalized
Linear Mixed Models*, JASA 1993.

Pure and without chance; it knows neither pieces nor platforms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray

_PSEUDO_EFFECTS = 2.0  # what a block's expected spread weighs against its own effects
_SMALLEST = 1e-8
_WARM_UP = 3  # sweeps before the spreads move
_LARGEST_STEP = 2.0  # of one effect in one sweep: a count where none was expected would overshoot
_PSEUDO_ROWS = 10.0  # what the first guess of the noise weighs


@dataclass
class Groups:
    """A block of one effect per group. ``codes`` gives each row's group; −1: the row is in none.

    ``expected``, here and below: the spread expected before any row was seen, in logs.
    """

    codes: Array
    size: int
    expected: float
    mean: Array = field(init=False)
    variance: Array = field(init=False)
    learns: bool = True

    def __post_init__(self) -> None:
        self.spread2 = self.expected**2
        self.mean, self.variance = np.zeros(self.size), np.full(self.size, self.spread2)
        # Rows of no group are gathered in one more place, which is thrown away.
        self._places = np.where(self.codes < 0, self.size, self.codes)

    def update(self, rest: Array, weight: Array, *, learn: bool) -> Array:
        """Given what the other effects leave, with this block's own share of it taken out; returns that left over."""
        pull = np.bincount(self._places, weight * rest, self.size + 1)[: self.size]
        hold = np.bincount(self._places, weight, self.size + 1)[: self.size]
        before = self.mean
        precision = hold + 1 / self.spread2
        wanted = (pull + hold * before) / precision
        self.mean = before + np.clip(wanted - before, -_LARGEST_STEP, _LARGEST_STEP)
        self.variance = 1 / precision
        if learn and self.learns:
            self.spread2 = _spread2(self.mean, self.variance, self.spread2, self.expected)
        return rest - np.append(self.mean - before, 0.0)[self._places]

    def known(self) -> float:
        """Effects that the rows determine, of ``size``."""
        return float((1 - self.variance / self.spread2).sum())


@dataclass
class Slopes:
    """A block of slopes on numeric features, one set per group (one group: the same slopes for all)."""

    features: Array
    codes: Array
    size: int
    expected: float
    mean: Array = field(init=False)
    covariance: Array = field(init=False)

    def __post_init__(self) -> None:
        self.spread2 = self.expected**2
        width = self.features.shape[1]
        self.mean = np.zeros((self.size, width))
        self.covariance = np.repeat(np.eye(width)[None] * self.spread2, self.size, axis=0)
        order = np.argsort(self.codes, kind="stable")
        ends = np.searchsorted(self.codes[order], np.arange(self.size + 1))
        self._rows: list[Array | slice] = [slice(None)]
        if self.size > 1:
            self._rows = [order[ends[place] : ends[place + 1]] for place in range(self.size)]

    def update(self, rest: Array, weight: Array, *, learn: bool) -> Array:
        width = self.features.shape[1]
        left = rest.copy()
        for place, rows in enumerate(self._rows):
            x = self.features[rows]
            if not len(x):
                continue
            weighted = x * weight[rows][:, None]
            gram = weighted.T @ x
            covariance = np.linalg.inv(gram + np.eye(width) / self.spread2)
            before = self.mean[place].copy()
            wanted = covariance @ (weighted.T @ rest[rows] + gram @ before)
            self.mean[place] = before + np.clip(wanted - before, -_LARGEST_STEP, _LARGEST_STEP)
            self.covariance[place] = covariance
            left[rows] = rest[rows] - x @ (self.mean[place] - before)
        if learn:
            variance = np.einsum("gii->gi", self.covariance)
            self.spread2 = _spread2(self.mean.ravel(), variance.ravel(), self.spread2, self.expected)
        return left

    def known(self) -> float:
        return float((1 - np.einsum("gii->gi", self.covariance) / self.spread2).sum())


@dataclass
class Brakes:
    """A block of slopes that can only lower the outcome: ``−slope × feature``, ``slope ≥ 0``, features ≥ 0."""

    features: Array
    expected: float
    slope: Array = field(init=False)
    mode: Array = field(init=False)
    deviation: Array = field(init=False)

    def __post_init__(self) -> None:
        self.spread2 = self.expected**2
        width = self.features.shape[1]
        self.slope, self.mode = np.zeros(width), np.zeros(width)
        self.deviation = np.full(width, math.sqrt(self.spread2))
        self._columns = np.ascontiguousarray(self.features.T)

    def update(self, rest: Array, weight: Array, *, learn: bool) -> Array:
        squares = 0.0
        for place, column in enumerate(self._columns):
            weighted = weight * column
            hold = float(weighted @ column)
            before = float(self.slope[place])
            precision = hold + 1 / self.spread2
            mode = (hold * before - float(weighted @ rest)) / precision
            _, square = _above_zero(mode, 1 / math.sqrt(precision))
            mean = max(0.0, mode)
            mean = before + min(max(mean - before, -_LARGEST_STEP), _LARGEST_STEP)
            self.mode[place], self.deviation[place], self.slope[place] = mode, 1 / math.sqrt(precision), mean
            squares += square
            if mean != before:
                rest = rest + (mean - before) * column
        if learn:
            self.spread2 = (squares + _PSEUDO_EFFECTS * self.expected**2) / (len(self.slope) + _PSEUDO_EFFECTS)
        return rest

    def known(self) -> float:
        return float((1 - np.minimum(1.0, self.deviation**2 / self.spread2)).sum())


Block = Groups | Slopes | Brakes


@dataclass(frozen=True)
class Level:
    """The intercept: mean and variance of the log outcome of a row without any effect."""

    mean: float
    variance: float


@dataclass(frozen=True)
class Fitted:
    """Intercept, and the noise that no effect explains: its variance in logs, of each row's true outcome."""

    level: Level
    noise: float
    sweeps: int
    fitted: Array


def fit_logs(
    values: Array, extra: Array, blocks: Sequence[Block], *, prior: Level, noise: float, sweeps: int, tolerance: float
) -> Fitted:
    """Fit logs of an outcome.

    Args:
        values: the log of each row's outcome.
        extra: variance of each row's value beyond the noise common to all, as of counting few.
        blocks: are updated in place.
        prior: of the intercept.
        noise: first guess of the common variance.
        sweeps: at most so many.
        tolerance: a sweep that moves the rows by less than this, root mean square, is the last.
    """
    level, variance, left = prior.mean, prior.variance, values - prior.mean
    weight = 1 / (noise + extra)
    done = 0
    for done in range(1, sweeps + 1):
        before = left
        left, level, variance = _intercept(left, weight, level, prior)
        for block in blocks:
            left = block.update(left, weight, learn=done > _WARM_UP)
        if done > 1:
            known = 1 + sum(block.known() for block in blocks)
            pearson = float((left**2 * weight).sum()) * noise
            noise = max(_SMALLEST, (pearson + _PSEUDO_ROWS * noise) / (max(0.0, len(values) - known) + _PSEUDO_ROWS))
            weight = 1 / (noise + extra)
        if done > 2 * _WARM_UP and _size(left - before) < tolerance:
            break
    return Fitted(Level(level, variance), noise, done, values - left)


def fit_counts(
    counts: Array,
    exposure: Array,
    blocks: Sequence[Block],
    *,
    prior: Level,
    noise: float,
    sweeps: int,
    tolerance: float,
) -> Fitted:
    """Fit the log rate of counts per exposure. Arguments as ``fit_logs``; exposures are above nought."""
    level = prior.mean
    total = float(exposure.sum())
    if total > 0:
        # The rate of all rows, leaning on the prior by half a count, is where the linearisation begins.
        level = math.log((float(counts.sum()) + 0.5) / (total + 0.5 / math.exp(prior.mean)))
    log_exposure = np.log(np.maximum(exposure, 1e-12))
    eta = np.full(len(counts), level)
    done = 0
    variance = prior.variance
    for done in range(1, sweeps + 1):
        expected = np.exp(np.clip(eta + log_exposure, -30, 30))
        weight = expected / (1 + noise * expected)
        left = start = (counts - expected) / expected
        left, level, variance = _intercept(left, weight, level, prior)
        for block in blocks:
            left = block.update(left, weight, learn=done > _WARM_UP)
        step = start - left
        eta = eta + step
        if done > 2:
            noise = _dispersion(counts, np.exp(np.clip(eta + log_exposure, -30, 30)), noise)
        if done > 2 * _WARM_UP and _size(step) < tolerance:
            break
    return Fitted(Level(level, variance), noise, done, eta)


def _size(moved: Array) -> float:
    return math.sqrt(float((moved**2).mean())) if len(moved) else 0.0


def _intercept(left: Array, weight: Array, level: float, prior: Level) -> tuple[Array, float, float]:
    hold = float(weight.sum())
    precision = hold + 1 / prior.variance
    moved = (float(weight @ left) + hold * level + prior.mean / prior.variance) / precision
    moved = level + min(max(moved - level, -_LARGEST_STEP), _LARGEST_STEP)
    return left - (moved - level), moved, 1 / precision


def _dispersion(counts: Array, expected: Array, noise: float) -> float:
    """Variance beyond Poisson in units of the expected count squared, by weighted moments."""
    trust = 1 / (1 + noise * expected) ** 2
    beyond = float((trust * ((counts - expected) ** 2 - expected)).sum())
    scale = float((trust * expected**2).sum())
    # Ten pseudo-rows of one expected count hold a first guess until there are counts to estimate it from.
    return max(1e-3, (max(0.0, beyond) + _PSEUDO_ROWS * 0.25 * noise) / (scale + _PSEUDO_ROWS * 0.25))


def _spread2(mean: Array, variance: Array, spread2: float, expected: float) -> float:
    known = float(np.clip(1 - variance / spread2, 0.0, 1.0).sum())
    squares = float((mean**2).sum())
    return max(_SMALLEST, (squares + _PSEUDO_EFFECTS * expected**2) / (known + _PSEUDO_EFFECTS))


def _above_zero(mode: float, deviation: float) -> tuple[float, float]:
    """Mean and mean square of a normal distribution cut off below nought."""
    ratio = mode / deviation
    if ratio < -8:  # the tail is exponential there
        return -deviation / ratio, 2 * (deviation / ratio) ** 2
    hazard = math.exp(-0.5 * ratio * ratio) / math.sqrt(2 * math.pi) / (0.5 * math.erfc(-ratio / math.sqrt(2)))
    mean = mode + deviation * hazard
    return mean, deviation**2 + mode * mean
