"""The page that shows how a vendor is added: its files are put where they say, and its own test is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "adding_a_vendor.md"


def files() -> dict[str, str]:
    """The page's code, by where it belongs."""
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    return dict(blocks)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's code with the example in it, as a newcomer would have it."""
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "affiliate_empire", tmp_path / "affiliate_empire", ignore=skip)
    shutil.copytree(ROOT / "tests" / "factories", tmp_path / "tests" / "factories", ignore=skip)
    for package in ("tests", "tests/contract"):
        (tmp_path / package).mkdir(exist_ok=True)
        (tmp_path / package / "__init__.py").touch()
    for path, text in files().items():
        (tmp_path / path).write_text(text, "utf-8")
    keys, world = (tmp_path / "affiliate_empire" / "sandbox" / name for name in ("keys.py", "world.py"))
    keys.write_text(keys.read_text("utf-8") + 'DEEPL = "sandbox-deepl-key"\n', "utf-8")
    named = re.sub(r"(?<=\n)SERVERS = \(", "from affiliate_empire.sandbox.servers import deepl\n\nSERVERS = (deepl, ",
                   world.read_text("utf-8"))  # fmt: skip
    world.write_text(named, "utf-8")
    return tmp_path


def test_the_example_is_short_and_reads_as_the_project_does() -> None:
    code = files()
    assert len(code) == 3
    assert sum(text.count("\n") for text in code.values()) < 200
    for path, text in code.items():
        for check in (["check", "--ignore", "I001"], ["format", "--check"]):  # imports are sorted by what is there
            command = [sys.executable, "-m", "ruff", *check, "--stdin-filename", path, "-"]
            done = subprocess.run(command, input=text, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{path}: {done.stdout}{done.stderr}"


def test_the_example_works_as_it_stands(copy: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "tests/contract"]
    done = subprocess.run(
        command,
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
