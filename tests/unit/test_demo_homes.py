"""Which home a demo lives in: other inputs are another world, and a world that was made before is found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from affiliate_empire.cli.demo import DemoInputs, demo_home
from affiliate_empire.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "empire", _env_file=None)  # type: ignore[call-arg]


def test_the_first_demo_takes_the_home_and_others_get_their_own(settings: Settings) -> None:
    assert demo_home(settings, DemoInputs(None, 7)) == settings.home
    assert demo_home(settings, DemoInputs(None, 8)) == settings.home / "demo-default-8"
    assert demo_home(settings, DemoInputs(None, 7, full=True)) == settings.home / "demo-default-7-full"
    assert demo_home(settings, DemoInputs(None, 7)) == settings.home


def test_a_home_of_an_earlier_release_is_found_again(settings: Settings) -> None:
    settings.home.mkdir(parents=True)
    (settings.home / "demo.json").write_text(json.dumps({"feed": None, "seed": 7}), "utf-8")
    assert demo_home(settings, DemoInputs(None, 7)) == settings.home
    assert demo_home(settings, DemoInputs(None, 7, full=True)) != settings.home
