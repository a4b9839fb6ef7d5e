"""What a finished minute of video costs: CPU of the whole render ÷ CPU of encoding its own frames, in one run.

Prints the figures and writes them as the section "Video" of ``benchmarks/results.md``. The bare encode is fed the very
frames that the filtergraph makes, raw through a pipe, with the same settings and no filter; what reading that pipe
costs is measured with an encoder that does nothing, and taken off. Rounds alternate and the cheapest of each counts,
because neighbours on a machine only ever add. Run it with ``.venv/bin/python benchmarks/video.py``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from affiliate_empire.media import composition, ffmpeg, quality  # noqa: E402
from affiliate_empire.media.render import Recipe, encoder, prepare, render  # noqa: E402
from benchmarks.report import conditions, write_section  # noqa: E402
from tests.factories.media import LABEL, save_still, save_voice, spoken  # noqa: E402

SENTENCES = (
    "What if your desk lamp could last ten years?",
    "Quick note: this is an ad with affiliate links, made with A.I. I may earn a commission.",
    "This one folds flat, and its panel is rated for fifty thousand hours, which is ten years of long evenings.",
    "The arm has three joints, so the light goes where your hands are, and it stays there when you let go of it.",
    "Five brightness steps lead from a reading light to a work light, and a warm setting is made for late evenings.",
    "There is a port on the base for your phone, and a timer that turns everything off when you have fallen asleep.",
    "It stands on a foot the size of a saucer, weighs less than a bag of flour, and needs no tools to be put together.",
    "It draws nine watts, comes with a cable of almost two metres, and carries a guarantee of three years.",
    "It comes in white, black and sage, and it costs less than a dinner for two. The link is on my page.",
)

ROUNDS = 2


@dataclass(frozen=True)
class Cost:
    """CPU seconds (user and system), wall seconds and peak memory (MB) of a command."""

    cpu: float
    wall: float
    megabytes: float = 0.0

    @property
    def peak(self) -> str:
        return f"{self.megabytes:.0f}" if self.megabytes else ""


def _wait(process: subprocess.Popen[bytes], started: float) -> Cost:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"ffmpeg ended with {process.returncode}.")
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss / 1024)


def _start(
    arguments: list[str], folder: Path, *, stdin: IO[bytes] | None = None, stdout: int | None = None
) -> subprocess.Popen[bytes]:
    environment = os.environ | {"FONTCONFIG_FILE": str(folder / "fonts.conf")}
    command = [ffmpeg.binary(), "-nostdin", "-hide_banner", "-nostats", "-y", "-loglevel", "error", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdin=stdin, stdout=stdout)


def _alone(arguments: list[str], folder: Path) -> Cost:
    started = time.monotonic()
    return _wait(_start(arguments, folder), started)


def _fed(frames: list[str], consumer: list[str], profile: composition.Profile, folder: Path) -> Cost:
    """Cost of a consumer of raw frames; the producer's is not counted."""
    read = [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
        "-s",
        f"{profile.width}x{profile.height}",
        "-r",
        "30",
        "-i",
        "pipe:0",
    ]
    started = time.monotonic()
    producer = _start([*frames, "-f", "rawvideo", "pipe:1"], folder, stdout=subprocess.PIPE)
    process = _start([*read, *consumer], folder, stdin=producer.stdout)
    if producer.stdout:
        producer.stdout.close()  # only the consumer holds it now
    cost = _wait(process, started)
    _wait(producer, started)
    return cost


def _recipe(folder: Path) -> Recipe:
    voice = spoken(SENTENCES)
    return Recipe(
        stills=tuple(save_still(folder / f"picture{number}.png", number, (864, 1536)) for number in range(7)),
        voice=save_voice(voice, folder / "speech.wav"),
        characters=voice.characters,
        starts=voice.starts,
        ends=voice.ends,
        narrations=SENTENCES[2:],
        label=LABEL,
        profile=composition.PROFILES["full"],
    )


def _timed(action: Callable[[], object]) -> Cost:
    """Cost of an action of this process and of the processes it starts."""
    before, started = os.times(), time.monotonic()
    action()
    after = os.times()
    return Cost(sum(after[:4]) - sum(before[:4]), time.monotonic() - started)


def main() -> None:
    costs: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="video-") as name:
        base = Path(name)
        recipe = _recipe(base)
        work = base / "work"
        work.mkdir()
        ffmpeg.prepare_folder(work)
        command = prepare(recipe, work)
        graph = command.index("-filter_complex")
        frames = [*command[: graph + 2], "-map", "[video]", "-frames:v", str(round(recipe.seconds * 30))]
        for number in range(ROUNDS):
            folder = base / str(number)
            folder.mkdir()
            video = folder / "video.mp4"
            whole = _timed(lambda folder=folder: render(recipe, folder))  # type: ignore[misc]
            shutil.copy(folder / "sound.m4a", work / "sound.m4a")
            costs.setdefault("whole", []).append(whole)
            nothing = _fed(frames, ["-f", "null", "-"], recipe.profile, work)
            encode = _fed(frames, [*encoder(recipe.profile), "bare.mp4"], recipe.profile, work)
            costs.setdefault("bare", []).append(replace(encode, cpu=encode.cpu - nothing.cpu))
            costs.setdefault("filters", []).append(_alone([*frames, "-f", "null", "-"], work))
            costs.setdefault("graph", []).append(_alone(command, work))
            judged = _timed(lambda video=video: quality.inspect(video, disclosure=LABEL))  # type: ignore[misc]
            costs.setdefault("judged", []).append(judged)
        report = quality.inspect(video, disclosure=LABEL)
        size = video.stat().st_size / 1e6
    best = {key: min(rounds, key=lambda cost: cost.cpu) for key, rounds in costs.items()}
    seconds = recipe.seconds
    named = {
        "filters": "filters alone",
        "bare": "bare encode of the same frames",
        "graph": "one filtergraph with encode",
        "whole": "sound and picture, all of it",
        "judged": "quality control",
    }
    rows = [(label, best[key]) for key, label in named.items()]
    ratio = best["whole"].cpu / best["bare"].cpu
    # Stricter: inside one process the encoder finds its frames in the cache, so its share there is smaller.
    strict = best["whole"].cpu / (best["graph"].cpu - best["filters"].cpu)
    lines = [
        conditions(
            "video.py",
            f"one video of {seconds:.1f} s, 1080×1920, 30 frames a second, cheapest of {ROUNDS} rounds",
        ),
        "",
        "| | CPU s | per second of video | wall s | peak MB |",
        "|---|---|---|---|---|",
        *(
            f"| {what} | {cost.cpu:.1f} | {cost.cpu / seconds:.2f} | {cost.wall:.0f} | {cost.peak} |"
            for what, cost in rows
        ),
        "",
        f"**CPU of a video ÷ its own bare encode: {ratio:.2f}** (target ≤ 1.3); ÷ (graph − filters): {strict:.2f}. "
        f"{report.measures['lufs']:.1f} LUFS (−14 ± 0.5), true peak {report.measures['true_peak']:.1f} dBTP (≤ −1), "
        f"{size:.1f} MB, {'accepted' if report.accepted else 'rejected: ' + ' '.join(report.reasons)}.",
    ]
    write_section("Video", lines)


if __name__ == "__main__":
    main()
