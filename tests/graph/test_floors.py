"""Imports run down only: import-linter holds the packages, this module the roof, which is two modules."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("affiliate_empire", "assets", "resources", "sensors", "schedules")
LINT = Path(sys.executable).with_name("lint-imports")


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINT), "--no-cache", "--config", str(folder / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_no_import_runs_up() -> None:
    done = _lint(REPOSITORY)
    assert done.returncode == 0, done.stdout


def test_an_import_that_runs_up_is_found(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for file, line in (
        ("affiliate_empire/kernel/money.py", "import affiliate_empire.ledger"),
        ("affiliate_empire/ranking/score.py", "import dagster"),
        ("affiliate_empire/operations/errors.py", "import affiliate_empire.settings"),
        ("resources/clock.py", "import affiliate_empire.cli"),
    ):
        path = tmp_path / file
        kept = path.read_text("utf-8")
        path.write_text(f"{kept}\n{line}\n", "utf-8")
        assert _lint(tmp_path).returncode == 1, f"{file}: {line}"
        path.write_text(kept, "utf-8")
    assert _lint(tmp_path).returncode == 0


def test_nothing_below_imports_the_roof() -> None:
    below = {file for package in PACKAGES for file in (REPOSITORY / package).rglob("*.py")}
    roof = {"definitions", "runner"}
    assert {str(file) for file in below if roof & {name.split(".")[0] for name in _imported(file)}} == set()
    assert "runner" not in _imported(REPOSITORY / "definitions.py")


def test_the_roof_imports_no_entrance() -> None:
    entrances = ("affiliate_empire.cli", "affiliate_empire.tracking", "affiliate_empire.sandbox")
    for name in ("definitions.py", "runner.py"):
        assert not [each for each in _imported(REPOSITORY / name) if each.startswith(entrances)]


def test_an_asset_calls_the_business_by_its_verbs_only() -> None:
    """Beside the verbs a body may name types: frames, clients, errors, the store, the vault and its grants."""
    allowed = (
        "operations",
        "kernel",
        "settings",
        "policy",
        "warehouse",
        "lake",
        "ledger",
        "effects",
        "vault",
        "vendors",
    )
    subjects = ("frames", "store", "planning", "ranking", "optimization")
    for file in (REPOSITORY / "assets").glob("*.py"):
        for name in _imported(file):
            parts = name.split(".")
            if parts[0] == "affiliate_empire" and len(parts) > 1:
                assert parts[1] in allowed or set(parts[1:]) & set(subjects), f"{file.name} imports {name}"
