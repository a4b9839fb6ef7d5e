"""A piece's video over a real ledger and real ffmpeg: made once, reused, made anew, or rejected with the reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Artifact, Piece, Product, Program, PromptVersion
from affiliate_empire.media import ffmpeg
from affiliate_empire.media.composition import FPS, scene_starts, video_frames
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.errors import PartMissing, PieceRejected
from affiliate_empire.operations.render_video import render_video
from affiliate_empire.policy import Policy, load_policy
from tests.factories.media import SENTENCES, save_still, save_voice, spoken

_PIECE = "pc_1"
_NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def policy() -> Policy:
    """The policy in force, but for the length: short videos are judged here."""
    real = load_policy()
    return replace(real, platforms=real.platforms | {"duration": {"video": [8, 30], "post": [0, 0]}})


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    return MediaStore(tmp_path / "media")


def _artifact(step: str, name: str, sha256: str | None, content: dict[str, object]) -> Artifact:
    return Artifact(piece_id=_PIECE, step=step, name=name, inputs_sha256="x", sha256=sha256, content=content)


@pytest.fixture
def piece(ledger: Ledger, media: MediaStore, tmp_path: Path) -> str:
    """A piece whose script, voice and two stills are made."""
    voice = spoken()
    timings = {"characters": voice.characters, "starts": voice.starts, "ends": voice.ends, "duration": voice.ends[-1]}
    scenes = [{"narration": text, "visual": "a lamp", "fact_ids": ["F1"]} for text in SENTENCES[2:]]
    program = Program(
        program_id="impact:1",
        network="impact",
        native_id="1",
        name="Lamps",
        status="joined",
        currency="USD",
        commission_rate=Decimal("0.08"),
        cookie_days=30,
        deeplink=True,
        deeplink_domains=[],
        terms={},
        observed_at=_NOW,
    )
    product = Product(
        product_id="pr_1",
        program_id="impact:1",
        source="impact",
        native_id="1",
        title="Lamp",
        description="",
        brand="",
        category="",
        niche="home",
        price_micros=40_000_000,
        currency="USD",
        availability="in_stock",
        url="",
        image_url="",
        commission_rate=Decimal("0.08"),
        first_seen_day=date(2026, 11, 1),
        last_seen_day=date(2026, 11, 20),
        observed_at=_NOW,
    )
    with ledger.begin() as session:
        session.add(Account(account_id="youtube:lamps", platform="youtube", handle="lamps", display_name="Lamps"))
        session.add(PromptVersion(prompt_version="video/a@1", kind="video", template="", sha256="", status="active"))
        session.add(program)
        session.flush()
        session.add(product)
        session.flush()
        session.add(
            Piece(
                piece_id=_PIECE,
                day=date(2026, 11, 20),
                revision=1,
                kind="video",
                platform="youtube",
                account_id="youtube:lamps",
                slot_at=_NOW,
                product_id="pr_1",
                niche="home",
                prompt_version="video/a@1",
                arm="exploit",
                propensity=1.0,
                facts={},
                max_cost_micros=0,
            )
        )
        session.flush()
        session.add(_artifact("script", "", None, {"title": "Lamp", "hook": SENTENCES[0], "scenes": scenes}))
        session.add(
            _artifact("voiceover", "", media.save(save_voice(voice, tmp_path / "voice.wav"), "audio/wav"), timings)
        )
        for number in range(2):
            still = save_still(tmp_path / f"{number}.png", number)
            session.add(_artifact("still", str(number), media.save(still, "image/png"), {}))
    return _PIECE


def _videos(ledger: Ledger) -> list[Artifact]:
    with ledger.begin() as session:
        return list(session.scalars(select(Artifact).where(Artifact.step == "video")))


def test_a_video_is_made_once_and_again_only_from_other_inputs(
    piece: str, ledger: Ledger, media: MediaStore, policy: Policy, tmp_path: Path
) -> None:
    first = render_video(piece, ledger=ledger, media=media, profile="light", policy=policy)
    (row,) = _videos(ledger)
    assert row.sha256 == first.sha256
    assert row.media_type == "video/mp4"
    assert row.content["size"] == "360x640"
    assert abs(row.content["lufs"] + 14) <= 0.5
    assert row.content["true_peak"] <= -1
    assert set(row.content["inputs"]) == {"narrations", "timings", "voiceover", "still 0", "still 1"}
    path = media.path(str(row.sha256))
    assert path.suffix == ".mp4"
    assert path.stat().st_size == row.content["bytes"]
    assert list((media.root / "incoming").iterdir()) == []

    # Reuse reads no input: with the voice gone, nothing could be rendered.
    voice = media.path(str(row.content["inputs"]["voiceover"]))
    moved = voice.rename(tmp_path / "elsewhere")
    again = render_video(piece, ledger=ledger, media=media, profile="light", policy=policy)
    assert again.sha256 == first.sha256
    moved.rename(voice)

    # A lost file is made again, byte for byte.
    path.unlink()
    restored = render_video(piece, ledger=ledger, media=media, profile="light", policy=policy)
    assert restored.sha256 == first.sha256
    assert media.exists(str(first.sha256))

    with ledger.begin() as session:
        still = session.get_one(Artifact, (piece, "still", "1"))
        still.sha256 = media.save(save_still(tmp_path / "other.png", 9), "image/png")
    other = render_video(piece, ledger=ledger, media=media, profile="light", policy=policy)
    assert other.sha256 != first.sha256
    assert len(_videos(ledger)) == 1


def test_a_video_of_the_wrong_length_rejects_the_piece(
    piece: str, ledger: Ledger, media: MediaStore, policy: Policy
) -> None:
    with pytest.raises(PieceRejected, match="must last 20 to 60 s"):
        render_video(piece, ledger=ledger, media=media, profile="light", policy=load_policy())
    assert _videos(ledger) == []


def test_what_quality_control_rejects_is_not_kept(
    piece: str, ledger: Ledger, media: MediaStore, policy: Policy, tmp_path: Path
) -> None:
    from PIL import Image

    black = tmp_path / "black.png"
    Image.new("RGB", (432, 768), "black").save(black)
    with ledger.begin() as session:
        for name in ("0", "1"):
            session.get_one(Artifact, (piece, "still", name)).sha256 = media.save(black, "image/png")
    with pytest.raises(PieceRejected, match=r"rejected the video: The picture is black .* stands still"):
        render_video(piece, ledger=ledger, media=media, profile="light", policy=policy)
    assert _videos(ledger) == []
    assert list(media.root.rglob("*.mp4")) == []


def test_an_unreadable_still_rejects_the_piece(piece: str, ledger: Ledger, media: MediaStore, policy: Policy) -> None:
    with ledger.begin() as session:
        session.get_one(Artifact, (piece, "still", "0")).sha256 = media.save(b"<html>", "image/png")
    with pytest.raises(PieceRejected, match="make it again"):
        render_video(piece, ledger=ledger, media=media, profile="light", policy=policy)


def test_a_piece_without_a_voice_says_what_to_make_first(
    piece: str, ledger: Ledger, media: MediaStore, policy: Policy
) -> None:
    with ledger.begin() as session:
        session.delete(session.get_one(Artifact, (piece, "voiceover", "")))
    with pytest.raises(BadInput, match="no voiceover yet"):
        render_video(piece, ledger=ledger, media=media, profile="light", policy=policy)


def test_a_video_waits_for_every_still_and_for_the_clips_that_it_was_planned_with(
    piece: str, ledger: Ledger, media: MediaStore, policy: Policy, tmp_path: Path
) -> None:
    """A clip's job that is parked, or a still that no cap had room for, is not left out of what goes out."""
    with pytest.raises(PartMissing, match="no clip 0 yet: materialize video_clips first"):
        render_video(piece, ledger=ledger, media=media, profile="light", policy=policy, clips=1)
    assert _videos(ledger) == []
    with ledger.begin() as session:
        session.add(_artifact("clip", "0", media.save(_red_clip(tmp_path / "red.mp4", 5), "video/mp4"), {}))
        session.delete(session.get_one(Artifact, (piece, "still", "1")))
    with pytest.raises(PartMissing, match="no still 1 yet"):
        render_video(piece, ledger=ledger, media=media, profile="light", policy=policy, clips=1)
    with ledger.begin() as session:
        still = save_still(tmp_path / "again.png", 1)
        session.add(_artifact("still", "1", media.save(still, "image/png"), {}))
    render_video(piece, ledger=ledger, media=media, profile="light", policy=policy, clips=1)
    assert len(_videos(ledger)) == 1


def _red_clip(path: Path, seconds: int) -> Path:
    """A clip with sound, red with a moving band, 24 frames a second, another shape than the video's."""
    band = "[0][1]overlay=x='mod(7*n,480)'"
    sources = [
        f"color={colour}:s={size}:r=24:d={seconds}" for colour, size in (("red", "480x600"), ("orange", "60x600"))
    ]
    inputs = [
        word
        for source in (*sources, f"sine=frequency=990:duration={seconds}")
        for word in ("-f", "lavfi", "-i", source)
    ]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    finished = ffmpeg.run([*inputs, "-filter_complex", band, *coded, path.name], path.parent)
    assert finished.code == 0
    return path


def _colour_at(path: Path, second: float) -> tuple[float, float, float]:
    """Mean red, green and blue of the frame at a second."""
    import av

    with av.open(str(path), "r") as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= second:
                red, green, blue = frame.to_ndarray(format="rgb24").mean(axis=(0, 1))
                return float(red), float(green), float(blue)
    raise AssertionError(f"the video ends before {second} s")


@pytest.mark.parametrize("seconds", [2, 12])
def test_a_clip_is_shown_in_its_scenes_place_for_all_of_it(
    piece: str, ledger: Ledger, media: MediaStore, policy: Policy, tmp_path: Path, seconds: int
) -> None:
    clip = media.save(_red_clip(tmp_path / "clip.mp4", seconds), "video/mp4")
    with ledger.begin() as session:
        session.add(_artifact("clip", "0", clip, {}))
    video = render_video(piece, ledger=ledger, media=media, profile="light", policy=policy)
    assert video.content["inputs"]["clip 0"] == clip
    assert video.content["duration"] == pytest.approx(video_frames(spoken().ends) / FPS, abs=0.02)
    path = media.path(str(video.sha256))
    second_scene = scene_starts(SENTENCES[2:], spoken().characters, spoken().starts)[1]
    for second in (0.1, second_scene / 2, second_scene - 0.4):
        red, green, blue = _colour_at(path, second)
        assert red > 150 > 100 > max(green, blue)
    red, green, blue = _colour_at(path, second_scene + 0.5)
    assert red - max(green, blue) < 80


def test_an_unreadable_clip_rejects_the_piece(piece: str, ledger: Ledger, media: MediaStore, policy: Policy) -> None:
    with ledger.begin() as session:
        session.add(_artifact("clip", "0", media.save(b"<html>", "video/mp4"), {}))
    with pytest.raises(PieceRejected, match=r"clip .* make it again"):
        render_video(piece, ledger=ledger, media=media, profile="light", policy=policy)
