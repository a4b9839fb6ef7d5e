"""Homes for end-to-end tests; each is stopped and removed at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.homes import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A fresh home for the tests of one module, run in their order."""
    path: Path = tmp_path_factory.mktemp("home") / "empire"
    home = Home(path)
    yield home
    assert home.run("stop").returncode == 0
