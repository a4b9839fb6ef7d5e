"""Accounts are capacity, never a way around a limit or a ban; and where room is short the best pieces go first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from affiliate_empire.effects import Paused, QuotaRefused
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, AccountLimit, Alert, Pause, Piece, Product, Publication
from affiliate_empire.operations.account_limits import refused_by
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.find_due_posts import find_due_posts
from affiliate_empire.operations.find_emergencies import find_emergencies
from affiliate_empire.operations.hold_account import hold_account
from affiliate_empire.policy import load_policy
from affiliate_empire.vendors.errors import AccountRestricted, CredentialsRejected, QuotaExhausted
from tests.factories.publishing import Business, add_video, after, open_business
from tests.factories.worlds import RunningWorld, write_video

STRUCK, OTHER = "youtube:gearlab", "youtube:second"
SESSION = "POST /youtube/upload/youtube/v3/videos"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    yield world
    world.stop()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    with ledger.begin() as session:
        session.add(Account(account_id=OTHER, platform="youtube", handle="second", display_name="Second"))
        grinder = session.get_one(Product, "pd_grinder")
        columns = {column.name: getattr(grinder, column.name) for column in Product.__table__.columns}
        session.add(Product(**columns | {"product_id": "pd_kettle", "native_id": "HP-1003", "title": "Kettle"}))
    yield business
    business.close()


def video(
    business: Business, path: Path, name: str, *, account: str, product: str = "pd_grinder", profit: int = 0
) -> str:
    with business.ledger.begin() as session:
        slot_at = after(session.scalar(select(func.count()).select_from(Piece)) or 0)  # a minute apart
    add_video(business, path, piece_id=f"pc_{name}", slot_at=slot_at)
    with business.ledger.begin() as session:
        piece = session.get_one(Piece, f"pc_{name}")
        piece.account_id, piece.product_id, piece.expected_profit_micros = account, product, profit
    return f"pc_{name}"


def due(business: Business) -> list[str]:
    policy, calendar = load_policy(), BusinessCalendar()
    found = find_due_posts(ledger=business.ledger, clock=business.clock, policy=policy, calendar=calendar)
    return [piece for posts in found for piece in posts.pieces]


def test_what_an_account_was_struck_with_goes_out_on_no_other(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    file, another, third = (write_video(tmp_path / f"{n}.mp4", seed=n) for n in range(3))
    struck = video(business, file, "struck", account=STRUCK, product="pd_kettle")
    same_file = video(business, file, "same_file", account=OTHER)
    same_product = video(business, another, "same_product", account=OTHER, product="pd_kettle")
    unrelated = video(business, third, "unrelated", account=OTHER)
    world.put_account("youtube", standing="restricted")
    with pytest.raises(AccountRestricted):
        business.publish(struck)
    world.put_account("youtube")  # the other channel is in good standing

    for piece in (same_file, same_product):
        with pytest.raises(PieceRejected, match="goes out on no other account"):
            business.publish(piece)
        with business.ledger.begin() as session:
            session.get_one(Piece, piece).status = "quarantined"  # as the step does
    with pytest.raises(Paused):
        business.publish(struck)
    assert world.witness("posts") == []
    business.publish(unrelated)
    (post,) = world.witness("posts")
    with business.ledger.begin() as session:
        (publication,) = session.scalars(select(Publication))
        assert (publication.account_id, publication.remote_id) == (OTHER, post["remote_id"])
        assert session.get_one(Account, STRUCK).status == "restricted"
        assert [alert.severity for alert in session.scalars(select(Alert))] == ["high"]
    emergencies = find_emergencies(ledger=business.ledger, clock=business.clock, calendar=BusinessCalendar())
    assert [(each.account_id, each.answer) for each in emergencies] == [(STRUCK, "replan")]


def test_a_strike_stays_when_the_account_is_connected_again(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    mine = video(business, write_video(tmp_path / "1.mp4", seed=1), "mine", account=STRUCK)
    at = business.clock.now()
    hold_account(STRUCK, CredentialsRejected("sign in", vendor="youtube"), ledger=business.ledger, at=at)
    hold_account(STRUCK, AccountRestricted("a strike", vendor="youtube"), ledger=business.ledger, at=after(1))
    hold_account(STRUCK, CredentialsRejected("sign in", vendor="youtube"), ledger=business.ledger, at=after(2))
    with business.ledger.begin() as session:
        (pause,) = session.scalars(select(Pause))
        assert (pause.reason, pause.cause) == ("a strike", None)
        assert len(session.scalars(select(Alert)).all()) == 2
        session.delete(pause)  # however it went
    with pytest.raises(Paused, match=f"{STRUCK} is restricted"):
        business.publish(mine)
    assert world.witness("posts") == []


def test_a_full_accounts_pieces_wait_for_it_and_go_to_nobody(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    mine = video(business, write_video(tmp_path / "1.mp4", seed=1), "mine", account=STRUCK, product="pd_kettle")
    theirs = video(business, write_video(tmp_path / "2.mp4", seed=2), "theirs", account=OTHER)
    body = {"error": {"code": 403, "message": "no", "errors": [{"reason": "uploadLimitExceeded"}]}}
    world.fault(SESSION, status=403, body=body)
    with pytest.raises(QuotaExhausted):
        business.publish(mine)
    assert due(business) == [theirs]
    business.publish(theirs)
    assert due(business) == []
    assert len(world.witness("posts")) == 1
    with business.ledger.begin() as session:
        piece = session.get_one(Piece, mine)
        assert (piece.account_id, piece.status) == (STRUCK, "planned")


def test_with_room_for_one_the_piece_goes_that_should_earn_most(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    poor, rich = (
        video(business, write_video(tmp_path / f"{n}.mp4", seed=n), name, account=account, profit=profit)
        for n, name, account, profit in ((1, "a_poor", STRUCK, 100_000), (2, "rich", STRUCK, 900_000))
    )
    with business.ledger.begin() as session:
        session.get_one(Piece, rich).slot_at = after(90)
        session.add(
            AccountLimit(
                account_id=STRUCK, quota="youtube.posts", signal="test", posts=1, unseen=0, longest_seconds=None,
                reason="the channel may post once", observed_at=after(0), holds_until=after(24 * 60),
            )
        )  # fmt: skip
    # The poor one's slot has come; the rich one's is ahead, and there is room for one.
    assert due(business) == []
    with pytest.raises(
        QuotaRefused, match="has room for 1 more of its 2 pieces of 2026-11-20, and pc_a_poor lets those go first"
    ):
        business.publish(poor)
    world.move_to(after(90))
    assert due(business) == [rich]
    business.publish(rich)
    (post,) = world.witness("posts")
    with business.ledger.begin() as session:
        (publication,) = session.scalars(select(Publication))
    assert (publication.piece_id, publication.remote_id) == (rich, post["remote_id"])


def test_what_waits_for_its_owner_holds_up_nobody(business: Business, tmp_path: Path) -> None:
    """The better piece is not approved: the other one takes the only place."""
    files = [write_video(tmp_path / f"{n}.mp4", seed=n) for n in range(2)]
    poor, rich = (
        video(business, file, name, account=STRUCK, profit=profit)
        for file, name, profit in zip(files, ("poor", "rich"), (100_000, 900_000), strict=True)
    )
    with business.ledger.begin() as session:
        session.get_one(Piece, rich).slot_at = after(90)
        session.add(
            AccountLimit(
                account_id=STRUCK, quota="youtube.posts", signal="test", posts=1, unseen=0, longest_seconds=None,
                reason="the channel may post once", observed_at=after(0), holds_until=after(24 * 60),
            )
        )  # fmt: skip
        piece, policy = session.get_one(Piece, poor), load_policy()
        assert refused_by(session, piece, after(0), policy=policy) is not None
        session.get_one(Account, STRUCK).approval = "required"
        session.flush()
        assert refused_by(session, piece, after(0), policy=policy) is None
