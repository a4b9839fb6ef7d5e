"""Real ffmpeg: a video is made and accepted, and each way of spoiling it is found for its own reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from affiliate_empire.media import captions, composition, ffmpeg, quality
from affiliate_empire.media.errors import BadMedia, RenderFailed
from affiliate_empire.media.quality import QualityReport
from affiliate_empire.media.render import Recipe, encoder, prepare, render
from tests.factories.media import LABEL, recipe_in, save_still, save_voice, spoken

LIGHT = composition.PROFILES["light"]
_COPY = ["-c", "copy", "-movflags", "+faststart"]
_ENCODE = [*encoder(LIGHT), "-preset", "ultrafast", "-profile:v", "high", "-c:a", "copy", "-movflags", "+faststart"]
_RESOUND = ["-c:v", "copy", "-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart"]


def _judged(path: Path, label: str = LABEL) -> QualityReport:
    """The judgement under rules that a short and small file can meet."""
    return quality.inspect(path, disclosure=label, profile="light", duration=(8, 30))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the good video was made, with all that it was made of."""
    folder = tmp_path_factory.mktemp("video")
    render(recipe_in(tmp_path_factory.mktemp("sources")), folder)
    return folder


@pytest.fixture(scope="module")
def good(workshop: Path) -> Path:
    return workshop / "video.mp4"


def _spoiled(good: Path, folder: Path, arguments: list[str], inputs: list[str] | None = None) -> Path:
    """A copy of the good file after a run of ffmpeg."""
    target = folder / "spoiled.mp4"
    ffmpeg.run(["-loglevel", "error", *(inputs or []), "-i", str(good), *arguments, str(target)], folder)
    return target


def test_the_good_file_is_accepted_with_its_measures(good: Path) -> None:
    report = _judged(good)
    assert report.reasons == []
    assert report.accepted
    measures = report.measures
    assert (measures["width"], measures["height"], measures["fps"]) == (360, 640, 30)
    assert 9 <= measures["duration"] <= 14
    assert measures["frames"] == round(measures["duration"] * 30)
    assert abs(measures["lufs"] + 14) <= 0.5
    assert measures["true_peak"] <= -1
    assert measures["label_likeness"] > 0.95


def test_a_small_file_says_that_it_is_not_for_publication(good: Path) -> None:
    assert b"light profile: not for publication" in good.read_bytes()
    assert quality.inspect(good, disclosure=LABEL).codes == {"size", "too_short"}


def test_the_same_inputs_make_the_same_bytes(good: Path, tmp_path: Path) -> None:
    sources, folder = tmp_path / "sources", tmp_path / "again"
    sources.mkdir()
    folder.mkdir()
    assert render(recipe_in(sources), folder).path.read_bytes() == good.read_bytes()


_H264 = "h264_metadata="
_GONE = "drawbox=x=0:y=0:w=iw:h=ih:color=black:t=fill:enable='between(t,4,7)'"
_SPOILS: dict[str, tuple[list[str], set[str]]] = {
    "another size": (["-vf", "scale=362:640,setsar=1", *_ENCODE], {"size"}),
    "pixels that are not square": ([*_COPY, "-bsf:v", _H264 + "sample_aspect_ratio=4/3"], {"aspect"}),
    "25 frames a second": (["-vf", "fps=25", *_ENCODE, "-r", "25"], {"fps"}),
    "yuv444p": ([*_ENCODE, "-profile:v", "high444", "-pix_fmt", "yuv444p"], {"pixel_format", "video_profile"}),
    "another codec": (["-c:v", "mpeg4", "-q:v", "2", "-c:a", "copy", "-movflags", "+faststart"], {"video_codec"}),
    "a level above 4.1": ([*_COPY, "-bsf:v", _H264 + "level=5.1"], {"video_profile"}),
    "colours of old television": (
        [
            *["-vf", "setparams=colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m", *_ENCODE],
            *["-colorspace", "smpte170m", "-color_primaries", "smpte170m", "-color_trc", "smpte170m"],
        ],
        {"colour"},
    ),
    "too short": ([*_COPY, "-t", "6"], {"too_short"}),
    "no sound": ([*_COPY, "-an"], {"no_audio"}),
    "one channel": ([*_RESOUND, "-af", "pan=mono|c0=c0"], {"audio_format", "loudness"}),
    "22 kHz": ([*_RESOUND, "-ar", "22050"], {"audio_format"}),
    "MP3 sound": (
        ["-c:v", "copy", "-af", "volume=0.6dB", "-c:a", "libmp3lame", "-b:a", "160k", "-movflags", "+faststart"],
        {"audio_codec"},
    ),
    "a hole in the sound": ([*_RESOUND, "-af", "volume=0:enable='between(t,4,6)'"], {"silence"}),
    "a silent tail": ([*_RESOUND, "-af", "volume=0:enable='gte(t,7)'"], {"silent_tail"}),
    "nothing to hear": ([*_RESOUND, "-af", "volume=0"], {"loudness", "silent_tail"}),
    "too quiet": ([*_RESOUND, "-af", "volume=-6dB"], {"loudness"}),
    "too loud and clipped": ([*_RESOUND, "-af", "volume=8dB"], {"loudness", "clipping"}),
    "three black seconds": (["-vf", _GONE, *_ENCODE], {"black", "frozen", "disclosure"}),
    "three frozen seconds": (["-vf", "loop=loop=90:size=1:start=150", *_ENCODE, "-t", "10"], {"frozen"}),
    "no faststart": (["-c", "copy"], {"faststart"}),
    "a second without the label": (
        ["-vf", "drawbox=x=0:y=50:w=iw:h=40:color=navy:t=fill:enable='between(t,5,6)'", *_ENCODE],
        {"disclosure"},
    ),
}


@pytest.mark.parametrize("spoil", _SPOILS)
def test_a_spoiled_file_is_rejected_for_its_reason(good: Path, tmp_path: Path, spoil: str) -> None:
    arguments, codes = _SPOILS[spoil]
    report = _judged(_spoiled(good, tmp_path, arguments))
    assert not report.accepted
    assert report.codes == codes, report.reasons


def test_half_a_minute_too_much_is_too_long(good: Path, tmp_path: Path) -> None:
    spoiled = _spoiled(good, tmp_path, _COPY, inputs=["-stream_loop", "2"])
    assert "too_long" in _judged(spoiled).codes


def test_a_frozen_still_is_found_under_moving_captions(workshop: Path, tmp_path: Path) -> None:
    still = ["-loop", "1", "-framerate", "30", "-i", "shot0.png", "-i", "sound.m4a", "-t", "10"]
    graph = "scale=360:640:out_color_matrix=bt709,format=yuv420p,setsar=1,ass=filename=captions.ass:fontsdir=fonts,"
    graph += "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    target = tmp_path / "frozen.mp4"
    ffmpeg.run([*still, "-vf", graph, *_ENCODE, str(target)], workshop)
    assert _judged(target).codes == {"frozen"}


@pytest.mark.parametrize("label", ["#fun · AI-generated", "#ad", None])
def test_another_label_is_no_disclosure(workshop: Path, tmp_path: Path, label: str | None) -> None:
    document = (workshop / "captions.ass").read_text("utf-8")
    lines = [line for line in document.splitlines() if not re.match(r"Dialogue: \d+,[^,]*,[^,]*,(Plate|Label),", line)]
    (workshop / "other.ass").write_text("\n".join([*lines, *(captions.label_events(label, 30) if label else [])]))
    target = tmp_path / "other.mp4"
    tags = "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    graph = f"testsrc2=s=360x640:r=30,format=yuv420p,setsar=1,ass=filename=other.ass:fontsdir=fonts,{tags}[v]"
    inputs = ["-i", "sound.m4a", "-filter_complex", graph, "-map", "[v]", "-map", "0:a", "-t", "10"]
    ffmpeg.run([*inputs, *_ENCODE, str(target)], workshop)
    assert _judged(target).codes == {"disclosure"}
    if label:
        assert _judged(target, label).accepted


def _cut_off(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10]


def _damaged(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(4000) + data[middle + 4000 :]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_cut_off, "truncated"),
        (_damaged, "corrupt"),
        (lambda data: data[:20], "truncated"),
        (lambda data: b"", "not_a_video"),
        (lambda data: b"<!doctype html><title>502 Bad Gateway</title>" * 50, "not_a_video"),
    ],
)
def test_a_broken_file_is_rejected_not_raised(
    good: Path, tmp_path: Path, change: Callable[[bytes], bytes], code: str
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(change(good.read_bytes()))
    assert code in _judged(broken).codes


def test_sound_and_pictures_are_no_videos(workshop: Path) -> None:
    for name in ("sound.m4a", "shot0.png", "voice.wav"):
        assert _judged(workshop / name).codes == {"not_a_video"}


# ---------------------------------------------------------------- what is drawn
def _drawn(folder: Path, document: str, seconds: float) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of everything an ASS document draws at a moment, on the design's canvas."""
    ffmpeg.prepare_folder(folder)
    (folder / "drawn.ass").write_text(document, encoding="utf-8")
    width, height = captions.CANVAS
    source = f"color=c=black:s={width}x{height}:r=10:d={seconds + 0.2},format=gray"
    graph = f"{source},format=yuv420p,ass=filename=drawn.ass:fontsdir=fonts,format=gray"
    picture = ["-ss", str(seconds), "-frames:v", "1", "-f", "rawvideo", "pipe:1"]
    raw = ffmpeg.run(["-loglevel", "error", "-f", "lavfi", "-i", graph, *picture], folder).output
    rows, columns = np.nonzero(np.frombuffer(raw, np.uint8).reshape(height, width) > 40)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


@pytest.mark.parametrize(
    "text",
    [
        "What if your desk lamp could last ten years?",
        "Pneumonoultramicroscopicsilicovolcanoconiosis-proof-lamp-stand-extra",
        "WWWWWWWWWW WWWWWWWWWWWWWWW",
        r"{\pos(0,0)}{\fs400} \N\N\N huge",
        "שלום עולם זה טוב",
        "日本語の説明文は長いです",
        "Jäger’s “ÄÖÜ” yögpq 50% off!",
    ],
)
def test_captions_are_drawn_inside_the_safe_area(tmp_path: Path, text: str) -> None:
    words = [captions.Word(word, 0.0 if index == 0 else 0.5, 1.0) for index, word in enumerate(text.split())]
    pages = captions.pages(words)[:1]
    everything = captions.document(pages, LABEL, 2.0).splitlines()
    document = "\n".join(line for line in everything if ",Plate,,0" not in line and ",Label,,0" not in line)
    left, top, right, bottom = _drawn(tmp_path, document, 0.3)
    assert captions.SAFE_LEFT <= left < right <= captions.SAFE_RIGHT
    assert captions.caption_band()[0] <= top < bottom <= captions.caption_band()[1]


def test_widths_are_measured_as_libass_draws_them(tmp_path: Path) -> None:
    for text, least in (("Lamps outlast", 0.94), ("שלום עולם", 0.85)):  # a fallback font is scaled by libass
        page = captions.Page(((captions.Word(text, 0, 1),),), 0.0, 1.0, captions.CAPTION_SIZE)
        lines = captions.document([page], LABEL, 2.0).splitlines()
        left, _, right, _ = _drawn(tmp_path, "\n".join(lines[:-3] + lines[-1:]), 0.3)
        measured = captions.text_width(text, captions.CAPTION_SIZE)
        assert least <= (right - left) / (measured + 2 * captions.CAPTION_OUTLINE) <= 1.02


@pytest.mark.parametrize("motion", ["push", "pull", "up", "left"])
def test_motion_is_steady(tmp_path: Path, motion: composition.Motion) -> None:
    """A bright square is followed through a shot: it never leaps, and in a push or pull its centre stays."""
    still = np.zeros((1920, 1080), np.uint8)
    still[920:1000, 500:580] = 255
    Image.fromarray(still).save(tmp_path / "still.png")
    ffmpeg.prepare_folder(tmp_path)
    (tmp_path / "none.ass").write_text(captions.label_document(" ", 0.0), encoding="utf-8")
    profile = replace(LIGHT, width=540, height=960)
    graph = composition.filtergraph([composition.Shot(0, 0, 90, motion)], profile, "none.ass")
    raw = ["-map", "[video]", "-frames:v", "90", "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"]
    command = ["-framerate", "30", "-i", "still.png", "-filter_complex", graph, *raw]
    frames = np.frombuffer(ffmpeg.run(command, tmp_path).output, np.uint8).reshape(90, 960, 540).astype(float)
    frames[:, :200] = 0  # the label's plate
    weight = frames.sum((1, 2))
    x = (frames.sum(1) @ np.arange(540)) / weight
    y = (frames.sum(2) @ np.arange(960)) / weight
    assert np.abs(np.diff(x)).max() <= 1.05
    assert np.abs(np.diff(y)).max() <= 1.05
    if motion in ("push", "pull"):
        assert np.ptp(x) <= 1.5
        assert np.ptp(y) <= 1.5
        grown = np.sqrt(weight[-1] / weight[0])
        assert grown == pytest.approx(1.12 if motion == "push" else 1 / 1.12, rel=0.03)
    else:
        assert np.ptp(y if motion == "up" else x) == pytest.approx(89 // (2 if motion == "left" else 1), abs=2)


# ---------------------------------------------------------------- what cannot be made
def _recipe(tmp_path: Path, **changes: object) -> Recipe:
    return replace(recipe_in(tmp_path), **changes)


def test_inputs_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    text = tmp_path / "page.png"
    text.write_text("<html>")
    tiny = save_still(tmp_path / "tiny.png", 1, (64, 64))
    voice = spoken()
    late = [end + 5 for end in voice.ends]
    for number, (changes, message) in enumerate(
        [
            ({"stills": ()}, "no picture"),
            ({"stills": (text,)}, "not a picture"),
            ({"stills": (tiny,)}, "64×64"),
            ({"voice": text}, "not a sound file"),
            ({"ends": late}, "its timings end"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(BadMedia, match=message):
            prepare(_recipe(tmp_path, **changes), folder)


def test_a_silent_voice_is_refused(tmp_path: Path) -> None:
    voice = spoken()
    quiet = save_voice(replace(voice, samples=voice.samples * 0), tmp_path / "quiet.wav")
    (tmp_path / "work").mkdir()
    with pytest.raises(BadMedia, match="cannot be heard"):
        render(_recipe(tmp_path, voice=quiet), tmp_path / "work")


def test_ffmpegs_own_words_are_passed_on(tmp_path: Path) -> None:
    with pytest.raises(RenderFailed, match="No such file"):
        ffmpeg.run(["-i", "absent.mp4", "out.mp4"], tmp_path)
