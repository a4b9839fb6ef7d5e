"""What the learner earns of what could have been earned, and what a day's fit and plan cost as the history grows.

Writes the sections "Optimizer" and "Optimizer speed" of ``benchmarks/results.md``; run it with
``.venv/bin/python benchmarks/optimizer.py profit`` and ``… speed``.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affiliate_empire.optimization import Caps, FunnelSpec, fit_funnel, plan_day
from benchmarks.report import conditions, write_section
from tests.factories.strategy_market import KINDS, PLATFORMS, START, learner, live, oracle, random_policy, seed_rules

SIZES = ((90, 50, 200), (180, 100, 1_000), (365, 250, 5_000), (730, 500, 10_000))  # days, pieces a day, products
POLICIES = {"learner": learner(), "the first rules": seed_rules, "at random": random_policy}
ABLATIONS = {
    "without pooling": FunnelSpec(pooled=False),
    "without allowance for what is to come": FunnelSpec(mature=False),
    "without pairs": FunnelSpec(pairs=False),
    "without features": FunnelSpec(features=False),
    "without fatigue": FunnelSpec(fatigue=False),
    "without recent levels": FunnelSpec(windows=(), slow_windows=()),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("profit", "ablations", "speed"))
    options.add_argument("--markets", default=",".join(KINDS))
    options.add_argument("--seeds", type=int, default=3, help="how many, from --first-seed on")
    options.add_argument("--first-seed", type=int, default=1000, help="below 1000: development")
    options.add_argument("--days", type=int, default=90)
    options.add_argument("--largest", type=int, default=len(SIZES), help="how many of the sizes are measured")
    chosen = options.parse_args()
    if chosen.what == "speed":
        write_section("Optimizer speed", speed(chosen.largest))
        return
    markets = chosen.markets.split(",")
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    if chosen.what == "profit":
        write_section("Optimizer", profit(markets, seeds, chosen.days))
    else:
        write_section("Optimizer ablations", ablations(markets, seeds, chosen.days))


def profit(markets: list[str], seeds: range, days: int) -> list[str]:
    lines = [
        conditions("optimizer.py profit", f"{days} days, seeds {seeds.start}–{seeds.stop - 1}"),
        "",
        f"| market | policy | profit ÷ clairvoyant | lowest seed | days {2 * days // 3 + 1}–{days} |",
        "|---|---|---|---|---|",
    ]
    for market in markets:
        best = {seed: oracle(market, seed, days) for seed in seeds}
        for name, policy in POLICIES.items():
            earned = {seed: live(market, seed, policy, days) for seed in seeds}
            whole = [float(earned[seed].sum() / best[seed].sum()) for seed in seeds]
            late = [float(earned[seed][2 * days // 3 :].sum() / best[seed][2 * days // 3 :].sum()) for seed in seeds]
            lines.append(f"| {market} | {name} | {np.mean(whole):.3f} | {min(whole):.3f} | {np.mean(late):.3f} |")
            print(lines[-1], flush=True)
    return lines


def ablations(markets: list[str], seeds: range, days: int) -> list[str]:
    lines = [
        conditions("optimizer.py ablations", f"{days} days, seeds {seeds.start}–{seeds.stop - 1}, paired"),
        "",
        "| market | the learner | less, of the clairvoyant's profit | standard error |",
        "|---|---|---|---|",
    ]
    for market in markets:
        best = [oracle(market, seed, days).sum() for seed in seeds]
        whole = np.array([live(market, seed, learner(), days).sum() for seed in seeds]) / best
        for name, spec in ABLATIONS.items():
            without = np.array([live(market, seed, learner(spec), days).sum() for seed in seeds]) / best
            less = without - whole
            error = less.std(ddof=1) / math.sqrt(len(less)) if len(less) > 1 else math.nan
            lines.append(f"| {market} | {name} | {less.mean():+.3f} | {error:.3f} |")
            print(lines[-1], flush=True)
    return lines


def speed(largest: int) -> list[str]:
    lines = [
        conditions("optimizer.py speed", "CPU seconds of one fit and one plan"),
        "",
        "| pieces | products | rows of daily | candidates | fit, s | plan, s | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for days, a_day, products in SIZES[:largest]:
        pieces, daily, catalog, candidates = history(days, a_day, products)
        today = START + timedelta(days)
        caps = Caps(dict.fromkeys(PLATFORMS, a_day // 4), dict.fromkeys(PLATFORMS, a_day // 16), 5, 2, a_day // 3)
        began = time.process_time()
        posterior = fit_funnel(pieces, daily, catalog, as_of=today)
        fitted = time.process_time()
        plan_day(posterior, candidates, caps, as_of=today, seed=0)
        planned = time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        lines.append(
            f"| {len(pieces):,} | {products:,} | {len(daily):,} | {len(candidates):,} "
            f"| {fitted - began:.2f} | {planned - fitted:.2f} | {peak:,.0f} |"
        )
        print(lines[-1], flush=True)
    lines += ["", "Targets: ≤ 1 s together for the first, ≤ 60 s and ≤ 4,096 MB (frames included) for the last."]
    return lines


def history(days: int, a_day: int, products: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """A history of that size; what it says does not matter here."""
    chance = np.random.default_rng(days)
    count = days * a_day
    names = np.array([f"p{place:05d}" for place in range(products)])
    niches = np.array([f"n{place:02d}" for place in range(20)])
    product = np.minimum(chance.geometric(8 / products, count), products) - 1
    pieces = pd.DataFrame(
        {
            "piece_id": [f"piece{place:07d}" for place in range(count)],
            "product_id": names[product],
            "niche": niches[product % 20],
            "platform": chance.choice(PLATFORMS, count),
            "prompt": chance.choice(["a", "b", "c", "d"], count),
            "hour_slot": chance.integers(0, 6, count),
            "published": np.repeat(pd.date_range(START, periods=days), a_day),
            "cost": 1.5,
            "commission": 10.0,
            "propensity": math.nan,
        }
    )
    x = chance.normal(size=(products, 6))
    for place in range(6):
        pieces[f"x_{place}"] = x[product, place]
    ages = np.array([0, 1, 2, 3, 4, 5, 7, 10, 14, 21])
    views = chance.poisson(np.exp(chance.normal(5, 1.2, count))[:, None] * 0.5 ** np.arange(1, 11))
    piece, at = np.nonzero(views)
    seen = views[piece, at]
    clicks = chance.binomial(seen, 0.01)
    sales = chance.binomial(clicks, 0.03)
    daily = pd.DataFrame(
        {
            "piece_id": pieces["piece_id"].to_numpy()[piece],
            "date": pieces["published"].to_numpy()[piece] + pd.to_timedelta(ages[at], unit="D").to_numpy(),
            "views": seen,
            "clicks": clicks,
            "conversions": sales,
            "revenue": sales * 10.0,
        }
    )
    catalog = pd.DataFrame(
        {"product_id": names, "niche": niches[np.arange(products) % 20], "commission": 10.0, "available_from": START}
    )
    for place in range(6):
        catalog[f"x_{place}"] = x[:, place]
    grid = catalog.merge(pd.DataFrame({"platform": PLATFORMS}), how="cross")
    grid = grid.merge(pd.DataFrame({"prompt": ["a", "b", "c", "d"]}), how="cross")
    candidates = grid.merge(pd.DataFrame({"hour_slot": range(6)}), how="cross").assign(cost=1.5)
    return pieces, daily, catalog, candidates


if __name__ == "__main__":
    main()
