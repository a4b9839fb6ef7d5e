"""Nothing of an account that requires approval goes out before exactly it was approved: the world's witness says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from affiliate_empire.effects import NotApproved, State
from affiliate_empire.kernel.clock import BusinessCalendar, FixedClock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Account,
    Alert,
    ApprovalDecision,
    ApprovalRequest,
    Artifact,
    Effect,
    Installation,
    Link,
    Piece,
)
from affiliate_empire.operations.approvals import approvals_of, approve, reject, set_approval, waiting
from affiliate_empire.operations.choose_route import choose_route
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.find_due_posts import find_due_posts
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.operations.publish_piece import ask_for_approvals
from affiliate_empire.policy import load_policy
from tests.factories.publishing import DAY, SLOT, TRACKING, Business, add_post, add_video, after, open_business
from tests.factories.worlds import RunningWorld, write_video

CALENDAR = BusinessCalendar()
ACCOUNT = "youtube:gearlab"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    yield world
    world.stop()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    for platform in ("youtube", "tiktok", "instagram", "blog"):
        set_approval(f"{platform}:gearlab", "required", ledger=ledger)
    yield business
    business.close()


@pytest.fixture
def video(business: Business, tmp_path: Path) -> str:
    return add_video(business, write_video(tmp_path / "short.mp4"))


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.begin() as session:
        return list(session.scalars(select(table)))


def ask(business: Business, platform: str = "youtube") -> None:
    ask_for_approvals(
        DAY,
        platform,
        ledger=business.ledger,
        effects=business.effects,
        clock=business.clock,
        posters=business.posters,
        impact=business.impact,
        policy=load_policy(),
        calendar=CALENDAR,
        tracking_url=TRACKING,
    )


def listed(business: Business) -> list[dict[str, Any]]:
    return waiting(ledger=business.ledger, media=business.media, calendar=CALENDAR, now=business.clock.now())


def due(business: Business) -> list[str]:
    found = find_due_posts(ledger=business.ledger, clock=business.clock, policy=load_policy(), calendar=CALENDAR)
    return [piece for posts in found for piece in posts.pieces]


def rewrite(business: Business, piece_id: str, **content: str) -> None:
    """Another script for a piece, as a re-made one leaves it."""
    with business.ledger.begin() as session:
        artifact = session.get_one(Artifact, (piece_id, "script", ""))
        artifact.content = artifact.content | content


# ---------------------------------------------------------------- approved, and only then
@pytest.mark.parametrize("platform", ["youtube", "tiktok", "instagram"])
def test_a_video_waits_and_goes_out_once_it_is_approved(
    world: RunningWorld, business: Business, tmp_path: Path, platform: str
) -> None:
    file = write_video(tmp_path / "short.mp4", size=(540, 960), seconds=4, rate=30, index_first=True)
    piece = add_video(business, file, platform=platform)
    world.move_to(SLOT)
    with pytest.raises(NotApproved, match="empire approvals"):
        business.publish(piece)
    assert world.witness("posts") == []
    assert rows(business.ledger, Effect) == []

    (row,) = listed(business)
    assert approve([piece], by="alice", ledger=business.ledger) == [piece]
    publication = business.publish(piece)

    (post,) = world.witness("posts")
    # What was shown is what the platform holds.
    assert row["text"] == publication.description == post["text"]
    assert Path(row["file"]).read_bytes() == file.read_bytes()
    assert row["link"] in post["text"]
    assert row["leads_to"] == rows(business.ledger, Link)[0].target_url
    assert set(publication.disclosures.items()) <= set(row["labels"].items())
    assert listed(business) == []


def test_a_post_waits_too(world: RunningWorld, business: Business) -> None:
    piece = add_post(business)
    world.move_to(SLOT)
    with pytest.raises(NotApproved):
        business.publish(piece)
    (row,) = listed(business)
    assert "eighteen settings" in row["text"]
    assert row["file"] is None
    approve([piece], by="alice", ledger=business.ledger)
    business.publish(piece)
    assert len(world.witness("posts")) == 1


def test_an_account_of_its_own_accord_asks_nobody(world: RunningWorld, business: Business, video: str) -> None:
    set_approval(ACCOUNT, "auto", ledger=business.ledger)
    business.publish(video)
    assert len(world.witness("posts")) == 1
    assert rows(business.ledger, ApprovalRequest) == []


@pytest.mark.parametrize("route", ["inbox", "package"])
def test_labels_that_a_person_sets_are_not_shown_as_ours(business: Business, tmp_path: Path, route: str) -> None:
    choose_route("tiktok:gearlab", route, ledger=business.ledger)
    add_video(business, write_video(tmp_path / "short.mp4"), platform="tiktok")
    ask(business, "tiktok")
    (row,) = listed(business)
    assert row["labels"] == {"left_to_the_person_who_posts": True}


def test_the_cover_is_shown(business: Business, video: str) -> None:
    sha256 = business.media.save(b"a picture", "image/jpeg")
    with business.ledger.begin() as session:
        session.add(
            Artifact(
                piece_id=video, step="thumbnail", name="", inputs_sha256="i", sha256=sha256,
                media_type="image/jpeg", content={},
            )
        )  # fmt: skip
    ask(business)
    (row,) = listed(business)
    assert Path(row["cover"]).read_bytes() == b"a picture"


# ---------------------------------------------------------------- bound to what was shown
def _rerender(business: Business, piece: str, tmp_path: Path) -> None:
    sha256 = business.media.save(write_video(tmp_path / "other.mp4", seed=5), "video/mp4")
    with business.ledger.begin() as session:
        session.get_one(Artifact, (piece, "video", "")).sha256 = sha256


def _recaption(business: Business, piece: str, tmp_path: Path) -> None:
    rewrite(business, piece, description="A burr grinder for $59.")


def _repoint(business: Business, piece: str, tmp_path: Path) -> None:
    with business.ledger.begin() as session:
        session.execute(update(Link).values(target_url="https://elsewhere.example/c/1"))


@pytest.mark.parametrize(
    ("change", "names"), [(_rerender, "video"), (_recaption, "description"), (_repoint, "leads_to")]
)
def test_any_change_voids_the_approval_and_says_so(
    world: RunningWorld, business: Business, video: str, tmp_path: Path, change: Any, names: str
) -> None:
    ask(business)
    approve([video], by="alice", ledger=business.ledger)
    change(business, video, tmp_path)

    with pytest.raises(NotApproved, match=f"alice's approval of {video} is void.*{names}"):
        business.publish(video)
    assert world.witness("posts") == []
    (row,) = listed(business)
    assert names in row["changed"]
    assert any("void" in alert.message and names in alert.message for alert in rows(business.ledger, Alert))

    # By its bare name it cannot be approved any more: somebody may have seen the first look only.
    with pytest.raises(BadInput, match=f"{video}@{row['look']}"):
        approve([video], by="alice", ledger=business.ledger)
    approve([f"{video}@{row['look']}"], by="alice", ledger=business.ledger)
    business.publish(video)
    assert len(world.witness("posts")) == 1


def test_another_slot_of_the_day_leaves_the_approval_in_force(
    world: RunningWorld, business: Business, video: str
) -> None:
    ask(business)
    approve([video], by="alice", ledger=business.ledger)
    with business.ledger.begin() as session:
        session.get_one(Piece, video).slot_at = after(120)
    world.move_to(after(120))
    business.publish(video)
    assert len(world.witness("posts")) == 1


def test_a_change_between_the_claim_and_the_commit_goes_nowhere(
    world: RunningWorld, business: Business, video: str, tmp_path: Path
) -> None:
    """The owner takes the word back, or the piece is shown anew, while the upload session is opened."""
    ask(business)
    approve([video], by="alice", ledger=business.ledger)
    start = business.youtube.start_upload

    def start_and_reject(*arguments: Any) -> str:
        reject([video], reason="the music", by="alice", ledger=business.ledger)
        return start(*arguments)

    business.youtube.start_upload = start_and_reject  # type: ignore[method-assign]
    with pytest.raises(NotApproved, match="the music"):
        business.publish(video)
    assert world.witness("posts") == []
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.PREPARED]


# ---------------------------------------------------------------- the owner's word
def test_a_rejected_piece_never_goes_out(world: RunningWorld, business: Business, video: str) -> None:
    ask(business)
    approve([video], by="alice", ledger=business.ledger)
    reject([video], reason="a wrong price", by="bob", ledger=business.ledger)

    with pytest.raises(PieceRejected, match="rejected by bob: a wrong price"):
        business.publish(video)
    with pytest.raises(BadInput, match="not posted any more"):
        approve([video], by="alice", ledger=business.ledger)
    assert due(business) == []
    set_approval(ACCOUNT, "auto", ledger=business.ledger)
    with business.ledger.begin() as session:
        session.get_one(Piece, video).status = "planned"
    with pytest.raises(NotApproved, match="a wrong price"):
        business.publish(video)
    assert world.witness("posts") == []


def test_what_may_be_out_already_is_not_rejected_but_looked_for(business: Business, video: str) -> None:
    ask(business)
    approve([video], by="alice", ledger=business.ledger)
    with business.ledger.begin() as session:
        session.add(
            Effect(
                effect_id="ef_1", key=f"post:{video}:{ACCOUNT}", kind="at_most_once", vendor="youtube",
                operation="post", fingerprint="f", day=DAY, piece_id=video, account_id=ACCOUNT,
                state=State.UNKNOWN, epoch=1, claims=1,
            )
        )  # fmt: skip
    with pytest.raises(BadInput, match="may be out already"):
        reject([video], reason="a wrong price", by="bob", ledger=business.ledger)
    assert [piece.status for piece in rows(business.ledger, Piece)] == ["planned"]


def test_a_word_is_kept_for_good_and_for_what_was_shown_only(business: Business, video: str) -> None:
    ask(business)
    approve([video], by="alice", ledger=business.ledger)
    (decision,) = rows(business.ledger, ApprovalDecision)
    assert (decision.decided_by, decision.verdict) == ("alice", "approved")
    assert decision.decided_at is not None
    changes = [
        update(ApprovalDecision).values(decided_by="mallory"),
        delete(ApprovalDecision),
        update(ApprovalRequest).values(shows={"piece": video}),
        delete(ApprovalRequest),
    ]
    for change in changes:
        with pytest.raises(DBAPIError, match="append-only"), business.ledger.begin() as session:
            session.execute(change)
    # A word on something that was never shown cannot be kept at all.
    forged = insert(ApprovalDecision).values(request_id=10**6, verdict="approved", decided_by="mallory")
    with pytest.raises(DBAPIError, match="foreign key"), business.ledger.begin() as session:
        session.execute(forged)


def test_a_request_whose_content_is_not_what_its_hash_says_lets_nothing_out(
    world: RunningWorld, business: Business, video: str
) -> None:
    """Somebody with the database's own rights writes a hash by hand."""
    ask(business)
    approve([video], by="alice", ledger=business.ledger)
    _recaption(business, video, Path())
    with pytest.raises(NotApproved):
        business.publish(video)
    new = rows(business.ledger, ApprovalRequest)[-1]
    with business.ledger.begin() as session:
        session.execute(text("ALTER TABLE approval_requests DISABLE TRIGGER USER"))
        first = session.scalars(select(ApprovalRequest).order_by(ApprovalRequest.request_id)).first()
        assert first is not None
        first.sha256 = new.sha256
        session.execute(text("DELETE FROM approval_requests WHERE request_id = :new"), {"new": new.request_id})
        session.execute(text("ALTER TABLE approval_requests ENABLE TRIGGER USER"))
    with pytest.raises(NotApproved):
        business.publish(video)
    assert world.witness("posts") == []


def test_bad_words_change_nothing(business: Business, video: str) -> None:
    for wrong, message in [("pc_none", "There is no piece"), (video, "does not wait")]:
        with pytest.raises(BadInput, match=message):
            approve([wrong], by="alice", ledger=business.ledger)
    ask(business)
    with pytest.raises(BadInput, match="looks different"):
        approve([f"{video}@00000000"], by="alice", ledger=business.ledger)
    with pytest.raises(BadInput, match="There is no piece"):
        approve([video, "pc_none"], by="alice", ledger=business.ledger)
    with pytest.raises(BadInput, match="--reason"):
        reject([video], reason=" ", by="alice", ledger=business.ledger)
    with pytest.raises(BadInput, match="There is no account"):
        set_approval("youtube:nobody", "auto", ledger=business.ledger)
    with pytest.raises(BadInput, match="auto or required"):
        set_approval(ACCOUNT, "always", ledger=business.ledger)
    assert rows(business.ledger, ApprovalDecision) == []


# ---------------------------------------------------------------- when it is asked
def test_a_batch_is_one_alert_and_asked_once(business: Business, video: str, tmp_path: Path) -> None:
    second = add_video(business, write_video(tmp_path / "b.mp4", seed=2), piece_id="pc_second", slot_at=after(150))
    assert due(business) == [video, second]  # to be shown, hours before the second's slot
    for _ in range(2):
        ask(business)
    assert [alert.subject for alert in rows(business.ledger, Alert)] == ["2 to approve"]
    assert len(rows(business.ledger, ApprovalRequest)) == 2
    assert due(business) == []

    approve([f"{row['piece_id']}@{row['look']}" for row in listed(business)], by="alice", ledger=business.ledger)
    assert due(business) == [video]  # the other's slot has not come
    assert approvals_of(DAY, ledger=business.ledger, as_of=after(0)) == {video: "approved", second: "approved"}


def test_a_batch_waits_for_its_last_video_until_a_slot_is_near(business: Business, video: str, tmp_path: Path) -> None:
    second = add_video(business, write_video(tmp_path / "b.mp4", seed=2), piece_id="pc_second", slot_at=after(600))
    with business.ledger.begin() as session:
        session.get_one(Piece, video).slot_at = after(300)
        session.delete(session.get_one(Artifact, (second, "video", "")))
    assert due(business) == []
    early = FixedClock(after(180))
    found = find_due_posts(ledger=business.ledger, clock=early, policy=load_policy(), calendar=CALENDAR)
    assert [posts.pieces for posts in found] == [(video,)]


def test_a_new_file_is_due_to_be_shown_again(business: Business, video: str, tmp_path: Path) -> None:
    ask(business)
    assert due(business) == []
    _rerender(business, video, tmp_path)
    assert due(business) == [video]
    ask(business)
    assert due(business) == []


def test_read_only_and_a_closed_day_ask_nobody(world: RunningWorld, business: Business, video: str) -> None:
    business.effects.read_only = True
    ask(business)
    business.effects.read_only = False
    world.move_to(CALENDAR.posting_window(DAY)[1])
    ask(business)
    assert rows(business.ledger, ApprovalRequest) == rows(business.ledger, Link) == []


@pytest.mark.parametrize(("mode", "approval"), [("sandbox", "auto"), ("live", "required")])
def test_a_new_account_of_a_live_ledger_waits_for_its_owner(ledger: Ledger, mode: str, approval: str) -> None:
    with ledger.begin() as session:
        session.execute(update(Installation).values(mode=mode))
    prepare_ledger(ledger=ledger)
    assert {account.approval for account in rows(ledger, Account)} == {approval}
