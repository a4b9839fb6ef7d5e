"""The world over ``kill -9``: nothing accepted is lost, nobody clicks twice; and how it refuses to start."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from affiliate_empire.sandbox.world import World
from tests.factories.market import DAY, Tracker, comparable, publish_video
from tests.factories.worlds import RunningWorld, WorldProcess

SKILLET = "HP-1005"
EVENING = DAY + timedelta(hours=18, minutes=5)


def get(world: RunningWorld, path: str) -> httpx.Response:
    return httpx.get(f"{world.url}{path}", timeout=60, trust_env=False)


def books(world: RunningWorld) -> dict[str, object]:
    names = ("posts", "charges", "clicks", "payouts", "notifications", "summary")
    return {name: world.witness(name) for name in names}


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    with Tracker() as one:
        yield one


# ---------------------------------------------------------------- kill -9
def prepared(home: Path, tracker: Tracker) -> WorldProcess:
    """A world in a process of its own, with a video public in the evening."""
    process = WorldProcess(home, now=DAY)
    process.kill()
    world = World(home, process.url, process.seed)
    publish_video(world, SKILLET, tracker=tracker, public_at=EVENING)
    world.charge("openai", "responses", 77, "req_1", {})
    world.faults.add({"match": "GET /merchant/*", "status": 500, "times": 3})
    world.close()
    process.start()
    httpx.put(f"{process.url}/_world/settings", json=tracker.settings, trust_env=False).raise_for_status()
    return process


def test_a_killed_world_remembers_what_it_accepted(tmp_path: Path, tracker: Tracker) -> None:
    process = prepared(tmp_path, tracker)
    assert get(process, "/merchant/feed.tsv").status_code == 500
    process.move_to(EVENING + timedelta(minutes=40))
    before = books(process)
    process.kill()
    process.start()
    assert books(process) == before
    assert before["clicks"]
    assert process.now() == EVENING + timedelta(minutes=40)
    assert process.fault_hits() == 1
    assert [get(process, "/merchant/feed.tsv").status_code for _ in range(3)] == [500, 500, 200]
    process.stop()


def test_a_world_killed_in_the_middle_of_a_step_goes_on_without_doubling(tmp_path: Path) -> None:
    end = EVENING + timedelta(hours=1)
    with Tracker() as calm:
        undisturbed = prepared(tmp_path / "calm", calm)
        undisturbed.move_to(end)
        expected = comparable(undisturbed)
        undisturbed.stop()
    assert len(expected["clicks"]) > 12

    with Tracker() as tracker:
        process = prepared(tmp_path / "killed", tracker)
        tracker.hold_from = 7

        def go() -> None:
            with pytest.raises(httpx.TransportError):
                process.move_to(end)

        mover = threading.Thread(target=go)
        mover.start()
        assert tracker.holding.wait(60)
        process.kill()
        mover.join(30)
        tracker.hold_from = None
        tracker.release.set()
        process.start()
        assert process.witness("summary")["steps_unfinished"] == 1
        process.move_to(end)
        lived, summary = comparable(process), process.witness("summary")
        process.stop()
        recorded = len(tracker.clicks)
    assert summary["steps_unfinished"] == 0
    assert lived["posts"] == expected["posts"]
    # Nobody clicked twice; those whose reply was under way are counted as what they are.
    assert set(lived["clicks"]) < set(expected["clicks"])
    assert summary["clicks_uncertain"] >= 1
    assert len(lived["clicks"]) + summary["clicks_uncertain"] == len(expected["clicks"])
    assert len(lived["clicks"]) <= recorded <= len(expected["clicks"])


# ---------------------------------------------------------------- starting
def start_failing(home: Path, *options: str) -> str:
    command = [sys.executable, "-m", "affiliate_empire.sandbox", "--home", str(home), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    return done.stderr.strip()


def test_a_new_world_cannot_be_born_ahead_of_the_wall(tmp_path: Path) -> None:
    done = start_failing(tmp_path, "--now", "2099-01-01T00:00:00Z")
    assert done == "The world's clock cannot start ahead of the wall: give --now a time that has passed."


def test_a_port_in_use_a_second_world_and_a_missing_feed_are_one_sentence_each(
    tmp_path: Path,
) -> None:
    running = RunningWorld(tmp_path / "a", now=DAY)
    said = start_failing(tmp_path / "b", "--port", str(running.port))
    assert said == (
        f"Port {running.port} cannot be used (Address already in use): choose another with --port (0: a free one)."
    )
    running.stop()
    assert start_failing(tmp_path / "c", "--feed", str(tmp_path / "none.tsv")) == (
        f"The feed {tmp_path / 'none.tsv'} cannot be read (No such file or directory): give --feed an existing file."
    )
    process = WorldProcess(tmp_path / "d", now=DAY)
    assert start_failing(tmp_path / "d").startswith("A world is already running in ")
    process.stop()
    assert start_failing(tmp_path / "d", "--seed", "8").endswith("start it with that seed, or use another home.")


def test_a_feed_of_the_user_s_is_served_as_it_is(tmp_path: Path) -> None:
    feed = tmp_path / "feed.tsv"
    feed.write_bytes(
        b"id\ttitle\tlink\tprice\nx1\tOak Lamp\thttps://shop.example.com/p/x1\t49.90 USD\nx2\tBad\tu\tN/A\n\xff\n"
    )
    world = RunningWorld(tmp_path / "home", now=DAY, feed=feed)
    served = get(world, "/merchant/feed.tsv")
    program = world._world.catalog.programs["1001"]
    known = [item.item_id for item in world._world.catalog.of("1001")]
    world.stop()
    assert served.content == feed.read_bytes()
    assert known == ["x1"]
    assert (program.name, program.domains) == ("shop.example.com", ("shop.example.com",))
