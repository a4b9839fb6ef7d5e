"""What runs in a home: one command at a time moves its time or its ledger, and Dagster is found whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from affiliate_empire.cli.services import Services, alone_in
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.settings import Settings


def test_a_home_is_held_by_one_command_which_the_other_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with alone_in(home, "empire dev"):
        with (
            pytest.raises(Misconfigured, match=r"`empire dev` is at work in .*EMPIRE_HOME"),
            alone_in(home, "empire demo"),
        ):
            pass
        with alone_in(tmp_path / "other", "empire demo"):
            pass
    with alone_in(home, "x"), pytest.raises(Misconfigured, match="`x` is at work"), alone_in(home, "empire restore"):
        pass


def test_dagster_of_this_home_is_ended_though_who_started_it_is_dead(tmp_path: Path) -> None:
    """Its own processes are known by the instance that they work on."""
    services = Services(Settings(home=tmp_path / "mine", _env_file=None))  # type: ignore[call-arg]
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)", "dagster", "dev"]
    homes = {name: os.environ | {"DAGSTER_HOME": str(tmp_path / name / "dagster")} for name in ("mine", "other")}
    with (
        subprocess.Popen(sleeping, env=homes["mine"], stderr=subprocess.DEVNULL) as mine,
        subprocess.Popen([*sleeping[:3], "runner"], env=homes["mine"]) as runner,
        subprocess.Popen(sleeping, env=homes["other"]) as other,
    ):
        try:
            while not services.dagster_processes():  # its command line shows once it has begun
                assert mine.poll() is None
            assert services.stop_dagster()
            assert mine.poll() is not None
            assert (runner.poll(), other.poll()) == (None, None)
            assert not services.stop_dagster()
        finally:
            for process in (mine, runner, other):
                process.kill()
