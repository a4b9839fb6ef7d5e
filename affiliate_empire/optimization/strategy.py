"""The next strategy: prompt weights and niche factors from profit per piece, shrunken by evidence.

**Model.** The sales of a piece are Poisson with a rate per mature piece; each group (prompt version, niche, platform)
has its own rate with a Gamma prior around the rate of all pieces, worth ``PRIOR_PIECES`` pieces. Pieces vary far more
than Poisson allows (one in ten goes viral), so counts are divided by a dispersion that is estimated from the pieces
themselves. A young piece counts as the share of its sales that can have been reported by now (``maturity``). Profit per
piece is ``rate × commission per sale − cost per piece``. For prompt versions the commission per sale is that of all
pieces: which product a piece sold is not the prompt's merit.

**Rules.** Weights of prompt versions move halfway to the probability of being the best, and never below the exploration
floor. A niche is halved only when the upper end of its 80 % interval is a loss, and raised only when the lower end is
above the mean of all; never on a point estimate. The slate of the platforms is the owner's: they are judged, not
changed.

Pending commissions count: they are the network's present word. A reversal takes them back here as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

from affiliate_empire.kernel.money import dollars

EXPLORATION_SHARE = 0.10  # the owner's plan: one piece in ten tries something else
PRIOR_PIECES = 10.0
_PRIOR_DISPERSION = 3.0
_SALES_OF_PRIOR = 10.0
# Half of a piece's sales are reported within 17 hours, nine tenths within 55. A prior until delays have been measured.
_REPORT_HOURS = 24.0
_DRAWS = 4000
_NICHE_PIECES = 5  # fewer mature pieces decide nothing about a niche
_NICHE_HALVED, _NICHE_RAISED = 0.5, 1.25


class Decisions(pa.DataFrameModel):
    """What was decided about each prompt version, niche and platform. One row per subject and key."""

    subject: Series[str] = pa.Field(isin=["prompt", "niche", "platform"])
    key: Series[str] = pa.Field(description="the prompt version, niche or platform")
    pieces: Series[int] = pa.Field(ge=0, description="published pieces in the window")
    clicks: Series[int] = pa.Field(ge=0, description="human clicks")
    conversions: Series[int] = pa.Field(ge=0, description="sales that were not reversed")
    commission_micros: Series[int] = pa.Field(description="as it stands, US dollars")
    cost_micros: Series[int] = pa.Field(ge=0, description="US dollars")
    profit_per_piece_micros: Series[int] = pa.Field(description="expected of a mature piece, shrunken by evidence")
    low_micros: Series[int] = pa.Field(description="lower end of the 80 % interval")
    high_micros: Series[int] = pa.Field(description="upper end of the 80 % interval")
    weight_before: Series[float] = pa.Field(ge=0)
    weight_after: Series[float] = pa.Field(ge=0)
    reason: Series[str] = pa.Field(description="in plain words")

    class Config:
        strict = True
        coerce = True
        ordered = True
        unique: ClassVar[list[str]] = ["subject", "key"]


DECISION_COLUMNS = list(Decisions.to_schema().columns)


@dataclass(frozen=True)
class StrategyDecision:
    """``content`` is the next strategy; ``decisions`` (``Decisions``), ``evidence`` and ``reasons`` say why."""

    content: dict[str, Any]
    decisions: pd.DataFrame
    evidence: dict[str, Any]
    reasons: list[str]


@dataclass(frozen=True)
class _Pool:
    """What all pieces of the window say together."""

    rate: float  # sales per mature piece
    commission: float  # micros per sale
    dispersion: float


@dataclass(frozen=True)
class _Group:
    """A group's counts and what is believed of its profit per piece, in micros."""

    pieces: int
    mature: float
    clicks: int
    conversions: int
    commission_micros: int
    cost_micros: int
    mean: float
    low: float
    high: float
    draws: np.ndarray


def first_strategy(versions: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The strategy before anything was published: every active prompt version of a kind gets the same share."""
    weights = {kind: {name: round(1 / len(names), 12) for name in sorted(names)} for kind, names in versions.items()}
    return {"prompt_weights": weights, "niche_weights": {}, "exploration_share": EXPLORATION_SHARE}


def maturity(age_hours: float) -> float:
    """Share of a piece's sales that can have been reported at an age."""
    return 1.0 - math.exp(-max(0.0, age_hours) / _REPORT_HOURS)


def decide_strategy(
    outcomes: pd.DataFrame,
    current: Mapping[str, Any],
    *,
    versions: Mapping[str, Sequence[str]],
    as_of: datetime,
    seed: int,
) -> StrategyDecision:
    """Decide the strategy of the next day.

    Args:
        outcomes: ``analytics.frames.Outcomes`` of the window; pieces that were not published are passed over.
        current: content of the strategy in force.
        versions: active prompt versions by kind; a new one enters with the exploration floor.
        as_of: the instant of the decision (UTC); nothing later may be in ``outcomes``.
        seed: with the day it fixes every draw.
    """
    published = outcomes[outcomes["published_at"].notna()].copy()
    age = (pd.Timestamp(as_of) - published["published_at"]).dt.total_seconds() / 3600
    published["mature"] = [maturity(float(hours)) for hours in age]
    published = published[published["mature"] > 0]
    pool = _pool(published)
    chance = np.random.default_rng([seed, as_of.toordinal()])
    rows: list[dict[str, Any]] = []
    content = {
        "prompt_weights": _prompt_weights(published, current, versions, pool, chance, rows),
        "niche_weights": _niche_weights(published, current, pool, chance, rows),
        "exploration_share": float(current["exploration_share"]),
    }
    _judge_platforms(published, pool, chance, rows)
    decisions = Decisions.validate(pd.DataFrame(rows, columns=DECISION_COLUMNS))
    evidence = {
        "as_of": as_of.isoformat(),
        "seed": seed,
        "pieces": len(published),
        "mature_pieces": round(float(published["mature"].sum()), 3),
        "clicks": int(published["clicks"].sum()),
        "conversions": int(published["conversions"].sum()),
        "commission_micros": int(published["commission_micros"].sum()),
        "cost_micros": int(published["cost_micros"].sum()),
        "dispersion": round(pool.dispersion, 6) if pool else None,
        "prior_pieces": PRIOR_PIECES,
        "report_hours": _REPORT_HOURS,
        "decisions": decisions.to_dict("records"),
        "reasons": decisions["reason"].tolist(),
    }
    return StrategyDecision(content, decisions, evidence, decisions["reason"].tolist())


def _pool(published: pd.DataFrame) -> _Pool | None:
    """What all pieces say; None before the first sale, when there is nothing to learn profits from."""
    sales = int(published["conversions"].sum())
    if sales == 0:
        return None
    mature = published["mature"].to_numpy(dtype="float64")
    rate = sales / float(mature.sum())
    expected = rate * mature
    pearson = (published["conversions"].to_numpy(dtype="float64") - expected) ** 2 / expected
    dispersion = (PRIOR_PIECES * _PRIOR_DISPERSION + float(pearson.sum())) / (PRIOR_PIECES + len(published))
    return _Pool(rate, float(published["commission_micros"].sum()) / sales, max(1.0, dispersion))


def _group(pieces: pd.DataFrame, pool: _Pool, chance: np.random.Generator, *, own_commission: bool) -> _Group:
    """Posterior of one group; with ``own_commission`` what its own sales paid counts too."""
    mature = float(pieces["mature"].sum())
    sales = int(pieces["conversions"].sum())
    earned = int(pieces["commission_micros"].sum())
    cost = int(pieces["cost_micros"].sum())
    commission = pool.commission
    if own_commission:
        commission = (_SALES_OF_PRIOR * pool.commission + earned) / (_SALES_OF_PRIOR + sales)
    shape = (PRIOR_PIECES * pool.rate + sales) / pool.dispersion
    rate = (PRIOR_PIECES + mature) / pool.dispersion
    draws = chance.gamma(shape, 1 / rate, _DRAWS) * commission - cost / max(1, len(pieces))
    low, high = np.quantile(draws, [0.1, 0.9])
    return _Group(
        pieces=len(pieces),
        mature=mature,
        clicks=int(pieces["clicks"].sum()),
        conversions=sales,
        commission_micros=earned,
        cost_micros=cost,
        mean=shape / rate * commission - cost / max(1, len(pieces)),
        low=float(low),
        high=float(high),
        draws=draws,
    )


def _row(subject: str, key: str, group: _Group, before: float, after: float, reason: str) -> dict[str, Any]:
    return {
        "subject": subject,
        "key": key,
        "pieces": group.pieces,
        "clicks": group.clicks,
        "conversions": group.conversions,
        "commission_micros": group.commission_micros,
        "cost_micros": group.cost_micros,
        "profit_per_piece_micros": round(group.mean),
        "low_micros": round(group.low),
        "high_micros": round(group.high),
        "weight_before": round(before, 6),
        "weight_after": round(after, 6),
        "reason": reason,
    }


def _before_first_sale(pieces: pd.DataFrame) -> _Group:
    """Counts alone: without a sale nothing can be believed of a profit but the cost."""
    cost = int(pieces["cost_micros"].sum())
    loss = -cost / max(1, len(pieces))
    nothing = np.full(1, loss)
    return _Group(
        len(pieces), float(pieces["mature"].sum()), int(pieces["clicks"].sum()), 0, 0, cost, loss, loss, loss, nothing
    )


def _prompt_weights(
    published: pd.DataFrame,
    current: Mapping[str, Any],
    versions: Mapping[str, Sequence[str]],
    pool: _Pool | None,
    chance: np.random.Generator,
    rows: list[dict[str, Any]],
) -> dict[str, dict[str, float]]:
    weights: dict[str, dict[str, float]] = {}
    for kind in sorted(versions):
        names = sorted(versions[kind])
        before = _normalised({name: float(current["prompt_weights"].get(kind, {}).get(name, 0.0)) for name in names})
        pieces = {name: published[published["prompt_version"] == name] for name in names}
        if pool is None:
            after = before
            groups = {name: _before_first_sale(pieces[name]) for name in names}
        else:
            groups = {name: _group(pieces[name], pool, chance, own_commission=False) for name in names}
            best = np.argmax(np.stack([groups[name].draws for name in names]), axis=0)
            winning = {name: float((best == place).mean()) for place, name in enumerate(names)}
            after = _floored({name: (before[name] + winning[name]) / 2 for name in names})
        for name in names:
            reason = _prompt_reason(
                name, groups[name], before[name], after[name], alone=len(names) == 1, sold=pool is not None
            )
            rows.append(_row("prompt", name, groups[name], before[name], after[name], reason))
        weights[kind] = {name: round(after[name], 12) for name in names}
    return weights


def _normalised(weights: dict[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total if total > 0 else 1 / len(weights) for name, weight in weights.items()}


def _floored(weights: dict[str, float]) -> dict[str, float]:
    """No version below its equal part of the exploration share, so that none is ever given up for good."""
    floor = EXPLORATION_SHARE / len(weights)
    scaled = _normalised(weights)
    return {name: floor + (1 - EXPLORATION_SHARE) * weight for name, weight in scaled.items()}


def _niche_weights(
    published: pd.DataFrame,
    current: Mapping[str, Any],
    pool: _Pool | None,
    chance: np.random.Generator,
    rows: list[dict[str, Any]],
) -> dict[str, float]:
    weights = {str(niche): float(factor) for niche, factor in current.get("niche_weights", {}).items()}
    overall = None if pool is None else pool.rate * pool.commission - float(published["cost_micros"].mean())
    for niche in sorted(published["niche"].unique()):
        pieces = published[published["niche"] == niche]
        before = weights.get(niche, 1.0)
        if pool is None or overall is None:
            group, after = _before_first_sale(pieces), before
            reason = f"{niche}: {_count(group)}; no sale has been reported yet, so it stays at {before:g}."
        else:
            group = _group(pieces, pool, chance, own_commission=True)
            after, why = 1.0, f"the interval decides nothing, so it stands at {1.0:g}"
            if group.mature < _NICHE_PIECES:
                why = f"{group.mature:.1f} mature pieces are too few to judge it by"
            elif group.high < 0:
                after, why = _NICHE_HALVED, "even the upper end is a loss, so its scores are halved"
            elif group.low > overall:
                after, why = (
                    _NICHE_RAISED,
                    "even the lower end is above the mean of all, so its scores are raised by a quarter",
                )
            reason = f"{niche}: {_count(group)}; {_profit(group)}; {why}."
        rows.append(_row("niche", niche, group, before, after, reason))
        weights[niche] = after
    return {niche: factor for niche, factor in sorted(weights.items()) if factor != 1.0}


def _judge_platforms(
    published: pd.DataFrame, pool: _Pool | None, chance: np.random.Generator, rows: list[dict[str, Any]]
) -> None:
    for platform in sorted(published["platform"].unique()):
        pieces = published[published["platform"] == platform]
        if pool is None:
            group = _before_first_sale(pieces)
            reason = f"{platform}: {_count(group)}; no sale has been reported yet."
        else:
            group = _group(pieces, pool, chance, own_commission=True)
            reason = f"{platform}: {_count(group)}; {_profit(group)}; the slate is the owner's and stays as it is."
        rows.append(_row("platform", platform, group, 1.0, 1.0, reason))


def _prompt_reason(name: str, group: _Group, before: float, after: float, *, alone: bool, sold: bool) -> str:
    share = f"from {before:.0%} to {after:.0%}" if round(before, 2) != round(after, 2) else f"at {after:.0%}"
    verb = "moves" if "from" in share else "stays"
    if not sold:
        return f"{name}: {_count(group)}; no sale has been reported yet, so its share {verb} {share}."
    if alone:
        return f"{name}: {_count(group)}; {_profit(group)}; it has no rival, so its share {verb} {share}."
    thin = " The evidence is thin." if group.mature < PRIOR_PIECES else ""
    return f"{name}: {_count(group)}; {_profit(group)}; its share {verb} {share}.{thin}"


def _count(group: _Group) -> str:
    pieces = f"{group.pieces} piece{'' if group.pieces == 1 else 's'}"
    sales = f"{group.conversions} sale{'' if group.conversions == 1 else 's'}"
    return f"{pieces}, {group.clicks:,} clicks, {sales}, {dollars(group.commission_micros)} earned"


def _profit(group: _Group) -> str:
    mean, low, high = (dollars(round(value)) for value in (group.mean, group.low, group.high))
    return f"about {mean} profit per mature piece (80 % between {low} and {high})"
