"""One whole day in the sandbox, lived once and then lived again: nothing is posted, spent or decided anew."""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.end_to_end.homes import Home

PURE = ("roi", "daily_pnl", "attributed_conversions", "revenue_lineage")
RECORDED = ("content_plan", "scripts", "blog_posts", "voiceovers", "video_clips", "thumbnails", "videos")


@pytest.fixture(scope="module")
def first(home: Home) -> dict[str, Any]:
    return home.demo()


def _lake(home: Home, assets: tuple[str, ...], day: str) -> dict[str, str]:
    root = home.path / "lake"
    return {name: hashlib.sha256((root / name / f"{day}.parquet").read_bytes()).hexdigest() for name in assets}


def test_the_day_agrees_with_the_worlds_witness(first: dict[str, Any]) -> None:
    assert first["label"] == "SIMULATED"
    assert first["pieces"] == first["posts"] == first["posts_witnessed"] == 3
    assert first["posts_by_platform"] == {"blog": 1, "youtube": 2}
    assert first["cost_cents"] == first["charges_witnessed_cents"] > 0
    assert first["clicks"] == first["clicks_witnessed"] > 0
    assert first["revenue_cents"] == first["revenue_witnessed_cents"]
    assert len(first["videos"]) == 2
    assert all(Path(video).stat().st_size > 10_000 for video in first["videos"])
    report = Path(first["report"]).read_text("utf-8")
    assert "SIMULATED" in report


def test_nothing_beyond_loopback_was_contacted(home: Home, first: dict[str, Any]) -> None:
    assert home.network_violations() == ""


def test_a_dollar_is_followed_to_its_prompt_version_and_back(home: Home, first: dict[str, Any]) -> None:
    prompts = home.run("lineage", "--prompt", "all", "--json")
    assert prompts.returncode == 1  # an unknown version is one sentence, not a traceback
    assert "Traceback" not in prompts.stderr
    if first["conversions"] == 0:
        pytest.fail("the default seed earns nothing: the lineage cannot be shown")

    plan = pd.read_parquet(home.path / "lake" / "content_plan" / f"{first['day']}.parquet")
    forward = 0
    conversions: list[str] = []
    for version in sorted(set(plan["prompt_version"])):
        done = home.run("lineage", "--prompt", version, "--json")
        assert done.returncode == 0, done.stderr
        trace = json.loads(done.stdout)
        forward += trace["commission_micros"]
        conversions += [c["transaction_id"] for c in trace["conversions"]]
    backward = 0
    for transaction in conversions:
        trace = json.loads(home.run("lineage", "--conversion", transaction, "--json").stdout)
        assert trace["prompt_version"] in set(plan["prompt_version"])
        backward += trace["commission_micros"]
    assert forward == backward
    assert round(forward / 10_000) == first["revenue_cents"]


def test_the_same_day_again_posts_and_spends_nothing(home: Home, first: dict[str, Any]) -> None:
    before = _lake(home, PURE + RECORDED, first["day"])
    again = home.demo("--date", first["day"])
    assert again["new_posts"] == 0
    assert again["new_charges_cents"] == 0
    assert {k: v for k, v in again.items() if k not in {"seconds", "new_posts", "new_charges_cents"}} == {
        k: v for k, v in first.items() if k not in {"seconds", "new_posts", "new_charges_cents"}
    }
    assert _lake(home, PURE + RECORDED, first["day"]) == before


def test_a_day_the_world_has_passed_is_refused_in_one_sentence(home: Home, first: dict[str, Any]) -> None:
    earlier = date.fromisoformat(first["day"]) - timedelta(days=3)
    done = home.run("demo", "--date", str(earlier))
    assert done.returncode == 1
    assert "time does not run back" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
