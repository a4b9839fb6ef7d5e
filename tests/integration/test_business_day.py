"""From a prepared ledger to the lake's frames, the lineage and tomorrow's strategy, on a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import func, select

from affiliate_empire.analytics.traffic import DUPLICATE
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.errors import BadInput, Misconfigured
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Account,
    Budget,
    Click,
    Link,
    Piece,
    Plan,
    PromptVersion,
    Publication,
    QuotaUse,
    Snapshot,
    Strategy,
)
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.decide_strategy import decide_strategy
from affiliate_empire.operations.export import (
    export_clicks,
    export_conversions,
    export_costs,
    export_performance,
    export_platform_metrics,
    export_publications,
)
from affiliate_empire.operations.outcomes import load_conversions, load_outcomes
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.operations.record_plan import DayNeverPlanned, load_plan, load_plan_evidence
from affiliate_empire.operations.trace_lineage import render_trace, trace_conversion, trace_prompt
from affiliate_empire.prompts import PromptTemplate, load_library
from tests.factories.business_day import CALENDAR, CAPS, BusinessDay
from tests.factories.catalog import DAY, assortment


@pytest.fixture
def business(ledger: Ledger, tmp_path: Path) -> BusinessDay:
    return BusinessDay(ledger, MediaStore(tmp_path / "media"))


@pytest.mark.parametrize("used", [True, False])
def test_a_full_day_follows_a_full_day_whose_posts_went_out_after_their_slots(
    business: BusinessDay, used: bool
) -> None:
    """Ten posts are allowed in 24 hours, and each went out three minutes late; of old posts only that is known."""
    prepare_ledger(ledger=business.ledger)
    slate, lots = {"instagram": 10}, assortment(niches=8, each=10)
    first = business.plan(business.offer(lots), slate=slate)
    assert len(first) == 10
    for piece_id in first["piece_id"]:
        business.publish(piece_id)
        with business.ledger.begin() as session:
            publication = session.scalars(select(Publication).where(Publication.piece_id == piece_id)).one()
            publication.published_at = late = publication.slot_at + timedelta(minutes=3)
            if used:
                account_id = publication.account_id
                session.add(
                    QuotaUse(effect_id=publication.effect_id, quota="instagram.posts", account_id=account_id, at=late)
                )
    tomorrow = replace(business, day=DAY + timedelta(days=1))
    assert len(tomorrow.plan(tomorrow.offer(lots), slate=slate)) == 10


def lived(business: BusinessDay) -> pd.DataFrame:
    """A day on which all was published; the first piece sold three times, once reversed, and one sale has no sub-id."""
    plan = business.prepared()
    codes = [business.publish(piece) for piece in plan["piece_id"]]
    for number, piece in enumerate(plan["piece_id"]):
        if plan["kind"][number] == "video":
            business.watch(piece, 1000 * (number + 1), hour=18)
            business.watch(piece, 2000 * (number + 1), hour=23)
    clicks = [business.click(codes[0], number) for number in range(10)]
    business.click(codes[0], 90, flags=("bot",))
    business.click(codes[1], 91, flags=("duplicate",))
    business.click(codes[1], 92, hour=25)
    business.click("unknowncod", 93)
    business.sell("1001.1", clicks[0], "4.21")
    business.sell("1001.2", clicks[1], "3.337")
    business.sell("1001.3", clicks[2], "5.00")
    business.sell("1001.3", clicks[2], "0", hour=26, Status="REVERSED")
    business.sell("1001.4", None, "2.00")
    return plan


# ---------------------------------------------------------------- preparing
def test_preparing_twice_adds_nothing_and_a_changed_text_is_refused(ledger: Ledger) -> None:
    first, again = prepare_ledger(ledger=ledger), prepare_ledger(ledger=ledger)
    assert (first.accounts, first.prompt_versions, first.strategies) == (4, len(load_library()), 1)
    assert (again.accounts, again.prompt_versions, again.strategies) == (0, 0, 0)
    with ledger.begin() as session:
        accounts = session.scalars(select(Account.account_id)).all()
        assert sorted(accounts) == ["blog:gearlab", "instagram:gearlab", "tiktok:gearlab", "youtube:gearlab"]
    old = load_library()[0]
    changed = PromptTemplate(old.prompt_version, old.kind, old.template + "!", "0" * 64, old.parent, old.summary)
    with pytest.raises(Misconfigured, match="next version number"):
        prepare_ledger(ledger=ledger, library=[changed])


# ---------------------------------------------------------------- the plan
def test_a_plan_is_decided_once_and_returned_as_it_was(business: BusinessDay) -> None:
    first = business.prepared()
    assert first["kind"].value_counts().to_dict() == {"video": 4, "post": 1}
    other_catalogue = business.offer().iloc[::-1].assign(score=1.0)
    again = business.plan(other_catalogue, hour=60.0, slate={"youtube": 1, "blog": 0}, seed=99)
    pd.testing.assert_frame_equal(first, again)
    with business.ledger.begin() as session:
        snapshot = session.scalars(select(Snapshot)).one()
        plan = session.scalars(select(Plan)).one()
    kept = pd.read_parquet(business.media.path(snapshot.sha256))
    assert len(kept) == snapshot.rows == 20
    assert plan.ranking_snapshot_id == snapshot.snapshot_id == first["ranking_snapshot_id"].iloc[0]
    assert load_plan_evidence(business.day, ledger=business.ledger)["planned"] == {"youtube": 4, "blog": 1}


def test_many_planners_at_once_make_one_plan(business: BusinessDay) -> None:
    prepare_ledger(ledger=business.ledger)
    ranked = business.offer()
    with ThreadPoolExecutor(4) as pool:
        plans = list(
            pool.map(lambda seed: BusinessDay(business.ledger, business.media, seed=seed).plan(ranked), range(4))
        )
    assert all(plan.equals(plans[0]) for plan in plans)
    with business.ledger.begin() as session:
        assert session.scalar(select(func.count()).select_from(Piece)) == 5


def test_a_day_whose_window_has_closed_is_not_planned_any_more(business: BusinessDay) -> None:
    prepare_ledger(ledger=business.ledger)
    with pytest.raises(DayNeverPlanned, match="posting window closed"):
        business.plan(business.offer(), hour=30.5)
    assert load_plan(business.day, ledger=business.ledger) is None


def test_an_unprepared_ledger_is_told_apart(business: BusinessDay) -> None:
    with pytest.raises(Misconfigured, match="no strategy yet"):
        business.plan(business.offer())


def test_what_the_budgets_have_left_shrinks_the_plan(business: BusinessDay) -> None:
    prepare_ledger(ledger=business.ledger)
    with business.ledger.begin() as session:
        session.add(Budget(scope=f"day:{DAY}", cap_micros=9_000_000, reserved_micros=100_000, spent_micros=600_000))
    # The cap as it is now counts, whatever it was when the money was set aside.
    plan = business.plan(business.offer(), caps=replace(CAPS, day_micros=1_250_000))
    assert plan["kind"].value_counts().to_dict() == {"video": 1, "post": 1}
    evidence = load_plan_evidence(DAY, ledger=business.ledger)
    assert evidence["budget_micros"] == 550_000
    assert [(bound["cap"], bound["platform"]) for bound in evidence["bounds"]] == [
        ("budget", "all"),
        ("budget", "youtube"),
    ]
    assert evidence["piece_cost"][1].startswith("A video may cost up to $0.28")


def test_a_cap_raised_after_money_was_spent_is_planned_with(business: BusinessDay) -> None:
    prepare_ledger(ledger=business.ledger)
    with business.ledger.begin() as session:
        session.add(Budget(scope=f"day:{DAY}", cap_micros=1_000_000, spent_micros=1_000_000))
    assert len(business.plan(business.offer(), caps=replace(CAPS, day_micros=14_000_000))) == 5


def test_a_cap_on_a_niche_that_no_product_has_is_refused(business: BusinessDay) -> None:
    prepare_ledger(ledger=business.ledger)
    ranked = business.offer()
    with pytest.raises(Misconfigured, match=r"names niche-77, which no product .* the niches are niche-0, "):
        business.plan(ranked, caps=replace(CAPS, niche_day_micros={"niche-77": 1}))
    plan = business.plan(ranked, caps=replace(CAPS, niche_day_micros={"niche-0": 0}))
    assert "niche-0" not in set(plan["niche"])


def test_slots_of_other_days_are_respected(business: BusinessDay) -> None:
    business.prepared()
    tomorrow = BusinessDay(business.ledger, business.media, day=DAY + timedelta(days=1))
    plan = tomorrow.plan(tomorrow.offer(), slate={"youtube": 10, "blog": 0})
    with business.ledger.begin() as session:
        slots = sorted(session.scalars(select(Piece.slot_at).where(Piece.account_id == "youtube:gearlab")))
    assert len(plan) > 0
    assert max(sum(end - timedelta(hours=24) < slot <= end for slot in slots) for end in slots) <= 10


# ---------------------------------------------------------------- the lake's frames
def test_the_days_frames_hold_what_happened_on_it(business: BusinessDay) -> None:
    plan = lived(business)
    ledger, on = business.ledger, {"ledger": business.ledger, "calendar": CALENDAR}
    assert len(export_publications(DAY, ledger=ledger)) == 5
    assert len(export_publications(DAY, ledger=ledger, platform="blog")) == 1
    clicks = export_clicks(DAY, **on)
    assert (len(clicks), int(clicks["human"].sum()), int(clicks["duplicate"].sum())) == (13, 12, 1)
    assert clicks["piece_id"].isna().sum() == 1
    assert len(export_clicks(DAY + timedelta(days=1), **on)) == 1
    conversions = export_conversions(DAY, **on)
    assert len(conversions) == 4
    assert conversions["commission_change_micros"].sum() == 4_210_000 + 3_337_000 + 5_000_000 + 2_000_000
    late = export_conversions(DAY + timedelta(days=1), **on)
    assert late[["state", "commission_micros", "commission_change_micros"]].values.tolist() == [
        ["reversed", 0, -5_000_000]
    ]
    hosting = {"hosting": {DAY: Decimal(30)}, "ended": {DAY - timedelta(days=9): Decimal(9), DAY: Decimal(0)}}
    costs = export_costs(DAY, ledger=ledger, fixed_costs=hosting)
    assert costs["cost_micros"].sum() == 5 * (9_500 + 40_000) + 1_000_000
    assert costs.loc[costs["state"] == "fixed", ["vendor", "piece_id"]].fillna("").values.tolist() == [["hosting", ""]]
    metrics = export_platform_metrics(DAY, **on)
    assert len(metrics) == 8
    assert set(metrics["publication_id"]) <= set(export_publications(DAY, ledger=ledger)["publication_id"])
    assert set(clicks["piece_id"].dropna()) <= set(plan["piece_id"])


def test_frames_of_a_day_without_events_keep_their_columns(business: BusinessDay) -> None:
    on: dict[str, Any] = {"ledger": business.ledger, "calendar": CALENDAR}
    for frame in (
        export_publications(DAY, ledger=business.ledger),
        export_platform_metrics(DAY, **on),
        export_clicks(DAY, **on),
        export_conversions(DAY, **on),
        export_costs(DAY, ledger=business.ledger, fixed_costs={}),
    ):
        assert frame.empty
        assert len(frame.columns) > 6
        assert all(str(frame[name].dtype).endswith("UTC]") for name in frame.columns if name.endswith("_at"))


def test_outcomes_meet_at_the_piece_and_forget_what_came_later(business: BusinessDay) -> None:
    plan = lived(business)
    for state, micros in (("lost", 700), ("refused", 30)):
        business.spend(plan["piece_id"][0], "openai", "draw_still", micros, state=state)
    with business.ledger.begin() as session:
        now = load_outcomes(session, as_of=business.at(30), first_day=DAY, last_day=DAY)
        evening = load_outcomes(session, as_of=business.at(20), first_day=DAY, last_day=DAY)
        before_reversal = load_outcomes(session, as_of=business.at(24), first_day=DAY, last_day=DAY)
        unattributed = load_conversions(session, as_of=business.at(30)).query("piece_id.isna()")
        night = load_outcomes(session, as_of=business.at(3), first_day=DAY, last_day=DAY)
    first = now.set_index("piece_id").loc[plan["piece_id"][0]]
    assert (first["hits"], first["clicks"], first["conversions"], first["reversals"]) == (11, 10, 2, 1)
    assert first["unique_clicks"] == 10  # none is judged as another's repeat
    with business.ledger.begin() as session:
        again = session.scalars(select(Click).where(Click.flags == [])).first()
        again.flags = [DUPLICATE]
        piece = session.scalars(select(Link.piece_id).where(Link.code == again.code)).one()
    with business.ledger.begin() as session:
        repeated = load_outcomes(session, as_of=business.at(30), first_day=DAY, last_day=DAY).set_index("piece_id")
    was = now.set_index("piece_id").loc[piece]
    assert tuple(repeated.loc[piece, ["hits", "clicks", "unique_clicks"]]) == (
        was["hits"], was["clicks"], was["unique_clicks"] - 1,
    )  # fmt: skip
    assert (first["commission_micros"], first["cost_micros"]) == (7_547_000, 49_500 + 700 + 30)
    assert night["cost_micros"].sum() == 0  # all was settled at three, which is not before three
    assert evening["cost_micros"].sum() == now["cost_micros"].sum() == 5 * 49_500 + 730
    assert now["views"].max() == 2000 * (1 + now.index[now["kind"] == "video"].max())
    assert before_reversal["commission_micros"].sum() == 12_547_000
    assert evening["commission_micros"].sum() == evening["clicks"].sum() == 0
    assert evening["views"].max() == now["views"].max() // 2
    assert evening["published_at"].notna().sum() == 5
    assert unattributed["commission_micros"].tolist() == [2_000_000]


def test_performance_is_what_was_known_before_the_day(business: BusinessDay) -> None:
    lived(business)
    on: dict[str, Any] = {"ledger": business.ledger, "calendar": CALENDAR}
    assert export_performance(DAY, **on).empty
    tomorrow = export_performance(DAY + timedelta(days=1), **on)
    assert len(tomorrow) == 5
    assert tomorrow["earned_micros"].sum() == 12_547_000  # the reversal came after midnight
    assert set(tomorrow["last_piece_day"]) == {DAY}


# ---------------------------------------------------------------- lineage
def test_lineage_agrees_both_ways_to_the_micro(business: BusinessDay) -> None:
    lived(business)
    ledger = business.ledger
    back = {number: trace_conversion(f"1001.{number}", ledger=ledger) for number in (1, 2, 3)}
    versions = {trace["prompt_version"] for trace in back.values()}
    assert len(versions) == 1
    forward = trace_prompt(versions.pop(), ledger=ledger)
    assert sum(trace["commission_micros"] for trace in back.values()) == forward["commission_micros"] == 7_547_000
    assert sum(row["commission_micros"] for row in forward["conversions"]) == forward["commission_micros"]
    assert back[3]["state"] == "reversed"
    assert [event["kind"] for event in back[3]["events"]] == ["pending", "reversed"]
    assert back[1]["cost_micros"] == 49_500
    assert back[1]["script"]["model"] == "gpt-6.1-terra"
    everything = 0
    with ledger.begin() as session:
        known = session.scalars(select(PromptVersion.prompt_version)).all()
    for version in known:
        everything += trace_prompt(version, ledger=ledger)["commission_micros"]
    with ledger.begin() as session:
        standing = load_conversions(session, as_of=business.at(99))
    unattributed = standing.loc[standing["piece_id"].isna(), "commission_micros"].sum()
    assert everything + unattributed == standing["commission_micros"].sum() == 9_547_000


def test_traces_read_well_and_unknown_ids_are_told(business: BusinessDay) -> None:
    lived(business)
    ledger = business.ledger
    text = render_trace(trace_conversion("impact:1001.1", ledger=ledger), label="SIMULATED")
    for part in ("SIMULATED", "$4.21", "click", "/r/", "gpt-6.1-terra", "prices of 2026-11-22", "propensity"):
        assert part in text
    orphan = trace_conversion("1001.4", ledger=ledger)
    assert not orphan["attributed"]
    assert orphan["commission_micros"] == 2_000_000
    assert "unattributed: it came without a sub-id" in render_trace(orphan, label="SIMULATED")
    version = trace_conversion("1001.1", ledger=ledger)["prompt_version"]
    assert "$7.55 earned" in render_trace(trace_prompt(version, ledger=ledger), label="SIMULATED")
    with pytest.raises(BadInput, match="no conversion"):
        trace_conversion("7", ledger=ledger)
    with pytest.raises(BadInput, match="say one of post/"):
        trace_prompt("all", ledger=ledger)


# ---------------------------------------------------------------- the strategy
def test_the_evening_decides_once_and_only_on_what_it_could_know(business: BusinessDay) -> None:
    lived(business)
    on: dict[str, Any] = {"ledger": business.ledger, "calendar": CALENDAR}
    first = decide_strategy(DAY, clock=FixedClock(business.at(23)), seed=7, **on)
    assert first.version == 2
    assert first.in_force_from == CALENDAR.midnight(DAY + timedelta(days=1))
    assert first.evidence["conversions"] == 3
    assert first.evidence["commission_micros"] == 12_547_000
    assert {"prompt", "niche", "platform"} == set(first.decisions["subject"])
    for kind in ("video", "post"):
        assert sum(first.content["prompt_weights"][kind].values()) == pytest.approx(1)
    again = decide_strategy(DAY, clock=FixedClock(business.at(90)), seed=8, **on)
    assert (again.strategy_id, again.sha256, again.reasons) == (first.strategy_id, first.sha256, first.reasons)
    assert again.decisions.equals(first.decisions)
    with business.ledger.begin() as session:
        assert session.scalar(select(func.count()).select_from(Strategy)) == 2


def test_tomorrow_uses_what_tonight_decided_and_today_does_not(business: BusinessDay) -> None:
    today = lived(business)
    on: dict[str, Any] = {"ledger": business.ledger, "calendar": CALENDAR}
    decided = decide_strategy(DAY, clock=FixedClock(business.at(21)), seed=7, **on)
    tomorrow = BusinessDay(business.ledger, business.media, day=DAY + timedelta(days=1))
    plan = tomorrow.plan(tomorrow.offer())
    assert set(plan["strategy_id"]) == {decided.strategy_id}
    assert decided.strategy_id not in set(today["strategy_id"])
