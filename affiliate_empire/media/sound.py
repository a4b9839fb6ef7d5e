"""The voice at the platforms' loudness: compressed, levelled, limited, encoded, and measured as encoded.

Single-pass loudness filters miss their target by more than a decibel on speech, and AAC adds peaks of its own; so the
level is found by measuring the encoded file and correcting, at most twice. Sound is finished before the picture is
begun: correcting it costs a fraction of a second, and the picture is encoded once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from affiliate_empire.media import ffmpeg
from affiliate_empire.media.errors import BadMedia

TARGET_LUFS = -14.0
TOLERANCE_LU = 0.5
PEAK_CEILING_DBTP = -1.0
SAMPLE_RATE = 48_000
BITRATE = "128k"

# Below what speech needs; evens out a voice so that the limiter has little left to do (24 dB under full scale, 3:1).
_COMPRESS = (
    "aformat=sample_fmts=fltp:channel_layouts=stereo,highpass=f=70,"
    "acompressor=threshold=-24dB:ratio=3:attack=5:release=120"
)
_LIMIT_DBFS = -2.0
_CORRECTIONS = 2
_GOOD_ENOUGH_LU = 0.2

_LOUDNESS = re.compile(r"Integrated loudness:\s+I:\s+(-?[\d.]+|-?inf|nan) LUFS")
_PEAK = re.compile(r"True peak:\s+Peak:\s+(-?[\d.]+|-?inf|nan) dBFS")


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness (LUFS, ITU-R BS.1770) and true peak (dBTP)."""

    lufs: float
    true_peak: float


def read_loudness(log: str) -> Loudness | None:
    """The summary of an ``ebur128=peak=true`` filter in a log of ffmpeg; ``None`` when it holds none."""
    lufs, peak = _LOUDNESS.findall(log), _PEAK.findall(log)
    if not lufs or not peak:
        return None
    return Loudness(float(lufs[-1]), float(peak[-1]))


def measure(folder: Path, file: str, before: str = "") -> Loudness:
    """Loudness of a file's sound, after the filters ``before`` if given.

    Raises:
        BadMedia: the file has no sound that can be measured.
    """
    chain = f"{before},ebur128=peak=true" if before else "ebur128=peak=true"
    # Each judged frame is logged otherwise; only the summary is read.
    done = ffmpeg.run(["-i", file, "-vn", "-af", f"{chain}:framelog=quiet", "-f", "null", "-"], folder, refuse=False)
    loudness = read_loudness(done.log)
    if done.code or loudness is None or not -70 < loudness.lufs < 10:
        raise BadMedia("The voice cannot be heard: make the voice-over again.")
    return loudness


def master(folder: Path, voice: str, output: str, seconds: float) -> Loudness:
    """Encode a voice as stereo AAC of a given length at ``TARGET_LUFS``, with its true peak below the ceiling.

    Args:
        folder: where the files lie.
        voice: name of the voice in it.
        output: name of the m4a to write.
        seconds: length; the voice is cut or followed by silence.

    Returns:
        What was measured on the encoded file.

    Raises:
        BadMedia: there is nothing to hear, or it cannot be brought to the loudness.
    """
    measured = measure(folder, voice, _COMPRESS)
    gain = TARGET_LUFS - measured.lufs
    limit = _LIMIT_DBFS
    for _ in range(1 + _CORRECTIONS):
        # Limited at four times the rate: peaks between samples count.
        chain = (
            f"{_COMPRESS},volume={gain:.3f}dB,aresample={4 * SAMPLE_RATE},"
            f"alimiter=limit={10 ** (limit / 20):.6f}:attack=2:release=60:level=false,aresample={SAMPLE_RATE},"
            f"apad=whole_dur={seconds:.6f},atrim=end={seconds:.6f}"
        )
        encode = [
            "-c:a",
            "aac",
            "-b:a",
            BITRATE,
            "-ac",
            "2",
            "-map_metadata",
            "-1",
            "-fflags",
            "+bitexact",
            "-f",
            "mp4",
        ]
        ffmpeg.run(["-i", voice, "-vn", "-af", chain, *encode, output], folder)
        measured = measure(folder, output)
        miss = TARGET_LUFS - measured.lufs
        over = measured.true_peak - PEAK_CEILING_DBTP
        if abs(miss) <= _GOOD_ENOUGH_LU and over <= -0.05:
            return measured
        gain += miss
        limit -= max(0.0, over + 0.3)
    if abs(TARGET_LUFS - measured.lufs) <= TOLERANCE_LU and measured.true_peak <= PEAK_CEILING_DBTP:
        return measured
    raise BadMedia(
        f"The voice came out at {measured.lufs:.1f} LUFS with a peak of {measured.true_peak:.1f} dBTP instead of "
        f"{TARGET_LUFS:g} and {PEAK_CEILING_DBTP:g}: make the voice-over again."
    )
