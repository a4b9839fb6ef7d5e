"""Media to test with: a real voice with character timings, pictures with something in them, and a recipe of both."""

from __future__ import annotations

import tempfile
import wave
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from affiliate_empire.media.composition import PROFILES
from affiliate_empire.media.render import Recipe

LABEL = "#ad · AI-generated"
SENTENCES = (
    "What if your desk lamp could last ten years?",
    "This is an ad, made with A.I.",
    "The arm has three joints, so the light goes where your hands are.",
    "The link is on my page.",
)
_GAP_SECONDS = 0.25


@dataclass(frozen=True)
class Voice:
    """A spoken text: samples at 24 kHz in [-1, 1], and when each character is said (seconds)."""

    samples: np.ndarray
    characters: list[str]
    starts: list[float]
    ends: list[float]


@cache
def spoken(sentences: tuple[str, ...] = SENTENCES) -> Voice:
    """A neural voice reading sentences; characters share their sentence's time evenly."""
    from hibari import SAMPLE_RATE, Hibari

    speak = Hibari()
    parts: list[np.ndarray] = []
    characters: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    at = 0.0
    for number, sentence in enumerate(sentences):
        if number:
            parts.append(np.zeros(round(_GAP_SECONDS * SAMPLE_RATE), np.float32))
            characters.append(" ")
            starts.append(at)
            at += _GAP_SECONDS
            ends.append(at)
        samples = speak(sentence, seed=0)
        share = len(samples) / SAMPLE_RATE / len(sentence)
        for index, character in enumerate(sentence):
            characters.append(character)
            starts.append(at + share * index)
            ends.append(at + share * (index + 1))
        at += len(samples) / SAMPLE_RATE
        parts.append(samples)
    return Voice(np.concatenate(parts), characters, starts, ends)


def save_voice(voice: Voice, path: Path) -> Path:
    """Write a voice as a 16-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes((voice.samples * 32_767).clip(-32_768, 32_767).astype("<i2").tobytes())
    return path


def save_still(path: Path, number: int, size: tuple[int, int] = (432, 768)) -> Path:
    """Write a picture with gradients and shapes, another one for each number."""
    width, height = size
    rng = np.random.default_rng(number)
    ends = rng.integers(30, 226, (2, 3))
    ramp = np.linspace(0, 1, height)[:, None, None]
    pixels = np.broadcast_to(ends[0] * (1 - ramp) + ends[1] * ramp, (height, width, 3)).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    draw = ImageDraw.Draw(picture)
    for x, y, side, *colour in rng.integers(0, 256, (60, 6)):
        left, top = int(x * width / 256), int(y * height / 256)
        draw.ellipse((left, top, left + int(side) // 3 + 8, top + int(side) // 3 + 8), fill=tuple(map(int, colour)))
    picture.save(path)
    return path


@cache
def jpeg(number: int = 0, size: tuple[int, int] = (180, 320)) -> bytes:
    """A small 9:16 picture as the bytes of a JPEG."""
    with tempfile.TemporaryDirectory() as folder:
        return save_still(Path(folder) / "still.jpg", number, size).read_bytes()


def recipe_in(folder: Path, *, profile: str = "light") -> Recipe:
    """A recipe whose files lie in a folder: about 11 seconds, two stills."""
    voice = spoken()
    return Recipe(
        stills=tuple(save_still(folder / f"picture{number}.png", number) for number in range(2)),
        voice=save_voice(voice, folder / "speech.wav"),
        characters=voice.characters,
        starts=voice.starts,
        ends=voice.ends,
        narrations=SENTENCES[2:],
        label=LABEL,
        profile=PROFILES[profile],
    )
