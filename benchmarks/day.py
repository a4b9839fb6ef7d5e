"""Seconds of one demo day by stage, the share that orchestration takes of it, and the floor it could reach.

Lives a day in a home of its own and writes the section "Day" of ``benchmarks/results.md``, or "Full day" with
``--full``. Orchestration is what is neither inside an asset nor the world's simulation: starting the services and the
driver, Dagster's runs around their steps, the verification. The floor is the bare encode of the day's own videos, as
many at once as there are cores, and the world's simulation: what no better orchestration could save. Run it with
``.venv/bin/python benchmarks/day.py [--full]``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affiliate_empire.media import ffmpeg
from affiliate_empire.media.composition import PROFILES
from affiliate_empire.media.render import encoder
from benchmarks.report import conditions, write_section

EMPIRE = Path(sys.executable).with_name("empire")
WORLD = "the world lives on"


def main() -> None:
    full = sys.argv[1:] == ["--full"]
    folder = Path(tempfile.mkdtemp(prefix="empire-day-"))
    folder.chmod(0o755)
    environment = os.environ | {"EMPIRE_HOME": str(folder / "empire")}
    summary_file = folder / "summary.json"
    try:
        flags = ["--full"] if full else []
        subprocess.run([EMPIRE, "demo", *flags, "--json", summary_file], env=environment, check=True)
        summary = json.loads(summary_file.read_text("utf-8"))
        encoding = bare_encode_seconds([Path(video) for video in summary["videos"]], folder)
    finally:
        subprocess.run([EMPIRE, "stop"], env=environment, check=True)
        shutil.rmtree(folder)
    report("Full day" if full else "Day", summary, encoding)


def bare_encode_seconds(videos: list[Path], folder: Path) -> float:
    """Wall seconds of encoding the videos anew with the product's settings and no filter, a process per core."""

    def encode(video: Path) -> None:
        target = folder / f"{video.stem}-bare.mp4"
        quiet = ["-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
        subprocess.run([ffmpeg.binary(), *quiet, "-i", video, "-an", *encoder(PROFILES["full"]), target], check=True)
        target.unlink()

    started = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(encode, videos))
    return time.monotonic() - started


def report(title: str, summary: dict[str, Any], encoding: float) -> None:
    """Write the section from a demo's summary (``empire demo --json``) and the wall seconds of the bare encode."""
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
    floor = world + encoding
    write_section(
        title,
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
            f"{summary['pieces']} pieces (the target, ≤ 10 %, is for 50). Floor: {floor:.1f} s, of it "
            f"{encoding:.1f} s for the bare encode of the day's videos and {world:.1f} s for the world; the day took "
            f"{total / floor:.1f} times as long.",
        ],
    )


if __name__ == "__main__":
    main()
