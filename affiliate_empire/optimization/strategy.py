"""The next strategy: prompt weights and niche factors from profit per piece, shrunken by evidence.

**Model.** The sales of a piece are Poisson with a rate per mature piece. The rate of all pieces has a Gamma prior worth
one piece; the rate of a group (prompt version, niche, platform) is Gamma around it, so a group leans on all pieces
until it has evidence of its own. Pieces vary far more than Poisson allows (some go viral), so counts are divided
by a dispersion estimated from the pieces themselves. A young piece counts as the share of its sales that can have been
reported by now (``maturity``). Profit per piece is ``rate × commission per sale − cost per piece``. For prompt versions
the commission per sale is that of all pieces: which product a piece sold is not the prompt's merit.

**Rules.** Weights of prompt versions move halfway to the probability of being the best of their kind, and never below
the exploration floor. A niche is halved only when the upper end of its 80 % interval is a loss, and raised only when it
is better than all pieces with 90 % probability; never on a point estimate. The slate of the platforms is the owner's:
they are judged, not changed.

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
from affiliate_empire.ranking.score import CLICKS_PER_PIECE

EXPLORATION_SHARE = 0.10  # the owner's plan: one piece in ten tries something else
# Sales of a piece before any was seen: the clicks that the ranking expects, at its middle conversion rate.
_SALES_EXPECTED = CLICKS_PER_PIECE * 0.03
_DISPERSION_EXPECTED, _DISPERSION_PIECES = 3.0, 10.0
# How far groups differ: standard deviation of about 0.2 between prompts (measured on 4,873 headline tests of Upworthy),
# taken as 0.4 between niches and platforms. A Gamma of shape 1/sd² has it.
_LIKENESS = {"prompt": 25.0, "niche": 6.0, "platform": 6.0}
_SALES_OF_PRIOR = (
    10.0  # sales of its own that a group needs for its commission per sale to weigh as much as that of all
)
_THIN = 10.0  # mature pieces below which a reason says that its evidence is thin
# Half of a piece's sales are reported within 17 hours, nine tenths within 55. A prior until delays have been measured.
_REPORT_HOURS = 24.0
_DRAWS = 4000
_SMALLEST_RATE = 1e-12  # sales per mature piece
_NICHE_PIECES = 5  # fewer mature pieces decide nothing about a niche
_NICHE_HALVED, _NICHE_RAISED, _NICHE_SURE = 0.5, 1.25, 0.9


class Decisions(pa.DataFrameModel):
    """What was decided about each prompt version, niche and platform. One row per subject and key."""

    subject: Series[str] = pa.Field(isin=["prompt", "niche", "platform"], description="what the decision is about")
    key: Series[str] = pa.Field(description="the prompt version, niche or platform")
    pieces: Series[int] = pa.Field(ge=0, description="published pieces in the window")
    clicks: Series[int] = pa.Field(ge=0, description="human clicks")
    conversions: Series[int] = pa.Field(ge=0, description="sales that were not reversed")
    commission_micros: Series[int] = pa.Field(description="as it stands, US dollars")
    cost_micros: Series[int] = pa.Field(ge=0, description="US dollars")
    profit_per_piece_micros: Series[int] = pa.Field(description="expected of a mature piece, shrunken by evidence")
    low_micros: Series[int] = pa.Field(description="lower end of the 80 % interval")
    high_micros: Series[int] = pa.Field(description="upper end of the 80 % interval")
    weight_before: Series[float] = pa.Field(ge=0, description="its share or factor until then; 1 is neutral")
    weight_after: Series[float] = pa.Field(ge=0, description="from the next midnight on")
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
    """What all pieces looked at say together. ``rates`` are draws of their common rate."""

    rates: np.ndarray
    commission: float  # micros per sale
    dispersion: float
    cost: float  # micros per piece


@dataclass(frozen=True)
class _Group:
    """A group's counts, and draws of its profit per mature piece in micros (None where nothing can be believed yet)."""

    pieces: int
    mature: float
    clicks: int
    conversions: int
    commission_micros: int
    cost_micros: int
    profits: np.ndarray | None

    @property
    def mean(self) -> float:
        return -self.cost_micros / max(1, self.pieces) if self.profits is None else float(self.profits.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 80 % interval."""
        if self.profits is None:
            return self.mean, self.mean
        low, high = np.quantile(self.profits, [0.1, 0.9])
        return float(low), float(high)


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
    chance = np.random.default_rng([seed, as_of.toordinal()])
    sold = int(published["conversions"].sum()) > 0
    commission = float(published["commission_micros"].sum()) / int(published["conversions"].sum()) if sold else None
    rows: list[dict[str, Any]] = []
    prompt_weights = {
        kind: _prompt_weights(kind, sorted(names), published, current, commission, chance, rows)
        for kind, names in sorted(versions.items())
    }
    pool = _pool(published, commission, chance)
    content = {
        "prompt_weights": prompt_weights,
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
        "sales_expected": _SALES_EXPECTED,
        "report_hours": _REPORT_HOURS,
        "decisions": decisions.to_dict("records"),
        "reasons": decisions["reason"].tolist(),
    }
    return StrategyDecision(content, decisions, evidence, decisions["reason"].tolist())


def _pool(published: pd.DataFrame, commission: float | None, chance: np.random.Generator) -> _Pool | None:
    """What the pieces say together; None before the first sale, when nothing can be said of a profit."""
    if commission is None or published.empty:
        return None
    mature = published["mature"].to_numpy(dtype="float64")
    sales = published["conversions"].to_numpy(dtype="float64")
    rate = (_SALES_EXPECTED + sales.sum()) / (1 + mature.sum())
    pearson = (sales - rate * mature) ** 2 / (rate * mature)
    strength = _DISPERSION_PIECES
    dispersion = max(1.0, (strength * _DISPERSION_EXPECTED + float(pearson.sum())) / (strength + len(published)))
    shape = (_SALES_EXPECTED + sales.sum()) / dispersion
    rates = chance.gamma(shape, dispersion / (1 + mature.sum()), _DRAWS)
    return _Pool(rates, commission, dispersion, float(published["cost_micros"].mean()))


def _group(subject: str, pieces: pd.DataFrame, pool: _Pool | None, chance: np.random.Generator) -> _Group:
    """Counts of a group and, given the pool, what is believed of its profit per mature piece."""
    mature = float(pieces["mature"].sum())
    sales = int(pieces["conversions"].sum())
    earned = int(pieces["commission_micros"].sum())
    cost = int(pieces["cost_micros"].sum())
    profits = None
    if pool is not None:
        commission = pool.commission
        if subject != "prompt":
            commission = (_SALES_OF_PRIOR * pool.commission + earned) / (_SALES_OF_PRIOR + sales)
        likeness = _LIKENESS[subject]
        shape = likeness + sales / pool.dispersion
        # A draw of the common rate can underflow to nothing where sales are far rarer than chance allows.
        common = np.maximum(pool.rates, _SMALLEST_RATE)
        rates = chance.gamma(shape, 1 / (likeness / common + mature / pool.dispersion))
        profits = rates * commission - (cost / len(pieces) if len(pieces) else pool.cost)
    return _Group(len(pieces), mature, int(pieces["clicks"].sum()), sales, earned, cost, profits)


def _row(subject: str, key: str, group: _Group, before: float, after: float, reason: str) -> dict[str, Any]:
    low, high = group.interval
    return {
        "subject": subject,
        "key": key,
        "pieces": group.pieces,
        "clicks": group.clicks,
        "conversions": group.conversions,
        "commission_micros": group.commission_micros,
        "cost_micros": group.cost_micros,
        "profit_per_piece_micros": round(group.mean),
        "low_micros": round(low),
        "high_micros": round(high),
        "weight_before": round(before, 6),
        "weight_after": round(after, 6),
        "reason": reason,
    }


def _prompt_weights(
    kind: str,
    names: Sequence[str],
    published: pd.DataFrame,
    current: Mapping[str, Any],
    commission: float | None,
    chance: np.random.Generator,
    rows: list[dict[str, Any]],
) -> dict[str, float]:
    """Weights of a kind's prompt versions, compared among themselves: a post and a video share nothing."""
    before = _normalised({name: float(current["prompt_weights"].get(kind, {}).get(name, 0.0)) for name in names})
    of_kind = published[published["kind"] == kind]
    pool = _pool(of_kind, commission, chance)
    groups = {name: _group("prompt", of_kind[of_kind["prompt_version"] == name], pool, chance) for name in names}
    after = before
    if pool is not None:
        drawn = np.stack([group.profits for group in groups.values() if group.profits is not None])
        best = np.argmax(drawn, axis=0)
        winning = {name: float((best == place).mean()) for place, name in enumerate(groups)}
        after = _floored({name: (before[name] + winning[name]) / 2 for name in names})
    for name in names:
        reason = _prompt_reason(name, groups[name], before[name], after[name], alone=len(names) == 1)
        rows.append(_row("prompt", name, groups[name], before[name], after[name], reason))
    return {name: round(after[name], 12) for name in names}


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
    for niche in sorted(published["niche"].unique()):
        before = weights.get(niche, 1.0)
        group = _group("niche", published[published["niche"] == niche], pool, chance)
        after, why = before, f"no sale has been reported yet, so its factor stays at {before:g}"
        if pool is not None and group.profits is not None:
            all_pieces = pool.rates * pool.commission - pool.cost
            better = float((group.profits > all_pieces).mean())
            after, why = 1.0, "nothing speaks clearly for or against it"
            if group.mature < _NICHE_PIECES:
                why = f"{group.mature:.1f} mature pieces are too few to judge it by"
            elif group.interval[1] < 0:
                after, why = _NICHE_HALVED, "even the upper end is a loss, so its scores are halved"
            elif better >= _NICHE_SURE:
                after, why = (
                    _NICHE_RAISED,
                    f"it beats all pieces with {_share(better)} probability, so its scores rise by a quarter",
                )
            why = f"{_profit(group)}; {why}"
        rows.append(_row("niche", niche, group, before, after, f"{niche}: {_count(group)}; {why}."))
        weights[niche] = after
    return {niche: factor for niche, factor in sorted(weights.items()) if factor != 1.0}


def _judge_platforms(
    published: pd.DataFrame, pool: _Pool | None, chance: np.random.Generator, rows: list[dict[str, Any]]
) -> None:
    for platform in sorted(published["platform"].unique()):
        group = _group("platform", published[published["platform"] == platform], pool, chance)
        why = "no sale has been reported yet"
        if group.profits is not None:
            why = f"{_profit(group)}; the slate is the owner's and stays as it is"
        rows.append(_row("platform", platform, group, 1.0, 1.0, f"{platform}: {_count(group)}; {why}."))


def _prompt_reason(name: str, group: _Group, before: float, after: float, *, alone: bool) -> str:
    moved = round(before, 2) != round(after, 2)
    share = (
        f"its share moves from {_share(before)} to {_share(after)}" if moved else f"its share stays at {_share(after)}"
    )
    if group.pieces == 0:
        return f"{name}: no piece of it was published yet; {share}."
    if group.profits is None:
        return f"{name}: {_count(group)}; no sale has been reported yet, so {share}."
    if alone:
        return f"{name}: {_count(group)}; {_profit(group)}; it has no rival, so {share}."
    thin = " The evidence is thin." if group.mature < _THIN else ""
    return f"{name}: {_count(group)}; {_profit(group)}; {share}.{thin}"


def _share(fraction: float) -> str:
    return f"{fraction * 100:.0f} %"


def _count(group: _Group) -> str:
    pieces = f"{group.pieces} piece{'' if group.pieces == 1 else 's'}"
    sales = f"{group.conversions} sale{'' if group.conversions == 1 else 's'}"
    return f"{pieces}, {group.clicks:,} clicks, {sales}, {dollars(group.commission_micros)} earned so far"


def _profit(group: _Group) -> str:
    mean, low, high = (dollars(round(value)) for value in (group.mean, *group.interval))
    return f"about {mean} profit per mature piece (80 % between {low} and {high})"
