"""After YouTube accepted a video: its cover is set once it is processed, and what did not become of it is told."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select

from affiliate_empire.effects import NotApproved, State
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Alert, ApprovalRequest, Artifact, Effect, Publication
from affiliate_empire.operations.approvals import approve, set_approval
from affiliate_empire.operations.finish_youtube_videos import finish_youtube_videos
from affiliate_empire.vendors.errors import VendorUnavailable
from tests.factories.publishing import Business, add_video, after, open_business
from tests.factories.worlds import START, RunningWorld, write_video

COVER = "POST /youtube/upload/youtube/v3/thumbnails/set"


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


@pytest.fixture
def cover(business: Business, tmp_path: Path) -> bytes:
    """The cover of a video that was just accepted."""
    piece = add_video(business, write_video(tmp_path / "short.mp4"))
    return give_cover(business, piece)


def give_cover(business: Business, piece: str) -> bytes:
    picture = make_cover(business, piece)
    business.publish(piece)
    return picture


def make_cover(business: Business, piece: str, colour: str = "navy") -> bytes:
    """A piece's thumbnail, made or made anew."""
    picture = io.BytesIO()
    Image.new("RGB", (108, 192), colour).save(picture, "JPEG")
    sha256 = business.media.save(picture.getvalue(), "image/jpeg")
    with business.ledger.begin() as session:
        session.merge(
            Artifact(
                piece_id=piece, step="thumbnail", name="", inputs_sha256="i", sha256=sha256,
                media_type="image/jpeg", content={},
            )
        )  # fmt: skip
    return picture.getvalue()


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.begin() as session:
        return list(session.scalars(select(table)))


def finish(business: Business) -> int:
    return finish_youtube_videos(
        "youtube:gearlab",
        ledger=business.ledger,
        effects=business.effects,
        youtube=business.youtube,
        media=business.media,
        clock=business.clock,
    )


def flags(world: RunningWorld) -> dict[str, Any]:
    (post,) = world.witness("posts")
    found: dict[str, Any] = post["flags"]
    return found


def test_the_cover_is_set_once_when_the_video_is_processed(
    world: RunningWorld, business: Business, cover: bytes
) -> None:
    assert finish(business) == 0  # still processing
    assert "thumbnail_sha256" not in flags(world)
    world.move_to(START + timedelta(minutes=2))

    assert [finish(business), finish(business)] == [1, 0]
    assert flags(world)["thumbnail_sha256"] == hashlib.sha256(cover).hexdigest()
    assert flags(world)["thumbnails_set"] == 1
    assert {effect.operation: effect.state for effect in rows(business.ledger, Effect)} == {
        "publish": State.SETTLED,
        "cover": State.SETTLED,
    }


@pytest.mark.parametrize("fault", [{"when": "after", "drop": True}, {"status": 503}, {"status": 429}])
def test_a_cover_that_did_not_arrive_is_set_again_and_harms_no_post(
    world: RunningWorld, business: Business, cover: bytes, fault: dict[str, Any]
) -> None:
    world.move_to(START + timedelta(minutes=2))
    world.fault(COVER, times=2, **fault)
    finish(business)
    finish(business)
    world.clear_faults()
    finish(business)

    assert flags(world)["thumbnail_sha256"] == hashlib.sha256(cover).hexdigest()
    assert len(rows(business.ledger, Publication)) == len(world.witness("posts")) == 1
    assert rows(business.ledger, Alert) == []


def test_a_refused_cover_is_told_once_and_not_tried_again(
    world: RunningWorld, business: Business, cover: bytes
) -> None:
    world.store.save_fact("youtube.no_thumbnails", "1")
    world.move_to(START + timedelta(minutes=2))
    world.fault(COVER, when="after", delay=0.001, times=9)  # counts
    assert [finish(business), finish(business)] == [0, 0]

    assert world.fault_hits() == 1
    (alert,) = rows(business.ledger, Alert)
    assert "YouTube Studio" in alert.message
    assert alert.severity == "low"


def test_a_video_that_fails_before_its_slot_is_told_at_once(
    world: RunningWorld, business: Business, cover: bytes
) -> None:
    world.store.execute("UPDATE youtube_videos SET failure = 'codec'")
    world.move_to(START + timedelta(minutes=2))
    finish(business)

    (alert,) = rows(business.ledger, Alert)
    assert "failed: codec" in alert.message
    (publication,) = rows(business.ledger, Publication)
    state = business.youtube.fetch_states([publication.remote_id])[publication.remote_id]
    assert (state.standing, state.reason) == ("rejected", "failed: codec")


def test_a_duplicate_is_told(world: RunningWorld, business: Business, cover: bytes, tmp_path: Path) -> None:
    business.publish(add_video(business, tmp_path / "short.mp4", piece_id="pc_again", slot_at=after(10)))
    world.move_to(START + timedelta(minutes=2))
    finish(business)

    (alert,) = rows(business.ledger, Alert)
    assert "rejected: duplicate" in alert.message


def test_a_video_that_stays_private_after_its_time_is_told(
    world: RunningWorld, business: Business, cover: bytes
) -> None:
    world.store.execute("UPDATE youtube_videos SET resource = json_remove(resource, '$.status.publishAt')")
    world.move_to(after(59))
    finish(business)
    assert rows(business.ledger, Alert) == []
    world.move_to(after(61))
    finish(business)
    (alert,) = rows(business.ledger, Alert)
    assert "still private" in alert.message


# ---------------------------------------------------------------- where the owner approves
@pytest.fixture
def approved(business: Business, tmp_path: Path) -> str:
    """A piece whose look, with a navy cover, its owner approved; not sent yet."""
    set_approval("youtube:gearlab", "required", ledger=business.ledger)
    piece = add_video(business, write_video(tmp_path / "short.mp4"))
    make_cover(business, piece)
    with pytest.raises(NotApproved):
        business.publish(piece)
    approve([piece], by="alice", ledger=business.ledger)
    return piece


def test_a_cover_made_anew_before_the_video_is_sent_voids_its_approval(
    world: RunningWorld, business: Business, approved: str
) -> None:
    cover = make_cover(business, approved, "red")
    with pytest.raises(NotApproved, match="is void, since this changed: cover"):
        business.publish(approved)
    assert world.witness("posts") == []
    with business.ledger.begin() as session:
        latest = session.scalars(select(ApprovalRequest).order_by(ApprovalRequest.request_id.desc())).first()
        assert latest is not None
    approve([f"{approved}@{latest.sha256[:8]}"], by="alice", ledger=business.ledger)
    business.publish(approved)
    world.move_to(START + timedelta(minutes=2))
    assert finish(business) == 1
    assert flags(world)["thumbnail_sha256"] == hashlib.sha256(cover).hexdigest()


def test_a_cover_made_anew_after_the_video_was_sent_is_not_set_unseen(
    world: RunningWorld, business: Business, approved: str
) -> None:
    business.publish(approved)
    make_cover(business, approved, "red")
    world.move_to(START + timedelta(minutes=2))
    assert [finish(business), finish(business)] == [0, 0]
    assert "thumbnail_sha256" not in flags(world)
    (told,) = [alert for alert in rows(business.ledger, Alert) if alert.subject.startswith("youtube:")]
    assert "not approved" in told.message
    assert "YouTube Studio" in told.message

    seen = make_cover(business, approved)
    assert finish(business) == 1
    assert flags(world)["thumbnail_sha256"] == hashlib.sha256(seen).hexdigest()


def test_a_cover_made_anew_while_a_reply_is_lost_holds_up_no_reconciliation(
    world: RunningWorld, business: Business, approved: str
) -> None:
    world.fault("PUT /youtube/upload/youtube/v3/videos", when="after", drop=True, skip=1, times=100)
    with pytest.raises(VendorUnavailable):
        business.publish(approved)
    world.clear_faults()
    make_cover(business, approved, "red")
    business.publish(approved)
    assert len(world.witness("posts")) == len(rows(business.ledger, Publication)) == 1
    world.move_to(START + timedelta(minutes=2))
    assert finish(business) == 0
    assert "thumbnail_sha256" not in flags(world)
