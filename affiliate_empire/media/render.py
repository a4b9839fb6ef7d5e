"""Making the video file: sound first, then one run of ffmpeg over one filtergraph.

It works in a folder it is given and leaves ``video.mp4`` there; keeping it is the store's, judging it
``affiliate_empire.media.quality``'s, and what goes in is decided by ``affiliate_empire.media.composition``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from affiliate_empire.media import captions, composition, ffmpeg, sound
from affiliate_empire.media.errors import BadMedia

# Part of every video's inputs hash: raise it when the same inputs are to give another file.
RECIPE = "vertical-video@1"

# Sound that ends this much before or after the timings say does not belong to them.
_DRIFT_SECONDS = 1.0


@dataclass(frozen=True)
class Recipe:
    """Everything a video is made from.

    ``stills`` are pictures in showing order, ``clips`` the moving footage that is shown in a still's place, by the
    still's number; ``narrations`` is what is spoken over each scene; ``characters``, ``starts`` and ``ends`` (seconds)
    are the voice's timings; ``label`` is the disclosure shown throughout.
    """

    stills: tuple[Path, ...]
    voice: Path
    characters: Sequence[str]
    starts: Sequence[float]
    ends: Sequence[float]
    narrations: tuple[str, ...]
    label: str
    profile: composition.Profile
    clips: Mapping[int, Path] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return composition.video_frames(self.ends) / composition.FPS


@dataclass(frozen=True)
class Rendered:
    """A finished file in the working folder, and what was measured on its sound."""

    path: Path
    seconds: float
    loudness: sound.Loudness


def render(recipe: Recipe, folder: Path) -> Rendered:
    """Make the video in a folder of its own.

    Raises:
        BadMedia: a still, a clip, the voice or its timings cannot be used.
        RenderFailed: ffmpeg did not finish.
    """
    ffmpeg.prepare_folder(folder)
    command = prepare(recipe, folder)
    loudness = sound.master(folder, "voice" + recipe.voice.suffix, "sound.m4a", recipe.seconds)
    ffmpeg.run(command, folder)
    return Rendered(folder / "video.mp4", recipe.seconds, loudness)


def prepare(recipe: Recipe, folder: Path) -> list[str]:
    """Lay the inputs and the captions into the folder; returns ffmpeg's arguments, which want ``sound.m4a`` there."""
    if not recipe.stills:
        raise BadMedia("There is no picture to show: make the stills again.")
    timed = captions.pages(captions.words_from_alignment(recipe.characters, recipe.starts, recipe.ends))
    for still in recipe.stills:
        _check_picture(still)
    (folder / ("voice" + recipe.voice.suffix)).symlink_to(recipe.voice)
    _check_voice(recipe)
    frames = composition.video_frames(recipe.ends)
    document = captions.document(timed, recipe.label, frames / composition.FPS)
    (folder / "captions.ass").write_text(document, encoding="utf-8")
    starts = composition.scene_starts(recipe.narrations, recipe.characters, recipe.starts)
    sequence = composition.shots(starts, len(recipe.stills), frames)
    clips = {number: _clip_seconds(path) for number, path in recipe.clips.items()}
    inputs: list[str] = []
    for number, shot in enumerate(sequence):
        picture = recipe.clips.get(shot.still, recipe.stills[shot.still])
        name = f"shot{number}{picture.suffix}"
        (folder / name).symlink_to(picture)
        # A still is a stream of one frame; a clip brings its own rate, and its sound is left out.
        inputs += ["-an", "-i", name] if shot.still in clips else ["-framerate", str(composition.FPS), "-i", name]
    return [
        *["-loglevel", "error", *inputs, "-i", "sound.m4a"],
        *["-filter_complex", composition.filtergraph(sequence, recipe.profile, "captions.ass", clips)],
        *["-map", "[video]", "-map", f"{len(sequence)}:a", "-frames:v", str(frames)],
        *encoder(recipe.profile),
        *["-c:a", "copy", "-map_metadata", "-1", "-metadata", f"comment={_comment(recipe.profile)}"],
        *["-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4", "video.mp4"],
    ]


def encoder(profile: composition.Profile) -> list[str]:
    """ffmpeg's arguments that encode the picture."""
    return [
        *["-c:v", "libx264", "-preset", profile.preset, "-crf", str(profile.crf), "-profile:v", "high"],
        *["-level:v", "4.1", "-pix_fmt", "yuv420p", "-r", str(composition.FPS), "-g", str(4 * composition.FPS)],
        *["-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"],
        *["-flags:v", "+bitexact"],
    ]


def _comment(profile: composition.Profile) -> str:
    """What a file says of itself: a small one must not be taken for one that may be published."""
    return RECIPE if profile.name == "full" else f"{RECIPE}, {profile.name} profile: not for publication"


def _check_picture(path: Path) -> None:
    from PIL import Image  # heavy at import

    try:
        with Image.open(path) as picture:
            picture.load()
            width, height = picture.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadMedia(f"The still {path.name} is not a picture that can be read: make it again.") from error
    if min(width, height) < 256:
        raise BadMedia(f"The still {path.name} is only {width}×{height}: make it again, larger.")


def _clip_seconds(path: Path) -> float:
    """Length of a clip that can be shown."""
    import av  # heavy at import

    try:
        with av.open(str(path), "r") as container:
            stream = container.streams.video[0]
            next(container.decode(stream))
            seconds = (container.duration or 0) / av.time_base
    except (av.FFmpegError, IndexError, StopIteration) as error:
        raise BadMedia(f"The clip {path.name} is not a video that can be read: make it again.") from error
    if seconds < 1 or min(stream.width, stream.height) < 256:
        raise BadMedia(f"The clip {path.name} is too short or too small: make it again.")
    return seconds


def _check_voice(recipe: Recipe) -> None:
    import av  # heavy at import

    try:
        with av.open(str(recipe.voice)) as container:
            stream = container.streams.audio[0]
            length = sum(frame.samples / frame.sample_rate for frame in container.decode(stream))
    except (av.FFmpegError, IndexError) as error:
        raise BadMedia("The voice is not a sound file that can be read: make the voice-over again.") from error
    if abs(length - max(recipe.ends)) > _DRIFT_SECONDS:
        raise BadMedia(
            f"The voice lasts {length:.1f} s but its timings end at {max(recipe.ends):.1f} s: "
            "make the voice-over again."
        )
