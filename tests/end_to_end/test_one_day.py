"""One whole day in the sandbox, lived once and then lived again: nothing is posted, spent or decided anew."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import socket
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from affiliate_empire.ledger import EmbeddedPostgres, Ledger
from affiliate_empire.ledger.open import dagster_url
from affiliate_empire.operations.trace_lineage import trace_conversion, trace_prompt
from tests.end_to_end.homes import Home, wait_until
from tests.factories.sought_secrets import all_secrets, seen, tables

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PURE = ("roi", "daily_pnl", "attributed_conversions", "revenue_lineage")
RECORDED = ("content_plan", "scripts", "blog_posts", "voiceovers", "video_clips", "thumbnails", "videos")


@pytest.fixture(scope="module")
def refusal(home: Home) -> str:
    """What the owner reads when a key is wrong: the day begins, and stops."""
    return Home(home.path, {"EMPIRE_OPENAI_API_KEY": "sk-wrong"}).refused("demo")


@pytest.fixture(scope="module")
def first(home: Home, refusal: str) -> dict[str, Any]:
    """The day, completed with the right key."""
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
    # Up to its own instant the report knows what the terminal and the marts know.
    assert first["views"] > 0
    assert f"<small>seen</small><b>{first['views']:,}</b>" in report
    assert f"<small>earned</small><b>${first['revenue_cents'] / 100:,.2f}</b>" in report


def test_nothing_beyond_loopback_was_contacted(home: Home, first: dict[str, Any]) -> None:
    assert home.network_violations() == ""


def test_a_wrong_key_stops_the_day_in_one_sentence(refusal: str, first: dict[str, Any]) -> None:
    assert "EMPIRE_OPENAI_API_KEY" in refusal
    assert "sk-wrong" not in refusal
    assert first["pieces"] == 3  # and the right one completed it


def test_a_dollar_is_followed_to_its_prompt_version_and_back(home: Home, first: dict[str, Any]) -> None:
    assert "prompt version" in home.refused("lineage", "--prompt", "nobody@1", "--json")
    plan = pd.read_parquet(home.path / "lake" / "content_plan" / f"{first['day']}.parquet")
    ledger = Ledger(EmbeddedPostgres(home.path).url())
    forward = [trace_prompt(version, ledger=ledger) for version in sorted(set(plan["prompt_version"]))]
    sold = [conversion["transaction_id"] for trace in forward for conversion in trace["conversions"]]
    assert len(sold) == first["conversions"] > 0
    backward = [trace_conversion(transaction, ledger=ledger) for transaction in sold]
    ledger.dispose()
    earned = sum(trace["commission_micros"] for trace in forward)
    assert earned == sum(trace["commission_micros"] for trace in backward)
    assert round(earned / 10_000) == first["revenue_cents"]
    shown = home.run("lineage", "--conversion", sold[0], "--json")
    assert json.loads(shown.stdout)["prompt_version"] == backward[0]["prompt_version"]


def test_no_secret_stands_in_dagster_or_in_the_home(home: Home, first: dict[str, Any]) -> None:
    secrets = all_secrets(home.path) | {"sk-wrong": "the wrong key"}
    own = {home.path / name for name in ("world", "postgres", "vault.key")}  # where secrets live, or are encrypted
    files = [file for file in home.path.rglob("*") if file.is_file() and not own & {file, *file.parents}]
    places = [
        *tables(dagster_url(home.path, None).replace("+psycopg2", "")),
        *tables(EmbeddedPostgres(home.path).url()),
        *((f"file {file.relative_to(home.path)}", file.read_bytes().decode("latin-1")) for file in files),
    ]
    assert seen(secrets, places) == []
    found = seen({first["day"]: "the day"}, places)  # what is there is seen
    assert {"the day in table public.event_logs", "the day in table public.pieces"} <= set(found)
    assert [place for place in found if place.startswith("the day in file dagster/storage/")]


def test_the_same_day_again_posts_and_spends_nothing(home: Home, first: dict[str, Any]) -> None:
    before = _lake(home, PURE + RECORDED, first["day"])
    again = home.demo("--date", first["day"])
    assert again["new_posts"] == 0
    assert again["new_charges_cents"] == 0
    of_the_run = {"seconds", "stages", "new_posts", "new_charges_cents", "weather"}
    assert {k: v for k, v in again.items() if k not in of_the_run} == {
        k: v for k, v in first.items() if k not in of_the_run
    }
    assert _lake(home, PURE + RECORDED, first["day"]) == before


def test_a_day_the_world_has_passed_is_refused_in_one_sentence(home: Home, first: dict[str, Any]) -> None:
    earlier = date.fromisoformat(first["day"]) - timedelta(days=3)
    done = home.run("demo", "--date", str(earlier))
    assert done.returncode == 1
    assert "time does not run back" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def _graphql(port: int, query: str, **variables: Any) -> dict[str, Any]:
    reply = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": query, "variables": variables}, timeout=60)
    return reply.raise_for_status().json()["data"]  # type: ignore[no-any-return]


def test_a_backfill_from_the_ui_posts_nothing(home: Home, first: dict[str, Any]) -> None:
    """The last of the module: the open UI lets the world live on to the wall's time."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = home.start("dev", "--port", str(port))

    def loaded() -> bool:
        assert process.poll() is None, (home.path.parent / "started.log").read_text("utf-8")
        with contextlib.suppress(httpx.HTTPError, KeyError):
            return len(_graphql(port, "{assetNodes{id}}")["assetNodes"]) > 20
        return False

    try:
        wait_until(loaded, "the asset graph in the UI")
        before = (len(home.witness("posts")), len(home.witness("charges")))
        launch = "mutation($p: LaunchBackfillParams!){launchPartitionBackfill(backfillParams:$p){__typename}}"
        wanted = {
            "publications": [f"{first['day']}|{platform}" for platform in ("blog", "youtube")],
            "scripts": [first["day"]],
        }
        for asset, partitions in wanted.items():
            asked = {"partitionNames": partitions, "assetSelection": [{"path": [asset]}], "title": asset}
            launched = _graphql(port, launch, p=asked)
            assert launched["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess"

        def states() -> set[str]:
            query = "{partitionBackfillsOrError{... on PartitionBackfills{results{status}}}}"
            return {backfill["status"] for backfill in _graphql(port, query)["partitionBackfillsOrError"]["results"]}

        wait_until(lambda: "REQUESTED" not in states(), "the backfills")
        assert states() == {"COMPLETED_SUCCESS"}
        assert (len(home.witness("posts")), len(home.witness("charges"))) == before
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
