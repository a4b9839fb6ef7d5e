"""Render a piece's video from its script, voice, stills and clips, judge it, and keep it.

Free of charge and repeatable: the same inputs give the same hash, and what was kept under it is used again. A video
that quality control rejects is not kept, and its piece is rejected with the reasons.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from affiliate_empire.kernel.ids import fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact
from affiliate_empire.media.composition import profile_named
from affiliate_empire.media.errors import BadMedia
from affiliate_empire.media.quality import inspect
from affiliate_empire.media.render import RECIPE, Recipe, render
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.artifacts import missing
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.policy import Policy


def render_video(
    piece_id: str, *, ledger: Ledger, media: MediaStore, profile: str, policy: Policy, clips: int = 0
) -> Artifact:
    """Make a piece's video, or return the one that was made from the same inputs.

    Args:
        piece_id: a piece with the artifacts ``script``, ``voiceover`` and ``still`` (named ``"0"``, ``"1"``…); a
            ``clip`` of the same name is shown in a still's place.
        ledger: where artifacts are read and the ``video`` artifact is written.
        media: where the files lie.
        profile: ``full`` or ``light``.
        policy: the label's text and the shortest and longest length.
        clips: how many of its first scenes must have been filmed: what is being filmed, or parked, is waited for.

    Returns:
        The artifact ``video``: ``sha256`` of the mp4, and in ``content`` ``duration`` (s), ``lufs``, ``true_peak``
        (dBTP), ``size`` (``1080x1920``), ``bytes``, ``profile``, ``label``, ``recipe`` and ``inputs`` (hash by name).

    Raises:
        PieceRejected: no acceptable video can be made from these inputs.
        PartMissing: an input was not made yet.
        BadMedia: a file of an input is missing from the store.
        RenderFailed: ffmpeg did not finish.
    """
    script, voice, stills, filmed, kept = _load_artifacts(piece_id, ledger, clips)
    label = policy.disclosure("picture")
    duration = policy.duration("video")
    size = profile_named(profile)
    narrations = tuple(str(scene["narration"]) for scene in script.content["scenes"])
    timings = {key: voice.content[key] for key in ("characters", "starts", "ends")}
    inputs = {
        "narrations": fingerprint(narrations),
        "timings": fingerprint(timings),
        "voiceover": voice.sha256,
        **{f"{shown.step} {shown.name}": shown.sha256 for shown in (*stills, *filmed)},
    }
    inputs_sha256 = fingerprint([RECIPE, size.name, label, duration, inputs])
    if kept and kept.inputs_sha256 == inputs_sha256 and kept.sha256 and media.exists(kept.sha256):
        return kept

    recipe = Recipe(
        stills=tuple(media.path(str(still.sha256)) for still in stills),
        clips={int(clip.name): media.path(str(clip.sha256)) for clip in filmed},
        voice=media.path(str(voice.sha256)),
        narrations=narrations,
        label=label,
        profile=size,
        **timings,
    )
    shortest, longest = duration
    if not shortest <= recipe.seconds <= longest:
        raise PieceRejected(f"The video would last {recipe.seconds:.1f} s; it must last {shortest:g} to {longest:g} s.")
    with media.workshop() as folder:
        try:
            path = render(recipe, folder).path
        except BadMedia as error:
            raise PieceRejected(str(error)) from error
        report = inspect(path, disclosure=label, profile=size.name, duration=duration)
        if not report.accepted:
            raise PieceRejected("Quality control rejected the video: " + " ".join(report.reasons))
        sha256 = media.save(path, "video/mp4")
    measures = report.measures
    content: dict[str, Any] = {
        "duration": measures["duration"],
        "lufs": measures["lufs"],
        "true_peak": measures["true_peak"],
        "size": f"{measures['width']}x{measures['height']}",
        "bytes": measures["bytes"],
        "label_likeness": measures["label_likeness"],
        "profile": size.name,
        "label": label,
        "recipe": RECIPE,
        "inputs": inputs,
    }
    artifact = Artifact(
        piece_id=piece_id,
        step="video",
        name="",
        inputs_sha256=inputs_sha256,
        sha256=sha256,
        media_type="video/mp4",
        content=json.loads(json.dumps(content)),  # as the ledger will give it back
    )
    with ledger.begin() as session:
        return session.merge(artifact)


def _load_artifacts(
    piece_id: str, ledger: Ledger, clips: int
) -> tuple[Artifact, Artifact, list[Artifact], list[Artifact], Artifact | None]:
    """Script, voice, stills and clips in scene order, and the video if there is one."""
    with ledger.begin() as session:
        rows = session.scalars(select(Artifact).where(Artifact.piece_id == piece_id)).all()
    by_step = {(row.step, row.name): row for row in rows}
    stills = sorted((row for row in rows if row.step == "still"), key=lambda row: int(row.name))
    filmed = sorted((row for row in rows if row.step == "clip"), key=lambda row: int(row.name))
    script, voice = by_step.get(("script", "")), by_step.get(("voiceover", ""))
    scenes = len(script.content["scenes"]) if script else 1
    needed = {
        "scripts": [("script", "")],
        "voiceovers": [("voiceover", "")],
        "video_clips": [
            *(("still", str(number)) for number in range(scenes)),
            *(("clip", str(number)) for number in range(min(clips, scenes))),
        ],
    }
    lacking = {asset: [part for part in parts if part not in by_step] for asset, parts in needed.items()}
    if script is None or voice is None or any(lacking.values()):
        parts = [f"{step} {name}".strip() for each in lacking.values() for step, name in each]
        raise missing(piece_id, parts, [asset for asset, each in lacking.items() if each])
    return script, voice, stills, filmed, by_step.get(("video", ""))
