"""Markets to try a strategy in: what a piece earns in truth, what of it is seen and when, and who knows everything.

Each kind differs in structure, none is made of the learner's own parts: fatigue decays where the learner counts
windows, tastes are of hidden clusters, tails are mixtures. Development uses seeds below 1000,
judgement those from 1000.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import product as cross

import numpy as np
import pandas as pd

from affiliate_empire.optimization import Caps, FunnelSpec, fit_funnel, plan_day
from affiliate_empire.optimization.allocation import _greedy, _Limits
from affiliate_empire.optimization.fatigue import REPEATS, WINDOWS

START = date(2026, 1, 5)
PLATFORMS = ("youtube", "tiktok", "instagram", "blog")
HOURS = 6
LIFE = 60  # days over which a piece is watched

Array = np.ndarray
Frames = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True)
class Kind:
    """What a market is like. Standard deviations are in logs."""

    products: int = 60
    niches: int = 8
    prompts: int = 4
    main: float = 1.0  # scale of effects of one factor
    pair: float = 1.0  # scale of effects of two
    clusters: float = 0.0  # taste of hidden clusters of products for prompts on platforms
    noise: float = 1.2
    viral: float = 0.0  # chance that a piece goes viral, at eightfold views
    drift: float = 0.02  # a day
    sales: float = 0.0  # added to the log of sales per click
    fatigue: float = 0.0
    crowding: float = 0.0
    threshold: float = 0.0  # how much an algorithm rewards what is already good
    season: float = 0.0
    outage: bool = False
    collapse: bool = False
    arrivals: int = 0
    useless: float = 0.5  # share of features that say nothing
    a_day: int = 50
    margin: float = 1.3  # mean earning of a random piece in units of its cost


KINDS: dict[str, Kind] = {
    "additive": Kind(outage=True, collapse=True),
    "stationary": Kind(drift=0.0),
    "interactions": Kind(main=0.6, pair=1.6, clusters=0.7),
    "sparse": Kind(sales=-1.6, margin=3.0),
    "heavy": Kind(noise=1.9, viral=0.02),
    "fatigue": Kind(fatigue=1.0, crowding=1.0, clusters=0.4, main=0.8, threshold=1.0, season=0.2, margin=3.0),
    "drift": Kind(drift=0.06, season=0.2),
    "outage": Kind(outage=True, drift=0.03),
    "arrivals": Kind(products=40, arrivals=60),
}


class Market:
    def __init__(self, kind: Kind | str, seed: int) -> None:
        self.kind = kind = KINDS[kind] if isinstance(kind, str) else kind
        self.chance = chance = np.random.default_rng([seed, 11])
        count = kind.products + kind.arrivals
        sizes = (count, kind.niches, len(PLATFORMS), kind.prompts, HOURS)
        self.niche_of = chance.integers(0, kind.niches, count)
        self.available = np.zeros(count, dtype=int)
        self.available[kind.products :] = np.sort(chance.integers(1, 80, kind.arrivals))

        def effects(sd: float, *shape: int) -> Array:
            return chance.normal(0, sd, shape)

        m, p = kind.main, kind.pair
        P, N, L, Q, H = sizes
        self.v = {
            "n": effects(0.4 * m, N),
            "p": effects(0.5 * m, P),
            "l": effects(0.5 * m, L),
            "q": effects(0.2 * m, Q),
            "lh": effects(0.25 * m, L, H),
            "nl": effects(0.3 * p, N, L),
            "pl": effects(0.25 * p, P, L),
            "nq": effects(0.2 * p, N, Q),
            "lq": effects(0.2 * p, L, Q),
        }
        self.c = {
            "n": effects(0.2 * m, N),
            "p": effects(0.35 * m, P),
            "l": effects(0.3 * m, L),
            "q": effects(0.25 * m, Q),
            "nq": effects(0.2 * p, N, Q),
            "pl": effects(0.15 * p, P, L),
        }
        self.s = {
            "n": effects(0.3 * m, N),
            "p": effects(0.5 * m, P),
            "l": effects(0.3 * m, L),
            "nl": effects(0.2 * p, N, L),
        }
        cluster = chance.integers(0, 5, P)
        self.taste = effects(kind.clusters, 5, L, Q)[cluster]
        self.commission = np.exp(chance.normal(math.log(18), 0.6, P))
        self.cost = np.array([1.6, 1.4, 1.5, 0.9])
        features = 6
        informative = round(features * (1 - kind.useless))
        wanted = [self.v["p"], self.c["p"], self.s["p"]]
        self.x = np.stack(
            [
                (wanted[i % 3] / max(1e-9, wanted[i % 3].std()) if i < informative else 0) + chance.normal(0, 1, P)
                for i in range(features)
            ],
            axis=1,
        )
        self.x[:, 1] = np.exp(self.x[:, 1])
        days = 130
        self.walk = {
            "n": np.cumsum(chance.normal(0, kind.drift, (days, N)), 0),
            "l": np.cumsum(chance.normal(0, kind.drift, (days, L)), 0),
            "p": np.cumsum(chance.normal(0, kind.drift * 1.2, (days, P)), 0),
        }
        if kind.season:
            week = kind.season * np.sin(2 * np.pi * (np.arange(days)[:, None] + chance.integers(0, 7, L)) / 7)
            self.walk["l"] = self.walk["l"] + week
        if kind.outage:
            start, platform = int(chance.integers(25, 50)), int(chance.integers(0, L - 1))
            self.walk["l"][start : start + int(chance.integers(6, 14)), platform] -= 3.5
        if kind.collapse:
            self.walk["n"][int(chance.integers(20, 70)) :, int(chance.integers(0, N))] -= 1.0
        self.cut_day, self.cut_niche = (
            (int(chance.integers(20, 60)), int(chance.integers(0, N))) if kind.collapse else (999, 0)
        )
        self.view_delay = np.array([3.0, 1.5, 2.0, 12.0])
        grid = np.array(list(cross(range(P), range(L), range(Q), range(H))))
        self.P, self.L, self.Q, self.H = grid.T
        self.N = self.niche_of[self.P]
        v, c, s = self.v, self.c, self.s
        self.base_views = (
            v["n"][self.N]
            + v["p"][self.P]
            + v["l"][self.L]
            + v["q"][self.Q]
            + v["lh"][self.L, self.H]
            + v["nl"][self.N, self.L]
            + v["pl"][self.P, self.L]
            + v["nq"][self.N, self.Q]
            + v["lq"][self.L, self.Q]
            + self.taste[self.P, self.L, self.Q]
        )
        if kind.threshold:
            self.base_views = self.base_views + 1.2 * kind.threshold / (1 + np.exp(-4 * (self.base_views - 0.8)))
        self.ctr = (
            math.log(0.006)
            + c["n"][self.N]
            + c["p"][self.P]
            + c["l"][self.L]
            + c["q"][self.Q]
            + c["nq"][self.N, self.Q]
            + c["pl"][self.P, self.L]
        )
        self.cvr = (
            math.log(0.02) + kind.sales + s["n"][self.N] + s["p"][self.P] + s["l"][self.L] + s["nl"][self.N, self.L]
        )
        self.cvr = np.minimum(self.cvr, math.log(0.5))
        self.kept = 0.92
        worth = np.exp(self.base_views + self.ctr + self.cvr - kind.sales) * self.commission[self.P] * self.kept
        # A random piece earns about its cost; that sales are rarer is not made up for.
        self.level = math.log(kind.margin * self.cost.mean() / worth.mean())
        self._increments: list[pd.DataFrame] = []
        self._pieces: list[pd.DataFrame] = []
        products = np.array([f"p{i:04d}" for i in range(P)])
        self.names = {
            "product_id": products[self.P],
            "niche": np.array([f"n{i}" for i in range(N)])[self.N],
            "platform": np.array(PLATFORMS)[self.L],
            "prompt": np.array([f"q{i}" for i in range(Q)])[self.Q],
            "hour_slot": self.H,
        }
        self.product_names = products
        self.index = {key: place for place, key in enumerate(zip(self.P, self.L, self.Q, self.H, strict=True))}
        self.caps = Caps(
            dict.fromkeys(PLATFORMS, 0) | {"youtube": 15, "tiktok": 15, "instagram": 12, "blog": 8},
            {"youtube": 4, "tiktok": 4, "instagram": 3, "blog": 3},
            per_product=5,
            per_product_platform=2,
            per_niche=18,
        )
        # The decaying memory of repetition, as an audience has it: product, niche, prompt on a platform, and all there.
        self.memory = {"p": np.zeros(P), "n": np.zeros(N), "q": np.zeros(Q), "l": np.zeros(L)}

    # truth

    def tired(self) -> dict[str, Array]:
        """Nats of views that earlier days take from each row."""
        f, k = self.kind.fatigue, self.kind.crowding
        return {
            "p": f * 0.3 * np.minimum(self.memory["p"], 8)[self.P],
            "n": f * 0.012 * self.memory["n"][self.N],
            "q": f * 0.006 * self.memory["q"][self.Q],
            "l": k * 0.006 * self.memory["l"][self.L],
        }

    def same_day(self) -> dict[str, float]:
        f, k = self.kind.fatigue, self.kind.crowding
        return {"p": 0.3 * f, "n": 0.012 * f, "q": 0.006 * f, "l": 0.04 * k}

    def fresh_views(self, day: int) -> Array:
        """Expected views of every row, nobody being tired."""
        walk = self.walk["n"][day, self.N] + self.walk["l"][day, self.L] + self.walk["p"][day, self.P]
        mean_of_viral = math.log1p(self.kind.viral * 7)
        return np.exp(self.level + self.base_views + walk + mean_of_viral)

    def worth(self, day: int) -> Array:
        """Dollars per view of every row."""
        commission = self.commission[self.P] * np.where((day >= self.cut_day) & (self.cut_niche == self.N), 0.4, 1.0)
        return np.exp(self.ctr + self.cvr) * commission * self.kept

    def rows_of(self, day: int) -> Array:
        return np.flatnonzero(self.available[self.P] <= day)

    def candidates(self, day: int) -> pd.DataFrame:
        rows = self.rows_of(day)
        frame = pd.DataFrame({name: values[rows] for name, values in self.names.items()})
        cut = np.where((day >= self.cut_day) & (self.N[rows] == self.cut_niche), 0.4, 1.0)
        frame["cost"], frame["commission"] = self.cost[self.L[rows]], self.commission[self.P[rows]] * cut
        for place in range(self.x.shape[1]):
            frame[f"x_{place}"] = self.x[self.P[rows], place]
        frame["x_trend"] = (
            self.walk["p"][day, self.P[rows]] * 5
            + np.random.default_rng(day).normal(0, 1, len(self.available))[self.P[rows]]
        )
        return frame

    def catalog(self, day: int) -> pd.DataFrame:
        some = np.flatnonzero(self.available <= day)
        frame = pd.DataFrame(
            {
                "product_id": self.product_names[some],
                "niche": [f"n{i}" for i in self.niche_of[some]],
                "commission": self.commission[some],
                "available_from": [START + timedelta(int(d)) for d in self.available[some]],
            }
        )
        for place in range(self.x.shape[1]):
            frame[f"x_{place}"] = self.x[some, place]
        return frame

    # life

    def rows(self, plan: pd.DataFrame) -> Array:
        product = plan["product_id"].str[1:].astype(int)
        platform = plan["platform"].map({name: place for place, name in enumerate(PLATFORMS)})
        prompt = plan["prompt"].str[1:].astype(int)
        keys = zip(product, platform, prompt, plan["hour_slot"].astype(int), strict=True)
        return np.array([self.index[key] for key in keys], dtype=int)

    def publish(self, rows: Array, day: int, propensity: Array | None = None, *, seen: bool = True) -> float:
        """Post rows; returns the profit that is expected of them in the end."""
        tired = sum(self.tired().values())[rows] if len(rows) else np.array([])
        same = self.same_day()
        for key, code in (("p", self.P), ("n", self.N), ("q", self.Q), ("l", self.L)):
            mine = code[rows]
            tired = tired + same[key] * (np.bincount(mine, minlength=1)[mine] - 1 if len(mine) else 0)
        views = self.fresh_views(day)[rows] * np.exp(-tired)
        worth = self.worth(day)[rows]
        profit = float((views * worth - self.cost[self.L[rows]]).sum())
        fall = math.exp(-1 / 5)
        for key, code in (("p", self.P), ("n", self.N), ("q", self.Q), ("l", self.L)):
            posted = np.bincount(code[rows], minlength=len(self.memory[key])) if len(rows) else 0
            self.memory[key] = (self.memory[key] + posted) * fall
        if seen and len(rows):
            self._live(rows, day, views, propensity)
        return profit

    def _live(self, rows: Array, day: int, views: Array, propensity: Array | None) -> None:
        chance, kind, count = self.chance, self.kind, len(rows)
        first = sum(len(frame) for frame in self._pieces)
        ids = np.array([f"piece{first + i:06d}" for i in range(count)])
        frame = self.candidates(day)
        at = np.searchsorted(self.rows_of(day), rows)
        frame = frame.iloc[at].reset_index(drop=True)
        frame.insert(0, "piece_id", ids)
        frame["published"] = START + timedelta(day)
        frame["propensity"] = np.nan if propensity is None else propensity
        self._pieces.append(frame)
        total = views / (1 + kind.viral * 7) * np.exp(chance.normal(-(kind.noise**2) / 2, kind.noise, count))
        total = total * np.where(chance.random(count) < kind.viral, 8.0, 1.0)
        delay = self.view_delay[self.L[rows]]
        ages = np.arange(LIFE)
        share = (1 - np.exp(-1 / delay))[:, None] * np.exp(-ages[None, :] / delay[:, None])
        share = share / share.sum(axis=1, keepdims=True)
        jitter = chance.gamma(4, 0.25, share.shape)
        seen = chance.poisson(total[:, None] * share * jitter)
        rate = np.minimum(1.0, np.exp(self.ctr[rows] + chance.normal(-0.08, 0.4, count)))
        clicks = chance.binomial(seen, rate[:, None])
        sales = chance.binomial(
            clicks, np.minimum(1.0, np.exp(self.cvr[rows] + chance.normal(-0.045, 0.3, count)))[:, None]
        )
        piece, age = np.nonzero(sales)
        piece, age = np.repeat(piece, sales[piece, age]), np.repeat(age, sales[piece, age])
        late = np.where(
            chance.random(len(piece)) < 0.15, chance.exponential(12, len(piece)), chance.exponential(2.5, len(piece))
        ).astype(int)
        reported = age + late
        paid = frame["commission"].to_numpy()[piece] * np.exp(chance.normal(-0.03, 0.25, len(piece)))
        taken = chance.random(len(piece)) < 0.08
        back = reported + chance.integers(10, 31, len(piece))
        parts = []
        p, a = np.nonzero(seen)
        parts.append(
            pd.DataFrame(
                {
                    "piece_id": ids[p],
                    "day": day + a,
                    "views": seen[p, a],
                    "clicks": clicks[p, a],
                    "conversions": 0,
                    "revenue": 0.0,
                }
            )
        )
        parts.append(
            pd.DataFrame(
                {
                    "piece_id": ids[piece],
                    "day": day + reported,
                    "views": 0,
                    "clicks": 0,
                    "conversions": 1,
                    "revenue": paid,
                }
            )
        )
        parts.append(
            pd.DataFrame(
                {
                    "piece_id": ids[piece[taken]],
                    "day": day + back[taken],
                    "views": 0,
                    "clicks": 0,
                    "conversions": 0,
                    "revenue": -paid[taken],
                }
            )
        )
        self._increments.append(pd.concat(parts, ignore_index=True))

    def frames(self, day: int) -> Frames:
        """Pieces, daily and catalogue as somebody has them on the morning of a day."""
        if not self._pieces:
            pieces = self.candidates(0).iloc[:0].assign(piece_id="", published=START, propensity=math.nan)
            daily = pd.DataFrame(
                {"piece_id": [], "date": [], "views": [], "clicks": [], "conversions": [], "revenue": []}
            )
            return pieces, daily, self.catalog(day)
        known = pd.concat(self._increments, ignore_index=True)
        self._increments = [known]
        daily = known[known["day"] < day]
        daily = daily.assign(date=pd.Timestamp(START) + pd.to_timedelta(daily["day"], unit="D")).drop(columns="day")
        return pd.concat(self._pieces, ignore_index=True), daily, self.catalog(day)


# policies

Policy = Callable[[Market, int, int], pd.DataFrame]


def learner(spec: FunnelSpec | None = None) -> Policy:
    def decide(market: Market, day: int, seed: int) -> pd.DataFrame:
        today = START + timedelta(day)
        posterior = fit_funnel(*market.frames(day), as_of=today, spec=spec or FunnelSpec())
        return plan_day(posterior, market.candidates(day), market.caps, as_of=today, seed=seed)

    return decide


def random_policy(market: Market, day: int, seed: int) -> pd.DataFrame:
    frame = market.candidates(day)
    score = np.random.default_rng([seed, day]).random(len(frame))
    return _take(market, frame, score)


def seed_rules(market: Market, day: int, seed: int) -> pd.DataFrame:
    """The first plan of this business: a composite score, niches killed below 50 % and doubled above 300 % ROI,
    one piece in ten at random."""
    frame = market.candidates(day)
    pieces, daily, _ = market.frames(day)
    chance = np.random.default_rng([seed, day])
    rank = pd.DataFrame({name: frame[name].rank(pct=True) for name in ("commission", "x_trend", "x_0", "x_1", "x_2")})
    score = (rank * [0.3, 0.25, 0.2, 0.15, 0.1]).sum(axis=1).to_numpy()
    factor = dict.fromkeys(frame["niche"].unique(), 1.0)
    if len(pieces):
        earned = daily.groupby("piece_id")["revenue"].sum()
        made = pieces.assign(revenue=pieces["piece_id"].map(earned).fillna(0.0))
        old = made[pd.to_datetime(made["published"]) < pd.Timestamp(START + timedelta(day - 7))]
        of = old.groupby("niche").agg(revenue=("revenue", "sum"), cost=("cost", "sum"), pieces=("cost", "size"))
        for niche, row in of[of["pieces"] >= 20].iterrows():
            roi = row["revenue"] / row["cost"] - 1
            factor[str(niche)] = 0.0 if roi < 0.5 else 2.0 if roi > 3 else 1.0
    alive = frame["niche"].map(factor).to_numpy(dtype=float)
    score = np.where(alive > 0, score * alive, -1) + 0.02 * chance.random(len(frame))
    score = np.where((chance.random(len(frame)) < 0.1) & (alive > 0), chance.random(len(frame)) * 3, score)
    return _take(market, frame[score > 0], score[score > 0])


def _take(market: Market, frame: pd.DataFrame, score: Array) -> pd.DataFrame:
    frame = frame.reset_index(drop=True)
    codes = {
        "product": pd.factorize(frame["product_id"])[0],
        "platform": pd.factorize(frame["platform"])[0],
        "niche": pd.factorize(frame["niche"])[0],
        "hour": frame["hour_slot"].to_numpy(),
        "prompt": pd.factorize(frame["prompt"])[0],
    }
    rows = np.arange(len(frame))
    taker = _Limits(frame, codes, frame["cost"].to_numpy(), market.caps).taker(rows)
    nothing = np.zeros((len(frame), len(REPEATS), len(WINDOWS)))
    plan, _ = _greedy(score[None] + 1, np.zeros(len(frame)), nothing, np.zeros(nothing.shape[1:]), codes, taker)
    return frame.iloc[plan].assign(propensity=math.nan)


def oracle_rows(market: Market, day: int, foresight: float) -> Array:
    """The best plan of somebody who knows every truth of today, and what repetition costs."""
    rows = market.rows_of(day)
    value = (market.fresh_views(day) * market.worth(day))[rows]
    codes = {
        "product": market.P[rows],
        "niche": market.N[rows],
        "platform": market.L[rows],
        "prompt": market.Q[rows],
        "hour": market.H[rows],
    }
    past, slope = np.zeros((len(rows), len(REPEATS), len(WINDOWS))), np.zeros((len(REPEATS), len(WINDOWS)))
    tired, same = market.tired(), market.same_day()
    for place, key in enumerate(("p", "n", "q", "l")):
        past[:, place, 1] = tired[key][rows]
        slope[place, 0], slope[place, 1] = same[key], 1.0 if market.kind.fatigue else 0.0
    frame = pd.DataFrame({name: values[rows] for name, values in market.names.items()})
    cost = market.cost[market.L[rows]]
    taker = _Limits(frame, codes, cost, market.caps).taker(np.arange(len(rows)))
    plan, _ = _greedy(value[None], cost, past, slope, codes, taker, foresight=foresight)
    return rows[plan]


def live(kind: str | Kind, seed: int, policy: Policy, days: int = 90) -> Array:
    """Expected profit of each day's pieces."""
    market, earned = Market(kind, seed), np.zeros(days)
    for day in range(days):
        plan = policy(market, day, seed)
        earned[day] = (
            market.publish(market.rows(plan), day, plan["propensity"].to_numpy())
            if len(plan)
            else market.publish(np.array([], dtype=int), day)
        )
    return earned


def oracle(kind: str | Kind, seed: int, days: int = 90) -> Array:
    """What the clairvoyant earns under the caps: the best of several degrees of foresight where audiences tire."""
    shape = KINDS[kind] if isinstance(kind, str) else kind
    runs = []
    for foresight in (0.0, 0.5, 1.0, 1.5) if shape.fatigue else (0.0,):
        market = Market(kind, seed)
        runs.append([market.publish(oracle_rows(market, day, foresight), day, seen=False) for day in range(days)])
    return np.array(max(runs, key=sum))


__all__ = ["KINDS", "Kind", "Market", "learner", "live", "oracle", "random_policy", "replace", "seed_rules"]
