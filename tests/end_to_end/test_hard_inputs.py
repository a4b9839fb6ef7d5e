"""Bad input and a hostile machine: one clear sentence each, no traceback, nothing lost."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.end_to_end.homes import Home
from tests.factories.disks import small_disk

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PROJECT = Path(__file__).parents[2]
HEADER = "id\ttitle\tdescription\tlink\timage_link\tavailability\tprice\tproduct_type\n"
ROW = "1\tLamp\tA lamp.\thttps://shop.example.com/1\thttps://shop.example.com/1.jpg\tin_stock\t19.90 USD\tlighting\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (HEADER.encode(), "no rows"),
        (b"<!doctype html><html><body>Log in</body></html>", "HTML page"),
        (HEADER.replace("\tprice", "").encode() + ROW.replace("\t19.90 USD", "").encode(), "lacks the column price"),
        ((HEADER + ROW.replace("19.90 USD", "12,90 EUR")).encode(), "12,90 EUR"),
    ],
    ids=["empty", "no rows", "html", "missing column", "no usable row"],
)
def test_an_unusable_feed_is_refused_before_anything_starts(tmp_path: Path, content: bytes, said: str) -> None:
    feed = tmp_path / "feed.tsv"
    feed.write_bytes(content)
    home = Home(tmp_path / "empire")
    assert said in home.refused("demo", "--feed", str(feed))
    assert not (home.path / "postgres").exists()


def test_a_feed_that_is_not_there(tmp_path: Path) -> None:
    assert "There is no product feed at" in Home(tmp_path / "empire").refused("demo", "--feed", "nowhere.tsv")


def test_a_day_that_is_not_over(tmp_path: Path) -> None:
    assert "is not over yet" in Home(tmp_path / "empire").refused("demo", "--date", "2999-01-01")


def test_a_date_that_is_none(tmp_path: Path) -> None:
    assert "is not a date" in Home(tmp_path / "empire").refused("demo", "--date", "yesterday")


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    url = "postgresql://nobody:secret-word@127.0.0.1:9/empire"
    sentence = Home(tmp_path / "empire", {"DATABASE_URL": url}).refused("demo")
    assert "does not answer" in sentence
    assert "secret-word" not in sentence


def test_a_port_in_use_and_a_missing_live_key(tmp_path: Path) -> None:
    home = Home(tmp_path / "empire")
    try:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            busy = Home(home.path, {"EMPIRE_WORLD_PORT": str(port)})
            assert f"Port {port} is in use by another program" in busy.refused("demo")
        live = Home(home.path, {"EMPIRE_MODE": "live"})
        assert "sandbox" in live.refused("demo")
        # One home, one mode: what was SIMULATED never stands beside what is LIVE.
        assert "sandbox" in live.refused("db", "url")
    finally:
        home.run("stop")


@pytest.mark.parametrize("module", ["runner day --date 2026-11-20", "affiliate_empire.tracking"])
def test_a_wrong_setting_of_a_program_started_by_hand(tmp_path: Path, module: str) -> None:
    home = Home(tmp_path / "empire", {"EMPIRE_SEED": "marked-secret", "PYTHONPATH": str(PROJECT)})
    done = subprocess.run(
        [sys.executable, "-m", *module.split()],
        env=home.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("EMPIRE_SEED must be a valid integer")
    assert "marked-secret" not in done.stderr


def test_a_disk_that_is_full_from_the_first_minute() -> None:
    folder = Path(tempfile.mkdtemp(prefix="empire-e2e-"))
    folder.chmod(0o755)  # as root, PostgreSQL runs as a user who must be able to walk into it
    try:
        with small_disk(folder / "disk", 4) as disk:
            sentence = Home(disk / "empire").refused("demo")
            assert sentence.startswith(f"The disk of {disk}/empire/postgres is full")
            assert sentence.endswith("free some space and run again.")
    finally:
        shutil.rmtree(folder)
