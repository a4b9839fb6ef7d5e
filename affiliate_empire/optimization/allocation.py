"""The plan of a day: which pieces, under every cap, as chance and evidence have it.

**Thompson, tempered.** Sets of beliefs are drawn from the posterior with their deviation scaled down, and plans are
made of them, each piece chosen by the next set. These plans depend on the evidence and the day alone; ``seed`` chooses
one of them. So the propensity of a planned piece, the share of the plans that hold it, is its exact probability.

**Best plan.** Greedy on what a piece adds: its expected commission as tired as the audience is today, less its cost,
less what it takes from others. A post tires the audience of later posts as much as earlier posts have tired its own:
where one posts steadily, what a piece imposes is what it suffers, ``fatigue × value`` of its peers. When the best piece
left adds nothing, the day is full: fewer pieces than the caps allow are planned. (Greedy against integer programming on
true values: 0.1–0.2 % of profit.)

Pure. ``plan_day`` decides per platform; accounts are assigned afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from affiliate_empire.optimization.fatigue import REPEATS, WINDOW_DAYS, joined, repeats
from affiliate_empire.optimization.funnel import FunnelPosterior, GroupEffects, Stage, _numbers, _require

Array = np.ndarray

PLAN_COLUMNS = ["product_id", "platform", "prompt", "hour_slot", "propensity"]
_PLANS = 16
_DRAWS = 16  # sets of beliefs; each piece of a plan is chosen by the next of them
_TEMPER = 0.35
_SHORTLIST = 60  # rows per platform and hour, for a start
_REFUSALS = 3  # so many draws in a row that would add nothing end the day
_MANY = 1 << 31  # more than there are products
_NEGLIGIBLE = 0.003  # nats per post: a repeat that costs less is left out of the bookkeeping


@dataclass(frozen=True)
class Caps:
    """What a day may hold at most.

    Attributes:
        per_platform: pieces per platform; a platform that is not named gets none.
        per_platform_slot: pieces of a platform in one hour slot; a platform that is not named gets none.
        per_product, per_product_platform, per_niche: pieces of any one of them.
        budget: dollars for all pieces together; None: no limit.
    """

    per_platform: dict[str, int]
    per_platform_slot: dict[str, int]
    per_product: int
    per_product_platform: int
    per_niche: int
    budget: float | None = None

    def problems(self) -> list[str]:
        """What no plan can make sense of, one sentence each."""
        found = [
            f"The cap {name} of {key} is {value}: it must be a whole number from 0."
            for name, caps in (("per_platform", self.per_platform), ("per_platform_slot", self.per_platform_slot))
            for key, value in caps.items()
            if not _whole(value)
        ]
        found += [
            f"The cap {name} is {value}: it must be a whole number from 0."
            for name, value in (
                ("per_product", self.per_product),
                ("per_product_platform", self.per_product_platform),
                ("per_niche", self.per_niche),
            )
            if not _whole(value)
        ]
        if self.budget is not None and not self.budget >= 0:
            found.append(f"The budget is {self.budget}: it must be dollars from 0, or None for no limit.")
        return found


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 0


def plan_day(
    posterior: FunnelPosterior,
    candidates: pd.DataFrame,
    caps: Caps,
    *,
    as_of: date,
    seed: int,
) -> pd.DataFrame:
    """Plan a day.

    Args:
        posterior: of ``fit_funnel``, as of the same day or an earlier one.
        candidates: ``product_id``, ``niche``, ``platform``, ``prompt``, ``hour_slot``, ``cost``, ``commission``,
            ``x_*``; what policy forbids is not among them.
        caps: are never broken.
        as_of: the day being planned.
        seed: chooses among the day's plans; the same seed gives the same plan.

    Returns:
        ``product_id``, ``platform``, ``prompt``, ``hour_slot``, ``propensity``; best first. ``attrs["bound_by"]``
        lists, in plain sentences, why the plan holds no more.

    Raises:
        ValueError: caps or candidates make no sense; the message says what to do.
    """
    _require(
        candidates,
        ("product_id", "niche", "platform", "prompt", "hour_slot", "cost", "commission"),
        "candidates",
    )
    problems = caps.problems()
    if problems:
        raise ValueError(" ".join(problems))
    if as_of < posterior.as_of:
        raise ValueError(f"The funnel was fitted as of {posterior.as_of}: fit it as of {as_of} to plan that day.")
    offered = candidates.drop_duplicates(["product_id", "platform", "prompt", "hour_slot"]).reset_index(drop=True)
    field = _Field(posterior, offered, caps, as_of)
    plans = field.plans()
    chosen = plans[int(np.random.default_rng([abs(seed), as_of.toordinal()]).integers(len(plans)))]
    held = np.zeros(len(offered))
    for plan in plans:
        held[plan] += 1 / len(plans)
    out = offered.iloc[chosen][PLAN_COLUMNS[:-1]].reset_index(drop=True)
    out["propensity"] = held[chosen] if len(chosen) else pd.Series(dtype="float64")
    out.attrs["bound_by"] = field.explain(chosen)
    return out


class _Field:
    """The candidates of one day with what is believed of them."""

    def __init__(self, posterior: FunnelPosterior, offered: pd.DataFrame, caps: Caps, as_of: date) -> None:
        self.posterior, self.caps, self.offered = posterior, caps, offered
        self.codes = posterior.codes(offered)
        self.cost = _numbers(offered["cost"])
        commission = _numbers(offered["commission"])
        niche = np.minimum(self.codes["niche"], len(posterior.earned) - 1)
        self.worth = commission * posterior.earned[niche]
        valid = np.isfinite(self.cost) & np.isfinite(commission)
        self.limits = _Limits(offered, self.codes, self.cost, caps)
        self.open = valid & self.limits.open()
        self.as_of = as_of

    def plans(self) -> list[Array]:
        """The day's plans, each as likely as the others. They depend on no seed."""
        rows = np.flatnonzero(self.open)
        if not len(rows):
            return [rows]
        posterior = self.posterior
        x = posterior.features.of(self.offered.iloc[rows])
        codes = {factor: code[rows] for factor, code in self.codes.items()}
        stages = [_Reading(stage, codes, x) for stage in (posterior.views, posterior.clicks, posterior.sales)]
        platform = np.minimum(codes["platform"], len(posterior.views_noise) - 1)
        tail = posterior.views_noise[platform] / 2  # from the median of a piece's views to their mean
        variance = stages[0].variance + stages[1].variance + stages[2].variance
        mean = stages[0].mean + stages[1].mean + stages[2].mean + tail + variance / 2
        today = np.full(len(rows), self.as_of.toordinal())
        past = repeats(codes, today, posterior.recent, posterior.recent_day)
        past[:, :, 0] = 0.0
        tired = np.einsum("rkw,kw->r", past, posterior.fatigue.proven)
        hope = np.exp(np.clip(mean - tired + 1.5 * _TEMPER * np.sqrt(variance), -50, 50))
        hope = self.worth[rows] * hope - self.cost[rows]
        middle = tail + (1 - _TEMPER**2) * variance / 2
        width = _SHORTLIST
        while True:
            short = self._shortlist(rows, hope, width)
            found = self._plans_of(rows[short], short, stages, middle[short], past[short])
            if len(short) == len(rows) or all(self.limits.room_left(plan, hungry) for plan, hungry in found):
                return [plan for plan, _ in found]
            width *= 4

    def _shortlist(self, rows: Array, hope: Array, width: int) -> Array:
        """Places of the most hopeful rows of every platform and hour, no product with more than three of them there."""
        if width > 16 * _SHORTLIST:
            return np.arange(len(rows))
        order = np.argsort(-hope, kind="stable")
        cell = joined({name: self.codes[name][rows[order]] for name in ("platform", "hour")}, ("platform", "hour"))
        cell = np.unique(cell, return_inverse=True)[1]
        few = _place_in_group(cell * _MANY + self.codes["product"][rows[order]]) < 3
        order, cell = order[few], cell[few]
        return np.sort(order[_place_in_group(cell) < width])

    def _plans_of(
        self, rows: Array, short: Array, stages: list[_Reading], middle: Array, past: Array
    ) -> list[tuple[Array, bool]]:
        """Plans from a shortlist, and whether each would take more rows if there were any."""
        chance = np.random.default_rng([self.as_of.toordinal(), 7])
        codes = {factor: code[rows] for factor, code in self.codes.items()}
        fresh = np.empty((_DRAWS, len(rows)))
        for place in range(_DRAWS):
            logs = middle.copy()
            for stage in stages:
                logs += stage.draw(chance, short, _TEMPER)
            fresh[place] = self.worth[rows] * np.exp(np.clip(logs, -50, 50))
        belief = self.posterior.fatigue
        found = []
        for _ in range(_PLANS):
            drawn = belief.proven + _TEMPER * belief.deviation * chance.standard_normal(belief.mode.shape)
            slope = np.where(belief.proven > 0, np.maximum(drawn, 0.0), 0.0)
            plan, hungry = self._best(fresh[chance.permutation(_DRAWS)], rows, past, slope, codes)
            found.append((rows[plan], hungry))
        return found

    def _best(
        self, fresh: Array, rows: Array, past: Array, slope: Array, codes: Mapping[str, Array]
    ) -> tuple[Array, bool]:
        cost = self.cost[rows]
        best, hungry = _greedy(fresh, cost, past, slope, codes, self.limits.taker(rows, frugal=False))
        if self.caps.budget is None or cost[best].sum() <= self.caps.budget:
            return best, hungry
        return _greedy(fresh, cost, past, slope, codes, self.limits.taker(rows), per_dollar=True)

    def explain(self, chosen: Array) -> list[str]:
        return self.limits.explain(chosen, self.open, len(self.offered))


class _Reading:
    """A stage's beliefs about the candidates: mean and variance of each row's log, and draws of both."""

    def __init__(self, stage: Stage, codes: Mapping[str, Array], x: Array) -> None:
        count = len(x)
        self.stage, self.x = stage, x
        self.mean = np.full(count, stage.level.mean)
        self.variance = np.full(count, stage.level.variance)
        self._found: list[tuple[Array, Array, Array]] = []
        for block in stage.groups:
            place, mean, deviation = _found(block, codes, count)
            self.mean += mean[place]
            self.variance += deviation[place] ** 2
            self._found.append((place, mean, deviation))
        self._sloped: list[tuple[Array, Array, Array]] = []
        for slopes in stage.slopes:
            if not x.shape[1]:
                continue
            unknown_mean = np.zeros((1, x.shape[1]))
            mean = np.concatenate([slopes.mean, unknown_mean])
            covariance = np.concatenate([slopes.covariance, np.eye(x.shape[1])[None] * slopes.spread**2])
            at = (
                np.zeros(count, dtype=np.int64)
                if slopes.factor is None
                else np.minimum(codes[slopes.factor], len(slopes.mean))
            )
            self.mean += np.einsum("ij,ij->i", x, mean[at])
            self.variance += np.einsum("ij,ijk,ik->i", x, covariance[at], x)
            self._sloped.append((at, mean, np.linalg.cholesky(covariance)))

    def draw(self, chance: np.random.Generator, rows: Array, temper: float) -> Array:
        """One drawn set of beliefs, read for some rows: the deviation of every effect is scaled by ``temper``."""
        level = self.stage.level  # is common to all rows: chance in it would move how much is posted, not what
        out = np.full(len(rows), level.mean)
        for place, mean, deviation in self._found:
            drawn = mean + temper * deviation * chance.standard_normal(len(mean))
            out += drawn[place[rows]]
        for at, mean, root in self._sloped:
            drawn = mean + temper * np.einsum("gij,gj->gi", root, chance.standard_normal(mean.shape))
            out += np.einsum("ij,ij->i", self.x[rows], drawn[at[rows]])
        return out


def _found(block: GroupEffects, codes: Mapping[str, Array], count: int) -> tuple[Array, Array, Array]:
    """Each row's place among a block's effects; groups never seen get places of their own, at its mean."""
    key = joined(codes, block.factors) if block.factors else np.zeros(count, dtype=np.int64)
    if len(block.keys):
        place = np.minimum(np.searchsorted(block.keys, key), len(block.keys) - 1)
        known = block.keys[place] == key
    else:
        place, known = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
    new, at = np.unique(key[~known], return_inverse=True)
    place[~known] = len(block.keys) + at
    return (
        place,
        np.concatenate([block.mean, np.zeros(len(new))]),
        np.concatenate([block.deviation, np.full(len(new), block.spread)]),
    )


class _Limits:
    """The caps as groups of rows with room."""

    def __init__(self, offered: pd.DataFrame, codes: Mapping[str, Array], cost: Array, caps: Caps) -> None:
        self.offered, self.cost, self.caps = offered, cost, caps
        platform = offered["platform"].astype(str)
        self.groups: dict[str, Array] = {}
        self.room: dict[str, Array] = {}
        for name, key, cap in (
            ("per_platform", codes["platform"], platform.map(caps.per_platform).fillna(0)),
            (
                "per_platform_slot",
                joined(codes, ("platform", "hour")),
                platform.map(caps.per_platform_slot).fillna(0),
            ),
            ("per_product", codes["product"], caps.per_product),
            ("per_product_platform", joined(codes, ("product", "platform")), caps.per_product_platform),
            ("per_niche", codes["niche"], caps.per_niche),
        ):
            groups, code = np.unique(key, return_inverse=True)
            room = np.zeros(len(groups), dtype=np.int64)
            room[code] = np.broadcast_to(np.asarray(cap, dtype=np.int64), len(code))
            self.groups[name], self.room[name] = code, room

    def open(self) -> Array:
        """Rows that a plan of one piece could hold."""
        fine = np.ones(len(self.offered), dtype=bool)
        for name, code in self.groups.items():
            fine &= self.room[name][code] > 0
        if self.caps.budget is not None:
            fine &= self.cost <= self.caps.budget
        return fine

    def taker(self, rows: Array, *, frugal: bool = True) -> _Taker:
        budget = self.caps.budget if frugal else None
        groups = {name: code[rows] for name, code in self.groups.items()}
        return _Taker(groups, {name: room.copy() for name, room in self.room.items()}, self.cost[rows], budget)

    def room_left(self, chosen: Array, hungry: bool) -> bool:
        """Whether a plan is full or has had enough, so that more rows to choose from would not lengthen it."""
        if not hungry:
            return True
        counted = np.bincount(self.groups["per_platform"][chosen], minlength=len(self.room["per_platform"]))
        return bool((counted >= self.room["per_platform"]).all())

    def explain(self, chosen: Array, open_rows: Array, offered: int) -> list[str]:
        wanted = sum(self.caps.per_platform.values())
        if len(chosen) >= wanted:
            return [f"The platforms' caps: all {wanted} places are taken."]
        if not offered:
            return ["There are no candidates: bring products into the catalogue, or allow more of them."]
        said = []
        platforms = set(self.offered["platform"].astype(str))
        for name, caps in (
            ("per_platform", self.caps.per_platform),
            ("per_platform_slot", self.caps.per_platform_slot),
        ):
            missing = sorted(platforms - {key for key, value in caps.items() if value > 0})
            said += [f"{platform} has no room in {name}: nothing is planned there." for platform in missing]
        for platform, cap in sorted(self.caps.per_platform.items()):
            slots = self.caps.per_platform_slot.get(platform, 0)
            if 0 < slots * 6 < cap:
                said.append(f"{platform}: six slots of {slots} hold {slots * 6} of the {cap} pieces allowed a day.")
        left = np.ones(len(self.offered), dtype=bool)
        left[chosen] = False
        spent = float(self.cost[chosen].sum())
        for name, code in self.groups.items():
            used = np.bincount(code[chosen], minlength=len(self.room[name]))
            full = used >= self.room[name]
            shut = left & full[code]
            if name != "per_platform" and shut.any() and full.any():
                said.append(f"{name} is reached in {int((full & (self.room[name] > 0)).sum())} places.")
        if self.caps.budget is not None and (left & (self.cost > self.caps.budget - spent)).any():
            said.append(f"The budget of ${self.caps.budget:,.2f}: ${spent:,.2f} of it is planned.")
        if not open_rows.any():
            return said or ["No candidate has a cost and a commission."]
        said.append(
            f"{len(chosen)} of {wanted} places are planned: the next piece adds less than it costs, or a cap holds it."
        )
        return said


class _Taker:
    """Takes rows until a cap holds them."""

    def __init__(self, groups: dict[str, Array], room: dict[str, Array], cost: Array, budget: float | None) -> None:
        self.groups, self.room, self.cost = groups, room, cost
        self.budget = budget
        self.free = np.ones(len(cost), dtype=bool)
        for name, code in groups.items():
            self.free &= room[name][code] > 0
        self._fit_budget()

    def take(self, row: int) -> None:
        self.free[row] = False
        for name, code in self.groups.items():
            group = code[row]
            self.room[name][group] -= 1
            if self.room[name][group] <= 0:
                self.free &= code != group
        if self.budget is not None:
            self.budget -= float(self.cost[row])
            self._fit_budget()

    def _fit_budget(self) -> None:
        if self.budget is not None:
            self.free &= self.cost <= self.budget + 1e-9


def _greedy(
    fresh: Array,
    cost: Array,
    past: Array,
    slope: Array,
    codes: Mapping[str, Array],
    taker: _Taker,
    *,
    foresight: float = 1.0,
    per_dollar: bool = False,
) -> tuple[Array, bool]:
    """The best plan for one set of beliefs, best first.

    Args:
        fresh: draws × rows, dollars that a row brings from an audience that is not tired.
        cost: dollars.
        past: rows × repeats × windows, earlier posts.
        slope: nats per post, repeats × windows.
        codes: of the factors.
        taker: the caps.
        foresight: what a piece takes from others counts so many times; 0 is a plan that thinks of today alone.
        per_dollar: rank by what a dollar adds, as is best where the budget binds before the caps.

    Returns:
        Rows, and whether more would have been taken had there been rows that the caps allow.
    """
    reach = slope @ WINDOW_DAYS
    kept = [place for place in range(len(REPEATS)) if reach[place] > _NEGLIGIBLE]
    groups = [np.unique(joined(codes, REPEATS[place]), return_inverse=True)[1] for place in kept]
    # Nats that each kind of repetition takes from a row; same-day posts are added as they are planned.
    tired = [past[:, place, 1:] @ slope[place, 1:] for place in kept]
    today = [slope[place, 0] for place in kept]
    left = np.exp(-sum(tired, np.zeros(len(cost))))
    sums = [np.zeros(int(group.max()) + 1) for group in groups]
    counts = [np.zeros(int(group.max()) + 1) for group in groups]
    dear = np.maximum(cost, 1e-9)
    chosen: list[int] = []
    refused = 0
    turn = 0
    while taker.free.any():
        value = fresh[turn % len(fresh)] * left
        turn += 1
        imposed = np.zeros(len(cost))
        for spot, group in enumerate(groups):
            peers = np.where(counts[spot] > 0, sums[spot] / np.maximum(counts[spot], 1), 0.0)[group]
            imposed += tired[spot] * np.where(peers > 0, peers, value)
        adds = np.where(taker.free, value - cost - foresight * imposed, -np.inf)
        row = int(np.argmax(np.where(adds > 0, adds / dear, -np.inf) if per_dollar else adds))
        if adds[row] <= 0:
            refused += 1
            if refused >= min(_REFUSALS, len(fresh)):
                return np.array(chosen, dtype=np.int64), False
            continue
        refused = 0
        taker.take(row)
        chosen.append(row)
        for spot, group in enumerate(groups):
            own = group[row]
            sums[spot][own] += value[row]
            counts[spot][own] += 1
            if today[spot] > 0:
                same = group == own
                tired[spot][same] += today[spot]
                left[same] *= np.exp(-today[spot])
    return np.array(chosen, dtype=np.int64), True


def _place_in_group(key: Array) -> Array:
    """For each entry, how many earlier entries have its key."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(key) else np.array([], dtype=np.int64)
    sizes = np.diff(np.append(starts, len(key)))
    place = np.empty(len(key), dtype=np.int64)
    place[order] = np.arange(len(key)) - np.repeat(starts, sizes)
    return place
