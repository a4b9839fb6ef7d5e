"""Where every benchmark writes what it measured: a section of its own in ``benchmarks/results.md``."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("results.md")


def conditions(script: str, *notes: str) -> str:
    """The line under a section's title: date, machine, load, and the command that made the figures."""
    load = f"load average {os.getloadavg()[0]:.1f}"
    parts = [
        f"{datetime.now(UTC):%Y-%m-%d}",
        f"{os.cpu_count()} cores",
        f"Python {platform.python_version()}",
        *notes,
        load,
    ]
    return " · ".join(parts) + f" (`benchmarks/{script}`)"


def write_section(title: str, lines: Sequence[str]) -> None:
    """Print a section and put it in place of the older one of the same title."""
    section = "\n".join([f"## {title}", "", *lines, ""])
    print(section)
    existing = RESULTS.read_text("utf-8") if RESULTS.exists() else "# Benchmarks\n"
    without = re.sub(rf"## {title}\n.*?(?=^## |\Z)", "", existing, flags=re.DOTALL | re.MULTILINE).rstrip("\n")
    RESULTS.write_text(f"{without}\n\n{section}", "utf-8")
