"""Yesterday's ledger, restored: what went out since is not known to it, and still nothing goes out twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select

from affiliate_empire.effects import Caps, EffectParked, State, Unconfirmed
from affiliate_empire.effects.report import exceeded, imbalances
from affiliate_empire.effects.resolve import Finding, confirm_ledger, resolve_effect
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import EmbeddedPostgres, Ledger
from affiliate_empire.ledger.installation import bump_epoch
from affiliate_empire.ledger.tables import Alert, Effect, Link, QuotaUse
from tests.factories.publishing import SLOT, Business, add_post, add_video, after, open_business
from tests.factories.worlds import RunningWorld, write_video

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

CAPS = Caps(10**9, 10**9, 10**9)
PIECES = ("pc_youtube", "pc_tiktok", "pc_instagram", "pc_blog")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    world.move_to(SLOT)
    yield world
    world.stop()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    for number, platform in enumerate(("youtube", "tiktok", "instagram")):
        path = write_video(
            tmp_path / f"{number}.mp4", seed=number, size=(360, 640), rate=24, seconds=4, index_first=True
        )
        add_video(business, path, piece_id=f"pc_{platform}", platform=platform)
    add_post(business, piece_id="pc_blog")
    yield business
    business.close()


@pytest.fixture
def backup(ledger: Ledger, business: Business, postgres: EmbeddedPostgres) -> Iterator[Ledger]:
    """The ledger as it is before anything was posted, in a database of its own; restored, it has begun an epoch."""
    name = "restored_ledger"
    ledger.engine.dispose()
    business.ledger.engine.dispose()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {ledger.engine.url.database}")
    restored = Ledger(postgres.url(name))
    with restored.begin() as session:
        bump_epoch(session, "restored from a backup")
    yield restored
    restored.dispose()


@pytest.fixture
def restored(backup: Ledger, business: Business) -> Iterator[Business]:
    restored = Business(backup.url, business.world_url, business.home)
    yield restored
    restored.close()


def test_a_restored_ledger_posts_nothing_before_its_owner_has_confirmed_it(
    world: RunningWorld, business: Business, restored: Business
) -> None:
    for piece in PIECES:
        with pytest.raises(Unconfirmed, match="empire effects confirm"):
            restored.publish(piece)
    assert world.witness("posts") == []
    with restored.ledger.begin() as session:
        assert session.scalars(select(Alert.subject)).all() == ["this ledger is a copy"]


def test_what_went_out_after_the_backup_is_found_and_not_posted_again(
    world: RunningWorld, business: Business, restored: Business
) -> None:
    known = {piece: business.publish(piece) for piece in PIECES}
    confirm_ledger(ledger=restored.ledger)
    world.move_to(after(120))  # a listing comes late
    for piece in ("pc_youtube", "pc_instagram", "pc_blog"):
        assert restored.publish(piece).remote_id == known[piece].remote_id
    with pytest.raises(EffectParked, match="TikTok Studio"):  # it lists nothing by its text: only the owner can look
        restored.publish("pc_tiktok")
    [parked] = [effect for effect in _effects(restored.ledger) if effect.state == State.UNKNOWN]
    given = {"ledger": restored.ledger, "clock": FixedClock(after(5)), "caps": CAPS}
    resolve_effect(parked.effect_id, Finding.HAPPENED, remote_id=known["pc_tiktok"].remote_id, **given)
    assert restored.publish("pc_tiktok").remote_id == known["pc_tiktok"].remote_id
    assert len(world.witness("posts")) == len(PIECES)
    with business.ledger.begin() as ours, restored.ledger.begin() as theirs:
        codes = select(Link.piece_id, Link.code).order_by(Link.piece_id)
        assert ours.execute(codes).all() == theirs.execute(codes).all()  # clicks on what is out there are counted
        assert theirs.scalar(select(func.count()).select_from(QuotaUse)) == len(PIECES)
        assert imbalances(theirs) == exceeded(theirs) == []


def test_what_did_not_go_out_goes_out_when_that_is_known(
    world: RunningWorld, business: Business, restored: Business
) -> None:
    confirm_ledger(ledger=restored.ledger)
    restored.publish("pc_blog")  # git proves that it is not there
    for piece in ("pc_youtube", "pc_tiktok", "pc_instagram"):  # a listing does not
        with pytest.raises(EffectParked, match="Nobody can say"):
            restored.publish(piece)
    assert [post["platform"] for post in world.witness("posts")] == ["blog"]
    for parked in [effect for effect in _effects(restored.ledger) if effect.state == State.UNKNOWN]:
        given = {"ledger": restored.ledger, "clock": FixedClock(after(5)), "caps": CAPS}
        resolve_effect(parked.effect_id, Finding.DID_NOT_HAPPEN, **given)
        restored.publish(str(parked.piece_id))
    assert len(world.witness("posts")) == len(PIECES)
    with restored.ledger.begin() as session:
        assert session.scalar(select(func.count()).select_from(QuotaUse)) == len(PIECES)


def _effects(ledger: Ledger) -> list[Effect]:
    with ledger.begin() as session:
        return list(session.scalars(select(Effect).order_by(Effect.key)))
