"""Reading how posts fare into the ledger and the lake: every platform, real PostgreSQL, the world over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Alert, MetricSnapshot, Pause, Publication
from affiliate_empire.operations.export import export_platform_metrics
from affiliate_empire.operations.hold_account import ACCESS
from affiliate_empire.operations.sync_metrics import MetricsSync, sync_metrics
from affiliate_empire.policy import load_policy
from affiliate_empire.vendors.accounts import NotConnected, PerAccount
from affiliate_empire.vendors.counts import PostCounts, PostState
from affiliate_empire.vendors.errors import RouteClosed, VendorUnavailable
from affiliate_empire.vendors.youtube import YouTubeClient
from tests.factories.publishing import DAY, SLOT, Business, add_post, add_video, always, open_business
from tests.factories.worlds import START, RunningWorld, write_video

LATER = {"Retry-After": "60"}  # longer than anybody waits for


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path, now=START)
    yield world
    world.stop()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    yield business
    business.close()


class Unset:
    """A client whose keys are not there: it says so when it is asked for anything."""

    def fetch_counts(self, ids: Any) -> dict[str, PostCounts]:
        raise Misconfigured("EMPIRE_INSTAGRAM_ACCESS_TOKEN is not set.")

    def fetch_states(self, ids: Any) -> dict[str, PostState]:
        raise AssertionError("counts come first")


def read(business: Business, *, before: Any = None, **readers: Any) -> MetricsSync:
    known: dict[str, Any] = {"youtube": business.youtube, "instagram": business.instagram}
    return sync_metrics(
        ledger=business.ledger,
        readers={platform: always(reader) for platform, reader in (known | readers).items()},
        analytics=always(business.youtube_analytics),
        clock=business.clock,
        policy=load_policy(),
        before=before,
    )


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.begin() as session:
        return list(session.scalars(select(table)))


def snapshots(business: Business, publication: Publication) -> list[MetricSnapshot]:
    found = [row for row in rows(business.ledger, MetricSnapshot) if row.publication_id == publication.publication_id]
    return sorted(found, key=lambda snapshot: snapshot.observed_at)


def publish_both(world: RunningWorld, business: Business, tmp_path: Path) -> tuple[Publication, Publication]:
    """A video on YouTube and one on Instagram, both public since the slot."""
    short = business.publish(add_video(business, write_video(tmp_path / "short.mp4")))
    world.move_to(SLOT)
    path = write_video(tmp_path / "reel.mp4", seed=1, seconds=4, index_first=True)
    return short, business.publish(add_video(business, path, piece_id="pc_reel", platform="instagram"))


def test_each_reading_is_a_snapshot_under_its_platforms_definition(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    short, reel = publish_both(world, business, tmp_path)
    business.publish(add_post(business))
    assert read(business) == MetricsSync(1, [])  # Instagram counts nothing yet, and the blog never does
    assert read(business) == MetricsSync(1, [])  # at the same moment: the same snapshot
    world.move_to(SLOT + timedelta(hours=3))
    assert read(business) == MetricsSync(2, [])

    posts = {post["platform"]: post for post in world.witness("posts")}
    early, late = snapshots(business, short)
    (of_reel,) = snapshots(business, reel)
    assert (early.views, late.views) == (0, posts["youtube"]["views"])
    assert late.views > 0
    assert (of_reel.views, of_reel.likes, of_reel.comments) == tuple(
        posts["instagram"][name] for name in ("views", "likes", "comments")
    )
    assert of_reel.shares is not None
    assert (late.shares, late.engaged_views, late.watch_seconds) == (None, None, None)
    assert (late.definition, of_reel.definition) == ("youtube.views@2026-08-24", "instagram.views@2025-04")

    frame = export_platform_metrics(DAY, ledger=business.ledger, calendar=BusinessCalendar())
    assert list(frame["views"]) == [early.views, *(s.views for s in sorted((late, of_reel), key=_by_publication))]
    assert frame["shares"].isna().sum() == 2
    assert frame["shares"].sum() == of_reel.shares


def _by_publication(snapshot: MetricSnapshot) -> str:
    return snapshot.publication_id


def test_a_scheduled_video_is_not_read_before_it_is_public(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    business.publish(add_video(business, write_video(tmp_path / "short.mp4")))
    assert read(business) == MetricsSync()


def test_a_platform_without_publications_is_never_asked(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    business.publish(add_video(business, write_video(tmp_path / "short.mp4")))
    world.move_to(SLOT)
    assert read(business, instagram=Unset(), tiktok=Unset()) == MetricsSync(1, [])


def test_what_must_be_known_before_is_found_out_where_there_is_something_to_read(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    """As TikTok's ids, which come later than the posts."""
    video = business.publish(add_video(business, write_video(tmp_path / "short.mp4")))
    world.move_to(SLOT)
    with business.ledger.begin() as session:
        session.execute(update(Publication).values(remote_id="not known yet"))

    def find(account_id: str) -> None:
        assert account_id == "youtube:gearlab"
        with business.ledger.begin() as session:
            session.execute(update(Publication).values(remote_id=video.remote_id))

    def never(account_id: str) -> None:
        raise AssertionError("there is nothing on Instagram")

    assert read(business, before={"youtube": find, "instagram": never}) == MetricsSync(1, [])


# ---------------------------------------------------------------- posts that fell
def test_a_rejected_video_raises_an_alert_once(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mp4")
    business.publish(add_video(business, path))
    business.publish(add_video(business, path, piece_id="pc_again", slot_at=SLOT + timedelta(minutes=5)))
    world.move_to(SLOT + timedelta(minutes=10))
    for _ in range(2):
        done = read(business)
    assert len(done.problems) == 1
    (alert,) = rows(business.ledger, Alert)
    assert alert.message == done.problems[0]
    assert "was rejected (rejected: duplicate): look at it in YouTube Studio" in alert.message


def test_a_reel_that_was_taken_down_raises_an_alert_once_and_keeps_its_numbers(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    _, reel = publish_both(world, business, tmp_path)
    world.move_to(SLOT + timedelta(hours=2))
    read(business)
    world.store.execute("UPDATE instagram_media SET removed_at = 'taken down'")
    for hours in (3, 4):
        world.move_to(SLOT + timedelta(hours=hours))
        done = read(business)
    assert done == MetricsSync(1, done.problems)
    assert f"{reel.url} of instagram:gearlab is gone: look at it in the Instagram app." in done.problems[0]
    assert [alert.message for alert in rows(business.ledger, Alert)] == done.problems
    assert len(snapshots(business, reel)) == 1


# ---------------------------------------------------------------- platforms that cannot be read
def test_an_outage_of_one_platform_leaves_the_others_their_numbers(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    publish_both(world, business, tmp_path)
    world.move_to(SLOT + timedelta(hours=3))
    world.fault("GET /instagram/*", status=503, headers=LATER)
    done = read(business)

    assert done.snapshots == 1
    assert [problem.split(" was not read")[0] for problem in done.problems] == ["instagram:gearlab"]
    assert rows(business.ledger, Alert) == []  # it mends by itself
    world.clear_faults()
    assert read(business).snapshots == 2


def test_an_account_whose_grant_ended_is_held_once_and_the_others_are_read(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    publish_both(world, business, tmp_path)
    dead = {"error": {"code": 190, "type": "OAuthException", "message": "The session has been invalidated."}}
    world.fault("GET /instagram/*", status=400, body=dead, times=99)
    for hours in (3, 30):  # on two days
        world.move_to(SLOT + timedelta(hours=hours))
        done = read(business)
        assert done.snapshots == 1
        assert [problem.split(" was not read")[0] for problem in done.problems] == ["instagram:gearlab"]

    (alert,) = rows(business.ledger, Alert)
    assert (alert.severity, alert.subject) == ("high", "instagram:gearlab: access rejected")
    assert "empire connect instagram" in alert.message
    (pause,) = rows(business.ledger, Pause)
    assert (pause.scope, pause.cause) == ("account:instagram:gearlab", ACCESS)  # which connecting again lifts


def test_an_account_that_is_suspended_is_held_once_and_the_others_are_read(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    publish_both(world, business, tmp_path)
    reason = "authenticatedUserAccountSuspended"
    body = {"error": {"code": 403, "message": "Suspended.", "errors": [{"reason": reason, "message": "Suspended."}]}}
    world.fault("GET /youtube/*", status=403, body=body, times=99)
    for hours in (3, 30):
        world.move_to(SLOT + timedelta(hours=hours))
        assert read(business).snapshots == 1

    assert [alert.subject for alert in rows(business.ledger, Alert)] == ["youtube:gearlab: restricted"]
    assert [(pause.scope, pause.cause) for pause in rows(business.ledger, Pause)] == [("account:youtube:gearlab", None)]
    restricted = [each.account_id for each in rows(business.ledger, Account) if each.status == "restricted"]
    assert restricted == ["youtube:gearlab"]


def test_a_scope_that_only_reading_needs_holds_up_no_posts(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    publish_both(world, business, tmp_path)
    world.move_to(SLOT + timedelta(hours=3))

    class Narrow(Unset):
        def fetch_counts(self, ids: Any) -> dict[str, PostCounts]:
            raise RouteClosed("The grant lacks a scope.", vendor="instagram")

    read(business, instagram=Narrow())
    assert rows(business.ledger, Pause) == []
    assert [alert.subject for alert in rows(business.ledger, Alert)] == ["instagram:gearlab: metrics are not read"]


def test_a_platform_without_keys_is_a_problem_and_one_alert_a_day(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    publish_both(world, business, tmp_path)
    world.move_to(SLOT + timedelta(hours=3))
    for _ in range(2):
        done = read(business, instagram=Unset())

    assert done.snapshots == 1
    assert "EMPIRE_INSTAGRAM_ACCESS_TOKEN is not set" in done.problems[0]
    (alert,) = rows(business.ledger, Alert)
    assert alert.message == done.problems[0]


def test_an_account_is_read_by_its_own_client_and_one_that_is_not_connected_leaves_the_others(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    short, reel = publish_both(world, business, tmp_path)
    with business.ledger.begin() as session:
        session.add(Account(account_id="youtube:other", platform="youtube", handle="other", display_name="Other"))
        session.flush()
        session.execute(update(Publication).where(Publication.platform == "youtube").values(account_id="youtube:other"))
    asked: list[str] = []

    def open_client(account_id: str) -> YouTubeClient:
        asked.append(account_id)
        if len(asked) == 1:
            raise NotConnected(f"{account_id} is not connected.")
        return business.youtube

    clients = PerAccount(open_client)
    world.move_to(SLOT + timedelta(hours=3))
    done = sync_metrics(
        ledger=business.ledger,
        readers={"youtube": clients, "instagram": always(business.instagram)},
        analytics=always(business.youtube_analytics),
        clock=business.clock,
        policy=load_policy(),
    )
    assert done == MetricsSync(1, ["youtube:other was not read: youtube:other is not connected."])
    assert [row.publication_id for row in rows(business.ledger, MetricSnapshot)] == [reel.publication_id]
    assert snapshots(business, short) == []
    assert asked == ["youtube:other"]


def test_when_nothing_can_be_read_the_sync_fails(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    publish_both(world, business, tmp_path)
    world.fault("GET /instagram/*", status=503, headers=LATER)
    world.fault("GET /youtube/*", status=503, times=9)
    with pytest.raises(VendorUnavailable):
        read(business)
    assert rows(business.ledger, MetricSnapshot) == []


# ---------------------------------------------------------------- YouTube Analytics
@pytest.fixture
def watched(world: RunningWorld, business: Business, tmp_path: Path) -> Publication:
    """A video whose first days lie behind it: the world's clock cannot run ahead, so it was posted long ago."""
    publication = business.publish(add_video(business, write_video(tmp_path / "short.mp4", seconds=8)))
    world.move_to(SLOT + timedelta(hours=6))
    with business.ledger.begin() as session:
        session.execute(update(Publication).values(published_at=SLOT - timedelta(days=5)))
    steps = round(timedelta(days=5) / timedelta(minutes=10))
    world.store.execute("UPDATE views SET step = step - ?", (steps,))
    return publication


def test_engagement_joins_the_counts_days_later(world: RunningWorld, business: Business, watched: Publication) -> None:
    assert read(business) == MetricsSync(1, [])

    (snapshot,) = snapshots(business, watched)
    assert snapshot.engaged_views is not None
    assert 0 < snapshot.engaged_views < snapshot.views
    assert snapshot.watch_seconds is not None
    assert 0 < snapshot.watch_seconds <= 8
    assert snapshot.raw["analytics"]["video"] == watched.remote_id
    frame = export_platform_metrics(DAY, ledger=business.ledger, calendar=BusinessCalendar())
    assert frame["engaged_views"].tolist() == [snapshot.engaged_views]


@pytest.mark.parametrize(("fault", "alerts"), [("GET /youtube_analytics/*", 0), ("POST /google_oauth/token", 1)])
def test_views_are_kept_where_analytics_cannot_be_asked(
    world: RunningWorld, business: Business, watched: Publication, fault: str, alerts: int
) -> None:
    business.youtube.fetch_states([watched.remote_id])  # its token is there
    if alerts:
        world.fault(fault, status=400, body={"error": "invalid_scope"})
    else:
        world.fault(fault, status=503, times=9)
    done = read(business)

    assert done.snapshots == 1
    assert [problem.split(" was not read")[0] for problem in done.problems] == ["YouTube Analytics of youtube:gearlab"]
    assert len(rows(business.ledger, Alert)) == alerts
    (snapshot,) = snapshots(business, watched)
    assert snapshot.views > 0
    assert snapshot.engaged_views is None
