"""Homes for end-to-end tests; each is stopped and removed at its end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.homes import Home


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """A fresh home for the tests of one module, run in their order.

    Not in pytest's own folder, which is private: as root, PostgreSQL runs as a user who could not walk into it.
    """
    folder = Path(tempfile.mkdtemp(prefix="empire-e2e-"))
    folder.chmod(0o755)
    home = Home(folder / "empire")
    yield home
    stopped = home.run("stop")
    assert stopped.returncode == 0, stopped.stderr
    shutil.rmtree(folder)
