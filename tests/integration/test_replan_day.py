"""A re-plan takes out what an account can no longer post, and nothing that is begun, near, or another platform's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import select

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Effect, Piece, Plan
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.operations.record_plan import load_plan_evidence
from affiliate_empire.operations.replan_day import replan_day
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants, Vault, open_master_keys
from assets.intelligence import Replanning, content_plan
from tests.factories.business_day import CALENDAR, CAPS, POLICY, SLATE, BusinessDay
from tests.factories.catalog import DAY

GONE, LEFT = "youtube:gearlab", "youtube:second"
CAUSE = f"restricted:{GONE}:{DAY}"


@pytest.fixture
def business(ledger: Ledger, tmp_path: Path) -> BusinessDay:
    return BusinessDay(ledger, MediaStore(tmp_path / "media"))


def planned(business: BusinessDay) -> pd.DataFrame:
    """A day planned on one channel and the blog; then there is a second channel, and the first is restricted."""
    plan = business.prepared()
    with business.ledger.begin() as session:
        gone = session.get_one(Account, GONE)
        session.add(
            Account(
                account_id=LEFT,
                platform="youtube",
                handle="second",
                display_name="Second",
                niche=None,
                status="active",
            )
        )
        gone.status = "restricted"
    return plan


def replan(business: BusinessDay, *, hour: float, cause: str = CAUSE, **changes: Any) -> pd.DataFrame:
    arguments: dict[str, Any] = {"slate": SLATE, "caps": CAPS, "seed": business.seed}
    return replan_day(
        business.day,
        business.offer(),
        cause=cause,
        account_id=GONE,
        ledger=business.ledger,
        clock=FixedClock(business.at(hour)),
        media=business.media,
        policy=POLICY,
        calendar=CALENDAR,
        **arguments | changes,
    )


def of(frame: pd.DataFrame, account: str) -> list[str]:
    hours = frame.loc[frame["account_id"] == account, "slot_at"].dt.tz_convert(CALENDAR.zone)
    return list(hours.dt.strftime("%H:%M"))


def statuses(business: BusinessDay) -> dict[str, str]:
    with business.ledger.begin() as session:
        return {piece.piece_id: piece.status for piece in session.scalars(select(Piece))}


def test_the_slots_that_are_left_go_to_the_account_that_may_still_post(business: BusinessDay) -> None:
    first = planned(business)
    assert of(first, GONE) == ["11:00", "14:00", "17:00", "20:00"]
    new = replan(business, hour=13.5)
    assert of(new, GONE) == ["11:00", "14:00"]  # past, and half an hour ahead
    assert of(new, LEFT) == ["17:00", "20:00"]
    assert of(new, "blog:gearlab") == of(first, "blog:gearlab")
    # New content: other pieces, and other products than the day has already.
    added = new[new["account_id"] == LEFT]
    assert not set(added["piece_id"]) & set(first["piece_id"])
    assert new["product_id"].is_unique
    taken_out = [piece for piece, status in statuses(business).items() if status == "superseded"]
    evidence = load_plan_evidence(DAY, ledger=business.ledger)
    assert evidence["replanned"]["cause"] == CAUSE
    assert sorted(evidence["replanned"]["superseded"]) == sorted(taken_out)
    assert (evidence["asked"], evidence["planned"]) == ({"youtube": 4, "blog": 1}, {"youtube": 4, "blog": 1})


def test_a_cause_is_acted_on_once_and_materializing_changes_nothing(business: BusinessDay) -> None:
    planned(business)
    once = replan(business, hour=9)
    before = statuses(business)
    pd.testing.assert_frame_equal(once, replan(business, hour=12))
    pd.testing.assert_frame_equal(once, business.plan(business.offer(), hour=12))
    assert statuses(business) == before
    with business.ledger.begin() as session:
        assert [plan.revision for plan in session.scalars(select(Plan).order_by(Plan.revision))] == [1, 2]


def test_what_is_posted_or_begun_stays(business: BusinessDay) -> None:
    first = planned(business)
    mine = first.loc[first["account_id"] == GONE, "piece_id"].tolist()
    business.publish(mine[1])
    business.spend(mine[2], "youtube", "publish", 0, state="unknown")
    new = replan(business, hour=9)
    assert of(new, GONE) == ["14:00", "17:00"]
    assert len(of(new, LEFT)) == 2


def test_without_another_account_the_pieces_are_taken_out_and_the_plan_says_so(business: BusinessDay) -> None:
    planned(business)
    with business.ledger.begin() as session:
        session.get_one(Account, LEFT).status = "restricted"
    new = replan(business, hour=9)
    assert set(new["platform"]) == {"blog"}
    said = [bound["reason"] for bound in load_plan_evidence(DAY, ledger=business.ledger)["bounds"]]
    why = "youtube:gearlab is restricted; youtube:second is restricted"
    assert f"0 of 4 on youtube: no active account takes them; {why}." in said


def test_what_the_pieces_that_stay_may_cost_is_not_spent_on_new_ones(business: BusinessDay) -> None:
    first = planned(business)
    video = int(first.loc[first["kind"] == "video", "max_cost_micros"].iloc[0])
    post = int(first.loc[first["kind"] == "post", "max_cost_micros"].iloc[0])
    short = replace(CAPS, day_micros=post + 2 * video - 1)
    assert len(of(replan(business, hour=5, caps=short), LEFT)) == 1


def test_a_day_that_is_over_and_one_never_planned(business: BusinessDay) -> None:
    first = planned(business)
    pd.testing.assert_frame_equal(first, replan(business, hour=31))
    with business.ledger.begin() as session:
        assert session.scalars(select(Effect)).all() == []


def test_a_day_without_a_plan_is_planned(business: BusinessDay) -> None:
    prepare_ledger(ledger=business.ledger)
    with business.ledger.begin() as session:
        session.get_one(Account, GONE).status = "restricted"
    new = replan_day(
        business.day,
        business.offer(),
        cause=CAUSE,
        account_id=GONE,
        ledger=business.ledger,
        clock=FixedClock(business.at(2)),
        media=business.media,
        policy=POLICY,
        calendar=CALENDAR,
        slate=SLATE,
        caps=CAPS,
        seed=7,
    )
    assert set(new["platform"]) == {"blog"}


def test_a_run_of_the_plan_that_names_the_cause_plans_anew_and_one_without_does_not(business: BusinessDay) -> None:
    first = planned(business)
    home, clock = business.media.root.parent, FixedClock(business.at(9))
    master_keys = open_master_keys(home, None)
    grants = Grants(Vault(business.ledger, lambda: master_keys), given=lambda _: None, clock=clock)

    def materialized(config: Replanning) -> pd.DataFrame:
        output: Any = content_plan(
            dg.build_asset_context(partition_key=str(DAY)),
            config,
            {str(DAY): business.offer()},
            ledger=business.ledger,
            clock=clock,
            media=business.media,
            policy=POLICY,
            grants=grants,
            settings=Settings(_env_file=None, home=home),  # type: ignore[call-arg]
        )
        frame: pd.DataFrame = output.value[str(DAY)]
        return frame

    pd.testing.assert_frame_equal(materialized(Replanning()), first)
    new = materialized(Replanning(cause=CAUSE, account_id=GONE))
    assert of(new, GONE) == []
    assert len(of(new, LEFT)) == 2  # the slate by default
