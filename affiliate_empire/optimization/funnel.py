"""The funnel that is believed: views, clicks per view, sales per click and dollars per sale of a piece not yet made.

Three pooled regressions (``pooling``) over product, niche, platform, prompt and hour, all their pairs, the features of
the catalogue with slopes of their own per platform, niche and prompt, recent levels (so that drift is followed as
fast as the data say it moves), and one's own recent posts (``fatigue``). What has not arrived yet is allowed for by
``delays``.

Pure: frames in, beliefs out, without chance. Nothing dated on or after ``as_of`` is looked at. What to post is
``allocation``'s to decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import combinations

import numpy as np
import pandas as pd

from affiliate_empire.optimization.delays import (
    HORIZON,
    LATEST,
    Increments,
    lag_shares,
    matured,
    view_curve,
)
from affiliate_empire.optimization.fatigue import MEMORY, REPEATS, WINDOWS, joined, repeats
from affiliate_empire.optimization.pooling import Block, Brakes, Fitted, Groups, Level, Slopes, fit_counts, fit_logs

Array = np.ndarray

FACTORS = ("product", "niche", "platform", "prompt", "hour")
_COLUMN = {
    "product": "product_id",
    "niche": "niche",
    "platform": "platform",
    "prompt": "prompt",
    "hour": "hour_slot",
}
_PAIRS = tuple(pair for pair in combinations(FACTORS, 2) if pair != ("product", "niche"))
_SLOPE_FACTORS = (None, "platform", "niche", "prompt")
_MANY_GROUPS = 200  # more groups than this get no slopes of their own

# Before anything is seen, from published figures: a median short video has some hundreds of views, half a per cent to
# one per cent of viewers click, one or two clicks in a hundred buy. Each is known to a factor of e or e² only.
_VIEWS_PRIOR = Level(math.log(400), 4.0)
_CLICKS_PRIOR = Level(math.log(0.008), 1.0)
_SALES_PRIOR = Level(math.log(0.015), 1.0)
# How far groups are expected to differ, in logs, until the data say. Between versions of one headline 0.2, between
# headlines of different stories 0.7 was measured (4,873 tests of Upworthy); combinations differ less than their parts.
_MAIN, _PAIR, _RECENT, _SLOPE, _BRAKE = 0.3, 0.12, 0.1, 0.1, 0.1
_SALE_DAYS, _REVERSAL_DAYS, _REVERSED = 2.0, 21.0, 0.05
_EARNED_PRIOR_SALES = 10.0  # sales that the expectation "a sale earns its commission" weighs, per niche
_EARNED_HALF_LIFE = 45.0  # days


@dataclass(frozen=True)
class FunnelSpec:
    """How the funnel is fitted. The defaults are for every business; nothing here stands for a market.

    Attributes:
        windows: spans of days back from ``as_of`` that have levels of their own for views.
        slow_windows: the same for clicks and sales.
        sweeps: of a regression, at most.
        tolerance: in logs; a sweep that moves the rows by less, root mean square, is the last.
        fatigue: whether one's own recent posts may lower views.
        pairs: whether pairs of factors may have effects of their own.
        features: whether ``x_*`` columns are used.
        pooled: False gives each effect a wide prior of its own instead of a learned one, to measure what pooling is
            worth.
        mature: False takes what was seen for all that will come, to measure what the allowance is worth.
    """

    windows: tuple[int, ...] = (3, 10, 30)
    slow_windows: tuple[int, ...] = (30,)
    sweeps: int = 30
    tolerance: float = 0.003
    fatigue: bool = True
    pairs: bool = True
    features: bool = True
    pooled: bool = True
    mature: bool = True


@dataclass(frozen=True)
class GroupEffects:
    """A block of effects by group. ``keys`` are sorted (``fatigue.joined`` codes)."""

    factors: tuple[str, ...]
    keys: Array
    mean: Array
    deviation: Array
    spread: float


@dataclass(frozen=True)
class SlopeEffects:
    """Slopes on the features: one set per code of a factor, or one for all (``factor`` None)."""

    factor: str | None
    mean: Array
    covariance: Array
    spread: float


@dataclass(frozen=True)
class Stage:
    """What is believed of one stage. ``noise``: variance of a piece's log outcome that nothing explains."""

    level: Level
    noise: float
    groups: tuple[GroupEffects, ...]
    slopes: tuple[SlopeEffects, ...]


@dataclass(frozen=True)
class Fatigue:
    """What repetition costs: nats of views per post, by repeat and window (mode and deviation of a cut-off normal)."""

    mode: Array
    deviation: Array

    @property
    def proven(self) -> Array:
        """Slopes less one deviation: repetition that has not been seen to tire is not held back."""
        return np.maximum(0.0, self.mode - self.deviation)


@dataclass(frozen=True)
class Features:
    """The features that are used, and how they are brought to one scale."""

    names: tuple[str, ...]
    logs: Array
    centre: Array
    scale: Array

    def of(self, frame: pd.DataFrame) -> Array:
        """Rows × features; what a frame does not have or leaves empty stands at the middle."""
        out = np.zeros((len(frame), len(self.names)))
        for place, name in enumerate(self.names):
            if name not in frame.columns:
                continue
            raw = _numbers(frame[name])
            if self.logs[place]:
                raw = np.log1p(np.maximum(raw, 0.0))
            scaled = (raw - self.centre[place]) / self.scale[place]
            out[:, place] = np.clip(np.where(np.isfinite(scaled), scaled, 0.0), -4.0, 4.0)
        return out


@dataclass(frozen=True)
class FunnelPosterior:
    """What is believed on ``as_of``. Handed to ``plan_day``; ``summary`` is for a person.

    Attributes:
        as_of: the day being planned.
        levels: known values of each factor, in the order of their codes.
        features: how ``x_*`` columns are read.
        views, clicks, sales: the three stages.
        views_noise: per code of platform, variance of log views that nothing explains: platforms differ in their tails.
        fatigue: what repetition costs.
        recent: codes of the posts within the memory of fatigue, and their days.
        earned: per code of niche, dollars kept per dollar of commission promised; the last entry is for any other
            niche.
        pieces: that were seen.
        view_shares: share of the final views by age, per code of platform.
        sale_lags: share of sales by days after the click.
    """

    as_of: date
    spec: FunnelSpec
    levels: Mapping[str, pd.Index]
    features: Features
    views: Stage
    clicks: Stage
    sales: Stage
    views_noise: Array
    fatigue: Fatigue
    recent: Mapping[str, Array]
    recent_day: Array
    earned: Array
    pieces: int
    view_shares: Array
    sale_lags: Array

    def summary(self) -> pd.DataFrame:
        """How strongly each kind of group differs, as learned. One row per stage and block."""
        rows = [
            {"stage": name, "block": "×".join(block.factors), "spread": block.spread, "groups": len(block.keys)}
            for name, stage in (("views", self.views), ("clicks", self.clicks), ("sales", self.sales))
            for block in stage.groups
        ]
        rows += [
            {
                "stage": name,
                "block": f"features×{block.factor or 'all'}",
                "spread": block.spread,
                "groups": len(block.mean),
            }
            for name, stage in (("views", self.views), ("clicks", self.clicks), ("sales", self.sales))
            for block in stage.slopes
        ]
        return pd.DataFrame(rows, columns=["stage", "block", "spread", "groups"])

    def codes(self, frame: pd.DataFrame) -> dict[str, Array]:
        """Codes of a frame's rows; values never seen get codes after the known ones."""
        return {factor: _coded(frame[_COLUMN[factor]], self.levels[factor]) for factor in FACTORS}


def fit_funnel(
    pieces: pd.DataFrame,
    daily: pd.DataFrame,
    catalog: pd.DataFrame,
    *,
    as_of: date,
    spec: FunnelSpec = FunnelSpec(),
) -> FunnelPosterior:
    """Learn the funnel from everything dated before a day.

    Args:
        pieces: ``piece_id``, ``product_id``, ``niche``, ``platform``, ``prompt``, ``hour_slot`` (0–5), ``published``
            (date), ``cost`` and ``commission`` (dollars; per sale, as promised when it was planned), ``propensity``
            (may be NaN), ``x_*`` (features when planned). May be empty.
        daily: ``piece_id``, ``date``, ``views``, ``clicks``, ``conversions``, ``revenue`` (dollars; below nought: taken
            back): increments seen on that date. May be empty.
        catalog: ``product_id``, ``niche``, ``commission``, ``available_from``, ``x_*``.
        as_of: the day being planned; rows dated on it or later are not looked at.
        spec: how it is fitted.

    Raises:
        ValueError: a column is missing.
    """
    _require(pieces, ("piece_id", *_COLUMN.values(), "published", "cost", "commission"), "pieces")
    _require(daily, ("piece_id", "date", "views", "clicks", "conversions", "revenue"), "daily")
    _require(catalog, ("product_id", "niche"), "catalog")
    today = as_of.toordinal()
    published = _days(pieces["published"])
    made = pieces[published < today]
    day = published[published < today]
    order = np.argsort(day, kind="stable")
    made, day = made.iloc[order], day[order]

    levels = {factor: _levels([made[_COLUMN[factor]]]) for factor in FACTORS}
    levels["product"] = _levels([made["product_id"], catalog["product_id"]])
    levels["niche"] = _levels([made["niche"], catalog["niche"]])
    codes = {factor: _coded(made[_COLUMN[factor]], levels[factor]) for factor in FACTORS}
    features = _features(made, catalog) if spec.features else _no_features()
    x = features.of(made)

    seen = _increments(made, daily, today)
    platforms = max(1, len(levels["platform"]))
    last_age = np.minimum(today - 1 - day, HORIZON - 1)
    shares, share_spread = view_curve(seen, last_age, codes["platform"], platforms)
    count = len(made)
    views = np.bincount(seen.piece, seen.views, count)
    clicks = np.bincount(seen.piece, seen.clicks, count)
    sales = np.bincount(seen.piece, seen.conversions, count)
    reached = shares[codes["platform"], last_age] if spec.mature else np.ones(count)

    seen_day = day[seen.piece] + seen.age
    clicked = _flow(seen.piece, seen_day, seen.clicks)
    sold = _flow(seen.piece, seen_day, seen.conversions)
    sale_lags, _ = lag_shares(
        _latest(clicked, count), _latest(sold, count), last_day=today - 1, mean_delay=_SALE_DAYS, rate_prior=0.015
    )
    ripe_clicks = matured(clicked, sale_lags, last_day=today - 1, pieces=count) if spec.mature else clicks

    age = today - day
    views_blocks, views_keys = _blocks(codes, x, age, spec.windows, spec, levels, today=day)
    counts = repeats(codes, day, codes, day)
    counts[:, :, 0] = np.maximum(counts[:, :, 0] - 1, 0)  # a piece is not its own repetition
    flat = counts.reshape(count, len(REPEATS) * len(WINDOWS))
    size = np.sqrt((flat**2).mean(axis=0)) if count else np.ones(flat.shape[1])
    size = np.where(size > 0, size, 1.0)
    brakes = [Brakes(part, _BRAKE) for part in np.split(flat / size, len(REPEATS), axis=1)]
    fitted_views = fit_logs(
        np.log((views + 0.5) / reached),
        1 / (views + 0.5) + (share_spread[last_age] if spec.mature else 0.0),
        [*views_blocks, *(brakes if spec.fatigue else ())],
        prior=_VIEWS_PRIOR,
        noise=1.0,
        sweeps=spec.sweeps,
        tolerance=spec.tolerance,
    )
    clicks_blocks, clicks_keys = _blocks(codes, x, age, spec.slow_windows, spec, levels)
    shown = views > 0
    fitted_clicks = _fit_counts_where(shown, clicks, views, clicks_blocks, _CLICKS_PRIOR, spec)
    sales_blocks, sales_keys = _blocks(codes, x, age, spec.slow_windows, spec, levels, hours=False)
    ripe = ripe_clicks > 0
    fitted_sales = _fit_counts_where(ripe, sales, ripe_clicks, sales_blocks, _SALES_PRIOR, spec)

    shape = (len(REPEATS), len(WINDOWS))
    mode = np.stack([brake.mode for brake in brakes]) / size.reshape(shape)
    deviation = np.stack([brake.deviation for brake in brakes]) / size.reshape(shape)
    memory = day >= today - MEMORY
    return FunnelPosterior(
        as_of=as_of,
        spec=spec,
        levels=levels,
        features=features,
        views=_stage(fitted_views, views_blocks, views_keys),
        clicks=_stage(fitted_clicks, clicks_blocks, clicks_keys),
        sales=_stage(fitted_sales, sales_blocks, sales_keys),
        views_noise=_noise_by_platform(
            fitted_views, np.log((views + 0.5) / reached), views, codes["platform"], platforms
        ),
        fatigue=Fatigue(mode, deviation) if spec.fatigue else Fatigue(np.zeros(shape), np.zeros(shape)),
        recent={factor: code[memory] for factor, code in codes.items()},
        recent_day=day[memory],
        earned=_earned(made, seen, codes["niche"], len(levels["niche"]), today),
        pieces=count,
        view_shares=shares,
        sale_lags=sale_lags,
    )


# the design


def _blocks(
    codes: Mapping[str, Array],
    x: Array,
    age: Array,
    windows: Iterable[int],
    spec: FunnelSpec,
    levels: Mapping[str, pd.Index],
    *,
    today: Array | None = None,
    hours: bool = True,
) -> tuple[list[Block], list[tuple[tuple[str, ...], Array] | str | None]]:
    """Blocks of a regression, and per block what finds its effects again: factors and keys, or a slope's factor."""
    blocks: list[Block] = []
    finds: list[tuple[tuple[str, ...], Array] | str | None] = []
    groups: list[tuple[str, ...]] = [(factor,) for factor in FACTORS]
    if spec.pairs:
        groups += [pair for pair in _PAIRS if hours or "hour" not in pair]
    for factors in groups:
        keys, code = np.unique(joined(codes, factors), return_inverse=True)
        blocks.append(_pooled(Groups(code, len(keys), _MAIN if len(factors) == 1 else _PAIR), spec))
        finds.append((factors, keys))
    for window in windows:
        inside = age <= window
        for recent in ((), ("platform",), ("niche",), ("product",), ("prompt",)):
            key = joined(codes, recent) if recent else np.zeros(len(age), dtype=np.int64)
            keys, code = np.unique(key[inside], return_inverse=True)
            place = np.full(len(age), -1)
            place[inside] = code
            blocks.append(_pooled(Groups(place, len(keys), _RECENT), spec))
            finds.append((recent, keys))
    if today is not None and len(today):
        # What a platform's day did to all its pieces is no merit of theirs; it says nothing of tomorrow.
        keys, code = np.unique(codes["platform"] * (1 << 31) + today, return_inverse=True)
        blocks.append(Groups(code, len(keys), _RECENT))
        finds.append(None)
    if x.shape[1]:
        for factor in _SLOPE_FACTORS:
            if factor is None:
                blocks.append(Slopes(x, np.zeros(len(x), dtype=np.int64), 1, _SLOPE))
                finds.append("")
            elif 1 < len(levels[factor]) <= _MANY_GROUPS and spec.pairs:
                blocks.append(Slopes(x, codes[factor], len(levels[factor]), _SLOPE / 2))
                finds.append(factor)
    return blocks, finds


def _pooled(block: Groups, spec: FunnelSpec) -> Groups:
    if not spec.pooled:
        block.spread2 = 9.0
        block.learns = False
    return block


def _fit_counts_where(
    rows: Array, counts: Array, exposure: Array, blocks: list[Block], prior: Level, spec: FunnelSpec
) -> Fitted:
    """Rows that nobody could have acted on count for nothing, but keep their place in the blocks."""
    return fit_counts(
        np.where(rows, counts, 0.0),
        np.where(rows, exposure, 1e-9),
        blocks,
        prior=prior,
        noise=0.3,
        sweeps=spec.sweeps,
        tolerance=spec.tolerance,
    )


def _stage(fitted: Fitted, blocks: list[Block], finds: list[tuple[tuple[str, ...], Array] | str | None]) -> Stage:
    groups, slopes = [], []
    for block, find in zip(blocks, finds, strict=True):
        if isinstance(block, Groups) and isinstance(find, tuple):
            factors, keys = find
            groups.append(GroupEffects(factors, keys, block.mean, np.sqrt(block.variance), math.sqrt(block.spread2)))
        elif isinstance(block, Slopes) and isinstance(find, str):
            slopes.append(SlopeEffects(find or None, block.mean, block.covariance, math.sqrt(block.spread2)))
    return Stage(fitted.level, fitted.noise, tuple(groups), tuple(slopes))


def _noise_by_platform(fitted: Fitted, logs: Array, views: Array, platform: Array, platforms: int) -> Array:
    """Variance about the fit per platform, leaning on all by thirty pieces."""
    excess = (logs - fitted.fitted) ** 2 - 1 / (views + 0.5)
    trust = np.where(views >= 3, 1.0, 0.0)
    up = np.bincount(platform, excess * trust, platforms) + 30 * fitted.noise
    down = np.bincount(platform, trust, platforms) + 30
    return np.append(np.maximum(up / down, 0.01), fitted.noise)


# the frames


def _increments(made: pd.DataFrame, daily: pd.DataFrame, today: int) -> Increments:
    dated = _days(daily["date"])
    index = pd.Index(made["piece_id"])
    if not index.is_unique:
        raise ValueError("Some piece_id stands in pieces more than once: give every piece a row of its own.")
    piece = index.get_indexer(pd.Index(daily["piece_id"]))
    keep = (dated < today) & (piece >= 0)
    piece, dated = piece[keep], dated[keep]
    published = _days(made["published"])
    columns = {name: _numbers(daily[name])[keep] for name in ("views", "clicks", "conversions", "revenue")}
    columns = {name: np.where(np.isfinite(values), values, 0.0) for name, values in columns.items()}
    for name in ("views", "clicks", "conversions"):
        columns[name] = np.maximum(columns[name], 0.0)
    return Increments(piece, np.maximum(dated - published[piece], 0), **columns)


def _flow(piece: Array, day: Array, amount: Array) -> pd.DataFrame:
    some = amount > 0
    return pd.DataFrame({"piece": piece[some], "day": day[some], "amount": amount[some]})


def _latest(flow: pd.DataFrame, pieces: int) -> pd.DataFrame:
    """What the latest pieces did; pieces are numbered in order of publication."""
    return flow[flow["piece"] >= pieces - LATEST]


def _earned(made: pd.DataFrame, seen: Increments, niche: Array, niches: int, today: int) -> Array:
    """Dollars kept per dollar of commission promised, per niche: cut rates and reversals come off here."""
    promised = _numbers(made["commission"])[seen.piece] * seen.conversions
    paid, taken = np.maximum(seen.revenue, 0.0), np.maximum(-seen.revenue, 0.0)
    day = _days(made["published"])[seen.piece] + seen.age
    income = _flow(seen.piece, day, paid)
    back = _flow(seen.piece, day, taken)
    lags, _ = lag_shares(
        _latest(income, len(made)),
        _latest(back, len(made)),
        last_day=today - 1,
        mean_delay=_REVERSAL_DAYS,
        rate_prior=_REVERSED,
    )
    recent = 0.5 ** ((today - 1 - day) / _EARNED_HALF_LIFE)
    of = niche[seen.piece]
    ripe = matured(income, lags, last_day=today - 1, pieces=len(made))

    def leaning(up: Array, down: Array, of_rows: Array, unit: float, start: float) -> Array:
        common = (up.sum() + unit * _EARNED_PRIOR_SALES * start) / (down.sum() + unit * _EARNED_PRIOR_SALES)
        own = (np.bincount(of_rows, up, niches) + unit * _EARNED_PRIOR_SALES * common) / (
            np.bincount(of_rows, down, niches) + unit * _EARNED_PRIOR_SALES
        )
        return np.append(own, common)

    events = max(1.0, float((seen.conversions > 0).sum()))
    unit = max(1e-9, float(promised.sum()) / events) if promised.sum() > 0 else 1.0
    paid_share = leaning(paid * recent, promised * recent, of, unit, 1.0)
    taken_share = leaning(np.bincount(seen.piece, taken, len(made)), ripe, niche, unit, _REVERSED)
    return np.clip(paid_share, 0.0, None) * (1 - np.clip(taken_share, 0.0, 1.0))


def _features(made: pd.DataFrame, catalog: pd.DataFrame) -> Features:
    names = sorted({str(name) for frame in (made, catalog) for name in frame.columns if str(name).startswith("x_")})
    kept, logs, centres, scales = [], [], [], []
    for name in names:
        raw = np.concatenate([_numbers(frame[name]) for frame in (made, catalog) if name in frame.columns])
        raw = raw[np.isfinite(raw)]
        if len(raw) < 2:
            continue
        low, middle, high = np.quantile(raw, [0.05, 0.5, 0.95])
        # Sizes and counts are skewed by their nature; in logs they are as even as the rest.
        skewed = bool(raw.min() >= 0 and high - middle > 4 * max(middle - low, 1e-12))
        if skewed:
            raw = np.log1p(raw)
        scale = float(np.std(np.clip(raw, *np.quantile(raw, [0.01, 0.99]))))
        if scale < 1e-9:
            continue
        kept.append(name)
        logs.append(skewed)
        centres.append(float(np.mean(raw)))
        scales.append(scale)
    return Features(tuple(kept), np.array(logs, dtype=bool), np.array(centres), np.array(scales))


def _no_features() -> Features:
    return Features((), np.array([], dtype=bool), np.array([]), np.array([]))


def _require(frame: pd.DataFrame, columns: Iterable[str], name: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name} has no column {', '.join(missing)}: it must have one.")


def _numbers(column: pd.Series) -> Array:
    return np.asarray(pd.to_numeric(column, errors="coerce"), dtype="float64")


def _days(column: pd.Series) -> Array:
    """Proleptic ordinals of a column of dates, whatever it holds them as."""
    if column.empty:
        return np.array([], dtype=np.int64)
    stamps = pd.to_datetime(column).to_numpy(dtype="datetime64[D]").astype(np.int64)
    return np.asarray(stamps + date(1970, 1, 1).toordinal(), dtype=np.int64)


def _levels(columns: list[pd.Series]) -> pd.Index:
    values = pd.concat([column.astype("object") for column in columns], ignore_index=True).dropna()
    return pd.Index(sorted(values.unique()))


def _coded(column: pd.Series, levels: pd.Index) -> Array:
    code = np.asarray(levels.get_indexer(pd.Index(column.astype("object"))), dtype=np.int64)
    unknown = code < 0
    if unknown.any():
        new = np.unique(column.to_numpy(dtype="object")[unknown].astype(str))
        code[unknown] = len(levels) + np.searchsorted(new, column.to_numpy(dtype="object")[unknown].astype(str))
    return code
