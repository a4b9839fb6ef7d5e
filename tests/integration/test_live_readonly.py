"""``live-readonly``: the day's graph reads the vendors for real, and nothing is charged, posted or changed there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import func, select

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Budget, Effect, Link, Piece, Product
from affiliate_empire.operations.artifacts import save_artifact
from affiliate_empire.settings import SANDBOX_KEYS, Mode, Settings
from definitions import build_defs
from runner import failure_of
from tests.factories.business_day import CALENDAR
from tests.factories.effects import DAY
from tests.factories.worlds import RunningWorld

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
    "ignore::dagster.PreviewWarning",
    "ignore::dagster.BetaWarning",
)

NOON = CALENDAR.midnight(DAY) + timedelta(hours=3)
SIGNING_IN = ("POST /google_oauth/*", "POST /tiktok/v2/oauth/*")
WRITING = ("POST *", "PUT *", "PATCH *", "DELETE *")


class AtTheWorld(Settings):
    """Live settings whose vendors are the sandbox world's."""

    world: str

    def vendor_url(self, vendor: str) -> str:
        return f"{self.world}/{vendor}" + ("/v1" if vendor == "openai" else "")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path / "there", now=NOON)
    for match in (*SIGNING_IN, *WRITING):  # the first rule that fits catches: it counts what passes
        world.fault(match, delay=0.001, times=10_000)
    yield world
    world.stop()


def live_readonly(world: RunningWorld, home: Path) -> Settings:
    keys = {name if name in Settings.model_fields else f"{name}_api_key": value for name, value in SANDBOX_KEYS.items()}
    given: dict[str, Any] = {
        "_env_file": None,
        "mode": Mode.LIVE_READONLY,
        "home": home,
        "world": world.url,
        "product_feed": f"{world.url}/merchant/feed.tsv",
        "public_url": "http://127.0.0.1:9",
        "blog_remote": str(world.home / "world" / "blog.git"),
        "blog_base_url": f"{world.url}/blog",
        **keys,
    }
    return AtTheWorld(**given)


def script_the_videos(ledger: Ledger) -> None:
    """Scripts as an earlier, live run would have left them."""
    scenes = [{"narration": "It grinds.", "visual": "A grinder", "fact_ids": ["F1"]} for _ in range(2)]
    script = {"title": "t", "hook": "h", "scenes": scenes, "description": "d", "hashtags": []}
    with ledger.begin() as session:
        videos = list(session.scalars(select(Piece.piece_id).where(Piece.kind == "video")))
    for piece in videos:
        save_artifact(ledger, piece_id=piece, step="script", inputs_sha256="x", content=script)


def test_the_whole_day_reads_and_neither_spends_nor_posts_nor_changes_anything(
    ledger: Ledger, world: RunningWorld, tmp_path: Path
) -> None:
    clock = FixedClock(NOON)
    instance = dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "dagster"))
    definitions = build_defs(live_readonly(world, tmp_path), {"ledger": ledger, "clock": clock})

    def run(job: str, partition: str) -> str | None:
        """Why a job of the day failed; None when it did not."""
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance, partition_key=partition, raise_on_error=False
        )
        return None if result.success else str(failure_of(result))

    refusal = "EMPIRE_MODE=live-readonly neither spends nor posts"
    for job in ("fetch_products", "rank_products", "plan_day"):
        assert run(job, str(DAY)) is None, job
    assert refusal in str(run("write_content", str(DAY)))
    script_the_videos(ledger)  # so that voices, pictures and clips have something to be made from
    assert refusal in str(run("make_media", str(DAY)))
    with ledger.begin() as session:
        slots = session.execute(select(Piece.platform, func.max(Piece.slot_at)).group_by(Piece.platform)).all()
        assert session.scalars(select(Product)).first() is not None  # it read for real
    assert len(slots) == 4
    for platform, slot in sorted(slots, key=lambda one: one[1]):
        clock.at = slot + timedelta(minutes=5)  # one is due
        assert refusal in str(run("publish_pieces", f"{DAY}|{platform}")), platform
    assert run("sync_results", str(DAY)) is None

    assert world.witness("charges") == world.witness("posts") == []
    hits = {rule["match"]: rule["hits"] for rule in world.faults()}
    assert {match: hits[match] for match in WRITING} == dict.fromkeys(WRITING, 0)
    with ledger.begin() as session:
        assert session.scalars(select(Effect)).all() == session.scalars(select(Link)).all() == []
        assert session.scalars(select(Budget)).all() == []
