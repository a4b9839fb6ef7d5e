"""What is still to come: the share of a piece's views that an age has shown, and how late sales and reversals arrive.

Curves are pooled over pieces and estimated from the daily increments; before there are any they stand at a prior of
half-lives of a day or two. All ages and lags are whole days; age 0 is the day of publication.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

Array = np.ndarray

HORIZON = 90  # days after which nothing is expected any more
_VIEW_DAYS, _SALE_DAYS, _REVERSAL_DAYS = 3.0, 2.0, 21.0  # mean delays of the priors
_PRIOR_PIECES = 5.0  # what the prior of a development factor weighs
_PRIOR_EVENTS = 10.0  # what the prior of a lag weighs
_ROUNDS = 8  # of expectation and maximisation
LATEST = 20_000  # pieces that a curve is estimated from: more would add nothing to a pooled curve


def _geometric(mean: float) -> Array:
    """Shares by lag of a delay that is geometric, cut off at the horizon."""
    weights = (mean / (1 + mean)) ** np.arange(HORIZON)
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class Increments:
    """One row per piece and day on which something was seen: the piece's number, its age that day, what was seen."""

    piece: Array
    age: Array
    views: Array
    clicks: Array
    conversions: Array
    revenue: Array


def view_curve(seen: Increments, oldest: Array, group: Array, groups: int) -> tuple[Array, Array]:
    """Share of the final views reached by each age, per group, by development factors (the chain ladder of insurers).

    The factor from one age to the next is the ratio of sums over the pieces that have reached both ages, each piece
    damped by the root of its views so that one viral piece does not decide it. A group leans on all pieces, all
    pieces on the prior.

    Args:
        seen: increments.
        oldest: per piece, the last age that could have been seen.
        group: per piece.
        groups: their number.

    Returns:
        Shares, groups × horizon, and per age the variance of a piece's log share about its curve.
    """
    prior = np.cumsum(_geometric(_VIEW_DAYS))
    if not len(seen.piece):
        return np.tile(prior, (groups, 1)), np.zeros(HORIZON)
    late = max(0, len(oldest) - LATEST)  # the pieces are in order of publication
    oldest, group = oldest[late:], group[late:]
    count = len(oldest)
    last = int(min(HORIZON - 1, oldest.max()))
    table = np.zeros((count, last + 1), dtype=np.float32)
    inside = (seen.piece >= late) & (seen.age <= last)
    np.add.at(table, (seen.piece[inside] - late, seen.age[inside]), seen.views[inside])
    reached = np.cumsum(table, axis=1, dtype=np.float64)
    known = np.arange(last + 1)[None, :] <= oldest[:, None]
    total = np.maximum(reached[np.arange(count), np.minimum(oldest, last)], 1.0)
    damp = 1 / np.sqrt(total)
    factors = np.ones((groups, HORIZON))
    for age in range(1, HORIZON):
        common = prior[age] / prior[age - 1]
        if age > last:
            # No piece is that old: what still comes falls off as it did over the last week that was seen.
            factors[:, age] = 1 + (factors[:, age - 1] - 1) * _fall(factors, age)
            continue
        both = known[:, age]
        now, before = reached[both, age] * damp[both], reached[both, age - 1] * damp[both]
        typical = float(before.mean()) if len(before) else 1.0
        pseudo = max(typical, 1e-9) * _PRIOR_PIECES
        pooled = (now.sum() + pseudo * common) / (before.sum() + pseudo)
        of_group = group[both]
        up = np.bincount(of_group, now, groups) + pseudo * pooled
        down = np.bincount(of_group, before, groups) + pseudo
        factors[:, age] = np.maximum(1.0, up / down)
    # The share at an age is what the later factors leave to come.
    later = np.cumprod(factors[:, ::-1], axis=1)[:, ::-1]
    share = np.ones((groups, HORIZON))
    share[:, :-1] = 1 / later[:, 1:]
    spread = np.zeros(HORIZON)
    old = oldest >= min(last, 14)
    if old.sum() >= 30:
        ages = np.arange(min(last, 14) + 1)
        grown = np.log(np.maximum(reached[old][:, ages], 0.5)) - np.log(share[group[old]][:, ages])
        about = grown - grown[:, -1:]
        spread[ages] = np.minimum(about.var(axis=0), 4.0)
    return share, spread


def _fall(factors: Array, age: int) -> float:
    recent = factors[:, max(1, age - 7) : age].mean(axis=0) - 1
    if len(recent) < 2 or recent[0] <= 1e-9:
        return _VIEW_DAYS / (1 + _VIEW_DAYS)
    return float(np.clip((max(recent[-1], 1e-9) / recent[0]) ** (1 / (len(recent) - 1)), 0.3, 0.97))


def lag_shares(
    source: pd.DataFrame, events: pd.DataFrame, *, last_day: int, mean_delay: float, rate_prior: float
) -> tuple[Array, float]:
    """How long after its source an event is reported, where only the piece is known and not which source it came of.

    Events of a piece on a day are Poisson with the rate times the earlier sources weighted by the lag's share;
    expectation and maximisation give the shares, with the part that the last days cannot show yet taken out.

    Args:
        source: ``piece``, ``day`` (integers), ``amount``: clicks, or dollars earned.
        events: ``piece``, ``day``, ``amount``: sales, or dollars taken back.
        last_day: the last day that could be seen.
        mean_delay: of the prior, days.
        rate_prior: events per source before any was seen.

    Returns:
        Shares by lag, and events per source in the end.
    """
    prior = _geometric(mean_delay)
    total = float(source["amount"].sum())
    if events.empty or total <= 0:
        return prior, rate_prior
    pairs = events.merge(source, on="piece", suffixes=("", "_source"))
    lag = (pairs["day"] - pairs["day_source"]).to_numpy()
    fits = (lag >= 0) & (lag < HORIZON)
    pairs, lag = pairs[fits], lag[fits]
    which = pairs.groupby(["piece", "day"], sort=False).ngroup().to_numpy()
    happened = pairs["amount"].to_numpy(dtype="float64")
    of_source = pairs["amount_source"].to_numpy(dtype="float64")
    happened_in_all = float(events["amount"].sum())
    # Typical size of one event: dollars taken back are not counts.
    unit = happened_in_all / len(events)
    open_days = np.clip(last_day - source["day"].to_numpy(), 0, HORIZON - 1)
    exposed = np.cumsum(np.bincount(open_days, source["amount"].to_numpy(), HORIZON)[::-1])[::-1]
    share, rate = prior, rate_prior
    for _ in range(_ROUNDS):
        weight = of_source * share[lag]
        whole = np.bincount(which, weight)
        caused = np.bincount(lag, happened * weight / np.maximum(whole[which], 1e-300), HORIZON)
        hazard = (caused + _PRIOR_EVENTS * unit * prior) / (
            np.maximum(exposed, 0.0) * max(rate, 1e-12) + _PRIOR_EVENTS * unit
        )
        share = hazard / hazard.sum()
        rate = (happened_in_all + 0.5 * unit) / (float((exposed * share).sum()) + 0.5 * unit / rate_prior)
    return share, rate


def matured(source: pd.DataFrame, shares: Array, *, last_day: int, pieces: int) -> Array:
    """Per piece, its sources each counted as the share of their events that can have been seen by now."""
    seen = np.cumsum(shares)
    open_days = np.clip(last_day - source["day"].to_numpy(), 0, HORIZON - 1)
    return np.bincount(source["piece"].to_numpy(), source["amount"].to_numpy() * seen[open_days], pieces)
