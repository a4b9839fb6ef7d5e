"""A test of two prompt versions that stays valid however often it is looked at.

**Unit.** The piece: pieces of one version differ far more than their views do, so a test on pooled views rejects a true
null nearly always (measured: 66 % of A/A replays at a fixed horizon, 100 % when looked at daily). Its measure is the
log of its click-through rate, each piece given half a click at the rate of all pieces: a plain
``log((clicks + ½) / (views + 1))`` takes a version that is seen more for one that is clicked less (measured: 9 % false
winners at half as many views again).

**Estimate.** Least squares of that measure on the version, with a level of its own per platform; the variance of the
difference is heteroskedasticity-robust (HC3).

**Test.** A mixture sequential probability ratio test: with estimate Δ, variance V and a normal mixture of standard
deviation τ, ``Λ = √(V/(V+τ²)) · exp(τ²Δ² / (2V(V+τ²)))``; ``1/Λ`` is an always-valid p-value, and the interval is the
confidence sequence that inverts it. Johari, Koomen, Pekelis, Walsh: *Always Valid Inference*, Operations Research 2022.
It is asymptotic, hence the pieces each version must have before anything is decided.

It is blind to what happens after the click; revenue is carried by the strategy's model, not by this test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd

_CLICKS = 0.5  # what each piece is given at the rate of all


@dataclass(frozen=True)
class ABResult:
    """What is known of b against a. ``log_lift`` and its interval are NaN while a version has too few pieces."""

    decision: Literal["continue", "a", "b"]
    log_lift: float
    ci_low: float
    ci_high: float
    p_value: float
    pieces_a: int
    pieces_b: int


def sequential_ab(
    pieces: pd.DataFrame,
    daily: pd.DataFrame,
    *,
    arms: tuple[str, str],
    as_of: date,
    alpha: float = 0.05,
    tau: float = 0.3,
    min_pieces: int = 30,
) -> ABResult:
    """Compare two prompt versions by the click-through rate of their pieces.

    Args:
        pieces: ``piece_id``, ``prompt``, ``platform``, ``published`` (date); other columns are not looked at.
        daily: ``piece_id``, ``date``, ``views``, ``clicks``: increments seen on that date.
        arms: the two versions, a and b.
        as_of: only what is dated before it is used.
        alpha: chance of ever calling a winner where there is none.
        tau: how far two versions are expected to differ, as a standard deviation of log click-through.
        min_pieces: pieces that each version must have before anything is decided.
    """
    seen = daily[pd.to_datetime(daily["date"]) < pd.Timestamp(as_of)]
    totals = seen.groupby("piece_id", as_index=False)[["views", "clicks"]].sum()
    mine = pieces[pieces["prompt"].isin(arms) & (pd.to_datetime(pieces["published"]) < pd.Timestamp(as_of))]
    counted = mine[["piece_id", "prompt", "platform"]].merge(totals[totals["views"] > 0], on="piece_id")
    return compare(
        counted["views"].to_numpy(dtype="float64"),
        counted["clicks"].to_numpy(dtype="float64"),
        (counted["prompt"] == arms[1]).to_numpy(),
        pd.factorize(counted["platform"])[0],
        alpha=alpha,
        tau=tau,
        min_pieces=min_pieces,
    )


def compare(
    views: np.ndarray,
    clicks: np.ndarray,
    is_b: np.ndarray,
    platform: np.ndarray,
    *,
    alpha: float = 0.05,
    tau: float = 0.3,
    min_pieces: int = 30,
) -> ABResult:
    """The test itself, on one entry per piece.

    Args:
        views: above nought.
        clicks: human clicks.
        is_b: whether the piece is of version b.
        platform: the platform's number, from 0.
        alpha, tau, min_pieces: as ``sequential_ab``.
    """
    in_b = int(is_b.sum())
    in_a = len(is_b) - in_b
    if min(in_a, in_b) < max(2, min_pieces):
        return ABResult("continue", math.nan, math.nan, math.nan, 1.0, in_a, in_b)
    lift, variance = _difference(_measure(views, clicks), is_b, platform)
    if not variance > 0:  # a version that is alone on its platform cannot be told from it
        return ABResult("continue", math.nan, math.nan, math.nan, 1.0, in_a, in_b)
    wide = variance + tau**2
    log_ratio = 0.5 * math.log(variance / wide) + tau**2 * lift**2 / (2 * variance * wide)
    half = math.sqrt(2 * variance * wide / tau**2 * (math.log(1 / alpha) + 0.5 * math.log(wide / variance)))
    proven = log_ratio > math.log(1 / alpha)
    decision: Literal["continue", "a", "b"] = "continue" if not proven else "b" if lift > 0 else "a"
    return ABResult(decision, lift, lift - half, lift + half, min(1.0, math.exp(-log_ratio)), in_a, in_b)


def _measure(views: np.ndarray, clicks: np.ndarray) -> np.ndarray:
    """Log click-through of each piece; one that few have seen stands near that of all pieces, whichever its version."""
    rate = max(float(clicks.sum()), 0.5) / float(views.sum())
    return np.log((clicks + _CLICKS) / (views + _CLICKS / rate))


def _difference(measure: np.ndarray, is_b: np.ndarray, platform: np.ndarray) -> tuple[float, float]:
    """b's mean measure less a's, the platforms' levels taken out, and its HC3 variance; NaN where they cannot be."""
    # Taking the platforms' means out of both sides is the same as a level per platform (Frisch, Waugh, Lovell).
    sizes = np.bincount(platform)
    share = np.bincount(platform, is_b) / sizes
    level = np.bincount(platform, measure) / sizes
    x, y = is_b - share[platform], measure - level[platform]
    spread = float((x**2).sum())
    if spread <= 0:
        return math.nan, math.nan
    lift = float((x * y).sum()) / spread
    leverage = 1 / sizes[platform] + x**2 / spread
    left = np.where(leverage < 1, (y - lift * x) / np.maximum(1 - leverage, 1e-12), 0.0)
    return lift, float((x**2 * left**2).sum()) / spread**2
