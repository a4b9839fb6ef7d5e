"""A video is posted on TikTok exactly once, whatever is lost; its id is found when TikTok tells it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from affiliate_empire.effects import EffectParked, Paused, State, WindowClosed
from affiliate_empire.effects.switches import resume_scope
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Account,
    AccountLimit,
    Alert,
    Artifact,
    Credential,
    Effect,
    Link,
    Pause,
    Piece,
    Publication,
    QuotaUse,
)
from affiliate_empire.operations.account_posts import load_posts
from affiliate_empire.operations.audit_day import undisclosed_publications
from affiliate_empire.operations.choose_route import choose_route
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.find_tiktok_posts import find_tiktok_posts
from affiliate_empire.operations.hold_account import ACCESS
from affiliate_empire.operations.publish_piece import NotDue
from affiliate_empire.operations.take_down import DELETE, refuse_takedown
from affiliate_empire.operations.total_day import total_day
from affiliate_empire.policy import load_policy
from affiliate_empire.sandbox.servers.tiktok import CREATOR
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vault import RotatingTokens
from affiliate_empire.vendors.errors import (
    CredentialsRejected,
    GrantEnded,
    QuotaExhausted,
    ReplyLost,
    RouteClosed,
    VendorUnavailable,
)
from affiliate_empire.vendors.oauth import Grant
from affiliate_empire.vendors.tiktok import is_publish_id
from tests.factories.publishing import DAY, SLOT, TRACKING, Business, add_post, add_video, after, open_business
from tests.factories.worlds import RunningWorld, write_video

CHUNK = "PUT /tiktok/upload/video/"
INIT = "POST /tiktok/v2/post/publish/video/init/"
STATUS = "POST /tiktok/v2/post/publish/status/fetch/"
LAGGING = {"data": {"status": "PROCESSING_UPLOAD", "uploaded_bytes": 0}, "error": {"code": "ok", "message": "m"}}
CHUNKED = 12_000_000  # two of the factory's chunks
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
    yield business
    business.close()


@pytest.fixture
def video(business: Business, tmp_path: Path) -> str:
    return add_reel(business, tmp_path)


def add_reel(business: Business, folder: Path, *, seed: int = 0, padding: int = 0, **more: Any) -> str:
    path = write_video(folder / f"reel{seed}.mp4", size=(360, 640), rate=30, seed=seed, padding=padding)
    return add_video(business, path, platform="tiktok", **more)


def take_route(business: Business, route: str) -> None:
    choose_route("tiktok:gearlab", route, ledger=business.ledger)


@pytest.mark.parametrize(
    ("account", "route"), [("tiktok:gearlab", "browser"), ("youtube:gearlab", "inbox"), ("tiktok:nobody", "inbox")]
)
def test_a_route_that_cannot_be_is_not_chosen(business: Business, account: str, route: str) -> None:
    with pytest.raises(BadInput):
        choose_route(account, route, ledger=business.ledger)


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.begin() as session:
        return list(session.scalars(select(table)))


def find(business: Business) -> int:
    return find_tiktok_posts(
        "tiktok:gearlab", ledger=business.ledger, tiktok=business.tiktok, clock=business.clock, policy=load_policy()
    )


def published_once(world: RunningWorld, business: Business, before: Sequence[State] = ()) -> Publication:
    """The witness saw one post, the ledger holds that one, and nothing is left open.

    ``before`` are the ends of earlier rows of its key, in order.
    """
    world.move_to(max(world.now(), SLOT) + timedelta(hours=4))  # by now its id is told
    find(business)
    (post,) = world.witness("posts")
    (stored,) = rows(business.ledger, Publication)
    assert stored.remote_id == post["remote_id"]
    effects = sorted(rows(business.ledger, Effect), key=lambda effect: effect.created_at)
    assert [effect.state for effect in effects] == [*before, State.SETTLED]
    assert len(rows(business.ledger, QuotaUse)) == 1
    assert len(rows(business.ledger, Link)) == 1
    found: Publication = stored
    return found


# ---------------------------------------------------------------- as planned
def test_a_video_goes_out_at_its_slot_with_its_disclosures(world: RunningWorld, business: Business, video: str) -> None:
    publication = business.publish(video)

    (post,) = world.witness("posts")
    (link,) = rows(business.ledger, Link)
    caption = post["text"].splitlines()
    assert caption[0] == load_policy().disclosure("text")
    assert f"Everything shown, in one place: {TRACKING.removeprefix('http://')}/h/gearlab" in caption
    assert f"This product: {TRACKING}/r/{link.code}" in caption
    flags = post["flags"]
    assert (flags["is_aigc"], flags["brand_content_toggle"], flags["brand_organic_toggle"]) == (True, True, False)
    assert flags["privacy_level"] == "PUBLIC_TO_EVERYONE"
    assert (flags["disable_comment"], flags["disable_duet"], flags["disable_stitch"]) == (False, False, False)
    assert publication.disclosures == {"is_aigc": True, "brand_content_toggle": True}
    assert publication.title == "Eighteen settings, one grinder?" == post["title"]
    assert publication.description == post["text"]
    assert publication.published_at == SLOT


def test_the_posts_id_takes_the_place_of_the_publish_id(world: RunningWorld, business: Business, video: str) -> None:
    publication = business.publish(video)
    assert is_publish_id(publication.remote_id)
    assert publication.url == f"{world.url}/tiktok/@{CREATOR}"
    assert find(business) == 0
    assert business.publish(video).publication_id == publication.publication_id

    stored = published_once(world, business)
    assert stored.url == f"{world.url}/tiktok/@{CREATOR}/video/{stored.remote_id}"
    assert stored.published_at == SLOT
    assert find(business) == 0
    assert business.publish(video).remote_id == stored.remote_id
    assert business.tiktok.fetch_counts([stored.remote_id])


def test_a_large_video_goes_in_chunks(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    business.publish(add_reel(business, tmp_path, padding=CHUNKED))
    published_once(world, business)


def test_what_the_creator_has_closed_stays_closed(world: RunningWorld, business: Business, video: str) -> None:
    world.store.save_fact("tiktok.comment_disabled", "1")
    business.publish(video)
    assert world.witness("posts")[0]["flags"]["disable_comment"] is True


def test_not_before_its_slot_nor_after_its_window(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    early = add_reel(business, tmp_path, slot_at=after(5))
    with pytest.raises(NotDue):
        business.publish(early)
    world.move_to(CLOSES)
    with pytest.raises(WindowClosed):
        business.publish(early)
    assert world.witness("posts") == []


# ---------------------------------------------------------------- lost replies
def test_a_lost_reply_after_the_last_chunk_makes_no_second_post(
    world: RunningWorld, business: Business, video: str
) -> None:
    world.fault(CHUNK, when="after", drop=True)
    business.publish(video)
    assert world.fault_hits() == 1
    published_once(world, business)


def test_a_lost_reply_that_nobody_explains_is_settled_by_the_next_run(
    world: RunningWorld, business: Business, video: str
) -> None:
    world.fault(CHUNK, when="after", drop=True)
    world.fault(STATUS, status=503, times=5)
    with pytest.raises(VendorUnavailable):
        business.publish(video)
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.UNKNOWN]
    world.clear_faults()

    (publication,) = business.reconcile()
    assert publication.published_at == SLOT
    published_once(world, business)


def test_a_status_that_fails_after_the_last_chunk_changes_nothing(
    world: RunningWorld, business: Business, video: str
) -> None:
    world.fault(STATUS, status=503)
    business.publish(video)
    published_once(world, business)


def test_an_interrupted_upload_goes_on_where_it_stopped(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    piece = add_reel(business, tmp_path, padding=CHUNKED)
    world.fault(CHUNK, drop=True, skip=1)  # the first chunk passes
    business.publish(piece)
    assert world.fault_hits() == 1
    published_once(world, business)


def test_a_lost_init_leaves_nothing_behind(world: RunningWorld, business: Business, video: str) -> None:
    world.fault(INIT, when="after", drop=True)
    with pytest.raises(ReplyLost):
        business.publish(video)
    business.publish(video)
    published_once(world, business)


def test_an_address_that_died_before_the_last_byte_is_replaced_at_the_pieces_next_slot(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    piece = add_reel(business, tmp_path, padding=CHUNKED)
    world.fault(CHUNK, status=503, skip=1, times=5)
    with pytest.raises(ReplyLost):
        business.publish(piece)
    world.clear_faults()
    world.move_to(after(61))
    business.reconcile()
    with business.ledger.begin() as session:  # half an hour after it was sent
        session.execute(update(Effect).values(sent_at=Effect.sent_at - timedelta(minutes=30)))
    business.reconcile()
    with business.ledger.begin() as session:  # at the slot that it was given
        session.get_one(Piece, piece).slot_at = after(61)
    business.publish(piece)
    published_once(world, business, before=[State.EXPIRED])


@pytest.mark.parametrize("status", [400, 403, 404, 409])
def test_an_answer_that_is_no_proof_beside_a_status_that_lags_makes_no_second_post(
    world: RunningWorld, business: Business, video: str, status: int
) -> None:
    world.fault(CHUNK, when="after", status=status)
    world.fault(STATUS, status=200, body=LAGGING, times=9)
    with pytest.raises(ReplyLost):
        business.publish(video)
    world.move_to(after(30))
    with pytest.raises(ReplyLost):
        business.publish(video)
    world.clear_faults()
    business.publish(video)
    published_once(world, business)


def test_a_chunk_that_is_refused_because_it_was_there_makes_no_second_post(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    piece = add_reel(business, tmp_path, padding=CHUNKED)
    world.fault(CHUNK, when="after", drop=True, skip=1)
    world.fault(STATUS, status=200, body=LAGGING, times=9)
    with pytest.raises(ReplyLost):
        business.publish(piece)
    world.fault(CHUNK, status=400, times=9)
    with pytest.raises(ReplyLost):
        business.publish(piece)
    world.clear_faults()
    business.publish(piece)
    published_once(world, business)


def test_a_publish_that_tiktok_forgot_is_the_owners_to_judge(
    world: RunningWorld, business: Business, video: str
) -> None:
    world.fault(CHUNK, when="after", drop=True)
    unknown = {"data": {}, "error": {"code": "invalid_publish_id", "message": "m", "log_id": "l"}}
    world.fault(STATUS, status=400, body=unknown, times=9)
    for _ in range(2):
        with pytest.raises(EffectParked, match="TikTok Studio"):
            business.publish(video)
    assert len(world.witness("posts")) == 1
    assert len(rows(business.ledger, Alert)) == 1


def test_a_closed_day_does_not_complete_what_was_begun(world: RunningWorld, business: Business, video: str) -> None:
    world.fault(CHUNK, status=429)
    with pytest.raises(VendorUnavailable):
        business.publish(video)
    world.move_to(CLOSES)
    assert business.reconcile() == []
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.EXPIRED]
    assert world.witness("posts") == []
    assert rows(business.ledger, QuotaUse) == []


@pytest.mark.parametrize("fault", [{"when": "before"}, {"when": "after"}], ids=["before-the-bytes", "after-acceptance"])
def test_killed_while_uploading(world: RunningWorld, business: Business, video: str, fault: dict[str, str]) -> None:
    world.fault(CHUNK, delay=60, drop=True, **fault)
    process = subprocess.Popen(business.command(video), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while world.fault_hits() == 0:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, "the hold was never reached"
        time.sleep(0.02)
    process.kill()
    process.communicate()
    world.clear_faults()

    business.publish(video)
    published_once(world, business)


# ---------------------------------------------------------------- finding the post
def stub_publication(business: Business, number: int, remote_id: str) -> None:
    piece = add_post(business, piece_id=f"pc_stub_{number:04}", slot_at=after(-number))
    with business.ledger.begin() as session:
        session.add(
            Effect(
                effect_id=f"ef_{number}", key=f"post:{piece}", kind="at_most_once", vendor="tiktok",
                operation="publish", fingerprint="f", state=State.SETTLED, day=DAY, piece_id=piece, epoch=1,
            )
        )  # fmt: skip
        session.flush()
        session.add(
            Publication(
                publication_id=f"pb_{number}", piece_id=piece, account_id="tiktok:gearlab", platform="tiktok", day=DAY,
                effect_id=f"ef_{number}", remote_id=remote_id, url="u", title=f"Video {number}", description="d",
                disclosures={}, slot_at=SLOT, published_at=after(-number),
            )
        )  # fmt: skip


def asked(world: RunningWorld, business: Business) -> int:
    """How often a search, and the reading of states after it, asks for a publish's status."""
    before = world.fault_hits()
    find(business)
    business.tiktok.fetch_states([p.remote_id for p in rows(business.ledger, Publication)])
    return world.fault_hits() - before


def test_a_publish_that_ended_without_a_post_is_asked_once_and_stops_no_other(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    small = write_video(tmp_path / "small.mp4", size=(90, 160), rate=30)
    business.publish(add_video(business, small, platform="tiktok", piece_id="pc_failed"))
    stub_publication(business, 1, "v_pub_file~unknown")
    world.move_to(after(50))
    business.publish(add_reel(business, tmp_path, piece_id="pc_good", slot_at=after(50)))
    world.move_to(after(300))
    world.fault(STATUS, when="after", delay=0.001, times=99)  # counts

    assert asked(world, business) == 3
    good = next(p for p in rows(business.ledger, Publication) if p.piece_id == "pc_good")
    assert not is_publish_id(good.remote_id)
    assert asked(world, business) == 0
    messages = sorted(alert.message for alert in rows(business.ledger, Alert))
    assert len(messages) == 2
    assert any("picture_size_check_failed" in message for message in messages)
    assert any("not known to TikTok" in message for message in messages)

    # FAILED proves that nothing is out; a publish that TikTok does not know proves nothing.
    down = {p.piece_id: p for p in rows(business.ledger, Publication) if p.takedown_reason or p.taken_down_at}
    assert set(down) == {"pc_failed"}
    assert down["pc_failed"].taken_down_at == after(300)
    assert "picture_size_check_failed" in down["pc_failed"].takedown_reason
    assert {link.piece_id: link.status for link in rows(business.ledger, Link)} == {
        "pc_failed": "retired",
        "pc_good": "live",
    }
    assert [use.effect_id for use in rows(business.ledger, QuotaUse)] == [good.effect_id]
    with business.ledger.begin() as session:
        taken = [piece for posts in load_posts(session, after(-60)).values() for piece in posts.past | posts.ahead]
    assert "pc_good" in taken
    assert "pc_failed" not in taken  # it takes nobody's room
    assert business.publish("pc_failed").taken_down_at is not None
    assert len(world.witness("posts")) == 1
    assert set(total_day(DAY, ledger=business.ledger, media=business.media).posts) == {
        good.remote_id,
        "v_pub_file~unknown",
    }
    with pytest.raises(BadInput, match="picture_size_check_failed"):
        refuse_takedown(down["pc_failed"], DELETE, effects=business.effects)


@pytest.mark.parametrize(
    ("hours", "heeded"), [(1, True), (30, False)], ids=["heard-soon", "heard-when-the-window-rolled-on"]
)
def test_a_full_window_that_is_heard_of_after_the_last_byte_lowers_the_cap(
    world: RunningWorld, business: Business, video: str, hours: int, heeded: bool
) -> None:
    start = business.tiktok.start_post

    def start_and_fill(*arguments: Any) -> Any:
        upload = start(*arguments)
        world.put_account("tiktok", posts_per_day=0)
        return upload

    business.tiktok.start_post = start_and_fill  # type: ignore[method-assign]
    business.publish(video)
    world.put_account("tiktok", posts_per_day=15)
    world.move_to(after(60 * hours))
    assert find(business) == 0

    (publication,) = rows(business.ledger, Publication)
    assert "spam_risk_too_many_posts" in publication.takedown_reason
    assert rows(business.ledger, QuotaUse) == []
    said = [
        (each.signal, each.posts, each.holds_until) for each in rows(business.ledger, AccountLimit) if each.posts == 0
    ]
    until = world.now() + timedelta(hours=24)
    assert said == ([("spam_risk_too_many_posts", 0, until)] if heeded else [])
    assert find(business) == 0
    assert len(rows(business.ledger, Alert)) == 1


def test_a_ban_that_is_heard_of_after_the_last_byte_holds_the_account(
    world: RunningWorld, business: Business, video: str
) -> None:
    business.publish(video)
    failed = {"status": "FAILED", "fail_reason": "spam_risk_user_banned_from_posting"}
    world.fault(STATUS, status=200, body={"data": failed, "error": {"code": "ok", "message": "", "log_id": "l"}})
    world.move_to(after(30))
    find(business)
    (publication,) = rows(business.ledger, Publication)
    assert publication.taken_down_at == after(30)
    (pause,) = rows(business.ledger, Pause)
    assert pause.scope == "account:tiktok:gearlab"


def test_a_process_that_dies_before_a_fall_is_marked_is_made_up_for_and_tells_once(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    small = write_video(tmp_path / "small.mp4", size=(90, 160), rate=30)
    business.publish(add_video(business, small, platform="tiktok"))
    world.move_to(after(30))
    find(business)
    with business.ledger.begin() as session:
        session.execute(update(Publication).values(taken_down_at=None, takedown_reason=None))
    find(business)
    (publication,) = rows(business.ledger, Publication)
    assert publication.taken_down_at == after(30)
    assert len(rows(business.ledger, Alert)) == 1


def test_a_sync_asks_for_the_newest_and_stays_below_the_limit(world: RunningWorld, business: Business) -> None:
    most = load_policy().tiktok_status_reads
    for number in range(most + 5):
        stub_publication(business, number, f"v_pub_file~{number}")
    processing = {"data": {"status": "PROCESSING_DOWNLOAD"}, "error": {"code": "ok", "message": "m", "log_id": "l"}}
    world.fault(STATUS, status=200, body=processing, times=99)
    assert asked(world, business) == most < 30
    world.clear_faults()
    find(business)  # now they are unknown, and told of
    told = {alert.message.partition("'")[2].partition("'")[0] for alert in rows(business.ledger, Alert)}
    assert told == {f"Video {number}" for number in range(most)}


# ---------------------------------------------------------------- refusals
def test_a_full_day_is_known_before_anything_is_sent(world: RunningWorld, business: Business, video: str) -> None:
    world.put_account("tiktok", posts_per_day=0)
    world.fault(INIT, status=500)
    with pytest.raises(QuotaExhausted) as full:
        business.publish(video)
    assert full.value.code == "spam_risk_too_many_posts"
    assert full.value.resets_at == SLOT + timedelta(hours=24)
    assert world.fault_hits() == 0
    assert rows(business.ledger, Effect) == rows(business.ledger, QuotaUse) == []


def test_an_account_that_is_private_is_not_posted_to(world: RunningWorld, business: Business, video: str) -> None:
    world.store.save_fact("tiktok.private", "1")
    with pytest.raises(RouteClosed, match="make the account public"):
        business.publish(video)
    with pytest.raises(Paused, match="take another route"):
        business.publish(video)
    assert world.witness("posts") == []


@pytest.mark.parametrize(
    ("facts", "code", "before"),
    [
        ({"tiktok.unaudited": "1"}, "unaudited_client_can_only_post_to_private_accounts", [State.SUPERSEDED]),
        ({"tiktok.scopes": "video.upload,video.list"}, "scope_not_authorized", []),  # creator_info says so
    ],
    ids=["unaudited", "no-scope"],
)
def test_a_closed_route_holds_the_account_until_its_owner_chooses_another(
    world: RunningWorld, business: Business, video: str, facts: dict[str, str], code: str, before: list[State]
) -> None:
    for name, value in facts.items():
        world.store.save_fact(name, value)
    with pytest.raises(RouteClosed) as closed:
        business.publish(video)
    assert closed.value.code == code
    with pytest.raises(Paused):
        business.publish(video)
    with business.ledger.begin() as session:
        account = session.get_one(Account, "tiktok:gearlab")
        assert (account.route, account.status) == ("direct", "active")  # neither changed nor restricted
    (alert,) = rows(business.ledger, Alert)
    assert "`empire accounts route tiktok:gearlab` and inbox or package" in alert.message
    assert "`empire resume account:tiktok:gearlab`" in alert.message
    assert world.witness("posts") == []

    take_route(business, "inbox")
    resume_scope("account:tiktok:gearlab", ledger=business.ledger)
    assert business.publish(video).disclosures == {"left_to_the_person_who_posts": True}
    # By another route it is another post: the one that was refused is retired.
    published_once(world, business, before)


@pytest.mark.parametrize(
    ("route", "granted", "missing"),
    [("direct", "video.upload,video.list", "video.publish"), ("inbox", "video.publish,video.list", "video.upload")],
)
def test_the_scope_that_a_route_lacks_is_named(
    world: RunningWorld, business: Business, video: str, route: str, granted: str, missing: str
) -> None:
    take_route(business, route)
    world.store.save_fact("tiktok.scopes", granted)
    with pytest.raises(RouteClosed, match=f"lacks {missing}, which the route {route} needs"):
        business.publish(video)
    (alert,) = rows(business.ledger, Alert)
    assert f"lacks {missing}" in alert.message
    assert "`empire accounts route tiktok:gearlab` and" in alert.message
    assert world.witness("posts") == []


def test_a_video_longer_than_the_creator_may_post(world: RunningWorld, business: Business, video: str) -> None:
    with business.ledger.begin() as session:
        session.execute(update(Artifact).where(Artifact.step == "video").values(content={"duration": 601.0}))
    with pytest.raises(PieceRejected, match="make it shorter"):
        business.publish(video)
    assert world.witness("posts") == []


def test_a_failure_in_processing_is_proof_that_nothing_was_published(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    small = write_video(tmp_path / "small.mp4", size=(90, 160), rate=30)
    piece = add_video(business, small, platform="tiktok")
    world.fault(CHUNK, when="after", drop=True)
    world.fault(STATUS, status=503)
    with pytest.raises(VendorUnavailable):
        business.publish(piece)
    world.move_to(after(1))
    with pytest.raises(PieceRejected, match="picture_size_check_failed"):
        business.publish(piece)
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.REFUSED]
    assert rows(business.ledger, QuotaUse) == []
    assert rows(business.ledger, Publication) == []


# ---------------------------------------------------------------- tokens
def test_a_token_that_runs_out_in_the_middle(world: RunningWorld, business: Business, video: str) -> None:
    """The world forgets the token between asking for an address and asking for the status."""
    business.publish(video)
    first = business.vault.load("tiktok:gearlab")
    world.store.execute("DELETE FROM tiktok_access_tokens")
    world.move_to(after(1))
    assert find(business) in (0, 1)
    second = business.vault.load("tiktok:gearlab")
    assert first is not None
    assert second is not None
    assert second["access_token"] != first["access_token"]
    published_once(world, business)


def test_a_dead_grant_is_told_once_and_not_asked_again(world: RunningWorld, business: Business) -> None:
    world.store.execute("UPDATE tiktok_refresh_tokens SET used = 1")
    world.fault("POST /tiktok/v2/oauth/token/", when="after", delay=0.001, times=9)  # counts
    for _ in range(3):
        with pytest.raises(CredentialsRejected, match="empire connect tiktok") as refused:
            business.tiktok.fetch_creator_info()
        assert refused.value.code == "invalid_grant"
    assert world.fault_hits() == 1
    (alert,) = rows(business.ledger, Alert)
    assert "empire connect tiktok" in alert.message
    assert alert.raised_at == SLOT


def test_no_secret_shows(
    world: RunningWorld, business: Business, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in logs, errors, reprs, nor in clear in the ledger, when things go well and when they do not."""
    caplog.set_level(logging.DEBUG)
    said = []
    business.publish(add_reel(business, tmp_path))
    first = business.vault.load("tiktok:gearlab")
    world.store.execute("DELETE FROM tiktok_access_tokens")
    find(business)
    second = business.vault.load("tiktok:gearlab")
    world.store.execute("DELETE FROM tiktok_access_tokens")
    world.store.execute("UPDATE tiktok_refresh_tokens SET used = 1")
    for fault in ({"drop": True}, {"status": 200, "body": "<html>"}, {"status": 500}, None):
        if fault:
            world.fault("POST /tiktok/v2/oauth/token/", **fault)
        with pytest.raises(VendorUnavailable if fault else CredentialsRejected) as problem:
            business.tiktok.fetch_creator_info()
        error: BaseException | None = problem.value
        while error is not None:
            said += [str(error), repr(error)]
            error = error.__cause__ or error.__context__
    said += [repr(business.vault), repr(business.tiktok), repr(business.posters["tiktok"]), caplog.text]
    said += [repr(vars(row)) for table in (Credential, Alert, Effect) for row in rows(business.ledger, table)]
    assert first is not None
    assert second is not None
    tokens = [secret[name] for secret in (first, second) for name in ("access_token", "refresh_token")]
    master_key = (tmp_path / "vault.key").read_text().strip()
    for secret in (*tokens, master_key, SANDBOX_KEYS["tiktok_client_secret"], SANDBOX_KEYS["tiktok_refresh_token"]):
        assert len(secret) > 20
        assert not [text for text in said if secret in text]
    assert len(set(tokens)) == 4


def test_a_rotation_lost_with_its_process_holds_the_account_until_it_is_connected_again(
    world: RunningWorld, business: Business, video: str
) -> None:
    """Killed with TikTok's reply in hand: the token it spent is all that is left, and no machine can get another."""
    command = [sys.executable, "-m", "tests.integration.test_post_to_tiktok", json.dumps(asdict(business))]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    world.fault("POST /tiktok/v2/oauth/token/", when="after", delay=0.001, times=9)  # counts

    with pytest.raises(GrantEnded) as refused:
        business.publish(video)
    assert refused.value.code == "invalid_grant"
    for _ in range(3):
        with pytest.raises(Paused):
            business.publish(video)
        with pytest.raises(GrantEnded):
            business.tiktok.fetch_creator_info()

    assert world.fault_hits() == 1
    assert world.witness("posts") == []
    (pause,) = rows(business.ledger, Pause)
    assert (pause.scope, pause.cause) == ("account:tiktok:gearlab", ACCESS)
    told = {alert.subject: alert for alert in rows(business.ledger, Alert)}
    assert set(told) == {"tiktok:gearlab: access was refused", "tiktok:gearlab: access rejected"}  # the grant, the hold
    assert all(alert.severity == "high" and "empire connect tiktok" in alert.message for alert in told.values())


# ---------------------------------------------------------------- drafts
def test_a_draft_is_a_publication_that_a_person_completes(world: RunningWorld, business: Business, video: str) -> None:
    take_route(business, "inbox")
    world.store.save_fact("tiktok.unaudited", "1")
    world.store.save_fact("tiktok.scopes", "video.upload,video.list")
    publication = business.publish(video)
    assert is_publish_id(publication.remote_id)
    assert publication.disclosures == {"left_to_the_person_who_posts": True}
    problems = undisclosed_publications(
        DAY, "tiktok", ledger=business.ledger, media=business.media, policy=load_policy()
    )
    assert not any("label" in problem.lower() and "is not set" in problem for problem in problems)

    world.move_to(after(2))
    assert find(business) == find(business) == 0
    (alert,) = rows(business.ledger, Alert)
    assert publication.description in alert.message
    assert "AI-generated content" in alert.message

    stored = published_once(world, business)
    assert stored.published_at > after(2)
    assert stored.url.endswith(f"/video/{stored.remote_id}")
    assert len(rows(business.ledger, Alert)) == 1


def _be_killed_with_the_reply(business: Business) -> None:
    def refresh(token: str) -> Grant:
        business.tiktok_oauth.refresh(token)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("nobody outlives that")

    RotatingTokens(business.grants, "tiktok:gearlab", refresh=refresh, clock=business.clock)()


if __name__ == "__main__":
    _be_killed_with_the_reply(Business(**json.loads(sys.argv[1])))
