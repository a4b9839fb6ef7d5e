"""Pictures for the UI: plots and thumbnails as Markdown that carries its own image, so that no page fetches anything.

The charts are ``affiliate_empire.reporting.charts``'s; here they get the colours that the reports' pages give them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import dagster as dg

from affiliate_empire.reporting.charts import bars

_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#334155}.end{text-anchor:end}.mid{text-anchor:middle}"
    ".fill{fill:#2563eb}.other{fill:#cbd5e1}.loss{fill:#dc2626}.grid{stroke:#e2e8f0}.zero{stroke:#64748b}"
    ".mark{fill:#f59e0b}.axis{font-size:11px;fill:#64748b}"
)
_THUMBNAIL_HEIGHT = 180  # pixels
_THUMBNAILS = 6


def bar_plot(rows: Sequence[tuple[str, float, str]], *, title: str) -> dg.MetadataValue:
    """Horizontal bars: label, value, and the value as text. An empty chart says so."""
    if not rows:
        return dg.MetadataValue.md(f"{title}: nothing to show yet.")
    return dg.MetadataValue.md(f"![{title}]({_svg_uri(bars(rows, title=title))})")


def gallery(files: Iterable[tuple[Path, str]]) -> dg.MetadataValue:
    """The first pictures of a step, small, each with its caption; a file may be a picture of any kind Pillow reads."""
    shown = [f"![{caption}]({_thumbnail_uri(path)})" for path, caption in list(files)[:_THUMBNAILS]]
    return dg.MetadataValue.md(" ".join(shown) or "No picture was made.")


def _svg_uri(svg: str) -> str:
    styled = str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="720" ', 1)
    styled = styled.replace(">", f"><style>{_STYLE}</style>", 1)
    return f"data:image/svg+xml;base64,{base64.b64encode(styled.encode()).decode()}"


def _thumbnail_uri(path: Path) -> str:
    from PIL import Image  # heavy: only when a step has made pictures

    with Image.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((_THUMBNAIL_HEIGHT * 2, _THUMBNAIL_HEIGHT))
        data = BytesIO()
        small.save(data, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
