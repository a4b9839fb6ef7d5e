"""Seconds of one demo day by stage, and the share that orchestration takes of it.

Lives a day in a home of its own and writes the section "Day" of ``benchmarks/results.md``. Orchestration is what is
neither inside an asset nor the world's simulation: starting the services and the driver, Dagster's runs around their
steps, the verification. Run it with ``.venv/bin/python benchmarks/day.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.report import conditions, write_section

EMPIRE = Path(sys.executable).with_name("empire")
WORLD = "the world lives on"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="empire-day-"))
    folder.chmod(0o755)
    environment = os.environ | {"EMPIRE_HOME": str(folder / "empire")}
    summary_file = folder / "summary.json"
    try:
        subprocess.run([EMPIRE, "demo", "--json", summary_file], env=environment, check=True)
        summary = json.loads(summary_file.read_text("utf-8"))
    finally:
        subprocess.run([EMPIRE, "stop"], env=environment, check=True)
        shutil.rmtree(folder)
    report(summary)


def report(summary: dict[str, Any]) -> None:
    """Write the section from a demo's summary (``empire demo --json``)."""
    stages: dict[str, list[float]] = {}
    for stage in summary["stages"]:
        name = "results" if stage["stage"].startswith("results of") else stage["stage"]
        seconds, steps = stages.setdefault(name, [0.0, 0.0])
        stages[name] = [seconds + stage["seconds"], steps + stage["steps"]]
    total = summary["seconds"]
    world = stages.get(WORLD, [0.0])[0]
    steps = sum(inside for _, inside in stages.values())
    driven = sum(seconds for seconds, _ in stages.values())
    overhead = total - world - steps
    write_section(
        "Day",
        [
            conditions("day.py", f"{summary['pieces']} pieces, {len(summary['videos'])} videos of 1080×1920"),
            "",
            "| stage | s | of it inside assets |",
            "|---|---|---|",
            *(f"| {name} | {seconds:.1f} | {inside:.1f} |" for name, (seconds, inside) in stages.items()),
            f"| starting, loading, verifying | {total - driven:.1f} | |",
            f"| all | {total:.1f} | {steps:.1f} |",
            "",
            f"**Orchestration: {overhead:.1f} s of {total:.1f} s, {overhead / total:.0%}** of a day of "
            f"{summary['pieces']} pieces (the target, ≤ 10 %, is for 50).",
        ],
    )


if __name__ == "__main__":
    main()
