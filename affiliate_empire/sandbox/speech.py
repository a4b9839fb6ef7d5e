"""The world's voice: text to an mp3 with the time of every character.

A neural voice that ships inside its package (``hibari``, voice "heart", Apache-2.0) speaks clause by clause, so that
the bounds of a clause are exact; inside a clause time is spread over the characters. Nothing is downloaded. Slow to
load (a second, 200 MB), so it is loaded at the first sentence and kept.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RATE = 24_000  # the voice's own sample rate
_CLAUSE = re.compile(r"[^.!?…,;:—]+(?:[.!?…,;:—]+[\"”’)\]]*|$)")
_PAUSE = {".": 0.34, "!": 0.34, "?": 0.38, "…": 0.4, ",": 0.14, ";": 0.2, ":": 0.2, "—": 0.18}
_LEAD_IN = 0.08  # seconds of silence before the first sound
_TAIL = 0.25  # and after the last
_QUIET = 0.006  # samples below this are silence at a clause's ends

_lock = threading.Lock()
_voice: Any = None


@dataclass(frozen=True)
class Spoken:
    """Sound and timing; ``starts`` and ``ends`` are seconds, one per character of the text."""

    audio: bytes
    starts: list[float]
    ends: list[float]
    seconds: float


@dataclass(frozen=True)
class Clause:
    """A stretch of text spoken in one breath: ``text[start:end]``, and the silence after it."""

    start: int
    end: int
    pause: float


def clauses(text: str) -> list[Clause]:
    """Cut a text at its punctuation, never inside an abbreviation or a number; together they cover all of it."""
    cuts: list[Clause] = []
    begin = 0
    for match in _CLAUSE.finditer(text):
        end = match.end()
        if end < len(text) and not text[end].isspace():
            continue  # 3.5, A.I, 1,000: no breath is taken without a space
        body = text[begin:end]
        word = body.rstrip().rsplit(" ", 1)[-1]
        if end < len(text) and re.fullmatch(r"[\"(]?(?:Mr|Mrs|Ms|Dr|St|No|vs|approx|incl)\.", word):
            continue
        if len(re.findall(r"\w", body)) < 2 and end < len(text):
            continue
        cuts.append(Clause(begin, end, _PAUSE.get(body.rstrip('"”’)] ')[-1:], 0.2)))
        begin = end
    if begin < len(text):
        cuts.append(Clause(begin, len(text), 0.2))
    return cuts


def speak(text: str, *, seed: int, speed: float = 1.0, output: tuple[str, int, int] = ("mp3", 44_100, 128)) -> Spoken:
    """Speak a text. ``output`` is (mp3 or pcm, sample rate, kbit/s). The same arguments give the same bytes."""
    import numpy as np

    pieces: list[Any] = [np.zeros(int(_LEAD_IN * _RATE), np.float32)]
    starts, ends = [0.0] * len(text), [0.0] * len(text)
    at = _LEAD_IN
    for clause in clauses(text):
        sound = _say(text[clause.start : clause.end].strip(), seed, speed)
        length = len(sound) / _RATE
        _spread(text, clause, at, length, starts, ends)
        silence = np.zeros(int(clause.pause / speed * _RATE), np.float32)
        pieces += [sound, silence]
        at += length + len(silence) / _RATE
    pieces.append(np.zeros(int(_TAIL * _RATE), np.float32))
    samples = np.concatenate(pieces)
    loudest = float(np.abs(samples).max(initial=0.0))
    if loudest > 0:
        samples = samples * (0.7 / loudest)
    return Spoken(_encode(samples, output), starts, ends, len(samples) / _RATE)


def _say(text: str, seed: int, speed: float) -> Any:
    """A clause's samples, without the silence at its ends."""
    import numpy as np

    global _voice
    with _lock:
        if _voice is None:
            from hibari import Hibari

            _voice = Hibari(voice="heart")
        sound = _voice(text, speed=speed, seed=seed)
    loud = np.flatnonzero(np.abs(sound) > _QUIET)
    if not len(loud):
        return np.zeros(int(0.06 * len(text) * _RATE), np.float32)  # nothing pronounceable: as long as reading it takes
    margin = int(0.02 * _RATE)
    return sound[max(0, loud[0] - margin) : loud[-1] + margin]


def _spread(text: str, clause: Clause, at: float, length: float, starts: list[float], ends: list[float]) -> None:
    """Give each character of a clause its share of the clause's exact time; spaces and punctuation weigh little."""
    weights = [_weight(character) for character in text[clause.start : clause.end]]
    total = sum(weights) or 1.0
    passed = 0.0
    for offset, weight in enumerate(weights):
        starts[clause.start + offset] = round(at + length * passed / total, 4)
        passed += weight
        ends[clause.start + offset] = round(at + length * passed / total, 4)


def _weight(character: str) -> float:
    if character.isdigit():
        return 2.4  # a digit is read as a word
    if character in "$€£%&°²":
        return 3.0
    if character.isspace():
        return 0.25
    return 1.0 if character.isalnum() else 0.1


def _encode(samples: Any, output: tuple[str, int, int]) -> bytes:
    """Samples as a file; through a real file because an mp3's header is written last."""
    import imageio_ffmpeg
    import numpy as np

    codec, rate, kbits = output
    pcm = (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
    with tempfile.TemporaryDirectory(prefix="world-speech-") as folder:
        target = Path(folder) / f"speech.{codec}"
        source = ["-f", "s16le", "-ar", str(_RATE), "-ac", "1", "-i", "pipe:0"]
        form = ["-f", "mp3", "-c:a", "libmp3lame", "-b:a", f"{kbits}k"] if codec == "mp3" else ["-f", "s16le"]
        plain = ["-ar", str(rate), "-ac", "1", "-map_metadata", "-1", "-bitexact"]
        subprocess.run(
            [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, *plain, *form, str(target)],
            input=pcm,
            check=True,
            capture_output=True,
        )
        return target.read_bytes()
