"""Judging a finished video as a publisher must: by what is in the file, whoever made it.

``inspect`` opens the container, decodes every frame once, and gives each defect by its own reason. The disclosure label
is proved on the pixels of every frame, by comparison with the label as this package draws it.
"""

from __future__ import annotations

import re
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from affiliate_empire.media import captions, composition, ffmpeg, sound
from affiliate_empire.media.errors import BadMedia

LONGEST_SILENCE_SECONDS = 1.2  # inside; a sentence's gap is about one second
LONGEST_TAIL_SECONDS = 1.5
SILENCE_DBFS = -40
LONGEST_BLACK_SECONDS = 0.5
LONGEST_FREEZE_SECONDS = 2.0
FREEZE_NOISE_DB = -60
# Correlation of the label's pixels with the template: other words of the same width come to 0.5, the encoder's
# losses leave 0.95 and more.
LABEL_LIKENESS = 0.85

_SILENCE = re.compile(r"silence_start: (-?[\d.]+)|silence_end: (-?[\d.]+) \| silence_duration: ([\d.]+)")
_BLACK = re.compile(r"black_start:([\d.]+) black_end:([\d.]+) black_duration:([\d.]+)")
_FREEZE = re.compile(r"freeze_start: ([\d.]+)")
_INSET = 8  # canvas pixels inside the plate's edge: round corners and the encoder's blur stay out


@dataclass(frozen=True)
class Defect:
    """One reason to reject. ``code`` is for programs (``loudness``), ``text`` for people."""

    code: str
    text: str


@dataclass(frozen=True)
class QualityReport:
    """The judgement of one file, and what was measured on the way."""

    defects: tuple[Defect, ...]
    measures: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return not self.defects

    @property
    def reasons(self) -> list[str]:
        """Why it is rejected, one sentence each."""
        return [defect.text for defect in self.defects]

    @property
    def codes(self) -> set[str]:
        return {defect.code for defect in self.defects}


def inspect(
    path: Path | str,
    *,
    disclosure: str | None,
    profile: str = "full",
    duration: tuple[float, float] = (20.0, 60.0),
) -> QualityReport:
    """Judge a video file.

    Args:
        path: the file.
        disclosure: the label that every frame must show; ``None`` only where the law asks for none.
        profile: ``full``, or ``light``, which differs in the size alone.
        duration: shortest and longest length, in seconds.

    Returns:
        The report. A file that is no video is a report too, never an exception.

    Raises:
        BadMedia: there is no such file.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise BadMedia(f"There is no file {path}.")
    size = composition.profile_named(profile)
    defects: list[Defect] = []
    measures: dict[str, Any] = {"bytes": file.stat().st_size}
    defects += _judge_boxes(file)
    if any(defect.code == "not_a_video" for defect in defects):
        return QualityReport(tuple(defects), measures)
    frames = _judge_streams(file, size, duration, defects, measures)
    if frames is None:
        return QualityReport(tuple(defects), measures)
    with tempfile.TemporaryDirectory(prefix="quality-") as name:
        _judge_content(file, Path(name), disclosure, frames, defects, measures)
    return QualityReport(tuple(defects), measures)


# ---------------------------------------------------------------- the container
def _judge_boxes(file: Path) -> list[Defect]:
    """Order and completeness of the top-level boxes: ``moov`` must come first, and none may run past the end."""
    order: list[str] = []
    length = file.stat().st_size
    at = 0
    with file.open("rb") as stream:
        while at + 8 <= length:
            stream.seek(at)
            header = stream.read(16)
            size, kind = struct.unpack(">I4s", header[:8])
            if size == 1 and len(header) == 16:
                size = struct.unpack(">Q", header[8:])[0]
            size = size or length - at
            order.append(kind.decode("latin-1"))
            if size < 8 or at + size > length:
                if order[0] == "ftyp":
                    return [Defect("truncated", "The file ends in the middle: it was cut off.")]
                break
            at += size
    if not order or order[0] != "ftyp":
        return [Defect("not_a_video", "The file is not an MP4 video.")]
    if "moov" in order and "mdat" in order and order.index("moov") > order.index("mdat"):
        return [Defect("faststart", "The index stands behind the data (no faststart): platforms want it first.")]
    return []


def _judge_streams(
    file: Path,
    profile: composition.Profile,
    duration: tuple[float, float],
    defects: list[Defect],
    measures: dict[str, Any],
) -> int | None:
    """What the container declares. Returns the number of frames, or ``None`` when there is no picture to look at."""
    import av  # heavy at import

    try:
        container = av.open(str(file))
    except av.FFmpegError:
        if not defects:
            defects.append(Defect("not_a_video", "The file cannot be opened as a video."))
        return None
    with container:
        if not container.streams.video:
            defects[:] = [Defect("not_a_video", "The file holds no picture.")]
            return None
        video = container.streams.video[0]
        codec = video.codec_context
        seconds = float(video.duration * video.time_base) if video.duration and video.time_base else 0.0
        measures |= {
            "duration": round(seconds, 3),
            "width": codec.width,
            "height": codec.height,
            "fps": float(video.average_rate or 0),
            "video_codec": codec.name,
            "pixel_format": codec.pix_fmt,
        }
        sar = codec.sample_aspect_ratio
        expect = _Expect(defects)
        expect("video_codec", codec.name == "h264", f"The picture is coded in {codec.name} instead of H.264.")
        expect(
            "size",
            (codec.width, codec.height) == (profile.width, profile.height),
            f"The picture is {codec.width}×{codec.height} instead of {profile.width}×{profile.height}.",
        )
        expect("aspect", sar in (None, 0, 1), f"The pixels are not square ({sar}).")
        rate = float(video.average_rate or 0)
        expect("fps", abs(rate - composition.FPS) < 0.01, f"The picture runs at {rate:g} frames a second, not 30.")
        expect("pixel_format", codec.pix_fmt == "yuv420p", f"The pixels are {codec.pix_fmt} instead of yuv420p.")
        colours = (int(codec.colorspace), int(codec.color_primaries), int(codec.color_trc))
        expect("colour", colours == (1, 1, 1), "The colours are not tagged as BT.709.")
        if codec.name == "h264" and (extra := codec.extradata) and len(extra) > 3:
            measures["level"] = extra[3] / 10
            high = extra[1] in (66, 77, 100) and extra[3] <= 41
            expect(
                "video_profile", high, f"The coding is above High@4.1 (profile {extra[1]}, level {extra[3] / 10:g})."
            )
        shortest, longest = duration
        expect("too_short", seconds >= shortest, f"The video lasts {seconds:.1f} s; the shortest is {shortest:g} s.")
        expect("too_long", seconds <= longest + 0.05, f"The video lasts {seconds:.1f} s; the longest is {longest:g} s.")
        if not container.streams.audio:
            defects.append(Defect("no_audio", "The video has no sound."))
        else:
            audio = container.streams.audio[0]
            context = audio.codec_context
            measures |= {"audio_codec": context.name, "sample_rate": context.sample_rate, "channels": context.channels}
            expect("audio_codec", context.name == "aac", f"The sound is coded in {context.name} instead of AAC.")
            expect(
                "audio_format",
                context.sample_rate in (44_100, 48_000) and context.channels == 2,
                f"The sound is {context.sample_rate} Hz with {context.channels} channel(s) instead of 44.1 or 48 kHz "
                "stereo.",
            )
        return int(video.frames)


@dataclass
class _Expect:
    defects: list[Defect]

    def __call__(self, code: str, holds: bool, text: str) -> None:
        if not holds:
            self.defects.append(Defect(code, text))


# ---------------------------------------------------------------- what is seen and heard
def _judge_content(
    file: Path,
    folder: Path,
    disclosure: str | None,
    frames: int,
    defects: list[Defect],
    measures: dict[str, Any],
) -> None:
    """Decode everything once: black, frozen, silent, too loud, broken, and the label's pixels of every frame."""
    ffmpeg.prepare_folder(folder)
    width, height = measures["width"], measures["height"]
    (folder / "file").symlink_to(file)
    box = _label_pixels(disclosure or "#ad", width, height)
    has_sound = "audio_codec" in measures
    graph = f"[0:v]split[look][label];{_look(width, height)};[label]{_crop(box)},format=gray[pixels]"
    outputs = ["-map", "[looked]", "-f", "null", "-", "-map", "[pixels]", "-f", "rawvideo", "-fps_mode", "passthrough"]
    if has_sound:
        listen = f"silencedetect=noise={SILENCE_DBFS}dB:duration={LONGEST_SILENCE_SECONDS}"
        graph += f";[0:a]{listen},ebur128=peak=true:framelog=quiet[heard]"
        outputs = ["-map", "[heard]", "-f", "null", "-", *outputs]
    done = ffmpeg.run(
        ["-err_detect", "explode", "-xerror", "-i", "file", "-filter_complex", graph, *outputs, "pipe:1"],
        folder,
        refuse=False,
    )
    region = (box[2] - box[0]) * (box[3] - box[1])
    decoded = len(done.output) // region
    measures["frames"] = decoded
    if (done.code or decoded < frames) and not any(defect.code == "truncated" for defect in defects):
        defects.append(
            Defect("corrupt", f"The file is damaged: {decoded} of {frames} frames could be read without an error.")
        )
    seconds = decoded / composition.FPS
    _judge_picture(done.log, seconds, defects, measures)
    if has_sound:
        _judge_sound(done.log, measures["duration"], defects, measures)
    if disclosure is not None:
        seen = np.frombuffer(done.output[: decoded * region], np.uint8).reshape(decoded, region)
        _judge_label(seen, disclosure, (width, height), box, folder, defects, measures)


def _look(width: int, height: int) -> str:
    """Black and freeze detection, on a small copy without captions and label: moving words must not hide a still."""
    small_w, small_h = 270, 480
    scale = small_h / captions.CANVAS[1]
    band = [round(y * scale) for y in captions.caption_band()]
    label = [round(y * scale) for y in (captions.SAFE_TOP, captions.SAFE_TOP + captions.LABEL_HEIGHT)]
    blank = ",".join(
        f"drawbox=x=0:y={top - 1}:w={small_w}:h={bottom - top + 2}:color=gray:t=fill" for top, bottom in (band, label)
    )
    resize = "" if (width, height) == (small_w, small_h) else f"scale={small_w}:{small_h}:flags=neighbor,"
    return (
        f"[look]{resize}split[dark][still];[dark]blackdetect=d={LONGEST_BLACK_SECONDS}:pix_th=0.10:pic_th=0.90,"
        f"nullsink;[still]{blank},freezedetect=n={FREEZE_NOISE_DB}dB:d={LONGEST_FREEZE_SECONDS}[looked]"
    )


def _judge_picture(log: str, seconds: float, defects: list[Defect], measures: dict[str, Any]) -> None:
    black = [(float(start), float(length)) for start, _, length in _BLACK.findall(log)]
    frozen = [float(start) for start in _FREEZE.findall(log)]
    measures["black_seconds"] = round(sum(length for _, length in black), 2)
    if black:
        start, length = black[0]
        defects.append(Defect("black", f"The picture is black for {length:.1f} s from {start:.1f} s on."))
    if frozen:
        defects.append(
            Defect(
                "frozen", f"The picture stands still for more than {LONGEST_FREEZE_SECONDS:g} s at {frozen[0]:.1f} s."
            )
        )


def _judge_sound(log: str, seconds: float, defects: list[Defect], measures: dict[str, Any]) -> None:
    loudness = sound.read_loudness(log)
    if loudness is None:
        defects.append(Defect("no_audio", "The sound cannot be decoded."))
        return
    measures |= {"lufs": loudness.lufs, "true_peak": loudness.true_peak}
    if not abs(loudness.lufs - sound.TARGET_LUFS) <= sound.TOLERANCE_LU:
        defects.append(
            Defect("loudness", f"The sound has {loudness.lufs:.1f} LUFS; it must have {sound.TARGET_LUFS:g} ± 0.5.")
        )
    if not loudness.true_peak <= sound.PEAK_CEILING_DBTP:
        defects.append(Defect("clipping", f"The sound peaks at {loudness.true_peak:.1f} dBTP; the ceiling is −1 dBTP."))
    tail = 0.0
    longest = 0.0
    start: float | None = None
    for begin, end, length in _SILENCE.findall(log):
        if begin:
            start = float(begin)
            continue
        start = None
        if float(end) >= seconds - 0.1:
            tail = float(length)
        else:
            longest = max(longest, float(length))
    if start is not None:
        tail = seconds - start
    measures |= {"longest_silence": round(longest, 2), "tail_silence": round(tail, 2)}
    if longest > LONGEST_SILENCE_SECONDS:
        defects.append(Defect("silence", f"Nothing is heard for {longest:.1f} s in the middle."))
    if tail > LONGEST_TAIL_SECONDS:
        defects.append(Defect("silent_tail", f"Nothing is heard for the last {tail:.1f} s."))


# ---------------------------------------------------------------- the disclosure
def _label_pixels(label: str, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the label's inside in a picture of a size; always a part of the picture."""
    left, top, right, bottom = captions.label_box(label)
    across, down = width / captions.CANVAS[0], height / captions.CANVAS[1]
    x, y = int((left + _INSET) * across) + 1, int((top + _INSET) * down) + 1
    return x, y, max(x + 2, int((right - _INSET) * across)), max(y + 2, int((bottom - _INSET) * down))


def _crop(box: tuple[int, int, int, int]) -> str:
    left, top, right, bottom = box
    return f"format=yuv420p,crop={right - left}:{bottom - top}:{left}:{top}:exact=1"


def _judge_label(
    seen: np.ndarray[Any, np.dtype[np.uint8]],
    label: str,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    folder: Path,
    defects: list[Defect],
    measures: dict[str, Any],
) -> None:
    """Compare the label's pixels of every frame (rows of ``seen``) with the label drawn on grey."""
    (folder / "label.ass").write_text(captions.label_document(label, 1.0), encoding="utf-8")
    grey = f"color=c=gray:s={size[0]}x{size[1]}:r={composition.FPS}:d=0.1,format=yuv420p"
    graph = f"{grey},ass=filename=label.ass:fontsdir=fonts,{_crop(box)},format=gray"
    template = ffmpeg.run(
        ["-f", "lavfi", "-i", graph, "-frames:v", "1", "-f", "rawvideo", "-loglevel", "error", "pipe:1"], folder
    ).output
    wanted = np.frombuffer(template, np.uint8).astype(np.float32)
    wanted -= wanted.mean()
    worst = 1.0
    missing = 0
    for start in range(0, len(seen), 64):  # a few megabytes at a time
        part = seen[start : start + 64].astype(np.float32)
        part -= part.mean(axis=1, keepdims=True)
        scale = np.linalg.norm(part, axis=1) * np.linalg.norm(wanted)
        likeness = np.divide(part @ wanted, scale, out=np.zeros(len(part), np.float32), where=scale > 0)
        worst = min(worst, float(likeness.min()))
        missing += int((likeness < LABEL_LIKENESS).sum())
    measures["label_likeness"] = round(worst, 3) if len(seen) else 0.0
    if missing or not len(seen):
        defects.append(
            Defect(
                "disclosure",
                f"The disclosure “{label}” is not on {missing or 'any'} of {len(seen)} frames: "
                "it must stand in every one.",
            )
        )
