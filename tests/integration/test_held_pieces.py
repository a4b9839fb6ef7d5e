"""Pieces that are held while a day is made: for room under a cap, for a parked job. All others are finished."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from sqlalchemy import select

from affiliate_empire.effects import Caps, Effects
from affiliate_empire.effects.resolve import Finding, resolve_effect
from affiliate_empire.effects.switches import pause_scope, resume_scope
from affiliate_empire.kernel.clock import BusinessCalendar, FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Alert, Artifact, Budget, Effect, Piece
from affiliate_empire.media.store import MediaStore
from affiliate_empire.planning import piece_cost
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS, Settings
from affiliate_empire.vendors.anthropic import AnthropicClient
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient
from affiliate_empire.vendors.fal import FalClient
from affiliate_empire.vendors.openai import OpenAIClient
from affiliate_empire.vendors.runway import RunwayClient
from assets import content
from runner import failure_of
from tests.factories.pieces import DAY, plan_piece
from tests.factories.worlds import RunningWorld

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

POLICY = load_policy()
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
SETTINGS = Settings(_env_file=None, render_profile="light")  # type: ignore[call-arg]
BOUND = piece_cost("video", policy=POLICY, on=DAY, clips=1, clip_providers=SETTINGS.clip_providers).max_micros
MAKING = [content.scripts, content.voiceovers, content.video_clips, content.thumbnails, content.videos]
# The last slots have the best pieces: the order is that of the profit, not that of the day.
PIECES = ["pc_poor", "pc_fair", "pc_good", "pc_best"]


class Day:
    """Four videos, and the assets that make them in a world."""

    def __init__(self, ledger: Ledger, world: RunningWorld, folder: Path) -> None:
        self.ledger, self.world, self.folder = ledger, world, folder
        self.media = MediaStore(folder / "media")
        self.clients: dict[str, Any] = {
            "openai": OpenAIClient(f"{world.url}/openai/v1", lambda: SANDBOX_KEYS["openai"], timeout=20),
            "anthropic": AnthropicClient(f"{world.url}/anthropic", lambda: SANDBOX_KEYS["anthropic"], timeout=20),
            "elevenlabs": ElevenLabsClient(f"{world.url}/elevenlabs", lambda: SANDBOX_KEYS["elevenlabs"], timeout=20),
            "fal": FalClient(f"{world.url}/fal", lambda: SANDBOX_KEYS["fal"], timeout=20),
            "runway": RunwayClient(f"{world.url}/runway", lambda: SANDBOX_KEYS["runway"], timeout=20),
        }
        for number, name in enumerate(PIECES):
            plan_piece(
                ledger,
                name,
                slot_at=datetime(2026, 11, 20, 15 + number, tzinfo=UTC),
                max_cost_micros=BOUND,
                expected_profit_micros=(number + 1) * 1_000_000,
            )

    def make(self, cap_micros: int, now: datetime = NOW) -> dg.ExecuteInProcessResult:
        caps = Caps(day_micros=cap_micros, month_micros=10**9, run_micros=10**9)
        inside = {"ledger": self.ledger, "media": self.media, "policy": POLICY, "settings": SETTINGS}
        effects = Effects(self.ledger, FixedClock(now), caps=caps)
        with dg.DagsterInstance.ephemeral(tempdir=str(self.folder)) as instance:
            return dg.materialize(
                MAKING,
                instance=instance,
                resources={**self.clients, **inside, "effects": effects, "lake": dg.InMemoryIOManager()},
                partition_key=DAY.isoformat(),
                raise_on_error=False,
            )

    def videos(self) -> set[str]:
        with self.ledger.begin() as session:
            return set(session.scalars(select(Artifact.piece_id).where(Artifact.step == "video")))

    def pieces(self) -> dict[str, Piece]:
        with self.ledger.begin() as session:
            return {piece.piece_id: piece for piece in session.scalars(select(Piece))}


@pytest.fixture
def day(ledger: Ledger, tmp_path: Path) -> Iterator[Day]:
    world = RunningWorld(tmp_path / "world", now=NOW)
    fair = {"truncated": 0.0, "refusal": 0.0, "invented_claim": 0.0}
    httpx.put(f"{world.url}/_world/writer", json=fair, trust_env=False).raise_for_status()
    day = Day(ledger, world, tmp_path)
    yield day
    for client in day.clients.values():
        client.close()
    world.stop()


def test_the_best_pieces_are_finished_and_the_others_wait_for_room(day: Day) -> None:
    cap = 2 * BOUND + 1
    result = day.make(cap)

    assert result.success
    assert day.videos() == {"pc_best", "pc_good"}
    with day.ledger.begin() as session:
        spent = session.get_one(Budget, f"day:{DAY}")
        assert spent.reserved_micros + spent.spent_micros <= cap
        made = set(session.scalars(select(Artifact.piece_id)))
        (alert,) = session.scalars(select(Alert).where(Alert.subject == "day budget holds pieces"))
    assert made == {"pc_best", "pc_good"}  # nothing was spent on what could not be finished
    for name in ("pc_fair", "pc_poor"):
        piece = day.pieces()[name]
        assert piece.status == "planned"
        said = str(piece.reason)
        assert ": waits for room: What is not made of this piece may cost up to $" in said
        assert f"the cap day:{DAY} of $" in said
        assert "starts anew on 2026-11-21 at 00:00 America/New_York, or raise EMPIRE_BUDGET_DAY_USD." in said
    assert alert.message.startswith(f"2 pieces are held at scripts of {DAY}, and made by themselves once there is room")
    for node in ("scripts", "videos"):
        (metadata,) = [each.metadata for each in result.asset_materializations_for_node(node)]
        assert set(metadata["held"].value) == {"pc_fair", "pc_poor"}
        assert all("raise EMPIRE_BUDGET_DAY_USD" in said for said in metadata["held"].value.values())
        assert metadata["pieces"].value == 2
    checks = {check.asset_key.to_user_string(): check for check in result.get_asset_check_evaluations()}
    assert checks["scripts"].passed
    assert "2 held: waits for room:" in str(checks["scripts"].description)

    assert day.make(4 * BOUND).success
    assert day.videos() == set(PIECES)
    assert {piece.reason for piece in day.pieces().values()} == {None}


def test_a_piece_waits_for_its_parked_clip_and_the_others_go_on(day: Day) -> None:
    with day.ledger.begin() as session:
        for name in PIECES[:2]:
            session.get_one(Piece, name).status = "superseded"
    day.world.fault("POST /fal/fal-ai/pika/*", when="after", drop=True, times=1)

    result = day.make(10**9)
    assert result.success
    with day.ledger.begin() as session:
        (parked,) = session.scalars(select(Effect).where(Effect.state == "unknown"))
    assert day.videos() == {"pc_best", "pc_good"} - {parked.piece_id}
    assert "empire effects resolve" in str(day.pieces()[str(parked.piece_id)].reason)

    resolve_effect(
        parked.key,
        Finding.DID_NOT_HAPPEN,
        ledger=day.ledger,
        clock=FixedClock(NOW),
        caps=Caps(day_micros=10**9, month_micros=10**9, run_micros=10**9),
    )
    assert day.make(10**9).success
    assert day.videos() == {"pc_best", "pc_good"}
    assert day.pieces()[str(parked.piece_id)].reason is None


def test_the_pieces_of_an_account_that_is_held_wait_for_it_and_the_others_are_made(day: Day) -> None:
    """The best piece keeps no money back from the others meanwhile: there is room for two videos."""
    held, account = "pc_best", "account:youtube:second"
    with day.ledger.begin() as session:
        session.add(Account(account_id="youtube:second", platform="youtube", handle="second", display_name="Second"))
        session.flush()
        session.get_one(Piece, held).account_id = "youtube:second"
        session.get_one(Piece, "pc_poor").status = "superseded"
    pause_scope(account, "a holiday", ledger=day.ledger)

    result = day.make(2 * BOUND + 1)
    assert result.success
    assert day.videos() == {"pc_fair", "pc_good"}
    assert day.pieces()[held].status == "planned"
    assert day.pieces()[held].reason == (
        f"scripts: needs a person: {account} is paused (a holiday): lift it with `empire resume {account}`."
    )
    (metadata,) = [each.metadata for each in result.asset_materializations_for_node("videos")]
    assert set(metadata["held"].value) == {held}
    assert "is paused (a holiday)" in metadata["held"].value[held]
    with day.ledger.begin() as session:
        assert held not in set(session.scalars(select(Effect.piece_id)))

    resume_scope(account, ledger=day.ledger)
    assert day.make(10**9).success
    assert day.videos() == {held, "pc_fair", "pc_good"}
    assert day.pieces()[held].reason is None


@pytest.mark.parametrize("scope", ["all", "vendor:openai"])
def test_a_pause_of_more_than_an_account_stops_the_step(day: Day, scope: str) -> None:
    pause_scope(scope, "the owner looks", ledger=day.ledger)
    result = day.make(10**9)
    assert not result.success
    assert scope in str(failure_of(result))
    with day.ledger.begin() as session:
        assert list(session.scalars(select(Artifact))) == []


def test_what_is_left_of_a_day_that_is_over_costs_nothing_and_what_was_made_is_returned(day: Day) -> None:
    with day.ledger.begin() as session:
        for name in PIECES[:2]:
            session.get_one(Piece, name).status = "superseded"
    assert day.make(BOUND + 1).success
    assert day.videos() == {"pc_best"}
    charged = day.world.witness("charges")
    with day.ledger.begin() as session:  # killed before the artifact of what was paid for was kept
        session.delete(session.get_one(Artifact, ("pc_best", "voiceover", "")))

    result = day.make(10**9, now=BusinessCalendar().posting_window(DAY)[1])
    assert result.success
    assert day.world.witness("charges") == charged
    assert day.videos() == {"pc_best"}
    with day.ledger.begin() as session:
        assert session.get(Artifact, ("pc_best", "voiceover", "")) is not None
    (metadata,) = [each.metadata for each in result.asset_materializations_for_node("scripts")]
    assert (metadata["pieces"].value, metadata["missed"].value) == (1, 1)
    why = "Nothing more is paid for pc_good: the posting window of 2026-11-20 has closed, and it could never go out."
    assert why in str(metadata["why_missed"].value)
    assert day.pieces()["pc_good"].reason == f"scripts: rejected: {why}"
