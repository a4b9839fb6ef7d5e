"""A post that its owner wants gone goes, once, whatever else stands still; it never comes back, and its money stays."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from sqlalchemy import select, update

from affiliate_empire.effects import Caps, EffectInProgress, EffectParked, Effects, ReadOnly, State
from affiliate_empire.effects.switches import pause_scope
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Alert, Click, Effect, Link, Publication
from affiliate_empire.operations.approvals import approve, set_approval
from affiliate_empire.operations.outcomes import load_outcomes
from affiliate_empire.operations.sync_metrics import MetricsSync, sync_metrics
from affiliate_empire.operations.take_down import (
    DELETE,
    UNLIST,
    BlogRemover,
    InstagramRemover,
    Remover,
    StillStands,
    YouTubeRemover,
    find_publication,
    outstanding,
    refuse_takedown,
    take_down,
    tell_taken_down,
)
from affiliate_empire.policy import load_policy
from affiliate_empire.sandbox.clock import stamp
from affiliate_empire.vendors.deploy_hook import DeployHook
from affiliate_empire.vendors.errors import VendorUnavailable
from tests.factories.hosts import Host
from tests.factories.publishing import DAY, SLOT, Business, add_post, add_video, after, always, open_business
from tests.factories.worlds import RunningWorld, write_video

CALENDAR = BusinessCalendar()
WHY = "it names a price that is wrong"
DELETES = "DELETE /*"


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
def short(business: Business, tmp_path: Path) -> Publication:
    return business.publish(add_video(business, write_video(tmp_path / "short.mp4")))


@pytest.fixture
def reel(business: Business, tmp_path: Path) -> Publication:
    path = write_video(tmp_path / "reel.mp4", seed=1, seconds=4, index_first=True)
    return business.publish(add_video(business, path, piece_id="pc_reel", platform="instagram"))


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.begin() as session:
        return list(session.scalars(select(table)))


warnings: list[str] = []


def common(business: Business, effects: Effects | None = None) -> dict[str, Any]:
    removers: dict[str, Remover] = {
        "youtube": YouTubeRemover(always(business.youtube)),
        "instagram": InstagramRemover(always(business.instagram)),
        "blog": BlogRemover(business.blog, clock=business.clock, warn=warnings.append),
    }
    return {
        "ledger": business.ledger,
        "effects": effects or business.effects,
        "removers": removers,
        "clock": business.clock,
        "calendar": CALENDAR,
    }


def down(business: Business, publication: Publication, way: str = DELETE, **more: Any) -> Publication:
    known = find_publication(publication.publication_id, ledger=business.ledger)
    return take_down(known, reason=WHY, way=way, **common(business, **more))


def tell(business: Business, publication: Publication) -> Publication:
    return tell_taken_down(find_publication(publication.publication_id, ledger=business.ledger), **common(business))


def posts(world: RunningWorld) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.witness("posts")
    return found


def acts(business: Business) -> dict[str, str]:
    return {
        effect.key: effect.state for effect in rows(business.ledger, Effect) if effect.operation in (DELETE, UNLIST)
    }


def count_deletes(world: RunningWorld) -> None:
    world.clear_faults()
    world.fault(DELETES, delay=0.001, times=1000)


# ---------------------------------------------------------------- by platform
def test_a_deleted_video_is_gone_for_good_and_keeps_what_it_earned(
    world: RunningWorld, business: Business, short: Publication
) -> None:
    (link,) = rows(business.ledger, Link)
    with business.ledger.begin() as session:
        session.add(
            Click(
                click_id="c" * 26, code=link.code, clicked_at=after(1), user_agent="", referrer="", visitor_hash="",
                flags=[],
            )
        )  # fmt: skip
    world.move_to(after(5))

    gone = down(business, short)

    assert (gone.taken_down_at, gone.takedown_reason) == (after(5), WHY)
    (post,) = posts(world)
    assert (post["public"], post["removed_at"]) == (False, stamp(after(5)))
    assert httpx.get(short.url).status_code == 404
    assert [link.status for link in rows(business.ledger, Link)] == ["retired"]
    assert acts(business) == {f"takedown:{short.publication_id}": State.SETTLED}

    # The day again: nothing is posted, nothing is read, and the piece's numbers stand.
    assert business.publish(short.piece_id).publication_id == short.publication_id
    assert [one.taken_down_at for one in business.reconcile()] == [after(5)]
    assert len(posts(world)) == 1
    assert metrics(business) == MetricsSync(0, [])
    with business.ledger.begin() as session:
        (row,) = load_outcomes(session, as_of=after(60), first_day=DAY, last_day=DAY).to_dict("records")
        (before,) = load_outcomes(session, as_of=after(4), first_day=DAY, last_day=DAY).to_dict("records")
    assert (row["status"], row["clicks"]) == ("taken down", 1)
    assert pd.isna(row["url"])
    assert (before["status"], before["url"]) == ("planned", short.url)


def metrics(business: Business) -> MetricsSync:
    return sync_metrics(
        ledger=business.ledger,
        readers={"youtube": always(business.youtube), "instagram": always(business.instagram)},
        analytics=always(business.youtube_analytics),
        clock=business.clock,
        policy=load_policy(),
    )


def test_unlisting_a_video_that_is_not_shown_is_not_done(
    world: RunningWorld, business: Business, short: Publication
) -> None:
    world.fault("GET /youtube/youtube/v3/videos", status=200, body={"items": []}, times=3)
    for _ in range(2):
        with pytest.raises(VendorUnavailable, match="proves nothing of a young post"):
            down(business, short, UNLIST)
    assert [each["publication_id"] for each in outstanding(ledger=business.ledger)] == [short.publication_id]
    world.clear_faults()
    down(business, short, UNLIST)
    (post,) = posts(world)
    assert post["flags"]["privacyStatus"] == "unlisted"


def test_a_young_video_that_is_not_shown_after_a_lost_delete_is_not_gone(
    world: RunningWorld, business: Business, short: Publication
) -> None:
    world.fault("GET /youtube/youtube/v3/videos", status=200, body={"items": []}, times=1000)
    for _ in range(2):
        with pytest.raises(VendorUnavailable, match="proves nothing of a young post"):
            down(business, short)
    world.clear_faults()
    # Once it was seen, that it is not shown any more says that the lost request arrived.
    world.fault(DELETES, when="after", drop=True)
    down(business, short)
    assert [post["public"] for post in posts(world)] == [False]


def test_an_unlisted_video_may_still_be_deleted(world: RunningWorld, business: Business, short: Publication) -> None:
    assert down(business, short, UNLIST).taken_down_at is not None
    (post,) = posts(world)
    assert (post["public"], post["flags"]["privacyStatus"]) == (False, "unlisted")
    assert post["flags"]["containsSyntheticMedia"]
    assert httpx.get(short.url).status_code == 200
    with pytest.raises(BadInput, match="was taken down on"):
        down(business, short, UNLIST)

    down(business, short)
    assert httpx.get(short.url).status_code == 404
    with pytest.raises(BadInput, match="was taken down on"):
        down(business, short)


def test_a_video_that_waits_for_its_slot_never_becomes_public(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    piece = add_video(business, write_video(tmp_path / "short.mp4"), slot_at=after(20))
    early = business.publish(piece)
    assert early.published_at > world.now()
    down(business, early, UNLIST)
    world.move_to(after(40))
    (post,) = posts(world)
    assert (post["public"], post["flags"]["privacyStatus"], post["views"]) == (False, "private", 0)


def test_a_reel_that_instagram_does_not_let_us_delete_is_left_to_its_owner(
    world: RunningWorld, business: Business, reel: Publication
) -> None:
    world.store.save_fact("instagram.no_deletion", "1")
    with pytest.raises(StillStands, match=r"instagram_manage_contents.*open http.*empire takedown done pb_"):
        down(business, reel)
    assert posts(world)[0]["public"]
    assert [one["publication_id"] for one in outstanding(ledger=business.ledger)] == [reel.publication_id]
    with pytest.raises(BadInput, match="Instagram still shows"):
        tell(business, reel)

    world.store.save_fact("instagram.no_deletion", "0")
    business.instagram.delete(reel.remote_id)  # by its owner, in the app
    count_deletes(world)
    assert tell(business, reel).taken_down_at == world.now()
    assert world.fault_hits() == 0
    assert outstanding(ledger=business.ledger) == []


def test_a_reel_is_deleted(world: RunningWorld, business: Business, reel: Publication) -> None:
    assert down(business, reel).taken_down_at == world.now()
    assert not posts(world)[0]["public"]
    assert metrics(business) == MetricsSync(0, [])


def test_a_tiktok_video_is_left_to_its_owner_until_they_say_so(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    video = business.publish(add_video(business, write_video(tmp_path / "short.mp4"), platform="tiktok"))
    for _ in range(2):
        with pytest.raises(EffectParked, match=r"TikTok has no way .*gearlab.*empire takedown done pb_"):
            down(business, video)
    (alert,) = rows(business.ledger, Alert)
    assert (alert.severity, alert.subject) == ("high", "tiktok: handed over")
    assert [link.status for link in rows(business.ledger, Link)] == ["retired"]
    assert outstanding(ledger=business.ledger)[0]["reason"] == WHY

    assert tell(business, video).taken_down_at == world.now()
    assert acts(business) == {f"takedown:{video.publication_id}": State.SETTLED}
    with pytest.raises(BadInput, match="already"):
        tell(business, video)


def test_a_page_is_taken_out_in_one_commit_and_no_run_brings_it_back(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    page = business.publish(add_post(business))
    world.move_to(after(1))
    other = business.publish(add_post(business, piece_id="pc_post_0002", slot_at=after(1)))

    with Host(503) as host:
        business.blog.deploy_hook = DeployHook(host.address)
        warnings.clear()
        down(business, page)
        assert host.calls == 1
    (warning,) = warnings
    assert "the site was not told to build. The deploy hook answered 503" in warning

    assert [post["public"] for post in posts(world)] == [False, True]
    assert httpx.get(page.url).status_code == 404
    for listing in ("sitemap.xml", "feed.xml"):
        text = httpx.get(f"{world.url}/blog/{listing}").text
        assert (page.remote_id in text, other.remote_id in text) == (False, True)
    business.publish(page.piece_id)
    log = subprocess.run(
        ["git", "--git-dir", str(tmp_path / "world" / "blog.git"), "log", "--format=%s", "main"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert log.stdout.splitlines()[0] == f"Take {page.remote_id} down"
    assert len(log.stdout.splitlines()) == 3


# ---------------------------------------------------------------- what must not hold it up
def test_neither_a_pause_nor_an_approval_nor_a_cap_nor_a_restriction_holds_it_up(
    world: RunningWorld, business: Business, short: Publication
) -> None:
    set_approval("youtube:gearlab", "required", ledger=business.ledger)
    for scope in ("all", "vendor:youtube", "account:youtube:gearlab"):
        pause_scope(scope, "trouble", ledger=business.ledger)
    with business.ledger.begin() as session:
        session.execute(update(Account).values(status="restricted"))
    nothing = Effects(business.ledger, business.clock, caps=Caps(0, 0, 0))
    world.move_to(SLOT + timedelta(days=3))
    assert down(business, short, effects=nothing).taken_down_at is not None
    assert not posts(world)[0]["public"]


def test_nothing_is_changed_where_it_makes_no_sense(
    world: RunningWorld, business: Business, short: Publication
) -> None:
    page = business.publish(add_post(business))
    reads = Effects(business.ledger, business.clock, caps=Caps(1, 1, 1), read_only=True)
    with pytest.raises(ReadOnly, match="live-readonly"):
        down(business, short, effects=reads)
    with pytest.raises(BadInput, match="the blog knows no unlisting"):
        down(business, page, UNLIST)
    with pytest.raises(BadInput, match="--reason"):
        take_down(short, reason=" ", **common(business))
    with pytest.raises(BadInput, match="Say first why"):
        tell(business, short)
    refuse_takedown(short, DELETE, effects=business.effects)
    assert all(post["public"] for post in posts(world))
    assert {link.status for link in rows(business.ledger, Link)} == {"live"}
    assert acts(business) == {}


def test_a_post_is_found_by_its_id_its_piece_and_its_address(
    business: Business, short: Publication, reel: Publication, tmp_path: Path
) -> None:
    page = business.publish(add_post(business))

    def found(name: str) -> str:
        return find_publication(name, ledger=business.ledger).publication_id

    for publication in (short, reel, page):
        names = (publication.publication_id, publication.piece_id, publication.url, f"{publication.url}/?si=abc")
        assert {found(name) for name in names} == {publication.publication_id}
    assert found(f"https://www.youtube.com/watch?v={short.remote_id}&t=3") == short.publication_id
    assert found(f"https://youtu.be/{short.remote_id}") == short.publication_id

    with pytest.raises(BadInput, match="There is no publication https://example"):
        found("https://example.com/")
    waiting = add_video(business, write_video(tmp_path / "later.mp4", seed=5), piece_id="pc_later", slot_at=after(90))
    with pytest.raises(BadInput, match=r"pc_later is not published: .*empire approvals reject pc_later"):
        found(waiting)
    with pytest.raises(BadInput, match=rf"empire takedown {short.piece_id} --reason"):
        approve([short.piece_id], by="me", ledger=business.ledger)


# ---------------------------------------------------------------- faults
def test_a_deletion_that_nobody_heard_of_is_found_done_by_the_next_run(
    world: RunningWorld, business: Business, short: Publication
) -> None:
    world.fault(DELETES, when="after", drop=True, times=1)
    world.fault("GET /youtube/youtube/v3/videos", kind="quota", skip=1, times=1)
    with pytest.raises(StillStands, match=r"may still stand: .*quota.*empire takedown done pb_"):
        down(business, short)
    assert not posts(world)[0]["public"]
    assert acts(business) == {f"takedown:{short.publication_id}": State.UNKNOWN}
    assert [link.status for link in rows(business.ledger, Link)] == ["retired"]

    count_deletes(world)
    assert down(business, short).taken_down_at == world.now()
    assert world.fault_hits() == 0
    assert acts(business) == {f"takedown:{short.publication_id}": State.SETTLED}


def test_a_lost_reply_heals_within_the_call(world: RunningWorld, business: Business, reel: Publication) -> None:
    world.fault(DELETES, when="after", drop=True, times=1)
    assert down(business, reel).taken_down_at == world.now()
    world.clear_faults()


def test_a_deletion_that_never_arrived_is_sent_again(
    world: RunningWorld, business: Business, short: Publication
) -> None:
    world.fault(DELETES, drop=True, times=1)
    assert down(business, short).taken_down_at == world.now()
    assert not posts(world)[0]["public"]


def test_what_was_settled_and_not_recorded_is_recorded_by_the_next_run(
    world: RunningWorld, business: Business, short: Publication
) -> None:
    down(business, short)
    removed = posts(world)[0]["removed_at"]
    with business.ledger.begin() as session:  # as a process that was killed between the two leaves it
        session.execute(update(Publication).values(taken_down_at=None))
    world.move_to(after(9))
    count_deletes(world)
    assert down(business, short).taken_down_at == after(9)
    assert world.fault_hits() == 0
    assert posts(world)[0]["removed_at"] == removed


def test_two_at_once_are_one_deletion(world: RunningWorld, business: Business, short: Publication) -> None:
    world.fault(DELETES, delay=1.0, when="before", times=5)
    first = threading.Thread(target=down, args=(business, short))
    first.start()
    while world.fault_hits() == 0:
        pass
    with pytest.raises(EffectInProgress, match="is being worked on"):
        down(business, short)
    first.join()
    assert world.fault_hits() == 1
    assert find_publication(short.publication_id, ledger=business.ledger).taken_down_at is not None
