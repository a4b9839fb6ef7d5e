"""A headline set on a picture: what a viewer sees before the first frame.

Pure but for reading the bundled font. The picture comes from the caller; keeping the result is the store's.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from affiliate_empire.media.captions import drawable
from affiliate_empire.media.errors import BadMedia
from affiliate_empire.media.ffmpeg import FONTS

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

SIZE = (1080, 1920)
_LARGEST_BYTES = 2_000_000  # YouTube's limit for a thumbnail
_LINES = 4
_MARGIN = 0.07  # of the width, on either side


def compose_thumbnail(
    picture: bytes, headline: str, *, disclosure: str | None = None, size: tuple[int, int] = SIZE
) -> bytes:
    """A JPEG of ``size`` pixels: the picture covering it, the headline large in its lower third.

    Args:
        picture: any image file that Pillow reads.
        headline: a few words; long ones are drawn smaller until they fit four lines.
        disclosure: drawn as a small plate at the top left, when given.
        size: width and height in pixels.

    Raises:
        BadMedia: the picture cannot be read, or the headline has nothing to draw.
    """
    from PIL import Image, ImageDraw, ImageOps  # heavy at import

    words = [text for word in headline.split() if (text := drawable(word))]
    if not words:
        raise BadMedia("The thumbnail's headline is empty: make the script again.")
    try:
        with Image.open(io.BytesIO(picture)) as source:
            canvas = ImageOps.fit(source.convert("RGB"), size, Image.Resampling.LANCZOS, centering=(0.5, 0.4))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadMedia("The thumbnail's picture cannot be read: make it again.") from error
    width, height = size
    canvas = _darkened(canvas)
    draw = ImageDraw.Draw(canvas)
    room = width * (1 - 2 * _MARGIN)
    largest = round(min(width * 0.13, height * 0.16))
    lines, font = _fitted(words, room, largest)
    step = font.size * 1.12
    top = height * 0.93 - step * len(lines)
    for number, line in enumerate(lines):
        draw.text(
            (width * _MARGIN, top + step * number),
            line,
            font=font,
            fill="#FFD91F" if number == 0 else "white",
            stroke_width=max(2, round(font.size * 0.06)),
            stroke_fill="#0C0F14",
        )
    if disclosure:
        _draw_plate(draw, disclosure, (round(width * _MARGIN), round(height * 0.045)), round(width * 0.038))
    return _encoded(canvas)


def _darkened(canvas: Image.Image) -> Image.Image:
    """The lower half falls into the dark, so that white letters stand on any picture."""
    from PIL import Image

    width, height = canvas.size
    column = Image.new("L", (1, height))
    column.putdata([round(205 * max(0.0, min(1.0, (row / height - 0.42) / 0.5))) for row in range(height)])
    shade = Image.new("RGB", canvas.size, "#0C0F14")
    return Image.composite(shade, canvas, column.resize((width, height)))


def _fitted(words: list[str], room: float, largest: int) -> tuple[list[str], ImageFont.FreeTypeFont]:
    """Lines of a headline in the largest size that fits the room in width and in lines."""
    size = largest
    while True:
        font = _font(size)
        lines: list[str] = []
        for word in words:
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and font.getlength(longer) <= room:
                lines[-1] = longer
            else:
                lines.append(word)
        fits = len(lines) <= _LINES and all(font.getlength(line) <= room for line in lines)
        if fits or size <= 8:
            return lines[:_LINES], font
        size = max(8, round(size * 0.92))


def _draw_plate(draw: ImageDraw.ImageDraw, text: str, at: tuple[int, int], size: int) -> None:
    font = _font(size)
    pad = round(size * 0.55)
    x, y = at
    right, bottom = x + font.getlength(text) + 2 * pad, y + size + 1.4 * pad
    draw.rounded_rectangle((x, y, right, bottom), radius=round(size * 0.4), fill="#10141A")
    draw.text((x + pad, (y + bottom) / 2), text, font=font, fill="white", anchor="lm")


def _encoded(canvas: Image.Image) -> bytes:
    data = b""
    for quality in (90, 80, 65, 45):
        file = io.BytesIO()
        canvas.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        data = file.getvalue()
        if len(data) <= _LARGEST_BYTES:
            break
    return data


def _font(size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(str(FONTS / "Montserrat-ExtraBold.ttf"), size)
