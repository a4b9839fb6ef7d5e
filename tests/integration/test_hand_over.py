"""A video that a person posts: handed over once, open until they say, and never touched after."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select

from affiliate_empire.effects import Caps, EffectParked, State, WindowClosed
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Alert, Artifact, Effect, Piece, Publication, QuotaUse
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.hand_over import settle_hand_over, waiting_packages
from affiliate_empire.operations.move_passed_slots import move_passed_slots
from affiliate_empire.policy import load_policy
from tests.factories.publishing import DAY, SLOT, Business, add_video, after, open_business
from tests.factories.worlds import RunningWorld, write_video

CAPS = Caps(day_micros=10**9, month_micros=10**9, run_micros=10**9)
ADDRESS = "https://www.tiktok.com/@gearlab/video/7412345678901234567"
CLOSES = datetime.fromisoformat("2026-11-21T11:00:00+00:00")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    world.move_to(SLOT)
    yield world
    world.stop()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    with ledger.begin() as session:
        session.get_one(Account, "tiktok:gearlab").route = "package"
    yield business
    business.close()


@pytest.fixture
def video(business: Business, tmp_path: Path) -> str:
    piece = add_video(business, write_video(tmp_path / "reel.mp4"), platform="tiktok")
    picture = io.BytesIO()
    Image.new("RGB", (108, 192), "navy").save(picture, "JPEG")
    sha256 = business.media.save(picture.getvalue(), "image/jpeg")
    with business.ledger.begin() as session:
        session.add(
            Artifact(
                piece_id=piece, step="thumbnail", name="", inputs_sha256="i", sha256=sha256,
                media_type="image/jpeg", content={},
            )
        )  # fmt: skip
    return piece


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.begin() as session:
        return list(session.scalars(select(table)))


def hand_over(business: Business, piece: str) -> Path:
    with pytest.raises(EffectParked, match="empire handoff done"):
        business.publish(piece)
    (handle,) = waiting_packages(ledger=business.ledger)
    return Path(handle["package"])


def settle(business: Business, piece: str, url: str | None) -> State:
    return settle_hand_over(piece, url, ledger=business.ledger, clock=business.clock, caps=CAPS)


def states(business: Business) -> list[str]:
    return [effect.state for effect in rows(business.ledger, Effect)]


def test_a_package_holds_all_that_a_person_needs(world: RunningWorld, business: Business, video: str) -> None:
    folder = hand_over(business, video)

    assert folder == Path(business.home) / "handoff" / DAY.isoformat() / video
    assert sorted(path.name for path in folder.iterdir()) == ["caption.txt", "checklist.md", "cover.jpg", "video.mp4"]
    assert (folder / "video.mp4").read_bytes() == (Path(business.home) / "reel.mp4").read_bytes()
    assert (folder / "caption.txt").read_text().startswith(load_policy().disclosure("text"))
    checklist = (folder / "checklist.md").read_text()
    for needed in ("AI-generated content", "Branded content", "no watermark", "2026-11-20 14:20", "2026-11-20 15:05"):
        assert needed in checklist
    (alert,) = rows(business.ledger, Alert)
    assert str(folder) in alert.message
    assert states(business) == [State.UNKNOWN]
    assert len(rows(business.ledger, QuotaUse)) == 1  # its place in the account's window is held
    assert world.witness("posts") == rows(business.ledger, Publication) == []


def test_a_rerun_touches_nothing_that_was_handed_over(world: RunningWorld, business: Business, video: str) -> None:
    folder = hand_over(business, video)
    (folder / "caption.txt").write_text("edited by a person")
    world.move_to(after(30))

    assert hand_over(business, video) == folder
    business.reconcile()
    assert (folder / "caption.txt").read_text() == "edited by a person"
    shutil.rmtree(folder)  # posted and tidied away, before it was reported
    hand_over(business, video)
    assert not folder.exists()
    assert len(rows(business.ledger, Alert)) == 1


def test_a_folder_that_could_not_be_moved_is_handed_over_by_the_next_run(business: Business, video: str) -> None:
    blocked = Path(business.home) / "handoff" / DAY.isoformat()
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    with pytest.raises(FileExistsError):
        business.publish(video)
    blocked.unlink()

    folder = hand_over(business, video)
    assert (folder / "video.mp4").exists()
    assert states(business) == [State.UNKNOWN]


def test_a_package_that_expired_is_handed_over_no_second_time(
    world: RunningWorld, business: Business, video: str
) -> None:
    hand_over(business, video)
    world.move_to(after(50) + timedelta(days=1))
    assert business.reconcile() == []
    assert states(business) == [State.EXPIRED]
    said = move_passed_slots(
        ledger=business.ledger, clock=business.clock, policy=load_policy(), calendar=BusinessCalendar()
    )
    assert "was handed over before and may still go out" in said[0]
    assert [piece.status for piece in rows(business.ledger, Piece)] == ["expired"]


@pytest.mark.parametrize("way", ["publish", "reconcile"])
def test_the_persons_word_is_the_outcome(world: RunningWorld, business: Business, video: str, way: str) -> None:
    hand_over(business, video)
    world.move_to(after(40))
    assert settle(business, video, ADDRESS) == State.SETTLED

    stored = business.publish(video) if way == "publish" else business.reconcile()[0]
    assert (stored.remote_id, stored.url) == ("7412345678901234567", ADDRESS)
    assert stored.published_at == after(40)
    assert stored.disclosures == {"left_to_the_person_who_posts": True}
    assert business.publish(video).publication_id == stored.publication_id
    assert len(rows(business.ledger, Publication)) == len(rows(business.ledger, QuotaUse)) == 1
    assert waiting_packages(ledger=business.ledger) == []
    with pytest.raises(BadInput, match="Nothing of"):
        settle(business, video, ADDRESS)


def test_what_was_skipped_is_not_handed_over_again(business: Business, video: str) -> None:
    folder = hand_over(business, video)
    assert settle(business, video, None) == State.REFUSED

    with pytest.raises(PieceRejected, match="given up by hand"):
        business.publish(video)
    assert rows(business.ledger, QuotaUse) == rows(business.ledger, Publication) == []
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]


@pytest.mark.parametrize(
    "address", ["https://vm.tiktok.com/ZM8abc", "7412345678901234567", "https://x.example/video/1"]
)
def test_an_address_that_names_no_video_settles_nothing(business: Business, video: str, address: str) -> None:
    hand_over(business, video)
    with pytest.raises(BadInput, match="full address"):
        settle(business, video, address)
    assert states(business) == [State.UNKNOWN]


@pytest.mark.parametrize("way", ["publish", "reconcile"])
def test_it_expires_a_day_after_its_slot(world: RunningWorld, business: Business, video: str, way: str) -> None:
    hand_over(business, video)
    world.move_to(CLOSES)
    business.reconcile()
    assert states(business) == [State.UNKNOWN]
    world.move_to(CLOSES + timedelta(days=1))
    if way == "publish":
        with pytest.raises(WindowClosed):
            business.publish(video)
    else:
        assert business.reconcile() == []
    assert states(business) == [State.EXPIRED]
    with pytest.raises(BadInput, match="Nothing of"):
        settle(business, video, None)


@pytest.mark.parametrize("days", [0, 2])
def test_what_was_posted_in_time_and_told_late_is_recorded(
    world: RunningWorld, business: Business, video: str, days: int
) -> None:
    hand_over(business, video)
    world.move_to(after(50) + timedelta(days=days))
    business.reconcile()
    assert states(business) == [State.EXPIRED if days else State.UNKNOWN]
    given = {"ledger": business.ledger, "clock": business.clock, "caps": CAPS}
    with pytest.raises(BadInput, match="say when after it was posted"):
        settle_hand_over(video, ADDRESS, posted_at=SLOT - timedelta(hours=1), **given)
    assert settle_hand_over(video, ADDRESS, posted_at=after(40), **given) == State.SETTLED
    (stored,) = business.reconcile()
    assert (stored.url, stored.published_at) == (ADDRESS, after(40))
    assert len(rows(business.ledger, QuotaUse)) == 1
