"""Every command that a message, a comment or a page names is one that ``empire`` has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from affiliate_empire.cli.main import app

ROOT = Path(__file__).parents[2]
FOLDERS = ("affiliate_empire", "assets", "resources", "schedules", "sensors")

_SEAM = re.compile(r'"\s*\n\s*f?"')  # a literal that goes on in the next line
_COMMAND = re.compile(r"(?<![\w-])empire ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")


def _texts() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob("*.py")
    yield from ROOT.glob("*.py")
    yield from ROOT.glob("*.md")
    yield from (ROOT / "docs").rglob("*.md")


COMMANDS = typer.main.get_command(app)


def unknown_commands(text: str) -> list[str]:
    """The commands a text names that are not registered."""
    assert isinstance(COMMANDS, TyperGroup)
    unknown = []
    for found in _COMMAND.finditer(_SEAM.sub("", text)):
        command = COMMANDS.commands.get(found[1])
        known = command is not None
        if isinstance(command, TyperGroup):
            known = found[2] in command.commands if found[2] else command.invoke_without_command
        if not known:
            unknown.append(found[0])
    return unknown


def test_every_command_that_is_named_exists() -> None:
    unknown = {str(path.relative_to(ROOT)): unknown_commands(path.read_text("utf-8")) for path in _texts()}
    assert {path: names for path, names in unknown.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("run `empire demo` or .venv/bin/empire stop", []),
        ("see `empire effects`, then `empire effects resolve ID`; `empire db url`", []),
        ("`empire bind youtube`", ["empire bind youtube"]),
        ('use `empire "\n    f"vanish`', ["empire vanish"]),
        ("`empire db` and `empire effects forget`", ["empire db", "empire effects forget"]),
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str, unknown: list[str]) -> None:
    assert unknown_commands(text) == unknown
