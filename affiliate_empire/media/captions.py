"""Captions and the disclosure label as one ASS document: words timed by the voice, the spoken one highlighted.

Pure but for reading the bundled fonts, whose real widths decide where a line breaks. All lengths are pixels of the
1080×1920 design; libass scales them to the video's size. Drawing is ``affiliate_empire.media.render``'s.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from affiliate_empire.media.errors import BadMedia
from affiliate_empire.media.ffmpeg import FONTS

if TYPE_CHECKING:
    from PIL import ImageFont

# The design's canvas, and the part of it that no platform's own buttons and texts cover.
CANVAS = (1080, 1920)
SAFE_LEFT, SAFE_RIGHT, SAFE_TOP, SAFE_BOTTOM = 60, 950, 230, 1480

CAPTION_FONT = "Montserrat ExtraBold"
CAPTION_SIZE = 134.0  # ASS size: ascent and descent together; an em of 86 pixels
CAPTION_OUTLINE = 8
LINE_HEIGHT = 0.78  # of the ASS size, which holds more air than two lines of a caption want
CAPTION_CENTRE_Y = 1330
LINES = 2

LABEL_SIZE = 62.0
LABEL_HEIGHT = 76
LABEL_PADDING = 26
LABEL_RADIUS = 18

# em ÷ (usWinAscent + usWinDescent): libass sizes a font by the latter, Pillow by the former. Held by a test that
# renders text and measures it.
_EM_PER_SIZE = {"Montserrat-ExtraBold.ttf": 0.64020, "DejaVuSans-Bold.ttf": 0.85906}
_MEASURING_EM = 100

_PAUSE = 0.45  # seconds without a voice that end a page
_HOLD = 0.35  # seconds that a page stays when nothing follows at once
_SENTENCE_ENDS = (".", "!", "?", "…", ":", ";")

_WHITE, _YELLOW = "&HFFFFFF&", "&H1FD9FF&"  # ASS colours are blue, green, red


@dataclass(frozen=True)
class Word:
    """A spoken word and when it is said, in seconds from the start of the video."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Page:
    """What stands on the screen at once: one or two lines, from ``start`` to ``end`` seconds, in an ASS font size."""

    lines: tuple[tuple[Word, ...], ...]
    start: float
    end: float
    size: float


def words_from_alignment(characters: Sequence[str], starts: Sequence[float], ends: Sequence[float]) -> list[Word]:
    """Words of a voice's character timings (ElevenLabs ``alignment``), in spoken order.

    White space separates words. What the fonts cannot draw (emoji, control characters) is left out.

    Raises:
        BadMedia: the three sequences differ in length, run backwards, or hold no word.
    """
    if not len(characters) == len(starts) == len(ends):
        raise BadMedia("The voice's timings are incomplete: make the voice-over again.")
    if any(b < a for a, b in pairwise(starts)) or any(e < s for s, e in zip(starts, ends, strict=True)):
        raise BadMedia("The voice's timings run backwards: make the voice-over again.")
    words: list[Word] = []
    open_word: Word | None = None
    for character, start, end in zip(characters, starts, ends, strict=True):
        if character.isspace() or not character:
            if open_word:
                words.append(open_word)
            open_word = None
        elif open_word:
            open_word = replace(open_word, text=open_word.text + character, end=end)
        else:
            open_word = Word(character, start, end)
    if open_word:
        words.append(open_word)
    drawn = [replace(word, text=text) for word in words if (text := drawable(word.text))]
    if not drawn:
        raise BadMedia("The voice's timings hold no word: make the voice-over again.")
    return drawn


def drawable(text: str) -> str:
    """Text without what a caption cannot show: emoji (the fonts have no colour glyphs) and control characters.

    A sign such as ° © ™ stays; a word that was nothing but emoji comes back empty.
    """
    kept = [character for character in unicodedata.normalize("NFC", text) if not _is_undrawable(character)]
    return "".join(kept) if any(unicodedata.category(character)[0] in "LNPS" for character in kept) else ""


def escape(text: str) -> str:
    """Text as ASS shows it literally: no override block, no line break, can be opened by what was spoken.

    ASS has no escape for a backslash; a word joiner behind it (drawn as nothing) keeps ``\\N`` from being a command.
    """
    flat = " ".join(text.split())
    return flat.replace("\\", "\\\u2060").replace("{", "\\{").replace("}", "\\}")


def text_width(text: str, size: float) -> float:
    """Width in pixels that libass gives a text at an ASS size, by the font that has its letters."""
    file = "Montserrat-ExtraBold.ttf" if all(map(_in_caption_font, text)) else "DejaVuSans-Bold.ttf"
    return float(_font(file).getlength(text)) / _MEASURING_EM * size * _EM_PER_SIZE[file]


def pages(words: Sequence[Word], *, width: Callable[[str, float], float] = text_width) -> list[Page]:
    """Words as pages of at most two lines inside the safe area; a word wider than that is drawn smaller.

    A page ends with a sentence, at a pause, or when the next word does not fit. Pages never overlap, and each stays
    until the next one when that follows within a pause.
    """
    room = SAFE_RIGHT - SAFE_LEFT - 2 * CAPTION_OUTLINE
    groups: list[list[list[Word]]] = []
    for index, word in enumerate(words):
        previous = words[index - 1] if index else None
        ended = previous is not None and (
            previous.text.rstrip("\"'”’)").endswith(_SENTENCE_ENDS) or word.start - previous.end > _PAUSE
        )
        if not groups or ended:
            groups.append([[word]])
        elif width(_line([*groups[-1][-1], word]), CAPTION_SIZE) <= room:
            groups[-1][-1].append(word)
        elif len(groups[-1]) < LINES:
            groups[-1].append([word])
        else:
            groups.append([[word]])
    result: list[Page] = []
    for index, group in enumerate(groups):
        group = _balanced(group, room, width)
        widest = max(width(_line(line), CAPTION_SIZE) for line in group)
        last = group[-1][-1]
        end = last.end + _HOLD
        if index + 1 < len(groups):
            following = groups[index + 1][0][0].start
            end = following if following - last.end <= _PAUSE else min(end, following)
        size = CAPTION_SIZE * min(1.0, room / widest)
        result.append(Page(tuple(tuple(line) for line in group), group[0][0].start, max(end, last.start), size))
    return result


def document(timed: Sequence[Page], label: str, duration: float) -> str:
    """The ASS document of a whole video: captions, and the disclosure label from the first frame to the last."""
    events = [*label_events(label, duration), *(event for page in timed for event in _page_events(page))]
    return _HEADER + "\n".join(events) + "\n"


def label_document(label: str, duration: float) -> str:
    """The ASS document of the label alone: the template that finished files are compared with."""
    return _HEADER + "\n".join(label_events(label, duration)) + "\n"


def label_events(label: str, duration: float) -> list[str]:
    """The label's two events, an opaque plate and its text, over the whole duration."""
    left, top, right, bottom = label_box(label)
    plate = _rounded(right - left, bottom - top, LABEL_RADIUS)
    end = duration + 1.0  # past the last frame, so that rounding cannot uncover it
    return [
        _event(10, 0.0, end, "Plate", f"{{\\pos({left},{top})\\p1}}{plate}"),
        _event(11, 0.0, end, "Label", f"{{\\pos({(left + right) / 2:g},{(top + bottom) / 2:g})}}{escape(label)}"),
    ]


def label_box(label: str) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the label's plate on the canvas."""
    width = min(round(text_width(label, LABEL_SIZE)) + 2 * LABEL_PADDING, SAFE_RIGHT - SAFE_LEFT)
    return SAFE_LEFT, SAFE_TOP, SAFE_LEFT + width, SAFE_TOP + LABEL_HEIGHT


def caption_band() -> tuple[int, int]:
    """Top and bottom of the canvas' band that captions may cover, outline included."""
    half = LINES * CAPTION_SIZE * LINE_HEIGHT / 2 + CAPTION_SIZE * 0.15 + CAPTION_OUTLINE
    return round(CAPTION_CENTRE_Y - half), round(CAPTION_CENTRE_Y + half)


# ---------------------------------------------------------------- how it is written
_HEADER = (
    "[Script Info]\nScriptType: v4.00+\n"
    f"PlayResX: {CANVAS[0]}\nPlayResY: {CANVAS[1]}\n"
    "WrapStyle: 2\nScaledBorderAndShadow: yes\nYCbCr Matrix: TV.709\n\n"
    "[V4+ Styles]\n"
    "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
    "Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, "
    "MarginV, Encoding\n"
    f"Style: Caption,{CAPTION_FONT},{CAPTION_SIZE:g},&H00FFFFFF,&H00FFFFFF,&H00140F0C,&H78000000,0,0,0,0,100,100,0,0,1,"
    f"{CAPTION_OUTLINE},0,5,0,0,0,-1\n"
    f"Style: Label,{CAPTION_FONT},{LABEL_SIZE:g},&H00FFFFFF,&H00FFFFFF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,"
    "0,0,5,0,0,0,-1\n"
    "Style: Plate,Montserrat ExtraBold,20,&H001A1410,&H00FFFFFF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,"
    "0,0,7,0,0,0,-1\n\n"
    "[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


def _page_events(page: Page) -> list[str]:
    """One event per spoken word per line: the same lines, another word highlighted. They meet and never overlap."""
    flat = [word for line in page.lines for word in line]
    step = page.size * LINE_HEIGHT
    top = CAPTION_CENTRE_Y - step * (len(page.lines) - 1) / 2
    centre = (SAFE_LEFT + SAFE_RIGHT) / 2
    size = "" if page.size == CAPTION_SIZE else f"\\fs{page.size:.2f}"
    events: list[str] = []
    for index, active in enumerate(flat):
        start = page.start if index == 0 else active.start
        end = flat[index + 1].start if index + 1 < len(flat) else page.end
        if _centiseconds(end) <= _centiseconds(start):
            continue
        # A page arrives with a short swell; later words of it stand still.
        swell = "\\fscx90\\fscy90\\t(0,100,\\fscx100\\fscy100)" if index == 0 else ""
        for number, line in enumerate(page.lines):
            text = " ".join(
                f"{{\\1c{_YELLOW}}}{escape(word.text)}{{\\1c{_WHITE}}}" if word is active else escape(word.text)
                for word in line
            )
            place = f"{{\\pos({centre:g},{top + number * step:g}){size}{swell}}}"
            events.append(_event(0, start, end, "Caption", place + text))
    return events


def _balanced(
    lines: list[list[Word]], room: float, width: Callable[[str, float], float] = text_width
) -> list[list[Word]]:
    """Two lines broken where they come out most alike, instead of a full one and a lone word."""
    if len(lines) != LINES:
        return lines
    flat = [word for line in lines for word in line]
    splits = [(flat[:cut], flat[cut:]) for cut in range(1, len(flat))]
    fitting = [
        (max(sizes), list(split))
        for split in splits
        if max(sizes := [width(_line(line), CAPTION_SIZE) for line in split]) <= room
    ]
    return min(fitting, key=lambda pair: pair[0])[1] if fitting else lines


def _line(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def _event(layer: int, start: float, end: float, style: str, text: str) -> str:
    return f"Dialogue: {layer},{_clock(start)},{_clock(end)},{style},,0,0,0,,{text}"


def _centiseconds(seconds: float) -> int:
    return round(seconds * 100)


def _clock(seconds: float) -> str:
    hundredths = _centiseconds(seconds)
    return f"{hundredths // 360_000}:{hundredths // 6_000 % 60:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


def _rounded(width: int, height: int, radius: int) -> str:
    """A rectangle with round corners as an ASS drawing."""
    w, h, r, k = width, height, radius, round(radius * 0.45)  # k: the control point of a quarter circle
    return (
        f"m {r} 0 l {w - r} 0 b {w - k} 0 {w} {k} {w} {r} l {w} {h - r} b {w} {h - k} {w - k} {h} {w - r} {h} "
        f"l {r} {h} b {k} {h} 0 {h - k} 0 {h - r} l 0 {r} b 0 {k} {k} 0 {r} 0"
    )


def _is_undrawable(character: str) -> bool:
    code, category = ord(character), unicodedata.category(character)
    emoji = (category == "So" and code >= 0x2300) or 0x1F000 <= code <= 0x1FAFF
    joins_emoji = 0xFE00 <= code <= 0xFE0F or code in (0x200D, 0x20E3)
    return emoji or joins_emoji or category in {"Cc", "Cs", "Co", "Cn"}


def _in_caption_font(character: str) -> bool:
    """Whether Montserrat draws a character: Latin, Cyrillic, the usual punctuation and currencies."""
    code = ord(character)
    return code < 0x250 or 0x400 <= code < 0x530 or 0x1E00 <= code < 0x1F00 or 0x2000 <= code < 0x20D0


@cache
def _font(file: str) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont  # heavy at import for those who only read the module's names

    return ImageFont.truetype(str(FONTS / file), _MEASURING_EM, layout_engine=ImageFont.Layout.BASIC)
