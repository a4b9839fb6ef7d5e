"""``kill -9`` at any moment, then again: the day completes, nothing doubled, nothing lost.

The world holds the reply of one request after it has acted (or before); while it holds, everything of ours that drives
the day is killed. Nine kills hit one and the same day, one after the other; then it must complete and agree with the
world's witness.
"""

from __future__ import annotations

import subprocess
from collections import Counter

import httpx
import psutil
import pytest

from tests.end_to_end.homes import Home, kill_group, wait_until

pytestmark = pytest.mark.long

# In the order of the day; "after": the vendor has acted and we never learn it.
PLACES = [
    ("GET /impact/*", "after"),  # the catalogue is being read
    ("POST /openai/v1/responses", "after"),  # a script was written and charged
    ("POST /openai/v1/images/generations", "after"),  # a picture was made and charged
    ("POST /elevenlabs/*", "after"),  # a voice was spoken and charged
    ("ffmpeg", "during"),  # a video is being encoded
    ("POST /youtube/upload/*", "after"),  # an upload session was opened
    ("PUT /youtube/upload/*", "before"),  # no byte was taken
    ("PUT /youtube/upload/*", "after"),  # the video was accepted: between acceptance and our commit
    ("GET /impact/*/Actions*", "after"),  # conversions are being read
]


@pytest.mark.timeout(900)
def test_nine_kills_in_one_day_double_and_lose_nothing(home: Home) -> None:
    for match, when in PLACES:
        process = home.start("demo")
        wait_until(home.world_answers, "the world")
        faults = f"{home.world_url}/_world/faults"
        httpx.delete(faults, timeout=30).raise_for_status()
        if when != "during":
            fault = {"match": match, "when": when, "delay": 120, "drop": True, "times": 1}
            httpx.post(faults, json=fault, timeout=30).raise_for_status()

        def reached(
            process: subprocess.Popen[bytes] = process, faults: str = faults, match: str = match, when: str = when
        ) -> bool:
            assert process.poll() is None, f"the day ended before {match} was reached"
            if when == "during":
                return any(match in child.name() for child in psutil.Process(process.pid).children(recursive=True))
            return any(fault["hits"] for fault in httpx.get(faults, timeout=30).json())

        wait_until(reached, f"{when} {match}")
        kill_group(process)
    httpx.delete(faults, timeout=30).raise_for_status()

    # The tenth: everything of the home at once, the world and the database included.
    process = home.start("demo")
    wait_until(lambda: psutil.Process(process.pid).children(), "the day to begin")
    ours = [p for p in psutil.process_iter(["cmdline"]) if str(home.path) in " ".join(p.info["cmdline"] or [])]
    assert ours
    kill_group(process)
    for victim in ours:
        victim.kill()
    psutil.wait_procs(ours, timeout=30)

    summary = home.demo()
    assert summary["pieces"] == summary["posts"] == summary["posts_witnessed"] == 3
    assert summary["clicks"] == summary["clicks_witnessed"] > 0
    assert summary["revenue_cents"] == summary["revenue_witnessed_cents"]
    # Every reply that was lost is booked at its maximum; nothing was charged that is not booked.
    assert summary["lost_replies"] >= 3
    assert summary["cost_cents"] >= summary["charges_witnessed_cents"]

    world = home.start("world")
    wait_until(home.world_answers, "the world")
    titles = Counter(post["title"] for post in home.witness("posts"))
    assert max(titles.values()) == 1
    assert len(home.witness("posts")) == 3
    kill_group(world)
