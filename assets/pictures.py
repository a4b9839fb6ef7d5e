"""Pictures and short texts for the UI: Markdown that carries its own images, so that no page fetches anything.

Charts are drawn here and not by ``affiliate_empire.reporting.charts``: a chart of fewer than ``SHOWN_AT_ONCE``
characters stands in the page at once, a longer one behind a link.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd

from affiliate_empire.kernel.money import dollars
from affiliate_empire.media.store import MediaStore
from resources.lake import SHOWN_AT_ONCE, Frames

if TYPE_CHECKING:
    from PIL.Image import Image

_ROW, _BAR, _TEXT_AT = 22, 14, 190  # pixels
_LABEL = 28  # characters
_THUMBNAIL_HEIGHT = 200  # pixels
_THUMBNAILS = 6
_FRAME_AT_SECONDS = 1.0


def together(frames: Frames | Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all of a run's partitions."""
    return pd.concat(list(frames.values() if isinstance(frames, dict) else frames), ignore_index=True)


def in_dollars(micros: float) -> str:
    """Millionths of a dollar as the owner reads them."""
    return dollars(round(micros))


def bar_plot(values: pd.Series, *, title: str, text: Callable[[float], str] = "{:,.0f}".format) -> dg.MetadataValue:
    """Horizontal bars in the order given, as many as the page shows at once; what is below zero is red.

    Args:
        values: a number by its label.
        title: what the bars are; how many are left out is added.
        text: a number as it stands beside its bar.
    """
    rows = [(str(label), float(value)) for label, value in values.dropna().items()]
    for shown in range(len(rows), 0, -1):
        told = title if shown == len(rows) else f"{title} (the first {shown} of {len(rows)})"
        plot = f"{told}\n\n![{title}]({_data_uri('image/svg+xml', _bars(rows[:shown], text).encode())})"
        if len(plot) < SHOWN_AT_ONCE:
            return dg.MetadataValue.md(plot)
    return dg.MetadataValue.md(f"{title}: nothing to show yet.")


def listing(lines: Iterable[str]) -> dg.MetadataValue:
    """Lines of Markdown as a list."""
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in lines) or "nothing")


def gallery(frames: Iterable[pd.DataFrame], media: MediaStore) -> dg.MetadataValue:
    """The first pictures of a step, small, under their captions; of a video, the picture of its first second.

    Args:
        frames: ``Artifacts`` whose files are pictures or videos.
        media: where the files are.
    """
    made = together(frames).dropna(subset="sha256").head(_THUMBNAILS)
    if made.empty:
        return dg.MetadataValue.md("No picture was made.")
    captions = [f"{row.platform} · {row.niche} {row.name}" for row in made.itertuples(index=False)]
    images = [_thumbnail_uri(media.path(sha256)) for sha256 in made["sha256"]]
    lines = [captions, ["---"] * len(images), [f"![]({image})" for image in images]]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))


def first_words(frames: Iterable[pd.DataFrame]) -> dg.MetadataValue:
    """How each script or post begins, under its title.

    Args:
        frames: ``Texts``.
    """
    texts = together(frames)
    return listing(
        f"**{title}** ({version}): {_beginning(json.loads(content))}"
        for title, version, content in zip(texts["title"], texts["prompt_version"], texts["content"], strict=True)
    )


def _beginning(content: dict[str, Any]) -> str:
    words = str(content["hook"] if "hook" in content else content["sections"][0]["markdown"])
    return words if len(words) <= 120 else f"{words[:119]}…"


def _bars(rows: list[tuple[str, float]], text: Callable[[float], str]) -> str:
    """As few characters as a chart can be: bars to the left, value and label to their right, one path a colour."""
    low, high = min(0.0, *(value for _, value in rows), 0.0), max(0.0, *(value for _, value in rows), 0.0)
    room, span = _TEXT_AT - 10, (high - low) or 1.0
    paths: dict[str, list[str]] = {}
    texts = []
    for place, (label, value) in enumerate(rows):
        left, wide = round((min(value, 0.0) - low) / span * room), max(1, round(abs(value) / span * room))
        colour = "#dc2626" if value < 0 else "#2563eb"
        paths.setdefault(colour, []).append(f"M{left} {place * _ROW + 4}h{wide}v{_BAR}h-{wide}z")
        said = f"{text(value)} · {label if len(label) <= _LABEL else label[: _LABEL - 1] + '…'}"
        texts.append(f'<text x="{_TEXT_AT}" y="{place * _ROW + 15}">{escape(said, quote=False)}</text>')
    bars = "".join(f'<path fill="{colour}" d="{"".join(bars)}"/>' for colour, bars in paths.items())
    size = f'width="480" height="{len(rows) * _ROW}"'
    style = 'style="font:12px sans-serif" fill="#64748b"'  # read well on white and on black
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{bars}{"".join(texts)}</svg>'


def _thumbnail_uri(path: Path) -> str:
    small = _picture(path)
    small.thumbnail((_THUMBNAIL_HEIGHT * 2, _THUMBNAIL_HEIGHT))
    data = BytesIO()
    small.save(data, "JPEG", quality=75)
    return _data_uri("image/jpeg", data.getvalue())


def _picture(path: Path) -> Image:
    """A picture of any kind Pillow reads, or of a video the first one after its first second."""
    if path.suffix != ".mp4":
        from PIL import Image  # heavy: only when a step has made pictures

        with Image.open(path) as picture:
            return picture.convert("RGB")
    import av  # heavy, too

    with av.open(path) as video:
        frame = next(video.decode(video=0))
        for later in video.decode(video=0):
            if later.time is not None and later.time > _FRAME_AT_SECONDS:
                break
            frame = later
        return frame.to_image()


def _data_uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
