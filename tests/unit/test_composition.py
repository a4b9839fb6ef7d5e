"""Shots: every frame is covered once, crossfades meet, scenes begin with their words."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.media.composition import (
    FADE_FRAMES,
    FPS,
    LONGEST_SHOT_SECONDS,
    profile_named,
    scene_starts,
    shots,
    video_frames,
)


def _timings(text: str) -> tuple[list[str], list[float]]:
    return list(text), [0.1 * index for index in range(len(text))]


def test_scenes_begin_where_their_narration_is_spoken() -> None:
    text = "Hook here. Note: ad. The arm bends. It is light. The arm bends."
    starts = scene_starts(["The arm bends.", "It is light.", "The arm bends."], *_timings(text))
    assert starts == [0.0, pytest.approx(0.1 * text.index("It is")), pytest.approx(0.1 * text.rindex("The arm"))]


def test_a_narration_that_was_spoken_otherwise_begins_at_its_share() -> None:
    starts = scene_starts(["One two.", "It costs $40.", "Bye."], *_timings("One two. It costs forty dollars. Bye."))
    assert starts[0] == 0.0
    assert 0 < starts[1] < starts[2]


@given(st.lists(st.floats(0.2, 20), min_size=1, max_size=8), st.integers(1, 8))
def test_shots_cover_every_frame_and_meet_in_crossfades(lengths: list[float], stills: int) -> None:
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    frames = video_frames([sum(lengths) + 1])
    sequence = shots(starts, stills, frames)
    assert sequence[0].first_frame == 0
    assert sequence[-1].first_frame + sequence[-1].frames == frames
    for shot, following in pairwise(sequence):
        fade = 0 if shot.still == following.still else FADE_FRAMES
        assert shot.fade_out == following.fade_in == fade
        assert shot.first_frame + shot.frames == following.first_frame + fade
        assert shot.still <= following.still
        assert shot.motion != following.motion
        # One still's framings differ, or the cut between them would be a stumble.
        assert shot.still != following.still or shot.closer != following.closer
    assert sequence[0].fade_in == sequence[-1].fade_out == 0
    for shot in sequence:
        assert shot.frames >= shot.fade_in + shot.fade_out
        assert shot.still < stills


def test_a_long_scene_is_shown_in_several_framings() -> None:
    sequence = shots([0.0, 13.0], 2, 18 * FPS)
    assert [shot.still for shot in sequence] == [0, 0, 0, 1] or [shot.still for shot in sequence] == [0, 0, 1]
    assert max(shot.frames for shot in sequence) <= LONGEST_SHOT_SECONDS * FPS + FADE_FRAMES


def test_an_unknown_profile_says_which_there_are() -> None:
    with pytest.raises(Misconfigured, match="full or light"):
        profile_named("huge")
