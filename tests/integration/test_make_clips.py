"""Clips against a real ledger and the sandbox world: each job begun once and paid once, whoever dies or refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from affiliate_empire.effects import BudgetRefused, Caps, EffectParked, Effects, State
from affiliate_empire.effects.report import exceeded, imbalances
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.errors import BadInput, Misconfigured
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Alert, Artifact, Effect
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.artifacts import save_artifact
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.export_artifacts import export_artifacts, footage
from affiliate_empire.operations.make_clips import make_clips
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS, Mode, Settings
from affiliate_empire.vendors.clips import ClipClient
from affiliate_empire.vendors.errors import QuotaExhausted, ReplyLost, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.fal import FalClient
from affiliate_empire.vendors.openai import OpenAIClient
from affiliate_empire.vendors.runway import RunwayClient
from tests.factories.media import jpeg
from tests.factories.pieces import DAY, plan_piece
from tests.factories.worlds import RunningWorld

POLICY = load_policy()
NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)
CAPS = Caps(day_micros=10_000_000, month_micros=10_000_000, run_micros=10_000_000)
SUBMIT = "POST /fal/fal-ai/pika/*"
BALANCE = {"detail": "User is locked. Reason: Exhausted balance."}


class Studio:
    """The verb with everything it needs. ``keys`` are the vendors that may be asked."""

    def __init__(self, ledger: Ledger, world_url: str, folder: Path) -> None:
        self.ledger = ledger
        self.media = MediaStore(folder)
        self.effects = Effects(ledger, FixedClock(NOW), caps=CAPS)
        self.fal = FalClient(f"{world_url}/fal", lambda: SANDBOX_KEYS["fal"], timeout=20)
        self.runway = RunwayClient(f"{world_url}/runway", lambda: SANDBOX_KEYS["runway"], timeout=20)

    def close(self) -> None:
        self.fal.close()
        self.runway.close()

    def planned(self, visual: str = "A grinder on a table", scenes: int = 2) -> str:
        """A piece with a script and its stills."""
        piece = plan_piece(self.ledger)
        texts = [{"narration": "It grinds.", "visual": visual, "fact_ids": ["F1"]} for _ in range(scenes)]
        script = {"title": "t", "hook": "h", "scenes": texts, "description": "d", "hashtags": []}
        save_artifact(self.ledger, piece_id=piece, step="script", inputs_sha256="x", content=script)
        for number in range(scenes):
            sha256 = self.media.save(jpeg(number), "image/jpeg")
            save_artifact(
                self.ledger,
                piece_id=piece,
                step="still",
                name=str(number),
                inputs_sha256="x",
                content={},
                sha256=sha256,
            )
        return piece

    def clips(self, piece: str, *names: str, count: int = 1, **more: Any) -> list[Artifact]:
        clients: dict[str, ClipClient] = {"pika": self.fal, "runway": self.runway}
        return make_clips(
            piece,
            count=count,
            providers={name: clients[name] for name in names or ("pika", "runway")},
            ledger=self.ledger,
            effects=self.effects,
            media=self.media,
            policy=POLICY,
            **more,
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("world"), now=NOW)
    yield world
    world.stop()


@pytest.fixture
def before(world: RunningWorld) -> int:
    """How many charges there were before the test."""
    world.clear_faults()
    return len(world.witness("charges"))


@pytest.fixture
def studio(ledger: Ledger, world: RunningWorld, before: int, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(ledger, world.url, tmp_path / "media")
    yield studio
    studio.close()


def charged(world: RunningWorld, before: int) -> list[tuple[str, str, int]]:
    new = world.witness("charges")[before:]
    return sorted((charge["vendor"], charge["request_id"], charge["micros"]) for charge in new)


def booked(ledger: Ledger) -> list[tuple[str, str, int]]:
    """What the ledger says was spent."""
    with ledger.begin() as session:
        assert imbalances(session) == []
        assert exceeded(session) == []
        rows = session.scalars(select(Effect).where(Effect.cost_micros > 0)).all()
    return sorted((row.vendor, row.remote_id or "", row.cost_micros or 0) for row in rows)


def states(ledger: Ledger) -> dict[str, str]:
    with ledger.begin() as session:
        return {effect.vendor: effect.state for effect in session.scalars(select(Effect))}


def test_a_clip_is_made_once_and_a_rerun_pays_nothing(studio: Studio, world: RunningWorld, before: int) -> None:
    piece = studio.planned(scenes=3)
    first, second = studio.clips(piece, count=2)
    assert (first.name, second.name) == ("0", "1")
    assert first.content == {
        "prompt": first.content["prompt"],
        "provider": "pika",
        "model": POLICY.model("pika", DAY),
        "seconds": 5.0,
        "size": "720x1280",
        "job_id": first.content["job_id"],
        "instead_of": {},
    }
    assert "Burr Coffee Grinder" in first.content["prompt"]
    assert studio.media.path(first.sha256 or "").suffix == ".mp4"
    assert booked(studio.ledger) == charged(world, before)
    assert [micros for _, _, micros in charged(world, before)] == [200_000, 200_000]
    again = studio.clips(piece, count=2)
    assert [clip.sha256 for clip in again] == [first.sha256, second.sha256]
    with studio.ledger.begin() as session:  # a crash before the artifacts were kept
        for clip in session.scalars(select(Artifact).where(Artifact.step == "clip")):
            session.delete(clip)
    assert [clip.effect_id for clip in studio.clips(piece, count=2)] == [first.effect_id, second.effect_id]
    assert len(charged(world, before)) == 2


@pytest.mark.parametrize(
    ("fault", "visual"),
    [
        (None, "A rifle case on a table"),  # Pika's job fails, Runway's does not
        ({"status": 403, "body": BALANCE}, "A grinder"),
        ({"status": 429}, "A grinder"),
    ],
)
def test_the_second_provider_stands_in_and_that_is_recorded(
    studio: Studio, world: RunningWorld, before: int, fault: dict[str, Any] | None, visual: str
) -> None:
    if fault:
        world.fault(SUBMIT, times=9, **fault)
    piece = studio.planned(visual)
    (clip,) = studio.clips(piece)
    assert clip.content["provider"] == "runway"
    assert clip.content["model"] == POLICY.model("runway", DAY)
    assert list(clip.content["instead_of"]) == ["pika"]
    assert [(vendor, micros) for vendor, _, micros in charged(world, before)] == [("runway", 250_000)]
    assert booked(studio.ledger) == charged(world, before)
    made_by, stood_in = footage([export_artifacts(DAY, "still", "clip", ledger=studio.ledger)])
    assert made_by == {"runway": 1}
    assert stood_in[f"{piece} clip 0"].startswith("runway instead of pika: ")
    assert studio.clips(piece)[0].sha256 == clip.sha256
    assert len(charged(world, before)) == 1


def test_a_job_that_might_pass_a_cap_is_not_started(studio: Studio, world: RunningWorld, before: int) -> None:
    piece = studio.planned()
    studio.effects.caps = replace(CAPS, vendor_day_micros={"fal": 399_999})
    jobs = len(world.store.query("SELECT * FROM footage_jobs"))
    with pytest.raises(BudgetRefused, match=r"cap vendor:fal:2026-11-20 of \$0.40 has \$0.20 left"):
        studio.clips(piece, count=2)
    assert len(world.store.query("SELECT * FROM footage_jobs")) == jobs + 1
    assert [micros for _, _, micros in charged(world, before)] == [200_000]
    assert booked(studio.ledger) == charged(world, before)


def test_without_a_second_provider_the_reason_is_said(studio: Studio, world: RunningWorld, before: int) -> None:
    with pytest.raises(PieceRejected, match="content_policy_violation"):
        studio.clips(studio.planned("A rifle case"), "pika")
    assert charged(world, before) == booked(studio.ledger) == []


@pytest.mark.parametrize(
    ("fault", "error"), [({"status": 403, "body": BALANCE}, QuotaExhausted), ({"status": 429}, VendorUnavailable)]
)
def test_what_may_work_later_is_no_fault_of_the_piece(
    studio: Studio, world: RunningWorld, before: int, fault: dict[str, Any], error: type[Exception]
) -> None:
    piece = studio.planned()
    world.fault(SUBMIT, **fault)
    with pytest.raises(error):
        studio.clips(piece, "pika")
    assert studio.clips(piece, "pika")[0].content["provider"] == "pika"
    assert booked(studio.ledger) == charged(world, before)


def test_content_that_nobody_films_rejects_the_piece(studio: Studio, world: RunningWorld, before: int) -> None:
    with pytest.raises(PieceRejected, match=r"content_policy_violation.*SAFETY\.INPUT\.TEXT"):
        studio.clips(studio.planned("gore"))
    assert states(studio.ledger) == {"fal": State.REFUSED, "runway": State.REFUSED}
    assert charged(world, before) == booked(studio.ledger) == []


def test_a_lost_submit_parks_and_is_begun_nowhere_else(studio: Studio, world: RunningWorld, before: int) -> None:
    piece = studio.planned()
    world.fault(SUBMIT, when="after", drop=True)
    for _ in range(2):
        with pytest.raises(EffectParked, match=r"fal\.ai/dashboard.*empire effects resolve"):
            studio.clips(piece)
    assert states(studio.ledger) == {"fal": State.UNKNOWN}
    assert [vendor for vendor, _, _ in charged(world, before)] == ["fal"]
    with studio.ledger.begin() as session:
        assert len(session.scalars(select(Alert)).all()) == 1


def test_a_job_that_does_not_end_in_time_is_asked_again(studio: Studio, world: RunningWorld, before: int) -> None:
    piece = studio.planned()
    with pytest.raises(ReplyLost, match="begins nothing anew"):
        studio.clips(piece, patience_seconds=0.05)
    assert states(studio.ledger) == {"fal": State.UNKNOWN}
    (clip,) = studio.clips(piece)
    assert clip.content["provider"] == "pika"
    assert charged(world, before) == booked(studio.ledger)
    assert len(charged(world, before)) == 1


def test_an_outage_while_it_is_asked_is_waited_out(studio: Studio, world: RunningWorld, before: int) -> None:
    world.fault("GET /fal/fal-ai/pika/requests/*", status=500, times=2)
    world.fault("GET /fal/files/*", drop=True)
    assert studio.clips(studio.planned())[0].content["provider"] == "pika"
    assert len(charged(world, before)) == 1


def test_a_file_that_is_gone_is_paid_for_once_more(studio: Studio, world: RunningWorld, before: int) -> None:
    piece = studio.planned()
    (first,) = studio.clips(piece)
    studio.media.path(first.sha256 or "").unlink()
    (second,) = studio.clips(piece)
    assert studio.media.exists(second.sha256 or "")
    assert len(charged(world, before)) == 2


def test_a_wrong_or_missing_key_stops_the_step_and_sends_nothing(
    studio: Studio, world: RunningWorld, before: int
) -> None:
    piece = studio.planned()

    def missing() -> str:
        raise Misconfigured("EMPIRE_FAL_API_KEY is not set")

    for key, error in ((missing, Misconfigured), (lambda: "wrong:key", VendorRefused)):
        studio.fal.close()
        studio.fal = FalClient(f"{world.url}/fal", key)
        with pytest.raises(error, match="EMPIRE_FAL_API_KEY"):
            studio.clips(piece)
    assert charged(world, before) == []


def test_steps_in_the_wrong_order_say_what_to_do(studio: Studio) -> None:
    piece = plan_piece(studio.ledger)
    with pytest.raises(BadInput, match="scripts first"):
        studio.clips(piece)
    studio.media.save(b"x", "image/png")
    save_artifact(
        studio.ledger,
        piece_id=piece,
        step="script",
        inputs_sha256="x",
        content={
            "title": "t", "hook": "h", "description": "d", "hashtags": [],
            "scenes": [{"narration": "n", "visual": "v", "fact_ids": []}],
        },
    )  # fmt: skip
    with pytest.raises(BadInput, match="no still 0 yet"):
        studio.clips(piece)


def test_the_asset_makes_stills_and_clips_and_names_who_stood_in(
    studio: Studio, world: RunningWorld, before: int, tmp_path: Path
) -> None:
    import dagster as dg  # here, since the killed processes import this module too

    from assets.content import video_clips

    piece = studio.planned("A rifle case on a table", scenes=1)
    openai = OpenAIClient(f"{world.url}/openai/v1", lambda: SANDBOX_KEYS["openai"], timeout=20)
    outside = {"openai": openai, "fal": studio.fal, "runway": studio.runway}
    inside = {"ledger": studio.ledger, "effects": studio.effects, "media": studio.media, "policy": POLICY}
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        run = dg.materialize(
            [video_clips],
            instance=instance,
            resources={**outside, **inside, "settings": Settings(), "lake": dg.InMemoryIOManager()},
            partition_key=DAY.isoformat(),
        )
    openai.close()
    (frame,) = run.output_for_node("video_clips").values()
    assert list(frame["name"]) == ["clip 0", "still 0"]
    assert frame["cost_micros"].sum() == sum(micros for _, _, micros in charged(world, before))
    metadata = run.asset_materializations_for_node("video_clips")[0].metadata
    assert metadata["clips"].value == {"runway": 1}
    assert metadata["stood_in"].value == 1
    assert f"{piece} clip 0" in str(metadata["stood_in_clips"].value)


# ---------------------------------------------------------------- killed
@pytest.mark.parametrize("moment", ["after_submit", "after_accepted"])
def test_a_kill_at_any_moment_leaves_one_job_and_one_charge(
    studio: Studio, world: RunningWorld, before: int, moment: str
) -> None:
    piece = studio.planned()
    killed = subprocess.run(
        [
            sys.executable,
            "-m",
            __name__,
            json.dumps([studio.ledger.url, world.url, str(studio.media.root), piece, moment]),
        ],
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    if moment == "after_accepted":
        (clip,) = studio.clips(piece)
        assert clip.content["provider"] == "pika"
        assert booked(studio.ledger) == charged(world, before)
        assert len(charged(world, before)) == 1
    else:  # its id never came here: nobody but the owner can say which job it is
        with pytest.raises(EffectParked, match="look at fal"):
            studio.clips(piece)
        assert len(charged(world, before)) == 1
        assert states(studio.ledger) == {"fal": State.UNKNOWN}


class _Killing(FalClient):
    """Dies after its submit, or at its first question."""

    moment = ""

    def _die(self, moment: str) -> None:
        if moment == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def submit(self, **asked: Any) -> str:
        job_id = super().submit(**asked)
        self._die("after_submit")
        return job_id

    def fetch_status(self, job_id: str) -> Any:
        self._die("after_accepted")
        return super().fetch_status(job_id)


def test_the_other_provider_counts_only_where_it_has_a_key() -> None:
    assert Settings().clip_providers == ["pika", "runway"]
    assert Settings(clip_provider="runway").clip_providers == ["runway", "pika"]
    assert Settings(mode=Mode.LIVE).clip_providers == ["pika"]
    assert Settings(mode=Mode.LIVE, runway_api_key=SecretStr("k")).clip_providers == ["pika", "runway"]


def _main(argument: str) -> None:
    url, world_url, folder, piece, moment = json.loads(argument)
    studio = Studio(Ledger(url), world_url, Path(folder))
    studio.fal = _Killing(f"{world_url}/fal", lambda: SANDBOX_KEYS["fal"])
    studio.fal.moment = moment
    studio.clips(piece)


if __name__ == "__main__":
    _main(sys.argv[1])
