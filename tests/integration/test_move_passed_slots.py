"""What a stopped process has missed comes neither late nor in a burst: it takes another slot of its day, or none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from affiliate_empire.effects import State
from affiliate_empire.kernel.clock import BusinessCalendar, FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, AccountLimit, Artifact, Effect, Piece, Publication, QuotaUse
from affiliate_empire.operations.errors import SlotPassed
from affiliate_empire.operations.find_due_posts import find_due_posts
from affiliate_empire.operations.move_passed_slots import move_passed_slots
from affiliate_empire.policy import load_policy
from tests.factories.publishing import DAY, SLOT, Business, add_post, after, open_business
from tests.factories.worlds import RunningWorld

CALENDAR = BusinessCalendar()
RULE = load_policy().posting("blog")
SLOTS = ["09:00", "10:30", "12:00", "13:30", "15:00", "16:30"]


@pytest.fixture
def business(ledger: Ledger, tmp_path: Path) -> Iterator[Business]:
    """A business without a world: nothing is posted."""
    business = open_business(ledger, "http://127.0.0.1:1", tmp_path)
    yield business
    business.close()


def at(clock: str) -> datetime:
    """A local time of the day."""
    return CALENDAR.at(DAY, datetime.strptime(clock, "%H:%M").time())  # noqa: DTZ007 (a local time)


def move(business: Business, now: datetime) -> list[str]:
    return move_passed_slots(ledger=business.ledger, clock=FixedClock(now), policy=load_policy(), calendar=CALENDAR)


def post(business: Business, slot: str, **changes: Any) -> str:
    name = add_post(business, piece_id=f"pc_post_{slot.replace(':', '')}", slot_at=at(slot))
    with business.ledger.begin() as session:
        for field, value in changes.items():
            setattr(session.get_one(Piece, name), field, value)
    return name


def now_at(business: Business, *names: str) -> list[str]:
    """By piece, its local slot, or what became of it."""
    with business.ledger.begin() as session:
        pieces = [session.get_one(Piece, name) for name in names]
        return [
            f"{piece.slot_at.astimezone(CALENDAR.zone):%H:%M}" if piece.status == "planned" else piece.status
            for piece in pieces
        ]


def test_six_hours_of_downtime_end_in_no_burst(ledger: Ledger, tmp_path: Path) -> None:
    world = RunningWorld(tmp_path)
    business = open_business(ledger, world.url, tmp_path)

    def look() -> None:
        """What the sensor and its run do."""
        move_passed_slots(ledger=ledger, clock=business.clock, policy=load_policy(), calendar=CALENDAR)
        found = find_due_posts(ledger=ledger, clock=business.clock, policy=load_policy(), calendar=CALENDAR)
        for piece in [piece for posts in found for piece in posts.pieces]:
            business.publish(piece)

    names = [post(business, slot) for slot in SLOTS]
    for clock in ("09:00", "16:00", "16:30", "17:00", "18:00", "19:30", "21:00"):
        world.move_to(at(clock))
        look()
    posted = sorted(datetime.fromisoformat(each["public_at"]) for each in world.witness("posts"))
    assert posted == [at("09:00"), at("16:30"), at("18:00"), at("19:30")]
    assert all(later - earlier >= RULE.spacing for earlier, later in pairwise(posted))
    assert now_at(business, *names) == ["09:00", "18:00", "19:30", "expired", "expired", "16:30"]
    with ledger.begin() as session:
        moved, lost = session.get_one(Piece, names[1]), session.get_one(Piece, names[3])
        assert moved.reason == "its slot at Fri 10:30 passed without a post: moved to Fri 18:00"
        assert moved.planned_slot_at == at("10:30")
        assert lost.reason == ("its slot at Fri 13:30 passed without a post, and no free slot is left before Sat 06:00")
    business.close()
    world.stop()


def test_a_little_late_is_on_time_and_later_is_not_posted(business: Business) -> None:
    name = add_post(business)
    late = SLOT + RULE.tolerance
    assert move(business, late - timedelta(seconds=1)) == []
    business.clock.now = FixedClock(late).now  # type: ignore[method-assign]
    with pytest.raises(SlotPassed, match="gives it a free slot of its day, or none"):
        business.publish(name)
    assert len(move(business, late)) == 1
    assert now_at(business, name) == ["10:30"]
    assert move(business, late) == []


def test_what_should_earn_most_chooses_first_unless_another_has_waited_long(business: Business) -> None:
    poor, rich = post(business, "12:00", expected_profit_micros=1), post(business, "13:30", expected_profit_micros=9)
    old = post(business, "15:00", planned_slot_at=at("07:00"), expected_profit_micros=0)
    move(business, at("16:00"))
    assert now_at(business, old, rich, poor) == ["16:30", "18:00", "19:30"]


def test_what_is_not_finished_or_not_approved_chooses_last(business: Business) -> None:
    ready, waits = post(business, "12:00"), post(business, "13:30", expected_profit_micros=9)
    with business.ledger.begin() as session:
        session.delete(session.get_one(Artifact, (waits, "post", "")))
    move(business, at("17:00"))
    assert now_at(business, ready, waits) == ["18:00", "19:30"]


def test_what_its_platform_says_leaves_fewer_slots(business: Business) -> None:
    first, second = post(business, "12:00", expected_profit_micros=2), post(business, "13:30")
    with business.ledger.begin() as session:
        session.add(
            AccountLimit(
                account_id="blog:gearlab", quota=RULE.quota, signal="test", posts=1, unseen=0, longest_seconds=None,
                reason="once a day", observed_at=at("12:00"), holds_until=at("12:00") + RULE.window,
            )
        )  # fmt: skip
    move(business, at("17:00"))
    assert now_at(business, first, second) == ["18:00", "expired"]


def test_a_full_yesterday_leaves_the_room_that_there_is(business: Business) -> None:
    """Ten posts yesterday, and now its platform allows five: at 13:30 four of those ten are in the window still."""
    with business.ledger.begin() as session:
        session.add(
            AccountLimit(
                account_id="blog:gearlab", quota=RULE.quota, signal="test", posts=5, unseen=0, longest_seconds=None,
                reason="five a day", observed_at=at("06:00"), holds_until=at("06:00") + RULE.window,
            )
        )  # fmt: skip
    for local in RULE.slots:
        posted_yesterday(business, CALENDAR.at(DAY - timedelta(days=1), local))
    name = post(business, "12:00")
    move(business, at("13:00"))
    assert now_at(business, name) == ["13:30"]


def posted_yesterday(business: Business, slot: datetime) -> None:
    """A post that went out three minutes after its slot."""
    name, late = add_post(business, piece_id=f"pc_{slot:%H%M}", slot_at=slot), slot + timedelta(minutes=3)
    with business.ledger.begin() as session:
        session.get_one(Piece, name).day = DAY - timedelta(days=1)
        session.add(effect(name, State.SETTLED))
        session.flush()
        session.add(QuotaUse(effect_id=f"ef_{name}", quota=RULE.quota, account_id="blog:gearlab", at=late))
        session.add(
            Publication(
                publication_id=f"pb_{name}", piece_id=name, account_id="blog:gearlab", platform="blog",
                day=DAY - timedelta(days=1), effect_id=f"ef_{name}", remote_id=name, url="u", title="t",
                description="d", disclosures={}, slot_at=slot, published_at=late,
            )
        )  # fmt: skip


def effect(piece: str, state: State, **more: Any) -> Effect:
    return Effect(
        effect_id=f"ef_{piece}", key=f"post:{piece}:blog:gearlab", kind="at_most_once", vendor="blog",
        operation="publish", fingerprint="f", state=state, day=DAY, piece_id=piece, account_id="blog:gearlab",
        max_cost_micros=0, claims=1, epoch=1, **more,
    )  # fmt: skip


def test_what_may_be_out_or_was_refused_is_never_moved(business: Business) -> None:
    """A second package might be a second post, and another slot makes nothing acceptable."""
    begun, handed, refused, expired = (post(business, slot) for slot in ("09:00", "10:30", "12:00", "13:30"))
    with business.ledger.begin() as session:
        session.add_all(
            [
                effect(begun, State.UNKNOWN, handle={"path": "p"}, sent_at=at("09:00")),
                effect(handed, State.EXPIRED, sent_at=at("10:30")),
                effect(refused, State.REFUSED, error="It breaks a rule.", result={"refused": "content"}),
                effect(expired, State.EXPIRED),
            ]
        )
        full = post(business, "07:30")
        session.add(effect(full, State.REFUSED, error="full", result={"refused": "quota"}))
    move(business, at("15:30"))
    assert now_at(business, begun, handed, refused, expired) == ["09:00", "expired", "expired", "18:00"]
    assert now_at(business, full) == ["16:30"]
    with business.ledger.begin() as session:
        assert "was handed over before and may still go out" in str(session.get_one(Piece, handed).reason)
        assert str(session.get_one(Piece, refused).reason).endswith("and it was refused (It breaks a rule)")


def test_a_closed_day_says_why_and_the_next_is_left_alone(business: Business) -> None:
    name = add_post(business)
    assert len(move(business, CALENDAR.posting_window(DAY)[1])) == 1
    assert now_at(business, name) == ["expired"]
    assert move(business, after(10**5)) == []


def test_nothing_moves_to_another_account(business: Business) -> None:
    with business.ledger.begin() as session:
        session.add(Account(account_id="blog:second", platform="blog", handle="second", display_name="Second"))
    name = post(business, "19:30")
    move(business, at("21:00"))
    assert now_at(business, name) == ["expired"]
    with business.ledger.begin() as session:
        assert set(session.scalars(select(Piece.account_id))) == {"blog:gearlab"}
