"""Starting ffmpeg: the one place that knows which binary, which fonts and which folder.

The binary comes with ``imageio-ffmpeg`` (with libass, x264 and fontconfig inside), the fonts with this package, so a
fresh machine without either renders the same pictures. Callers work in a folder of their own and name files in it
relatively: a filtergraph then never holds a path, and needs no escaping.
"""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from affiliate_empire.kernel.files import out_of_space
from affiliate_empire.media.errors import RenderFailed

FONTS = Path(__file__).parent / "fonts"

# Only the fonts of this package: what a machine has installed must not change a picture.
_FONTCONFIG = (
    '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">'
    '<fontconfig><dir prefix="cwd">fonts</dir><cachedir prefix="cwd">font-cache</cachedir></fontconfig>'
)

# Longer than any render of a minute of video takes on a busy machine; beyond it ffmpeg hangs.
_TIME_LIMIT_SECONDS = 900


@dataclass(frozen=True)
class Finished:
    """What a run of ffmpeg left: its exit code, its log, and what it wrote to standard output."""

    code: int
    log: str
    output: bytes


def prepare_folder(folder: Path) -> None:
    """Make a working folder ready for filters that draw text."""
    fonts = folder / "fonts"
    if not fonts.exists():
        fonts.symlink_to(FONTS)
    (folder / "fonts.conf").write_text(_FONTCONFIG, encoding="utf-8")


def binary() -> str:
    """Path of the ffmpeg that is used for everything."""
    import imageio_ffmpeg  # finds the binary by looking at the disk: not at import

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def run(arguments: list[str], folder: Path, *, refuse: bool = True) -> Finished:
    """Run ffmpeg in a folder and wait for it.

    Args:
        arguments: everything after ``ffmpeg``; file names relative to ``folder``.
        folder: working folder; ``prepare_folder`` first when text is drawn.
        refuse: raise when ffmpeg fails; a judge of broken files reads the log instead.

    Raises:
        RenderFailed: ffmpeg ended with an error or took too long.
        OutOfSpace: the folder's disk is full.
    """
    environment = os.environ | {"FONTCONFIG_FILE": str(folder / "fonts.conf"), "AV_LOG_FORCE_NOCOLOR": "1"}
    try:
        done = subprocess.run(
            [binary(), "-nostdin", "-hide_banner", "-nostats", "-y", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
            timeout=_TIME_LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise RenderFailed(f"ffmpeg did not finish within {_TIME_LIMIT_SECONDS} s: run the step again.") from error
    log = done.stderr.decode("utf-8", "replace")
    if refuse and os.strerror(errno.ENOSPC) in log:
        raise out_of_space(folder)  # whatever the exit code: a file that was cut off may still look like one
    if done.returncode and refuse:
        last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "no message")
        raise RenderFailed(f"ffmpeg could not make the file (exit {done.returncode}): {last}")
    return Finished(code=done.returncode, log=log, output=done.stdout)
