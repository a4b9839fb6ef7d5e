"""A Reel is posted exactly once, whatever reply is lost and whatever becomes of its container: the witness says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select

from affiliate_empire.effects import Caps, EffectParked, NotApproved, Paused, QuotaRefused, State, WindowClosed
from affiliate_empire.effects.resolve import Finding, resolve_effect
from affiliate_empire.effects.switches import pause_scope, resume_scope
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Alert, Artifact, Effect, Link, Publication, QuotaUse
from affiliate_empire.operations.approvals import approve, waiting
from affiliate_empire.operations.audit_day import undisclosed_publications
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.post_to_instagram import InstagramPoster
from affiliate_empire.operations.publish_piece import NotDue
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.errors import ReplyLost, RouteClosed, VendorRefused, VendorUnavailable
from tests.factories.publishing import DAY, SLOT, TRACKING, Business, add_video, after, always, open_business
from tests.factories.worlds import RunningWorld, write_video

GRAPH = "/instagram/v26.0"
USER = SANDBOX_KEYS["instagram_user_id"]
PUBLISH = f"POST {GRAPH}/{USER}/media_publish"
LISTING = f"GET {GRAPH}/{USER}/media"
CONTAINER = f"GET {GRAPH}/177*"


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
def reel(business: Business, tmp_path: Path) -> str:
    path = write_video(tmp_path / "reel.mp4", seconds=4, index_first=True)
    return add_video(business, path, platform="instagram")


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.begin() as session:
        return list(session.scalars(select(table)))


def published_once(world: RunningWorld, business: Business, publication: Publication) -> None:
    (post,) = world.witness("posts")
    assert (post["platform"], post["remote_id"]) == ("instagram", publication.remote_id)
    (stored,) = rows(business.ledger, Publication)
    assert stored.publication_id == publication.publication_id
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.SETTLED]
    assert len(rows(business.ledger, QuotaUse)) == 1


def test_an_id_that_instagram_does_not_know_stops_no_other_post(
    world: RunningWorld, business: Business, reel: str
) -> None:
    """The owner gives the code of the address instead of the id: told, and corrected."""
    world.fault(PUBLISH, when="after", drop=True)
    world.fault(LISTING, status=503, times=1000)
    with pytest.raises(VendorUnavailable):
        business.publish(reel)
    world.clear_faults()
    (effect,) = rows(business.ledger, Effect)
    assert effect.state == State.UNKNOWN
    caps = Caps(day_micros=1, month_micros=1, run_micros=1)
    how: dict[str, Any] = {"ledger": business.ledger, "clock": business.clock, "caps": caps}
    (post,) = world.witness("posts")
    resolve_effect(effect.key, Finding.HAPPENED, remote_id="BCycsoYqIB", **how)

    assert business.reconcile() == []
    (alert,) = rows(business.ledger, Alert)
    assert f"empire effects resolve {effect.effect_id} --happened" in alert.message

    resolve_effect(effect.key, Finding.HAPPENED, remote_id=post["remote_id"], **how)
    (publication,) = business.reconcile()
    published_once(world, business, publication)
    with pytest.raises(BadInput, match="no open effect"):
        resolve_effect(effect.key, Finding.HAPPENED, remote_id="another", **how)


def containers(world: RunningWorld) -> int:
    row = world.store.one("SELECT count(*) FROM instagram_containers")
    return int(row[0]) if row else 0


def test_a_reel_goes_out_at_its_slot_with_its_disclosures(world: RunningWorld, business: Business, reel: str) -> None:
    publication = business.publish(reel)

    published_once(world, business, publication)
    (post,) = world.witness("posts")
    (link,) = rows(business.ledger, Link)
    caption = post["text"].splitlines()
    assert caption[0] == load_policy().disclosure("text")
    assert f"Everything shown, in one place: {TRACKING.removeprefix('http://')}/h/gearlab" in caption
    assert f"This product: {TRACKING}/r/{link.code}" in caption
    assert (post["flags"]["is_ai_generated"], post["flags"]["is_paid_partnership"]) == (True, True)
    assert publication.disclosures == {"is_ai_generated": True, "is_paid_partnership": True}
    assert publication.title == "Eighteen settings, one grinder?" == post["title"]
    assert publication.description == post["text"]
    assert publication.published_at == SLOT == datetime.fromisoformat(post["public_at"])
    assert publication.url.startswith(f"{world.url}/instagram/reel/")
    assert business.publish(reel).publication_id == publication.publication_id
    published_once(world, business, publication)


def test_a_reel_that_lacks_a_label_is_found_by_the_audit(world: RunningWorld, business: Business, reel: str) -> None:
    business.publish(reel)
    with business.ledger.begin() as session:
        (stored,) = session.scalars(select(Publication))
        stored.disclosures = {"is_ai_generated": True, "is_paid_partnership": False}

    problems = undisclosed_publications(
        DAY, "instagram", ledger=business.ledger, media=business.media, policy=load_policy()
    )
    assert any("is_paid_partnership is not set" in problem for problem in problems)
    assert not any("is_ai_generated" in problem for problem in problems)


def test_a_reel_is_not_posted_before_its_slot_nor_after_its_window(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "reel.mp4", seconds=4, index_first=True)
    early = add_video(business, path, platform="instagram", slot_at=after(5))
    with pytest.raises(NotDue):
        business.publish(early)
    world.move_to(datetime.fromisoformat("2026-11-21T11:00:00+00:00"))
    with pytest.raises(WindowClosed):
        business.publish(early)
    assert world.witness("posts") == []
    assert containers(world) == 0


@pytest.mark.parametrize("begun", [False, True], ids=["new", "left open"])
def test_a_reel_whose_processing_outlasts_its_slot_is_not_posted(
    world: RunningWorld, business: Business, reel: str, begun: bool
) -> None:
    if begun:
        world.fault(CONTAINER, status=200, body={"status_code": "IN_PROGRESS", "id": "1"}, times=100)
        with pytest.raises(VendorUnavailable, match="still processing"):
            business.publish(reel)
        world.clear_faults()
    world.move_to(after(44))
    while_processing(world, business, lambda: world.move_to(after(49)))
    with pytest.raises(WindowClosed):
        business.publish(reel)
    assert world.witness("posts") == []
    assert rows(business.ledger, QuotaUse) == []


def test_a_pause_while_a_reel_is_processed_holds_it(world: RunningWorld, business: Business, reel: str) -> None:
    while_processing(world, business, lambda: pause_scope("account:instagram:gearlab", "stop", ledger=business.ledger))
    with pytest.raises(Paused):
        business.publish(reel)
    assert world.witness("posts") == []
    resume_scope("account:instagram:gearlab", ledger=business.ledger)
    published_once(world, business, business.publish(reel))
    assert containers(world) == 1


def test_processing_that_takes_longer_than_a_run_goes_on_with_the_same_container(
    world: RunningWorld, business: Business, reel: str
) -> None:
    world.fault(CONTAINER, status=200, body={"status_code": "IN_PROGRESS", "id": "1"}, times=100)
    with pytest.raises(VendorUnavailable, match="still processing"):
        business.publish(reel)
    assert [effect.state for effect in rows(business.ledger, Effect)] == [State.PREPARED]
    world.clear_faults()
    published_once(world, business, business.publish(reel))
    assert containers(world) == 1


def while_processing(world: RunningWorld, business: Business, happens: Callable[[], object]) -> None:
    """Has something happen while Instagram processes a video."""
    world.fault(CONTAINER, status=200, body={"status_code": "IN_PROGRESS", "id": "1"}, times=1)

    def pause(seconds: float) -> None:
        happens()

    business.instagram._pause = pause


@pytest.fixture
def public_media(business: Business) -> Iterator[str]:
    """The media store as Instagram reaches it, and a poster that knows."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(business.media.root))
    )
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    business.posters["instagram"] = InstagramPoster(
        always(business.instagram),
        clock=business.clock,
        media=business.media,
        policy=load_policy(),
        media_public_url=f"{address}/",
    )
    yield address
    server.shutdown()
    server.server_close()


def test_instagram_fetches_video_and_cover_where_the_media_store_is_public(
    world: RunningWorld, business: Business, reel: str, public_media: str
) -> None:
    cover = business.media.save(b"a jpeg", "image/jpeg")
    with business.ledger.begin() as session:
        session.add(
            Artifact(
                piece_id=reel, step="thumbnail", name="", inputs_sha256="i", sha256=cover, media_type="image/jpeg",
                content={},
            )
        )  # fmt: skip
    publication = business.publish(reel)

    published_once(world, business, publication)
    (post,) = world.witness("posts")
    sent = post["request"]["body"]
    assert sent["cover_url"] == f"{public_media}/{cover[:2]}/{cover}.jpg"
    assert sent["video_url"].startswith(public_media)
    assert "thumb_offset" not in sent


def test_an_upload_names_a_frame_as_its_cover_and_its_owner_is_shown_no_other(
    world: RunningWorld, business: Business, reel: str
) -> None:
    picture = business.media.save(b"a jpeg", "image/jpeg")
    with business.ledger.begin() as session:
        session.add(
            Artifact(
                piece_id=reel, step="thumbnail", name="", inputs_sha256="i", sha256=picture, media_type="image/jpeg",
                content={},
            )
        )  # fmt: skip
        session.get_one(Account, "instagram:gearlab").approval = "required"
    with pytest.raises(NotApproved):
        business.publish(reel)
    (row,) = waiting(ledger=business.ledger, media=business.media, calendar=BusinessCalendar(), now=SLOT)
    assert row["cover"] == "the frame at 1 s of the video: no picture is sent (that needs EMPIRE_MEDIA_PUBLIC_URL)"
    approve([reel], by="alice", ledger=business.ledger)

    business.publish(reel)

    (post,) = world.witness("posts")
    sent = post["request"]["body"]
    assert (sent["upload_type"], sent["thumb_offset"]) == ("resumable", "1000")
    assert "cover_url" not in sent


def test_a_store_that_forbids_robots_holds_the_account_and_costs_no_piece(
    world: RunningWorld, business: Business, reel: str, public_media: str
) -> None:
    robots = business.media.root / "robots.txt"
    robots.write_text("User-agent: *\nDisallow: /\n")
    with pytest.raises(RouteClosed, match="facebookexternalhit"):
        business.publish(reel)
    with pytest.raises(Paused):
        business.publish(reel)
    assert world.witness("posts") == []
    (alert,) = rows(business.ledger, Alert)
    assert "EMPIRE_MEDIA_PUBLIC_URL" in alert.message
    assert "empire accounts route" not in alert.message

    robots.unlink()
    resume_scope("account:instagram:gearlab", ledger=business.ledger)
    published_once(world, business, business.publish(reel))


# ---------------------------------------------------------------- lost replies
def test_a_lost_reply_of_publishing_is_found_and_nothing_is_posted_twice(
    world: RunningWorld, business: Business, reel: str
) -> None:
    world.fault(PUBLISH, when="after", drop=True)
    publication = business.publish(reel)

    assert world.fault_hits() == 1
    published_once(world, business, publication)
    assert containers(world) == 1


def test_an_answer_of_trouble_behind_which_it_was_published(world: RunningWorld, business: Business, reel: str) -> None:
    trouble = {"error": {"message": "An unknown error has occurred.", "code": 1, "type": "OAuthException"}}
    world.fault(PUBLISH, when="after", status=500, body=trouble)
    published_once(world, business, business.publish(reel))


def test_a_status_that_lags_behind_is_overruled_by_the_listing(
    world: RunningWorld, business: Business, reel: str
) -> None:
    world.fault(PUBLISH, when="after", drop=True)
    world.fault(f"GET {GRAPH}/17*", status=200, body={"id": "1", "status_code": "FINISHED"}, skip=3)
    published_once(world, business, business.publish(reel))
    assert world.fault_hits() == 2


def test_a_reply_that_is_lost_before_it_was_published_is_sent_again_on_the_same_container(
    world: RunningWorld, business: Business, reel: str
) -> None:
    world.fault(PUBLISH, drop=True)
    published_once(world, business, business.publish(reel))
    assert containers(world) == 1


def test_the_address_that_could_not_be_read_is_read_when_the_container_is_asked(
    world: RunningWorld, business: Business, reel: str
) -> None:
    world.fault(f"GET {GRAPH}/18*", status=503)
    published_once(world, business, business.publish(reel))
    assert world.fault_hits() == 1


def test_a_reel_that_is_not_listed_yet_is_found_later_and_never_posted_again(
    world: RunningWorld, business: Business, reel: str
) -> None:
    world.fault(PUBLISH, when="after", drop=True)
    world.fault(LISTING, status=200, body={"data": []})
    with pytest.raises(VendorUnavailable, match="does not list it yet"):
        business.publish(reel)
    world.clear_faults()

    (publication,) = business.reconcile()
    published_once(world, business, publication)


def test_a_reel_that_was_published_and_is_listed_nowhere_is_the_owners_to_look_at(
    world: RunningWorld, business: Business, reel: str
) -> None:
    world.fault(PUBLISH, when="after", drop=True)
    world.fault(LISTING, status=503)
    with pytest.raises(VendorUnavailable):
        business.publish(reel)
    world.store.execute("UPDATE instagram_media SET removed_at = 'taken down'")
    world.move_to(after(180))

    with pytest.raises(EffectParked, match="Reel named 'Eighteen settings"):
        business.publish(reel)
    assert len(world.witness("posts")) == 1
    assert containers(world) == 1


def test_a_container_that_expired_while_nothing_ran_is_made_anew(
    world: RunningWorld, business: Business, reel: str
) -> None:
    world.fault(PUBLISH, status=400, body={"error": {"message": "slow down", "code": 32, "type": "OAuthException"}})
    with pytest.raises(VendorUnavailable, match="fewer calls"):
        business.publish(reel)
    world.store.execute("UPDATE instagram_containers SET created_at = '2026-11-19T00:00:00.000000Z'")

    published_once(world, business, business.publish(reel))
    assert containers(world) == 2


def test_a_container_that_failed_in_processing_is_made_anew(world: RunningWorld, business: Business, reel: str) -> None:
    world.fault(PUBLISH, status=400, body={"error": {"message": "slow down", "code": 32, "type": "OAuthException"}})
    with pytest.raises(VendorUnavailable):
        business.publish(reel)
    world.store.execute("UPDATE instagram_containers SET failure = 'Error: ... error code 2207053'")

    published_once(world, business, business.publish(reel))
    assert containers(world) == 2


def test_a_lost_upload_shows_nothing_and_is_done_again(world: RunningWorld, business: Business, reel: str) -> None:
    world.fault("POST /instagram_upload/*", when="after", drop=True)
    with pytest.raises(VendorUnavailable) as lost:
        business.publish(reel)
    assert not isinstance(lost.value, ReplyLost)
    assert world.witness("posts") == []

    published_once(world, business, business.publish(reel))


# ---------------------------------------------------------------- refusals
def test_a_full_account_is_seen_before_a_container_is_spent(world: RunningWorld, business: Business, reel: str) -> None:
    world.put_account("instagram", USER, posts_per_day=0)
    with pytest.raises(QuotaRefused, match="0 of 0 posts used") as full:
        business.publish(reel)
    assert full.value.frees_at == SLOT + timedelta(days=1)
    assert containers(world) == 0
    assert rows(business.ledger, QuotaUse) == rows(business.ledger, Effect) == []


def test_a_restricted_account_posts_nothing_until_its_owner_says_so(
    world: RunningWorld, business: Business, reel: str
) -> None:
    world.put_account("instagram", USER, standing="restricted")
    with pytest.raises(VendorRefused, match="restricts the account"):
        business.publish(reel)
    assert world.witness("posts") == []
    world.put_account("instagram", USER, standing="ok")
    with pytest.raises(Paused):
        business.publish(reel)
    resume_scope("account:instagram:gearlab", ledger=business.ledger, restricted=True)
    published_once(world, business, business.publish(reel))


def test_a_video_that_reels_do_not_take_is_refused_with_its_reason(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    short = add_video(business, write_video(tmp_path / "short.mp4", index_first=True), platform="instagram")
    with pytest.raises(PieceRejected, match="between 3 seconds and 15 minutes"):
        business.publish(short)
    assert world.witness("posts") == []
