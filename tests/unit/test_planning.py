"""A plan stays inside every cap, says which one bound, and draws its prompt versions with the recorded propensities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.compliance import forbidden_claims
from affiliate_empire.kernel.caps import Room
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.planning import (
    CostPart,
    DayCaps,
    LiveLimit,
    PieceCost,
    PlanDecision,
    against_the_plan,
    choose_slots,
    piece_cost,
    plan_day,
    product_facts,
)
from affiliate_empire.policy import PostingRule, load_policy
from affiliate_empire.ranking import PERFORMANCE_COLUMNS, no_trends, rank
from tests.factories.catalog import DAY, assortment, product, products

POLICY = load_policy()
CALENDAR = BusinessCalendar()
ACCOUNTS = [
    {"account_id": "youtube:gearlab", "platform": "youtube", "niche": None, "status": "active"},
    {"account_id": "blog:gearlab", "platform": "blog", "niche": None, "status": "active"},
]
PROMPTS = {"video": ["video/a@1", "video/b@1"], "post": ["post/a@1"]}
STRATEGY = {
    "prompt_weights": {"video": {"video/a@1": 0.5, "video/b@1": 0.5}, "post": {"post/a@1": 1.0}},
    "niche_weights": {},
    "exploration_share": 0.1,
}


def ranking(frame: pd.DataFrame | None = None) -> pd.DataFrame:
    return _usual_ranking().copy() if frame is None else _ranked(frame)


def _ranked(frame: pd.DataFrame) -> pd.DataFrame:
    return rank(frame, pd.DataFrame(columns=PERFORMANCE_COLUMNS), no_trends(), as_of=DAY, policy=POLICY)


@cache
def _usual_ranking() -> pd.DataFrame:
    return _ranked(assortment())


def caps(**changes: Any) -> DayCaps:
    said: dict[str, Any] = {
        "slate": {"youtube": 4, "blog": 1},
        "room": Room(14_000_000, 412_000_000),
        "costs": {
            "video": PieceCost(
                (CostPart("script", "openai", 100_000, 2_000), CostPart("clip", "fal", 200_000, 200_000))
            ),
            "post": PieceCost((CostPart("post", "anthropic", 100_000, 8_000),)),
        },
        "posting": {platform: POLICY.posting(platform) for platform in ("youtube", "blog")},
        "prompts": PROMPTS,
    }
    return DayCaps(**said | changes)


def plan(
    ranked: pd.DataFrame | None = None, *, strategy: dict[str, Any] = STRATEGY, seed: int = 7, **changes: Any
) -> PlanDecision:
    ranked = ranking() if ranked is None else ranked
    accounts = changes.pop("accounts", ACCOUNTS)
    day = changes.pop("day", DAY)
    return plan_day(ranked, strategy, accounts, caps(**changes), day=day, calendar=CALENDAR, seed=seed)


def local(pieces: pd.DataFrame, kind: str) -> list[time]:
    return sorted(slot.astimezone(CALENDAR.zone).time() for slot in pieces.loc[pieces["kind"] == kind, "slot_at"])


def bounds(decision: PlanDecision) -> dict[str, str]:
    return {bound["cap"]: bound["reason"] for bound in decision.evidence["bounds"]}


def money_bounds(decision: PlanDecision) -> list[str]:
    return [bound["reason"] for bound in decision.evidence["bounds"] if bound["cap"] == "budget"]


def test_the_default_slate_gets_the_peak_hours_and_the_best_products() -> None:
    decision = plan()
    assert local(decision.pieces, "video") == [time(11), time(14), time(17), time(20)]
    assert local(decision.pieces, "post") == [time(7)]
    peak = decision.pieces.set_index(decision.pieces["slot_at"].dt.tz_convert(CALENDAR.zone).dt.hour)
    assert decision.evidence["ranks"][peak.loc[14, "piece_id"]] == 1
    assert decision.evidence["planned"] == {"youtube": 4, "blog": 1}


def test_the_same_inputs_give_the_same_pieces_and_another_seed_changes_prompts_only() -> None:
    assert plan().pieces.equals(plan().pieces)
    fixed = ["piece_id", "slot_at", "product_id"]
    others = [plan(seed=seed).pieces for seed in range(20)]
    assert all(other[fixed].equals(plan().pieces[fixed]) for other in others)
    assert len({tuple(other["prompt_version"]) for other in others}) > 1


def test_a_product_stands_once_and_no_niche_fills_more_than_half() -> None:
    decision = plan(slate={"youtube": 6, "blog": 2})
    assert decision.pieces["product_id"].is_unique
    assert max(Counter(decision.pieces["niche"]).values()) <= 4


def test_two_offers_under_one_name_are_one_product_to_a_viewer() -> None:
    twins = [product(f"t{n}", title="Grand Piano", niche=f"n{n}", price_micros=900_000_000) for n in range(3)]
    others = [product(f"o{n}", niche=f"n{n}") for n in range(5)]
    chosen = plan(ranking(products(*twins, *others))).pieces["product_id"]
    assert len(chosen) == 5
    assert sum(chosen.isin([twin["product_id"] for twin in twins])) == 1


def test_where_there_are_too_few_niches_the_plan_says_so_instead_of_shrinking() -> None:
    decision = plan(ranking(assortment(niches=1, each=9)))
    assert len(decision.pieces) == 5
    assert "only 1 niches" in bounds(decision)["niche share"]


def test_a_short_catalogue_makes_a_short_plan_and_says_by_how_much() -> None:
    decision = plan(ranking(assortment(niches=3, each=1)))
    assert len(decision.pieces) == 3
    assert bounds(decision)["products"].startswith("3 of 5 pieces")


def test_an_empty_catalogue_makes_an_empty_plan() -> None:
    decision = plan(ranking(products()))
    assert decision.pieces.empty
    assert decision.evidence["planned"] == {"youtube": 0, "blog": 0}


def test_the_budget_shrinks_the_day_and_the_plan_says_by_how_much() -> None:
    decision = plan(room=Room(750_000, 10**9))
    assert decision.evidence["planned"] == {"youtube": 2, "blog": 1}
    assert money_bounds(decision) == [
        "3 of 5 pieces fit the budget, 2 fewer: all might cost $1.30 and those planned $0.70, $0.60 less; the day's "
        "cap has $0.75 left.",
        "2 of 4 on youtube: each may cost up to $0.30.",
    ]
    assert decision.evidence["max_cost_micros"] <= 750_000
    assert plan(room=Room(0, 10**9)).pieces.empty


@pytest.mark.parametrize(
    ("room", "planned", "which"),
    [
        (Room(10**9, 750_000), {"youtube": 2, "blog": 1}, "the month's cap has $0.75 left"),
        (Room(10**9, 10**9, {"fal": 399_999}), {"youtube": 1, "blog": 1}, "the cap of vendor fal has $0.40 left"),
        (Room(10**9, 10**9, {"anthropic": 0}), {"youtube": 4, "blog": 0}, "the cap of vendor anthropic has $0.00 left"),
        (
            Room(10**9, 600_000, {"fal": 200_000}),
            {"youtube": 1, "blog": 1},
            "the cap of vendor fal has $0.20 left",
        ),
    ],
)
def test_caps_of_the_month_and_of_vendors_bind_the_plan_and_are_named(
    room: Room, planned: dict[str, int], which: str
) -> None:
    decision = plan(room=room)
    assert decision.evidence["planned"] == planned
    assert which in money_bounds(decision)[0]


def test_the_cap_of_a_niche_turns_the_plan_to_other_niches_and_says_so() -> None:
    best = str(ranking().sort_values("rank")["niche"].iloc[0])
    decision = plan(room=Room(10**9, 10**9, {}, {best: 299_999}))
    assert len(decision.pieces) == 5
    assert set(decision.pieces.query("kind == 'video'")["niche"]).isdisjoint({best})
    assert "the niche's cap has $0.30 left for the day" in bounds(decision)["niche budget"]
    nothing = plan(room=Room(10**9, 10**9, {}, {f"niche-{n}": 0 for n in range(9)}))
    assert nothing.pieces.empty
    assert "0 of 5 pieces, up to $1.30 less" in bounds(nothing)["products"]


RANKED = ranking()
PLATFORMS = ("youtube", "tiktok")


@given(
    day=st.integers(0, 2_000_000),
    month=st.integers(0, 2_000_000),
    fal=st.integers(0, 1_000_000),
    niche=st.integers(0, 900_000),
)
@settings(max_examples=20, deadline=None)
def test_no_plan_passes_any_cap(day: int, month: int, fal: int, niche: int) -> None:
    pieces = plan(RANKED, room=Room(day, month, {"fal": fal}, {"niche-1": niche})).pieces
    assert pieces["max_cost_micros"].sum() <= min(day, month)
    assert 200_000 * (pieces["kind"] == "video").sum() <= fal
    assert pieces.loc[pieces["niche"] == "niche-1", "max_cost_micros"].sum() <= niche


def test_past_posts_and_passed_hours_cost_slots() -> None:
    opens, closes = CALENDAR.posting_window(DAY)
    past = {"youtube:gearlab": [CALENDAR.at(DAY, time(14, 30))]}
    assert time(14) not in local(plan(past_posts=past).pieces, "video")
    late = plan(not_before=CALENDAR.at(DAY, time(19)))
    assert local(late.pieces, "video") == [time(20), time(21, 30)]
    assert "have passed" in bounds(late)["passed"]
    assert plan(not_before=closes).pieces.empty
    full = {"youtube:gearlab": [opens - timedelta(minutes=10 * n) for n in range(1, 11)]}
    assert "quota" in bounds(plan(past_posts=full))


def test_a_restricted_account_gets_nothing_and_a_niche_account_its_niche() -> None:
    restricted = [ACCOUNTS[0] | {"status": "restricted"}, ACCOUNTS[1]]
    decision = plan(accounts=restricted)
    assert set(decision.pieces["platform"]) == {"blog"}
    assert "no active account" in bounds(decision)["account"]
    bound_to = [ACCOUNTS[0] | {"niche": "niche-2"}, ACCOUNTS[1]]
    videos = plan(accounts=bound_to, slate={"youtube": 2, "blog": 2}).pieces.query("kind == 'video'")
    assert set(videos["niche"]) == {"niche-2"}


def test_an_account_that_is_held_is_left_out_and_the_plan_says_so_where_it_is_missed() -> None:
    held, other = ACCOUNTS[0] | {"status": "paused (a holiday)"}, ACCOUNTS[0] | {"account_id": "youtube:other"}
    alone = plan(accounts=[held, ACCOUNTS[1]])
    assert set(alone.pieces["platform"]) == {"blog"}
    assert bounds(alone)["account"] == (
        "0 of 4 on youtube: no active account takes them; youtube:gearlab is paused (a holiday)."
    )
    both = plan(accounts=[held, other, ACCOUNTS[1]])
    assert set(both.pieces["account_id"]) == {"youtube:other", "blog:gearlab"}
    assert not any("is paused" in reason for reason in bounds(both).values())  # the other one fills the slate
    many = plan(accounts=[held, other], slate={"youtube": 12})
    assert any("; youtube:gearlab is paused (a holiday)." in reason for reason in bounds(many).values())


def test_nothing_is_made_for_a_platform_that_cannot_be_posted_on() -> None:
    decision = plan(closed={"youtube": "EMPIRE_YOUTUBE_CLIENT_ID not set"})
    assert set(decision.pieces["platform"]) == {"blog"}
    assert bounds(decision)["closed"] == "0 of 4 on youtube: EMPIRE_YOUTUBE_CLIENT_ID not set."


def test_a_short_budget_shrinks_every_platform_alike_and_a_cap_says_what_bound() -> None:
    accounts = [ACCOUNTS[0] | {"account_id": f"{name}:a", "platform": name} for name in POLICY.full_slate]
    posting = {name: POLICY.posting(name) for name in POLICY.full_slate}
    whole = plan(ranking(assortment(niches=8, each=10)), accounts=accounts, slate=POLICY.full_slate, posting=posting)
    assert whole.evidence["planned"] == {"youtube": 10, "tiktok": 15, "instagram": 10, "blog": 10}
    assert "15 of 20 on tiktok: an account may post 15 in 24 hours" in bounds(whole)["quota"]
    half = plan(
        ranking(assortment(niches=8, each=10)),
        accounts=accounts,
        slate=POLICY.full_slate,
        posting=posting,
        room=Room(5_500_000, 10**9),
    ).evidence["planned"]
    assert all(0.35 <= half[name] / asked <= 0.5 for name, asked in POLICY.full_slate.items()), half


def live(posts: int | None, *, unseen: int = 0, until: float = 24) -> LiveLimit:
    opens, _ = CALENDAR.posting_window(DAY)
    return LiveLimit(posts, unseen, opens - timedelta(hours=1), opens + timedelta(hours=until), "the platform said so")


def test_what_a_platform_said_lowers_the_day_and_never_raises_it() -> None:
    lowered = plan(live={"youtube:gearlab": [live(3, unseen=1)]})
    assert lowered.evidence["planned"] == {"youtube": 2, "blog": 1}
    assert bounds(lowered)["live"] == (
        "2 of 4 on youtube: the platform lets its accounts post less now (the platform said so)."
    )
    assert plan(live={"youtube:gearlab": [live(100)]}).pieces.equals(plan().pieces)
    assert len(local(plan(slate={"youtube": 14}, live={"youtube:gearlab": [live(100)]}).pieces, "video")) == 10
    # Posts by hand count against policy's cap, too.
    assert (
        len(local(plan(slate={"youtube": 10}, live={"youtube:gearlab": [live(None, unseen=4)]}).pieces, "video")) == 6
    )


def test_an_account_that_is_full_until_an_hour_gets_the_slots_after_it() -> None:
    decision = plan(live={"youtube:gearlab": [live(0, until=12)]})  # 18:00
    assert local(decision.pieces, "video") == [time(18, 30), time(20), time(21, 30)]
    assert "live" in bounds(decision)


def test_one_accounts_limit_is_not_anothers() -> None:
    second = ACCOUNTS[0] | {"account_id": "youtube:homelab"}
    videos = plan(accounts=[*ACCOUNTS, second], live={"youtube:gearlab": [live(1)]}).pieces.query("kind == 'video'")
    assert Counter(videos["account_id"]) == {"youtube:gearlab": 1, "youtube:homelab": 3}


def test_two_accounts_take_turns_at_the_best_hours() -> None:
    second = ACCOUNTS[0] | {"account_id": "youtube:homelab"}
    videos = plan(accounts=[*ACCOUNTS, second]).pieces.query("kind == 'video'")
    assert Counter(videos["account_id"]) == {"youtube:gearlab": 2, "youtube:homelab": 2}
    assert local(videos, "video") == [time(14), time(14), time(17), time(17)]


NICHE = {"account_id": "youtube:niche", "platform": "youtube", "niche": "niche-0", "status": "active"}


def scarce(ranked: pd.DataFrame, left: dict[str, int]) -> pd.DataFrame:
    """The ranking with only so many usable products of some niches."""
    number = ranked.sort_values("rank").groupby("niche").cumcount()
    return ranked.assign(eligible=ranked["eligible"] & (number < ranked["niche"].map(left).fillna(len(ranked))))


def test_what_a_niche_account_cannot_fill_goes_to_another_one() -> None:
    ranked = scarce(ranking(), {"niche-0": 1})
    alone = plan(ranked, accounts=ACCOUNTS[:1], slate={"youtube": 6})
    decision = plan(ranked, accounts=[ACCOUNTS[0], NICHE], slate={"youtube": 6})
    assert len(alone.pieces) == len(decision.pieces) == 6
    made = decision.pieces.set_index("account_id")
    assert made.loc[["youtube:niche"], "niche"].tolist() == ["niche-0"]
    assert len(made.loc["youtube:gearlab"]) == 5
    assert bounds(decision)["account niche"] == (
        "youtube:niche got 1 of its 3 turns: it takes only niche-0, of which nothing more can be used."
    )
    assert "products" not in bounds(decision)


def test_a_product_that_only_one_account_may_use_is_left_to_it() -> None:
    best = str(ranking().sort_values("rank")["niche"].iloc[0])
    ranked = scarce(ranking(), {best: 1})
    tiktok = NICHE | {"account_id": "tiktok:niche", "platform": "tiktok", "niche": best}
    posting = {name: POLICY.posting(name) for name in ("youtube", "tiktok")}
    decision = plan(ranked, accounts=[ACCOUNTS[0], tiktok], slate={"youtube": 3, "tiktok": 1}, posting=posting)
    assert decision.evidence["planned"] == {"youtube": 3, "tiktok": 1}


def test_a_product_goes_where_nothing_else_would_do() -> None:
    """Two accounts are bound to a niche with one product: only the other one's platform has another account."""
    ranked = scarce(ranking(), {"niche-0": 1})
    tiktok = [
        NICHE | {"account_id": "tiktok:a", "platform": "tiktok"},
        NICHE | {"account_id": "tiktok:b", "platform": "tiktok", "niche": None},
    ]
    posting = {name: POLICY.posting(name) for name in PLATFORMS}
    decision = plan(ranked, accounts=[NICHE, *tiktok], slate={"youtube": 1, "tiktok": 2}, posting=posting)
    assert decision.evidence["planned"] == {"youtube": 1, "tiktok": 2}


def test_a_plan_says_truly_why_there_are_no_more_pieces() -> None:
    ranked = scarce(ranking(), {"niche-0": 1})
    decision = plan(ranked, accounts=[NICHE], slate={"youtube": 3})
    assert bounds(decision)["products"] == (
        "1 of 3 pieces, up to $0.60 less: the catalogue has 16 usable products in 4 niches; no account of youtube with "
        "a free slot takes niche-1 and niche-2 and niche-3."
    )
    full = plan(ranking(), accounts=[NICHE], slate={"youtube": 4})
    assert "of niche-0 the day has its 2 of 4 pieces" in bounds(full)["products"]


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_an_account_more_never_makes_a_piece_less(data: st.DataObject) -> None:
    names = [f"niche-{number}" for number in range(4)]
    ranked = scarce(RANKED, {niche: data.draw(st.integers(0, 3), label=niche) for niche in names})
    account = st.builds(
        lambda platform, niche: {"platform": platform, "niche": niche, "status": "active"},
        st.sampled_from(["youtube", "tiktok"]),
        st.sampled_from([None, *names]),
    )
    drawn = data.draw(st.lists(account, min_size=2, max_size=5))
    accounts = [each | {"account_id": f"{each['platform']}:{number}"} for number, each in enumerate(drawn)]
    added = data.draw(st.integers(0, len(accounts) - 1))
    common: dict[str, Any] = {
        "slate": {"youtube": data.draw(st.integers(1, 8)), "tiktok": data.draw(st.integers(0, 5))},
        "posting": {name: replace(POLICY.posting(name), limit=data.draw(st.integers(1, 5))) for name in PLATFORMS},
    }
    fewer = plan(ranked, accounts=accounts[:added] + accounts[added + 1 :], **common).pieces
    more = plan(ranked, accounts=accounts, **common).pieces
    assert len(more) >= len(fewer)
    assert more["product_id"].is_unique
    bound_to = {each["account_id"]: each["niche"] for each in accounts}
    assert all(bound_to[row.account_id] in (None, row.niche) for row in more.itertuples())
    assert not more.duplicated(["account_id", "slot_at"]).any()


def test_niche_weights_of_the_strategy_change_the_choice() -> None:
    heavy = STRATEGY | {"niche_weights": {"niche-0": 10.0}}
    assert Counter(plan(strategy=heavy).pieces["niche"])["niche-0"] == 2
    assert Counter(plan().pieces["niche"])["niche-0"] < 2


@pytest.mark.parametrize("weight", [0.8, 1.0])
def test_over_many_days_versions_and_arms_come_as_often_as_their_propensities_say(weight: float) -> None:
    weights = {"video": {"video/a@1": weight, "video/b@1": 1 - weight}, "post": {"post/a@1": 1.0}}
    strategy = STRATEGY | {"prompt_weights": weights}
    ranked = ranking()
    days = [plan(ranked, strategy=strategy, day=DAY + timedelta(days=n)).pieces for n in range(150)]
    videos = pd.concat(days).query("kind == 'video'")
    expected = 0.9 * weight + 0.05
    stated = videos.loc[videos["prompt_version"] == "video/a@1", "propensity"].unique()
    assert stated == pytest.approx([expected])
    assert (videos["prompt_version"] == "video/a@1").mean() == pytest.approx(expected, abs=0.02)
    assert (videos["arm"] == "explore").mean() == pytest.approx(0.1, abs=0.02)
    first_slots = videos[videos["slot_at"].dt.tz_convert(CALENDAR.zone).dt.hour == 14]
    assert (first_slots["prompt_version"] == "video/a@1").mean() == pytest.approx(expected, abs=0.06)


def test_even_weights_split_a_day_evenly_and_a_new_version_is_only_explored() -> None:
    for n in range(30):
        counts = Counter(plan(day=DAY + timedelta(days=n)).pieces.query("kind == 'video'")["prompt_version"])
        assert max(counts.values()) <= 3
    known = STRATEGY | {"prompt_weights": {"video": {"video/a@1": 1.0}, "post": {"post/a@1": 1.0}}}
    days = [plan(strategy=known, day=DAY + timedelta(days=n)).pieces for n in range(60)]
    new = pd.concat(days).query("prompt_version == 'video/b@1'")
    assert len(new) > 0
    assert set(new["arm"]) == {"explore"}


# As often as any other day those of 23 and of 25 hours, and the nights before them.
DAYS = st.dates(date(2026, 1, 1), date(2027, 12, 31)) | st.sampled_from(
    [date(2026, 3, 7), date(2026, 3, 8), date(2026, 10, 31), date(2026, 11, 1), date(2027, 3, 13), date(2027, 3, 14)]
)


@settings(max_examples=60, deadline=None)
@given(
    day=DAYS,
    wanted=st.integers(0, 14),
    limit=st.integers(1, 10),
    past_hours=st.lists(st.floats(-30, 30), max_size=6),
    platform=st.sampled_from(["youtube", "tiktok", "instagram", "blog"]),
)
def test_slots_never_break_window_spacing_or_quota(
    day: date, wanted: int, limit: int, past_hours: list[float], platform: str
) -> None:
    policy = POLICY.posting(platform)
    rule = replace(policy, limit=limit)
    opens, closes = CALENDAR.posting_window(day)
    past = [opens + timedelta(hours=hours) for hours in past_hours]
    choice = choose_slots(rule, day=day, calendar=CALENDAR, wanted=wanted, past=past)
    assert len(choice.slots) <= wanted
    assert (choice.bound == "") is (len(choice.slots) == wanted)
    everything = [*past, *choice.slots]
    for slot in choice.slots:
        assert opens <= slot < closes
        assert all(other is slot or abs(other - slot) >= rule.spacing for other in everything)
    out = outs(choice.slots, past, rule)
    assert all(at < slot + rule.tolerance for slot, at in out.items())
    for at in out.values():
        assert sum(at - rule.window < other <= at for other in [*past, *out.values()]) <= limit


def outs(slots: Sequence[datetime], past: Sequence[datetime], rule: PostingRule) -> dict[datetime, datetime]:
    """When posts go out that are tried every minute from their slots on, until no window with them in it overflows."""
    found: dict[datetime, datetime] = {}
    for slot in sorted(slots):
        for minute in range(24 * 60):
            at = found[slot] = slot + timedelta(minutes=minute)
            posts = [*past, *found.values()]
            ends = [end for end in posts if at <= end < at + rule.window]
            if all(sum(end - rule.window < post <= end for post in posts) <= rule.limit for end in ends):
                break
    return found


@pytest.mark.parametrize(("platform", "wanted"), [("instagram", 10), ("youtube", 10), ("blog", 10), ("tiktok", 15)])
def test_a_full_day_follows_a_full_day_whose_posts_went_out_after_their_slots(platform: str, wanted: int) -> None:
    rule = POLICY.posting(platform)
    past: list[datetime] = []
    for number in range(5):
        day = DAY + timedelta(days=number)
        choice = choose_slots(rule, day=day, calendar=CALENDAR, wanted=wanted, past=past)
        assert (len(choice.slots), choice.bound) == (wanted, "")
        past += [at + timedelta(minutes=3) for at in outs(choice.slots, past, rule).values()]


def test_a_slot_without_time_to_wait_for_its_room_is_not_planned() -> None:
    """The posts of a full account come a little later every day; one that would miss its slot is not made."""
    rule = POLICY.posting("instagram")
    slots = choose_slots(rule, day=DAY, calendar=CALENDAR, wanted=10).slots
    for minutes, planned in ((34, 10), (36, 9), (44, 9)):
        past = [slot - rule.window + timedelta(minutes=minutes) for slot in slots]
        choice = choose_slots(rule, day=DAY, calendar=CALENDAR, wanted=10, past=past)
        assert (len(choice.slots), choice.bound) == (planned, "" if planned == 10 else "quota")


@pytest.mark.parametrize("said", [False, True])
def test_windows_that_a_slot_is_not_in_are_not_its_business(said: bool) -> None:
    """Ten posts yesterday, and since this morning five are allowed: by the owner, or by the platform."""
    rule = POLICY.posting("instagram")
    yesterday = choose_slots(rule, day=DAY - timedelta(days=1), calendar=CALENDAR, wanted=10).slots
    word = [live(5, until=36)] if said else []
    lowered = rule if said else replace(rule, limit=5)
    choice = choose_slots(lowered, day=DAY, calendar=CALENDAR, wanted=10, past=yesterday, live=word)
    assert sorted(slot.astimezone(CALENDAR.zone).hour for slot in choice.slots) == [1, 3, 19, 21, 23]
    assert choice.bound == ("live" if said else "quota")


def test_a_post_to_come_waits_for_its_room_as_the_new_one_does() -> None:
    """It is in its slot, and goes out minutes later if the window asks for that: no reason to refuse another slot."""
    rule = replace(POLICY.posting("instagram"), limit=2, slots=(time(9),))
    nine, eleven = (CALENDAR.at(DAY, time(hour)) for hour in (9, 11))
    past = [eleven - rule.window + timedelta(minutes=3)]
    assert choose_slots(rule, day=DAY, calendar=CALENDAR, wanted=1, past=past, ahead=[eleven]).slots == (nine,)
    missed = [eleven - rule.window + rule.tolerance]
    assert choose_slots(rule, day=DAY, calendar=CALENDAR, wanted=1, past=missed, ahead=[eleven]).slots == ()


def test_a_slot_after_midnight_belongs_to_the_evening_before() -> None:
    rule = PostingRule(
        "q", 9, timedelta(hours=24), timedelta(minutes=5), timedelta(0), timedelta(minutes=4), (time(1, 30),)
    )
    [slot] = choose_slots(rule, day=DAY, calendar=CALENDAR, wanted=1).slots
    assert slot == datetime(2026, 11, 22, 6, 30, tzinfo=UTC)


def facts(description: str, **changes: Any) -> dict[str, str]:
    said = product("1", description=description, title="Canvas Daypack 2.5 L")
    wanted = ("title", "brand", "category", "price_micros", "currency", "description")
    arguments = {name: said[name] for name in wanted} | {"price_may_be_shown": True, "objections": forbidden_claims}
    return product_facts(**arguments | changes)


def test_facts_are_numbered_statements_and_leave_out_what_may_not_be_said() -> None:
    assert facts("It holds 2.5 L. We tested it for years! See www.shop.example. Two zip pockets") == {
        "F1": "Name: Canvas Daypack 2.5 L",
        "F2": "Category: Accessories > Bags",
        "F3": "Brand: Harbor",
        "F4": "Price: 49.99 USD",
        "F5": "It holds 2.5 L.",
        "F6": "Two zip pockets",
    }
    assert "Price" not in str(facts("A bag.", price_may_be_shown=False))
    assert len(facts(" ".join(f"Sentence number {n}." for n in range(40)))) == 12


def test_the_most_a_piece_may_cost_is_a_few_tens_of_cents() -> None:
    video, post = (piece_cost(kind, policy=POLICY, on=DAY).max_micros for kind in ("video", "post"))
    assert 50_000 < post < video < 500_000
    filmed = piece_cost("video", policy=POLICY, on=DAY, clips=2, clip_providers=["pika", "runway"])
    dearest = max(POLICY.clip_cost_micros(POLICY.model(name, DAY)) for name in ("pika", "runway"))
    assert filmed.max_micros == video + 2 * dearest
    assert filmed.by_vendor["fal"] == 2 * dearest
    assert sum(filmed.by_vendor.values()) == filmed.max_micros


def test_a_piece_stands_beside_the_original_plans_figure_with_the_reason() -> None:
    plan_micros = POLICY.original_plan.piece_micros
    cost = piece_cost("video", policy=POLICY, on=DAY, clips=1, clip_providers=["pika", "runway"])
    sentence = against_the_plan("video", cost, plan_micros)
    assert sentence.startswith("A video may cost up to $0.53 and should cost $0.27, within the $0.27 a piece of the")
    assert "clip $0.25 ($0.20), script $0.11 ($0.0024), voice $0.0960 ($0.0328), image $0.0763 ($0.03" in sentence
    assert 0.9 * plan_micros < cost.usual_micros <= plan_micros


# ---------------------------------------------------------------- niches on test
LAST = ["niche-3", "niche-4"]  # what the ranking would not choose
SUNK = {**STRATEGY, "niche_weights": dict.fromkeys(LAST, 0.01)}
FIVE = assortment(niches=5)


def niches(decision: PlanDecision) -> Counter[str]:
    return Counter(decision.pieces["niche"])


def test_each_niche_on_test_gets_a_piece_of_a_day_that_is_large_enough() -> None:
    assert not set(LAST) & set(niches(plan(ranking(FIVE), strategy=SUNK)))
    decision = plan(ranking(FIVE), strategy=SUNK, on_test=LAST, tested_from=4)
    assert [niches(decision)[niche] for niche in LAST] == [1, 1]
    assert len(decision.pieces) == 5
    assert decision.evidence["on_test"] == LAST
    told = [bound["reason"] for bound in decision.evidence["bounds"] if bound["cap"] == "test"]
    # Of two the better-ranked one goes first.
    assert sorted(told) == [
        f"A piece goes to {each}, on test this week, before better-ranked products." for each in LAST
    ]
    # The best hours stay with the best products.
    best = decision.pieces.loc[decision.pieces["slot_at"].dt.tz_convert(CALENDAR.zone).dt.hour == 14, "niche"]
    assert not set(best) & set(LAST)


def test_a_niche_that_the_ranking_chooses_anyway_takes_no_other_place() -> None:
    alone = plan()
    chosen = str(alone.pieces["niche"].iloc[0])
    decision = plan(on_test=[chosen], tested_from=4)
    assert decision.pieces.equals(alone.pieces)
    assert "test" not in bounds(decision)


def test_a_small_day_tests_nothing_and_says_so() -> None:
    decision = plan(ranking(FIVE), strategy=SUNK, slate={"youtube": 2, "blog": 1}, on_test=LAST, tested_from=4)
    assert not set(LAST) & set(niches(decision))
    assert bounds(decision)["test"] == (
        "No piece is sure for niche-3 and niche-4, on test this week: the day has 3 pieces, and tests begin at 4."
    )


def test_a_niche_on_test_without_a_usable_product_costs_the_day_nothing() -> None:
    decision = plan(on_test=["sold-out"], tested_from=4)
    assert decision.pieces.equals(plan().pieces)
    assert bounds(decision)["test"].startswith("No piece for sold-out")


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 8),
    st.integers(0, 3),
    st.lists(st.sampled_from([f"niche-{n}" for n in range(6)]), unique=True, max_size=3),
    st.sampled_from([None, "niche-0", "niche-3"]),
)
def test_a_test_never_breaks_a_cap_nor_leaves_a_slot_empty(
    videos: int, posts: int, on_test: list[str], account_niche: str | None
) -> None:
    accounts = [ACCOUNTS[0] | {"niche": account_niche}, ACCOUNTS[1]]
    common: dict[str, Any] = {"slate": {"youtube": videos, "blog": posts}, "accounts": accounts}
    decision, without = plan(on_test=on_test, tested_from=4, **common), plan(**common)
    total = len(decision.pieces)
    assert total == len(without.pieces) or account_niche is not None
    assert decision.pieces["product_id"].is_unique
    assert max(niches(decision).values(), default=0) <= max(
        1, total // 2, -(-(videos + posts) // 4), (videos + posts) // 2
    )
    if account_niche is None and total >= 4:
        assert {niche for niche in on_test if niche < "niche-4"} <= set(niches(decision))
