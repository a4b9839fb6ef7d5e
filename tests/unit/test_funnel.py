"""The funnel that is believed and the day planned by it: from what is known and nothing else, never beyond a cap."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.optimization import Caps, FunnelPosterior, FunnelSpec, fit_funnel, plan_day
from affiliate_empire.optimization.delays import HORIZON, lag_shares, matured
from affiliate_empire.optimization.fatigue import REPEATS, repeats
from affiliate_empire.optimization.pooling import Brakes, Groups, Level, Slopes, fit_counts, fit_logs
from tests.factories.strategy_market import PLATFORMS, START, Frames, Kind, Market, random_policy

SMALL = Kind(products=12, niches=3, prompts=2)
DAYS = 20
TODAY = START + timedelta(DAYS)
WIDE = Caps(dict.fromkeys(PLATFORMS, 6), dict.fromkeys(PLATFORMS, 3), 6, 3, 12)
PLAN = ["product_id", "platform", "prompt", "hour_slot", "propensity"]


@cache
def lived() -> Market:
    """A small market in which pieces were posted at random."""
    market = Market(SMALL, 1)
    market.caps = WIDE
    for day in range(DAYS):
        plan = random_policy(market, day, 1)
        market.publish(market.rows(plan), day)
    return market


def frames() -> Frames:
    pieces, daily, catalog = lived().frames(DAYS)
    return pieces.copy(), daily.copy(), catalog.copy()


@cache
def believed() -> FunnelPosterior:
    return fit_funnel(*frames(), as_of=TODAY)


def plan(caps: Caps = WIDE, seed: int = 0, candidates: pd.DataFrame | None = None) -> pd.DataFrame:
    offered = lived().candidates(DAYS) if candidates is None else candidates
    return plan_day(believed(), offered, caps, as_of=TODAY, seed=seed)


def assert_within(planned: pd.DataFrame, candidates: pd.DataFrame, caps: Caps) -> None:
    key = ["product_id", "platform", "prompt", "hour_slot"]
    assert not planned.duplicated(key).any()
    full = planned.merge(candidates, on=key, how="left", validate="one_to_one")
    assert full["cost"].notna().all()
    for platform, count in planned["platform"].value_counts().items():
        assert count <= caps.per_platform.get(str(platform), 0)
    for (platform, _), count in planned.groupby(["platform", "hour_slot"]).size().items():
        assert count <= caps.per_platform_slot.get(str(platform), 0)
    assert planned["product_id"].value_counts().max() <= caps.per_product if len(planned) else True
    if len(planned):
        assert planned.groupby(["product_id", "platform"]).size().max() <= caps.per_product_platform
        assert full["niche"].value_counts().max() <= caps.per_niche
    if caps.budget is not None:
        assert full["cost"].sum() <= caps.budget + 1e-6
    assert ((planned["propensity"] > 0) & (planned["propensity"] <= 1)).all()


# caps

small_caps = st.builds(
    Caps,
    per_platform=st.dictionaries(st.sampled_from(PLATFORMS), st.integers(0, 8)),
    per_platform_slot=st.dictionaries(st.sampled_from(PLATFORMS), st.integers(0, 3)),
    per_product=st.integers(0, 4),
    per_product_platform=st.integers(0, 3),
    per_niche=st.integers(0, 10),
    budget=st.none() | st.floats(0, 30),
)


@given(caps=small_caps, seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_no_cap_is_ever_broken(caps: Caps, seed: int) -> None:
    planned = plan(caps, seed)
    assert list(planned.columns) == PLAN
    assert_within(planned, lived().candidates(DAYS), caps)
    if len(planned) < sum(caps.per_platform.values()):
        assert planned.attrs["bound_by"]


def test_a_cap_that_makes_no_sense_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"The cap per_niche is -1: it must be a whole number from 0\."):
        plan(replace(WIDE, per_niche=-1))
    with pytest.raises(ValueError, match="The budget is -5"):
        plan(replace(WIDE, budget=-5.0))


def test_caps_that_cannot_be_filled_say_which_of_them_holds() -> None:
    tight = plan(replace(WIDE, per_platform_slot=dict.fromkeys(PLATFORMS, 3) | {"blog": 0}, per_product=1))
    said = " ".join(tight.attrs["bound_by"])
    assert "blog has no room in per_platform_slot" in said
    assert "per_product is reached" in said
    assert len(tight) <= 12


def test_a_binding_budget_buys_what_a_dollar_adds_most_by() -> None:
    rich, poor = plan(), plan(replace(WIDE, budget=8.0))
    assert 0 < len(poor) < len(rich)
    assert any("budget" in sentence for sentence in poor.attrs["bound_by"])


# evidence


def same(one: FunnelPosterior, other: FunnelPosterior) -> bool:
    plans = [plan_day(belief, lived().candidates(DAYS), WIDE, as_of=TODAY, seed=3) for belief in (one, other)]
    return (
        plans[0].equals(plans[1])
        and one.summary().equals(other.summary())
        and one.views.level == other.views.level
        and np.array_equal(one.earned, other.earned)
    )


def test_what_is_dated_today_or_later_changes_nothing() -> None:
    pieces, daily, catalog = frames()
    later = daily.assign(date=pd.Timestamp(TODAY), views=10**6, clicks=10**5, conversions=10**4, revenue=1e6)
    much_later = later.assign(date=pd.Timestamp(TODAY) + pd.Timedelta(days=9))
    coming = pieces.assign(piece_id=pieces["piece_id"] + "x", published=TODAY, product_id="p9999")
    perturbed = fit_funnel(pd.concat([pieces, coming]), pd.concat([daily, later, much_later]), catalog, as_of=TODAY)
    assert same(believed(), perturbed)


def test_yesterday_does_change_what_is_believed() -> None:
    pieces, daily, catalog = frames()
    yesterday = pd.to_datetime(daily["date"]) == pd.Timestamp(TODAY) - pd.Timedelta(days=1)
    daily.loc[yesterday, "views"] *= 3
    assert not same(believed(), fit_funnel(pieces, daily, catalog, as_of=TODAY))


def test_the_same_seed_gives_the_same_plan() -> None:
    assert same(believed(), fit_funnel(*frames(), as_of=TODAY))
    assert any(not plan(seed=seed).equals(plan(seed=0)) for seed in range(1, 12))


def test_a_propensity_is_the_share_of_seeds_that_plan_the_piece() -> None:
    key = ["product_id", "platform", "prompt", "hour_slot"]
    seen: Counter[tuple[object, ...]] = Counter()
    said: dict[tuple[object, ...], float] = {}
    seeds, few = 100, lived().candidates(DAYS).sample(60, random_state=1)
    for seed in range(seeds):
        planned = plan(replace(WIDE, per_platform={"youtube": 3, "tiktok": 2}), seed, few)
        for *where, propensity in planned[[*key, "propensity"]].itertuples(index=False):
            seen[tuple(where)] += 1
            assert said.setdefault(tuple(where), propensity) == propensity
    for where, propensity in said.items():
        error = math.sqrt(propensity * (1 - propensity) / seeds)
        assert seen[where] / seeds == pytest.approx(propensity, abs=5 * error + 1e-9)


def test_the_first_day_needs_no_history() -> None:
    market = Market(SMALL, 2)
    pieces, daily, catalog = market.frames(0)
    posterior = fit_funnel(pieces, daily, catalog, as_of=START)
    planned = plan_day(posterior, market.candidates(0), WIDE, as_of=START, seed=0)
    assert len(planned) >= 12  # nothing is known, so finding out is worth its cost
    assert_within(planned, market.candidates(0), WIDE)
    assert planned["product_id"].nunique() >= 4
    for frame in (pieces, daily):
        assert frame.empty
    bare = fit_funnel(
        pieces[
            [
                "piece_id",
                "product_id",
                "niche",
                "platform",
                "prompt",
                "hour_slot",
                "published",
                "cost",
                "commission",
                "propensity",
            ]
        ],
        daily,
        catalog[["product_id", "niche", "commission", "available_from"]],
        as_of=START,
    )
    assert bare.features.names == ()
    assert len(plan_day(bare, market.candidates(0).iloc[:0], WIDE, as_of=START, seed=0)) == 0


def test_features_may_have_any_names_and_holes() -> None:
    pieces, daily, catalog = frames()
    names = {"x_0": "x_Größe (cm)", "x_1": "x_9"}
    pieces, catalog = pieces.rename(columns=names), catalog.rename(columns=names)
    pieces.loc[pieces.index[::3], "x_9"] = np.nan
    pieces["propensity"] = np.nan
    catalog["x_constant"], catalog["x_only_here"] = 1.0, np.arange(len(catalog), dtype=float)
    posterior = fit_funnel(pieces, daily, catalog, as_of=TODAY)
    assert "x_Größe (cm)" in posterior.features.names
    assert "x_constant" not in posterior.features.names
    candidates = lived().candidates(DAYS).rename(columns=names).drop(columns="x_3")
    assert_within(plan_day(posterior, candidates, WIDE, as_of=TODAY, seed=0), candidates, WIDE)


def test_products_niches_prompts_and_platforms_never_seen_are_planned_too() -> None:
    candidates = lived().candidates(DAYS)
    new = candidates.assign(
        product_id="new" + candidates["product_id"], niche="new", prompt="new", platform="threads", commission=900.0
    )
    caps = replace(
        WIDE, per_platform=WIDE.per_platform | {"threads": 4}, per_platform_slot=WIDE.per_platform_slot | {"threads": 2}
    )
    planned = plan(caps, candidates=pd.concat([candidates, new]))
    assert (planned["platform"] == "threads").sum() == 4


def test_a_missing_column_and_a_piece_twice_are_named() -> None:
    pieces, daily, catalog = frames()
    with pytest.raises(ValueError, match="daily has no column clicks"):
        fit_funnel(pieces, daily.drop(columns="clicks"), catalog, as_of=TODAY)
    with pytest.raises(ValueError, match="more than once"):
        fit_funnel(pd.concat([pieces, pieces]), daily, catalog, as_of=TODAY)


def test_reversals_come_off_what_a_sale_is_worth() -> None:
    pieces, daily, catalog = frames()
    sold = daily[daily["revenue"] > 0]
    back = sold.assign(revenue=-sold["revenue"], conversions=0)
    assert len(sold) > 5
    taken = fit_funnel(pieces, pd.concat([daily, back]), catalog, as_of=TODAY)
    assert (taken.earned < 0.75 * believed().earned).all()


def test_a_platform_that_shows_nothing_any_more_gets_less() -> None:
    pieces, daily, catalog = frames()
    platform = daily["piece_id"].map(pieces.set_index("piece_id")["platform"])
    before = plan()["platform"].value_counts()
    gone = str(before.index[0])
    lately = pd.to_datetime(daily["date"]) >= pd.Timestamp(TODAY) - pd.Timedelta(days=4)
    cut = daily[~((platform == gone) & lately)]
    posterior = fit_funnel(pieces, cut, catalog, as_of=TODAY)
    after = plan_day(posterior, lived().candidates(DAYS), WIDE, as_of=TODAY, seed=0)["platform"].value_counts()
    assert after.get(gone, 0) < before[gone]


def test_no_piece_is_planned_that_costs_more_than_it_brings() -> None:
    dear = lived().candidates(DAYS).assign(cost=10_000.0)
    planned = plan(candidates=dear)
    assert planned.empty
    assert "adds less than it costs" in " ".join(planned.attrs["bound_by"])


def test_the_summary_tells_how_strongly_groups_differ() -> None:
    summary = believed().summary()
    assert set(summary["stage"]) == {"views", "clicks", "sales"}
    assert (summary["spread"] > 0).all()


# the parts

FIT = {"sweeps": 60, "tolerance": 1e-4}


def test_spreads_are_learned_and_a_block_without_support_fades() -> None:
    chance = np.random.default_rng(0)
    group, other = chance.integers(0, 40, 4000), chance.integers(0, 40, 4000)
    truth = chance.normal(0, 0.8, 40)
    values = 3.0 + truth[group] + chance.normal(0, 1.0, 4000)
    blocks = [Groups(group, 40, 0.3), Groups(other, 40, 0.3)]
    fitted = fit_logs(values, np.zeros(4000), blocks, prior=Level(0.0, 25.0), noise=2.0, **FIT)
    assert math.sqrt(blocks[0].spread2) == pytest.approx(truth.std(), abs=0.12)
    assert math.sqrt(blocks[1].spread2) < 0.15
    assert fitted.noise == pytest.approx(1.0, abs=0.08)
    assert np.corrcoef(blocks[0].mean, truth)[0, 1] > 0.95


def test_rare_counts_are_pooled_and_their_dispersion_found() -> None:
    chance = np.random.default_rng(1)
    group, rows = chance.integers(0, 30, 6000), 6000
    truth = chance.normal(0, 0.5, 30)
    exposure = np.exp(chance.normal(5, 1, rows))
    rate = 0.01 * np.exp(truth[group]) * chance.gamma(4, 0.25, rows)
    block = Groups(group, 30, 0.3)
    fitted = fit_counts(
        chance.poisson(exposure * rate).astype(float), exposure, [block], prior=Level(-4.0, 4.0), noise=0.5, **FIT
    )
    assert fitted.level.mean + block.mean.mean() == pytest.approx(math.log(0.01) + truth.mean(), abs=0.05)
    assert fitted.noise == pytest.approx(0.25, abs=0.06)
    assert np.corrcoef(block.mean, truth)[0, 1] > 0.95


def test_slopes_are_found_for_all_and_per_group() -> None:
    chance = np.random.default_rng(2)
    x, group = chance.normal(size=(3000, 3)), chance.integers(0, 4, 3000)
    own = chance.normal(0, 0.5, (4, 3))
    values = x @ np.array([1.0, 0.0, -0.5]) + np.einsum("ij,ij->i", x, own[group]) + chance.normal(0, 0.5, 3000)
    blocks = [Slopes(x, np.zeros(3000, dtype=int), 1, 0.1), Slopes(x, group, 4, 0.1)]
    fit_logs(values, np.zeros(3000), blocks, prior=Level(0.0, 25.0), noise=1.0, **FIT)
    assert blocks[0].mean[0] + blocks[1].mean == pytest.approx(np.array([1.0, 0.0, -0.5]) + own, abs=0.08)


def test_brakes_find_what_tires_and_never_a_gain() -> None:
    chance = np.random.default_rng(3)
    posts = chance.poisson(3, (2000, 2)).astype(float)
    values = -0.3 * posts[:, 0] + 0.2 * posts[:, 1] + chance.normal(0, 1, 2000)
    brake = Brakes(posts, 0.1)
    fit_logs(values, np.zeros(2000), [brake], prior=Level(0.0, 25.0), noise=1.0, **FIT)
    assert brake.slope[0] == pytest.approx(0.3, abs=0.06)
    assert brake.slope[1] == 0.0


def test_repeats_count_own_posts_by_window() -> None:
    past = {name: np.array([0, 0, 0, 1]) for name in ("product", "niche", "platform", "prompt", "hour")}
    days = np.array([10, 9, 5, 10])
    row = {name: np.array([0]) for name in past}
    counts = repeats(row, np.array([10]), past, days)
    assert counts[0, REPEATS.index(("product",))].tolist() == [1, 1, 1]
    assert repeats({name: np.array([7]) for name in past}, np.array([10]), past, days).sum() == 0


def test_late_sales_are_allowed_for() -> None:
    chance = np.random.default_rng(4)
    clicks = pd.DataFrame({"piece": np.arange(400) % 100, "day": np.arange(400) % 40, "amount": 50.0})
    clicks = clicks.groupby(["piece", "day"], as_index=False).sum()
    sales = clicks.loc[clicks.index.repeat(chance.poisson(clicks["amount"] * 0.05))].copy()
    sales["day"] += chance.geometric(1 / 6, len(sales)) - 1  # five days late on average
    sales["amount"] = 1.0
    seen = sales[sales["day"] <= 39].groupby(["piece", "day"], as_index=False).sum()
    shares, rate = lag_shares(clicks, seen, last_day=39, mean_delay=2.0, rate_prior=0.01)
    assert float((shares * np.arange(HORIZON)).sum()) == pytest.approx(5.0, abs=0.8)
    assert rate == pytest.approx(0.05, abs=0.006)
    ripe = matured(clicks, shares, last_day=39, pieces=100)
    assert (ripe <= clicks.groupby("piece")["amount"].sum().to_numpy() + 1e-9).all()
    assert len(seen) > 0


def test_without_history_the_spec_can_leave_parts_out() -> None:
    lean = fit_funnel(*frames(), as_of=TODAY, spec=FunnelSpec(fatigue=False, pairs=False, features=False))
    assert not lean.fatigue.proven.any()
    assert {block for block in lean.summary()["block"] if "×" in block} == set()
