"""What platforms say of an account lowers its cap, and until it may have changed nobody asks again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from affiliate_empire.effects import QuotaRefused, State
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, AccountLimit, Effect, Piece, QuotaUse
from affiliate_empire.operations.account_limits import SeenLimit, keep_refusal, keep_seen
from affiliate_empire.operations.find_due_posts import find_due_posts
from affiliate_empire.operations.move_passed_slots import move_passed_slots
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.errors import QuotaExhausted
from tests.factories.publishing import DAY, SLOT, Business, add_post, add_video, after, open_business
from tests.factories.worlds import RunningWorld, write_video

POLICY = load_policy()
SESSION = "POST /youtube/upload/youtube/v3/videos"
HAND = {"instagram": SANDBOX_KEYS["instagram_user_id"]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    yield world
    world.stop()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    yield business
    business.close()


def video(business: Business, tmp_path: Path, number: int, **changes: Any) -> str:
    file = write_video(tmp_path / f"{number}.mp4", seed=number, seconds=4, size=(360, 640), rate=24, index_first=True)
    return add_video(business, file, piece_id=f"pc_{number}", **changes)


def limits(business: Business) -> list[AccountLimit]:
    with business.ledger.begin() as session:
        return list(session.scalars(select(AccountLimit).order_by(AccountLimit.account_id, AccountLimit.signal)))


def due(business: Business) -> list[str]:
    found = find_due_posts(ledger=business.ledger, clock=business.clock, policy=POLICY, calendar=BusinessCalendar())
    return [piece for posts in found for piece in posts.pieces]


def refused(reason: str) -> dict[str, Any]:
    body = {"error": {"code": 403, "message": "no", "errors": [{"reason": reason, "domain": "youtube.quota"}]}}
    return {"status": 403, "body": body}


@pytest.mark.parametrize(
    ("reason", "opens"),
    [
        ("uploadLimitExceeded", datetime(2026, 11, 21, 14, 0, tzinfo=UTC)),  # 24 hours on
        ("quotaExceeded", datetime(2026, 11, 21, 8, 0, tzinfo=UTC)),  # midnight in California
    ],
)
def test_a_full_channel_is_not_asked_again_before_its_time(
    world: RunningWorld, business: Business, tmp_path: Path, reason: str, opens: datetime
) -> None:
    piece = video(business, tmp_path, 1)
    assert due(business) == [piece]
    world.fault(SESSION, times=9, **refused(reason))
    with pytest.raises(QuotaExhausted):
        business.publish(piece)
    (limit,) = limits(business)
    assert (limit.signal, limit.posts, limit.holds_until) == (reason, 0, opens)
    assert due(business) == []
    with pytest.raises(QuotaRefused, match="has room at 2026-11-21") as full:
        business.publish(piece)
    assert full.value.frees_at == opens
    assert world.fault_hits() == 1  # nothing was asked a second time
    assert world.witness("posts") == []


def test_the_projects_quota_is_that_of_every_channel_and_a_channels_limit_is_its_own(business: Business) -> None:
    with business.ledger.begin() as session:
        session.add(Account(account_id="youtube:second", platform="youtube", handle="second", display_name="Second"))
    for code, of_client in (("uploadLimitExceeded", False), ("quotaExceeded", True)):
        error = QuotaExhausted("full.", vendor="youtube", code=code, resets_at=after(60), of_client=of_client)
        keep_refusal("youtube:gearlab", error, ledger=business.ledger, at=SLOT, policy=POLICY)
    assert [(limit.account_id, limit.signal) for limit in limits(business)] == [
        ("youtube:gearlab", "quotaExceeded"),
        ("youtube:gearlab", "uploadLimitExceeded"),
        ("youtube:second", "quotaExceeded"),
    ]


def test_posts_that_instagram_counts_and_we_do_not_take_part_of_the_window(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    """The account may post twice a day; one post is made by hand before ours."""
    world.put_account("instagram", HAND["instagram"], posts_per_day=2)
    first, second = (video(business, tmp_path, n, platform="instagram", slot_at=after(300 * n)) for n in (1, 2))
    world.move_to(after(60))
    by_hand(business, tmp_path)
    world.move_to(after(300))
    business.publish(first)
    (limit,) = limits(business)
    assert (limit.signal, limit.posts, limit.unseen) == ("content_publishing_limit", 2, 1)
    world.move_to(after(600))
    with pytest.raises(QuotaRefused, match="1 of them not by us"):
        business.publish(second)
    assert due(business) == []
    assert len(world.witness("posts")) == 2
    # Room appears when the hand's post has certainly left the window; by then the day is over.
    assert limits(business)[0].holds_until == after(300) + timedelta(hours=24)


def by_hand(business: Business, tmp_path: Path) -> None:
    from affiliate_empire.vendors.instagram import Reel

    path = write_video(tmp_path / "hand.mp4", seed=9, seconds=4, size=(360, 640), rate=24, index_first=True)
    reel = Reel(
        caption="By hand #ad",
        share_to_feed=True,
        is_ai_generated=False,
        is_paid_partnership=True,
        cover_url=None,
        thumb_offset_ms=0,
    )
    container = business.instagram.create_container(reel, video_url=None)
    business.instagram.upload(container, path)
    business.instagram.wait_until_processed(container)
    business.instagram.publish(container)


def test_a_platform_that_allows_more_raises_nothing(business: Business) -> None:
    """Instagram says 100; policy's cap of ten stands."""
    rule = POLICY.posting("instagram")
    seen = SeenLimit("content_publishing_limit", 100, rule.limit, timedelta(hours=24))
    keep_seen("instagram:gearlab", seen, ledger=business.ledger, at=SLOT, policy=POLICY)
    from affiliate_empire.effects import Quota
    from affiliate_empire.effects.quotas import refusal

    quota = Quota(rule.quota, rule.limit, rule.window, at=after(1), asked_at=after(1))
    with business.ledger.begin() as session:
        why = refusal(session, "instagram:gearlab", quota)
    assert why is not None
    assert str(why) == (
        "instagram:gearlab may do 10 in 1 day, 0:00:00 (instagram.posts) (content_publishing_limit: 10 of 100 posts "
        "used, 10 of them not by us), and they are used: it has room at 2026-11-21 14:20 UTC."
    )


def test_a_full_creator_is_known_before_anything_is_sent_and_left_alone(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    piece = video(business, tmp_path, 1, platform="tiktok")
    world.move_to(SLOT)
    world.put_account("tiktok", posts_per_day=0)
    with pytest.raises(QuotaExhausted):
        business.publish(piece)
    world.put_account("tiktok")
    world.fault("POST /tiktok/*", status=500, times=9)
    with pytest.raises(QuotaRefused):
        business.publish(piece)
    assert due(business) == []
    assert world.fault_hits() == 0
    with business.ledger.begin() as session:
        assert session.scalars(select(Effect)).all() == []
        assert session.scalars(select(QuotaUse)).all() == []


def test_how_long_a_creators_videos_may_be_is_kept(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    piece = video(business, tmp_path, 1, platform="tiktok")
    world.move_to(SLOT)
    business.publish(piece)
    (limit,) = limits(business)
    assert (limit.signal, limit.posts, limit.longest_seconds) == ("creator_info", None, 600)
    with business.ledger.begin() as session:
        assert [effect.state for effect in session.scalars(select(Effect))] == [State.SETTLED]


@pytest.mark.parametrize("poorest", [0, 5])
def test_a_full_account_posts_as_many_as_yesterday_each_as_soon_as_the_window_has_room(
    world: RunningWorld, business: Business, poorest: int
) -> None:
    """Its last ten posts went out three minutes after their slots; whatever a piece should earn, it waits so long."""
    rule, day = POLICY.posting("blog"), DAY + timedelta(days=1)
    slots = sorted(BusinessCalendar().at(day, local) for local in rule.slots)
    pieces = [add_post(business, piece_id=f"pc_{number:02}", slot_at=slot) for number, slot in enumerate(slots)]
    with business.ledger.begin() as session:
        for number, (name, slot) in enumerate(zip(pieces, slots, strict=True)):
            piece = session.get_one(Piece, name)
            piece.day, piece.expected_profit_micros = day, 0 if number == poorest else 1_000_000
            effect = Effect(
                effect_id=f"ef_{number}", key=f"post:before {number}", kind="at_most_once", vendor="blog",
                operation="publish", fingerprint="f", state="settled", day=DAY, account_id="blog:gearlab",
                cost_micros=0, epoch=1,
            )  # fmt: skip
            session.add(effect)
            session.flush()
            used = slot - rule.window + timedelta(minutes=3)
            session.add(QuotaUse(effect_id=f"ef_{number}", quota=rule.quota, account_id="blog:gearlab", at=used))
    for name, slot in zip(pieces, slots, strict=True):
        for minutes, found in ((0, []), (3, [name])):
            world.move_to(slot + timedelta(minutes=minutes))
            assert move_passed_slots(
                ledger=business.ledger, clock=business.clock, policy=POLICY, calendar=BusinessCalendar()
            ) == []  # fmt: skip
            assert due(business) == found
        business.publish(name)
    with business.ledger.begin() as session:
        uses = session.scalars(select(QuotaUse.at).where(QuotaUse.at > slots[0])).all()
    assert sorted(uses) == [slot + timedelta(minutes=3) for slot in slots]
