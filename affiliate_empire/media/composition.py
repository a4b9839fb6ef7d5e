"""What a video is made of, frame by frame, and the one filtergraph that says so.

Pure: shots from the voice's timings, motion by arithmetic on whole pixels, the graph as text. Running it is
``affiliate_empire.media.render``'s.

Why motion on whole pixels: ffmpeg's ``zoompan`` rounds its window anew for each frame, which trembles unless the still
is first blown up, and costs a sixth of the encode. A still that is prepared once and then shifted by whole pixels (pan)
or scaled to an even width every second frame (push and pull) stands as firm, and costs almost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.media.captions import CANVAS

FPS = 30
TAIL_SECONDS = 0.6  # of picture after the last word
FADE_FRAMES = 12
LONGEST_SHOT_SECONDS = 6.5  # a longer scene is shown in several framings
CLOSER = 1.25  # how much nearer every second framing of one still is
ZOOM = 0.12  # growth of a push or pull
TRAVEL = 0.10  # of the picture's side that a pan passes over, at most

Motion = Literal["push", "up", "pull", "left", "down", "right"]
_MOTIONS: tuple[Motion, ...] = ("push", "up", "pull", "left", "push", "down", "pull", "right")


@dataclass(frozen=True)
class Profile:
    """A size to render at. ``preset`` and ``crf`` are x264's."""

    name: str
    width: int
    height: int
    preset: str = "veryfast"
    crf: int = 22


# ``light`` is full in everything but size: what is tested small holds large. TikTok takes nothing below 360 pixels.
PROFILES = {"full": Profile("full", *CANVAS), "light": Profile("light", 360, 640, crf=18)}


@dataclass(frozen=True)
class Shot:
    """A still, or the clip in its place, on the screen for a number of frames, the crossfades at both ends included.

    A change of stills is a crossfade of ``FADE_FRAMES``; a change of framing of one still is a cut, and ``closer``.
    """

    still: int
    first_frame: int
    frames: int
    motion: Motion
    closer: bool = False
    fade_in: int = 0
    fade_out: int = 0


def profile_named(name: str) -> Profile:
    """The profile of a name.

    Raises:
        Misconfigured: there is none of that name.
    """
    try:
        return PROFILES[str(name)]
    except KeyError:
        raise Misconfigured(f"There is no render profile {name!r}: use {' or '.join(PROFILES)}.") from None


def video_frames(ends: Sequence[float]) -> int:
    """Number of frames of a video whose voice has these character ends (seconds)."""
    return round((max(ends) + TAIL_SECONDS) * FPS)


def scene_starts(narrations: Sequence[str], characters: Sequence[str], starts: Sequence[float]) -> list[float]:
    """Seconds at which each scene's narration begins in the voice; the first scene begins with the video.

    Args:
        narrations: what is spoken over each scene, in order.
        characters: the voice's characters.
        starts: their seconds, one for each character.

    Returns:
        One start for each scene, ascending. A narration that is not found (a voice may speak a normalised text) begins
        where its share of the words says.
    """
    owners = [index for index, character in enumerate(characters) for _ in character]
    text = "".join(characters)
    total = sum(len(narration) for narration in narrations) or 1
    found: list[float] = []
    at = 0
    spoken = 0
    for number, narration in enumerate(narrations):
        plain = " ".join(narration.split())
        position = text.find(plain, at)
        if position < 0:
            position = max(at, min(len(text) - 1, round(len(text) * spoken / total)))
        found.append(0.0 if number == 0 else float(starts[owners[position]]))
        at = position + 1
        spoken += len(narration)
    return found


def shots(starts: Sequence[float], stills: int, frames: int) -> list[Shot]:
    """The shots of a video: scenes of ``starts`` seconds over ``stills`` pictures, ``frames`` frames in all.

    Where pictures and scenes differ in number, the pictures share the time evenly. A scene longer than
    ``LONGEST_SHOT_SECONDS`` becomes several shots of one still, each with another motion.
    """
    begins = [round(start * FPS) for start in starts]
    if len(begins) != stills:
        begins = [round(frames * number / stills) for number in range(stills)]
    cuts: list[tuple[int, int]] = []  # still, first frame
    for number, begin in enumerate(begins):
        until = begins[number + 1] if number + 1 < len(begins) else frames
        parts = max(1, -(-(until - begin) // round(LONGEST_SHOT_SECONDS * FPS)))
        cuts += [(number, begin + round((until - begin) * part / parts)) for part in range(parts)]
    # A cut needs room for a crossfade on either side; one without is dropped together with its shot.
    kept = [cuts[0]]
    for still, first in cuts[1:]:
        if first - kept[-1][1] >= 2 * FADE_FRAMES and frames - first >= 2 * FADE_FRAMES:
            kept.append((still, first))
    result: list[Shot] = []
    closer = False
    for number, (still, first) in enumerate(kept):
        until = kept[number + 1][1] if number + 1 < len(kept) else frames
        fade_in = FADE_FRAMES if number and kept[number - 1][0] != still else 0
        fade_out = FADE_FRAMES if number + 1 < len(kept) and kept[number + 1][0] != still else 0
        closer = not closer if number and not fade_in else False
        begin, end = first - fade_in // 2, until + fade_out // 2
        motion = _MOTIONS[number % len(_MOTIONS)]
        result.append(Shot(still, begin, end - begin, motion, closer, fade_in, fade_out))
    return result


def filtergraph(
    sequence: Sequence[Shot], profile: Profile, captions: str, clips: Mapping[int, float] | None = None
) -> str:
    """The graph from one input per shot to ``[video]``: motion, crossfades, captions and label, colour tags.

    A shot is laid out as its crossfade in, its body and its crossfade out, each a run of frames of its own: ``xfade``
    works on four times the chroma, and is kept to the frames that need it.

    Args:
        sequence: the shots; input number *i* is the still of shot *i*, read at ``FPS``.
        profile: the size.
        captions: name of the ASS document in the folder ffmpeg runs in.
        clips: seconds of the clip that stands in a still's place, by the still's number.
    """
    chains: list[str] = []
    runs: list[str] = []
    for number, shot in enumerate(sequence):
        fade_out = shot.frames - shot.fade_out
        parts = [("in", 0, shot.fade_in), ("body", shot.fade_in, fade_out), ("out", fade_out, shot.frames)]
        parts = [part for part in parts if part[2] > part[1]]
        prepared = "".join(f"[{name}{number}p]" for name, _, _ in parts)
        closeness = CLOSER if shot.closer else 1.0
        if shot.still in (clips or {}):
            size = (profile.width, profile.height)
            played = _played(shot, (clips or {})[shot.still])
            chains.append(f"[{number}:v]{_prepared(size, closeness, 'bicubic')},{played},split={len(parts)}{prepared}")
            chains += [
                f"[{name}{number}p]trim=start_frame={begin}:end_frame={until},setpts=PTS-STARTPTS,fps={FPS}"
                f"[{name}{number}]"
                for name, begin, until in parts
            ]
        else:
            source, motion = _moving(shot, profile)
            chains.append(f"[{number}:v]{_prepared(source, closeness)},split={len(parts)}{prepared}")
            chains += [
                f"[{name}{number}p]loop=loop={until - begin}:size=1:start=0,settb=1/{FPS},setpts=N+{begin},"
                f"{motion.format(lead=begin)},trim=start_frame=1,"
                f"format=yuv420p,setsar=1,setpts=PTS-STARTPTS,fps={FPS}[{name}{number}]"
                for name, begin, until in parts
            ]
        if shot.fade_in:
            fade = f"xfade=transition=fade:duration={FADE_FRAMES / FPS:.6f}:offset=0,format=yuv420p"
            chains.append(f"[out{number - 1}][in{number}]{fade}[fade{number}]")
            runs.append(f"[fade{number}]")
        runs.append(f"[body{number}]")
    chains.append(
        f"{''.join(runs)}concat=n={len(runs)}:v=1:a=0,fps={FPS},ass=filename={captions}:fontsdir=fonts,"
        "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709[video]"
    )
    return ";".join(chains)


def _played(shot: Shot, seconds: float) -> str:
    """Filters that make a clip as long as its shot: slowed where it is shorter, cut where it is longer.

    The last frame is held for what rounding leaves open; a concat that misses a frame would end early.
    """
    slowness = max(1.0, shot.frames / FPS / seconds)
    return (
        f"setsar=1,setpts=(PTS-STARTPTS)*{slowness:.6f},fps={FPS}:start_time=0,"
        f"tpad=stop_mode=clone:stop_duration=1,trim=end_frame={shot.frames}"
    )


def _prepared(size: tuple[int, int], closeness: float, flags: str = "lanczos") -> str:
    """Filters that bring a picture of any shape to a size once, without bars and in BT.709, its middle enlarged."""
    cover = f"{_even(size[0] * closeness)}:{_even(size[1] * closeness)}"
    return (
        f"scale={cover}:force_original_aspect_ratio=increase:flags={flags}:out_color_matrix=bt709:out_range=tv,"
        f"crop={size[0]}:{size[1]},format=yuv420p"
    )


def _moving(shot: Shot, profile: Profile) -> tuple[tuple[int, int], str]:
    """The size a shot's still is prepared at, and the filters that move over it, ``{lead}`` left open.

    The frame's number is taken from its own time stamp (``t``): ``scale`` reads a frame ahead, so that its count and
    ``crop``'s differ, and a crop by another frame's size reaches beyond the picture (and ffmpeg dies of it). Each run
    has one frame too many in front, numbered ``lead`` and thrown away: ``crop`` never reaches beyond the size of the
    first frame it saw, so that one has the largest.
    """
    width, height = profile.width, profile.height
    last = max(1, shot.frames - 1)
    frame = f"(round(t*{FPS})-1)"
    if shot.motion in ("push", "pull"):
        growth = round(width * ZOOM / 2)  # pixels gained at either side by the end
        passed = frame if shot.motion == "push" else f"({last}-{frame})"
        step = f"if(lte(t*{FPS},{{lead}}+0.5),{growth},floor({passed}*{growth}/{last}))"
        wide, high = f"{width}+2*{step}", f"2*round(({width}+2*{step})*{height}/{width}/2)"
        source = (_even(width * (1 + ZOOM)), _even(height * (1 + ZOOM)))
        return source, (
            f"scale=w='{wide}':h='{high}':eval=frame:flags=bilinear,format=yuv420p,"
            f"crop={width}:{height}:x='{step}':y='({high}-{height})/2':exact=1"
        )
    side = height if shot.motion in ("up", "down") else width
    pace = -(-last // max(1, int(side * TRAVEL)))  # frames per pixel: a whole number, or the pan would stutter
    travel = last // pace
    factor = 1 + (travel + 2) / side
    source = (_even(width * factor), _even(height * factor))
    passed = f"max(0,floor({frame}/{pace}))"
    forward, backward = passed, f"{travel}-{passed}"
    x = {"left": backward, "right": forward}.get(shot.motion, str((source[0] - width) // 2))
    y = {"up": backward, "down": forward}.get(shot.motion, str((source[1] - height) // 2))
    return source, f"crop={width}:{height}:x='{x}':y='{y}':exact=1"


def _even(length: float) -> int:
    return 2 * round(length / 2 + 0.49)
