"""The sandbox's market as it comes out: views, clicks, sales, returns, trends and fatigue, drawn and counted.

Publishes a few hundred posts on every platform in worlds of several seeds, lets each live its sixty days, and writes
the section "Market" of ``benchmarks/results.md``, the summary table, and ``docs/images/market_*.png``. Where the Open
Bandit logs are at hand (``--open-bandit FOLDER``), how unevenly clicks fall on posts is held against how unevenly they
fall on the items of a real shop. Charts need matplotlib: ``uv sync --group charts``, then
``.venv/bin/python -m benchmarks.market``; ``--no-charts`` does without.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd

from affiliate_empire.sandbox.market import reach, shoppers
from affiliate_empire.sandbox.market.audiences import PLATFORMS
from affiliate_empire.sandbox.market.chance import binomial
from affiliate_empire.sandbox.market.taste import DECLARATIONS, impression
from affiliate_empire.sandbox.world import World
from benchmarks.report import conditions, write_section
from tests.factories.market import DAY as MARKET_DAY
from tests.factories.market import Tracker, publish_video
from tests.factories.worlds import RunningWorld

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
OPEN_BANDIT = ROOT.parent / "shared" / "data" / "open_bandit"
DAY = datetime.fromisoformat("2026-07-01T04:00:00+00:00")  # midnight in New York
AGES = (1, 3, 6, 12, 24, 48, 72, 168, 336, 720, 1440)  # hours
HOOKS = (
    "Is the {name} worth it?",
    "Three facts about the {name}.",
    "What you should know about the {name}.",
    "Stop before you buy the {name}.",
    "The {name}, in half a minute.",
)


@contextmanager
def a_world(seed: int) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as home:
        world = World(Path(home), "http://127.0.0.1:9", seed, now=DAY)
        yield world
        world.close()


def publish(world: World, platform: str, item_id: str, number: int, draw: random.Random) -> None:
    """A decent post of an account that has not posted before: no fatigue."""
    name = world.catalog.items[item_id].title
    hook = draw.choice(HOOKS).format(name=name)
    media: dict[str, Any] = {} if platform == "blog" else {"duration": draw.uniform(20, 45)}
    body = "It weighs 2 kg and lasts 10 hours. " * (90 if platform == "blog" else 6)
    world.accept_post(
        platform,
        f"account-{number}",
        f"{platform}-{number}",
        title=hook,
        text=f"#ad Affiliate links. Made with AI.\n\n{hook} {body}\n\nhub.example.com/h/gear\n\n#home #gear #ideas",
        media=media,
        public_at=DAY + timedelta(hours=draw.uniform(7, 23)),
        flags=dict.fromkeys(DECLARATIONS[platform], True),
    )


def lives(seeds: list[int], each: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every post of every platform, lived to its end.

    Returns:
        Posts (platform, views, clicks, first_day_views, sales, commission, burst), and the share of views by age.
    """
    posts, ages = [], []
    for seed in seeds:
        with a_world(seed) as world:
            draw = random.Random(seed)  # noqa: S311 - seeded on purpose
            items = sorted(world.catalog.items)
            for platform in PLATFORMS:
                for number in range(each):
                    publish(world, platform, draw.choice(items), number, draw)
            for post in world.market._performing().values():
                begin = reach.step_of(post.public_at)
                last = reach.step_of(post.public_at + reach.LIFETIME) + 40
                seen = [
                    ((reach.end_of(step) - post.public_at) / timedelta(hours=1), grown)
                    for step in range(begin, last)
                    if (grown := reach.increment(post, step, world.market.audiences, world.rng))
                ]
                posts.append(_lived(world, post, seen) | {"seed": seed})
                total = sum(grown.views for _, grown in seen)
                if total:
                    shares = {age: sum(grown.views for at, grown in seen if at <= age) / total for age in AGES}
                    ages.append({"platform": post.platform, **shares})
    return pd.DataFrame(posts), pd.DataFrame(ages)


def _lived(world: World, post: reach.Performance, seen: list[tuple[float, reach.Increment]]) -> dict[str, Any]:
    item = post.seen.item
    if item is None:
        raise LookupError(f"nobody can tell what {post.remote_id} is about")
    program = world.catalog.programs[item.program_id]
    appeal = world.market.audiences.appeal(item.item_id)
    chance = reach.conversion(post, appeal=appeal, price=float(item.price), same_item=True)
    clicks = sum(grown.visitors for _, grown in seen)
    sales = binomial(world.rng("benchmark", post.identity), clicks, chance)
    return {
        "platform": post.platform,
        "niche": post.seen.niche,
        "views": sum(grown.views for _, grown in seen),
        "first_day_views": sum(grown.views for at, grown in seen if at <= 24),
        "clicks": clicks,
        "bots": sum(grown.bots for _, grown in seen),
        "chance": chance,
        "sales": sales,
        "commission": sales * float(shoppers.commission(item.price, program)),
        "sent_back": max(0.005, world.market.audiences.flaw(item.item_id) + post.audience.platform.regret),
        "burst": post.burst.times if post.burst else 0.0,
    }


def summary(posts: pd.DataFrame) -> pd.DataFrame:
    """One row a platform: what a post comes to in its life."""
    rows = []
    for platform, each in posts.groupby("platform", sort=False):
        clicks, views, sales = each["clicks"].sum(), each["views"].sum(), each["sales"].sum()
        rows.append(
            {
                "platform": platform,
                "views, median": f"{each['views'].median():,.0f}",
                "mean": f"{each['views'].mean():,.0f}",
                "99th": f"{each['views'].quantile(0.99):,.0f}",
                "sd of log views": f"{np.log(each['views'].clip(lower=1)).std():.2f}",
                "caught on": f"{(each['burst'] > 0).mean():.1%}",
                "first 24 h": f"{each['first_day_views'].sum() / views:.0%}",
                "CTR": f"{clicks / views:.2%}",
                "bots to clicks": f"{each['bots'].sum() / clicks:.1%}",
                "conversion": f"{sales / clicks:.2%}",
                "sent back": f"{(each['sent_back'] * each['sales']).sum() / sales:.1%}",
                "EPC": f"${each['commission'].sum() / clicks:.3f}",
                "a post earns": f"${each['commission'].mean():.2f}",
            }
        )
    return pd.DataFrame(rows)


def gini(values: np.ndarray[Any, Any]) -> float:
    """Inequality: 0 when all have the same, near 1 when one has everything."""
    ordered = np.sort(values.astype(float))
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * (ranks * ordered).sum() / ordered.sum() - len(ordered) - 1) / len(ordered))


def fatigue_by_rhythm() -> pd.DataFrame:
    """What is left of reach after a week of posting at a rhythm: posts a day → factor, by what the posts share."""
    with a_world(7) as world:
        items = world.catalog.of("1001")
        niche = items[0].niche
        kitchen = [item for item in items if item.niche == niche]
        mixed = random.Random(7).sample(items, len(items))  # noqa: S311 - seeded on purpose
        rows = []
        for a_day in (1, 2, 3, 5, 8, 10, 15, 20):
            for shares in ("the product", "the niche", "nothing but the account"):
                choice = {
                    "the product": items[:1],
                    "the niche": kitchen,
                    "nothing but the account": mixed,
                }
                seen = []
                for number in range(a_day * 7 + 1):
                    item = choice[shares][number % len(choice[shares])]
                    hook = HOOKS[number % len(HOOKS)].format(name=item.title)
                    at = DAY + timedelta(days=number / a_day)
                    read = impression(
                        platform="youtube", title=hook, text=hook, media={"duration": 29.0}, flags={}, public_at=at,
                        catalog=world.catalog,
                    )  # fmt: skip
                    seen.append((read, f"{hook} {number}", at))
                *earlier, (last, title, at) = seen
                lost = reach.fatigue(last, title, at, [one for one in earlier if at - one[2] < reach.MEMORY])
                rows.append({"posts a day": a_day, "they share": shares, "reach left": math.exp(lost)})
        return pd.DataFrame(rows)


def bandit_logs(folder: Path) -> pd.DataFrame | None:
    """Open Bandit's impressions under its random policy: item, click, hour in Tokyo. None when they are not there."""
    frames = []
    for campaign in ("all", "men", "women"):
        file = folder / "random" / campaign / f"{campaign}.csv.gz"
        if not file.exists():
            return None
        frame = pd.read_csv(file, usecols=["timestamp", "item_id", "click"])
        frame["item"] = campaign + frame["item_id"].astype(str)
        frame["hour"] = pd.to_datetime(frame["timestamp"], format="ISO8601").dt.tz_convert("Asia/Tokyo").dt.hour
        frames.append(frame[["item", "click", "hour"]])
    return pd.concat(frames)


def against_open_bandit(posts: pd.DataFrame, logs: pd.DataFrame | None) -> list[str]:
    """Our clicks per post, thinned to the exposure and the level of the logs' items; and the hours of the day."""
    if logs is None:
        return ["Open Bandit's logs are not here: nothing was compared."]
    items = logs.groupby("item")["click"].agg(["sum", "count"])
    rng = np.random.default_rng(7)
    video = posts[posts["platform"] != "blog"]
    rates = (video["clicks"] / video["views"]).to_numpy()
    level = logs["click"].mean() / rates.mean()
    dispersions, nothing = [], []
    for _ in range(300):
        drawn = rng.binomial(items["count"], np.minimum(1.0, rng.choice(rates, len(items)) * level))
        dispersions.append(drawn.var(ddof=1) / drawn.mean())
        nothing.append((drawn == 0).mean())
    low, high = np.quantile(dispersions, [0.025, 0.975])
    hours = hours_of(logs)
    lines = [
        "| against Open Bandit (random policy, 3 campaigns, 30,000 impressions) | logs | market, thinned to the same |",
        "|---|---|---|",
        f"| clicks per impression | {logs['click'].mean():.2%} | {rates.mean():.2%} before thinning |",
        f"| variance of clicks per item ÷ their mean | {items['sum'].var() / items['sum'].mean():.2f} |"
        f" {np.mean(dispersions):.2f} ({low:.2f} to {high:.2f}) |",
        f"| items without a click | {(items['sum'] == 0).mean():.0%} | {np.mean(nothing):.0%} |",
    ]
    for platform, there in awake_by_hour().items():
        together = float(np.corrcoef(hours.to_numpy(), there)[0, 1])
        lines.append(
            f"| busiest and quietest hour ÷ mean; {platform} | {hours.max():.2f}, {hours.min():.2f} |"
            f" {there.max():.2f}, {there.min():.2f}; correlation over 24 hours {together:.2f} |"
        )
    return lines


def hours_of(logs: pd.DataFrame) -> pd.Series[float]:
    """Impressions by hour of the day, 1 on average."""
    return logs["hour"].value_counts(normalize=True).sort_index() * 24


def awake_by_hour() -> dict[str, np.ndarray[Any, Any]]:
    """Activity by hour of the day on each platform, in the middle of the hour, over all niches of one world."""
    with a_world(7) as world:
        niches = sorted({item.niche for item in world.catalog.of("1001")})
        return {
            platform: np.mean(
                [
                    [world.market.audiences.of(platform, niche).awake(hour + 0.5) for hour in range(24)]
                    for niche in niches
                ],
                axis=0,
            )
            for platform in PLATFORMS
        }


def a_day_of_fifty() -> list[str]:
    """How long the world takes to live a day of fifty new videos, its people clicking over HTTP."""
    with tempfile.TemporaryDirectory() as home, Tracker() as tracker:
        running = RunningWorld(Path(home), now=MARKET_DAY)
        world = running._world
        items = sorted(world.catalog.items)
        for number in range(50):
            platform = ("youtube", "tiktok", "tiktok", "instagram", "tiktok")[number % 5]
            publish_video(
                world, items[number * 3], tracker=tracker, platform=platform, remote_id=f"v{number}", code=f"c{number}",
                account=platform, public_at=MARKET_DAY + timedelta(hours=6 + number * 0.36),
            )  # fmt: skip
        httpx.put(f"{running.url}/_world/settings", json=tracker.settings, trust_env=False).raise_for_status()
        began, cpu = time.perf_counter(), time.process_time()
        running.move_to(MARKET_DAY + timedelta(hours=30))
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        told = running.witness("summary")
        running.stop()
    return [
        f"A day of 50 new videos, lived over HTTP: **{wall:.1f} s** ({cpu:.1f} s CPU, tracking stand-in included),"
        f" {told['views']:,} views, {told['clicks']:,} clicks, {told['payouts']} sales (the target is ≤ 90 s)."
    ]


def draw(posts: pd.DataFrame, ages: pd.DataFrame, tired: pd.DataFrame, logs: pd.DataFrame | None) -> None:
    """The charts of ``docs/sandbox.md``.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110})
    colours = dict(zip(PLATFORMS, ("#c0392b", "#111111", "#8e44ad", "#2e86c1"), strict=True))

    def save(name: str) -> None:
        plt.gcf().text(0.99, 0.01, "SIMULATED", ha="right", va="bottom", fontsize=7, color="#888888")
        plt.tight_layout()
        plt.savefig(IMAGES / f"market_{name}.png")
        plt.close()

    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    edges = np.logspace(1.5, 5.2, 28)
    for platform, each in posts.groupby("platform", sort=False):
        left.hist(
            each["views"], bins=edges, histtype="step", color=colours[str(platform)], label=platform, linewidth=1.4
        )
        shares = ages[ages["platform"] == platform][list(AGES)].mean()
        right.plot(AGES, shares, marker="o", markersize=3, color=colours[str(platform)], label=platform)
    left.set(xscale="log", xlabel="views of a post in its life", ylabel="posts")
    right.set(xscale="log", xlabel="hours since it was posted", ylabel="share of its views", ylim=(0, 1.02))
    left.legend(frameon=False)
    save("views")

    _, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.2))
    for platform, each in posts.groupby("platform", sort=False):
        enough = each[each["views"] >= 200]
        left.hist(enough["clicks"] / enough["views"], bins=np.linspace(0, 0.1, 51), histtype="step",
                  color=colours[str(platform)], label=platform)  # fmt: skip
        middle.hist(each["chance"], bins=np.linspace(0, 0.12, 41), histtype="step", color=colours[str(platform)])
    left.set(xlabel="clicks per view", ylabel="posts (200 views and more)")
    left.legend(frameon=False)
    middle.set(xlabel="conversion: chance that a visitor buys")
    for platform, there in awake_by_hour().items():
        right.plot(np.arange(24) + 0.5, there, color=colours[platform])
    if logs is not None:
        right.plot(np.arange(24) + 0.5, hours_of(logs), "o", color="#f39c12", markersize=3, label="Open Bandit")
        right.legend(frameon=False)
    right.set(xlabel="local hour", ylabel="people there, 1 on average", xticks=range(0, 25, 4))
    save("clicks")

    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    with a_world(7) as world:
        delays = sorted(shoppers.buying_delay(world.rng, str(n)) / timedelta(hours=1) for n in range(4000))
        left.plot(delays, np.linspace(0, 1, len(delays)), color="#2e86c1")
        left.set(
            xscale="log", xlabel="hours from click to order", ylabel="share of orders", xlim=(0.03, 500), ylim=(0, 1)
        )
        flaws = [world.market.audiences.flaw(item) for item in world.catalog.items]
    right.hist(flaws, bins=np.linspace(0, 0.26, 27), color="#2e86c1")
    right.set(xlabel="share of a product's sales that is sent back", ylabel="products")
    save("money")

    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    with a_world(7) as world:
        days = [DAY.date() + timedelta(days=n) for n in range(60)]
        for niche in sorted({item.niche for item in world.catalog.of("1001")}):
            left.plot(range(60), [world.market.audiences.trend(niche, day) for day in days], label=niche)
    left.set(xlabel="day", ylabel="how much a niche is talked of")
    left.legend(frameon=False, fontsize=7)
    for shares, each in tired.groupby("they share", sort=False):
        right.plot(each["posts a day"], each["reach left"], marker="o", markersize=3, label=f"posts share {shares}")
    right.set(xlabel="posts a day on one account, for a week", ylabel="reach left of the next", ylim=(0, 1))
    right.legend(frameon=False, fontsize=7)
    save("time")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=6, help="worlds")
    options.add_argument("--each", type=int, default=30, help="posts on each platform in each world")
    options.add_argument("--open-bandit", type=Path, default=OPEN_BANDIT, help="folder of the Open Bandit logs")
    options.add_argument("--no-charts", action="store_true")
    chosen = options.parse_args()
    posts, ages = lives(list(range(1, chosen.seeds + 1)), chosen.each)
    tired, logs = fatigue_by_rhythm(), bandit_logs(chosen.open_bandit)
    table = summary(posts)
    head = "| " + " | ".join(table.columns) + " |"
    rows = ["| " + " | ".join(row) + " |" for row in table.astype(str).to_numpy()]
    top = posts["clicks"].nlargest(len(posts) // 10).sum() / posts["clicks"].sum()
    write_section(
        "Market",
        [
            conditions("market.py", f"{len(posts)} posts in {chosen.seeds} worlds, 60 days each"),
            "",
            head,
            "|" + "---|" * len(table.columns),
            *rows,
            "",
            f"The best tenth of all posts has {top:.0%} of the clicks (Gini {gini(posts['clicks'].to_numpy()):.2f}).",
            "",
            *a_day_of_fifty(),
            "",
            *against_open_bandit(posts, logs),
        ],
    )
    if not chosen.no_charts:
        draw(posts, ages, tired, logs)


if __name__ == "__main__":
    main()
