"""Small charts as inline SVG: no script, no network, colours from the page's variables, so light and dark both work."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

_WIDTH = 720.0


def columns_by_hour(
    first: Sequence[int], second: Sequence[int], hours: Sequence[str], marks: Sequence[tuple[int, str]], *, title: str
) -> Markup:
    """Stacked columns, one per hour: ``first`` below in the accent colour, ``second`` above it in grey.

    Args:
        first, second: counts, one per hour.
        hours: labels, one per hour; every third is written.
        marks: places along the axis with a tooltip each: when something was posted.
        title: what a reader who cannot see it hears.
    """
    height, base, left = 190.0, 150.0, 34.0
    most = max(1, *(a + b for a, b in zip(first, second, strict=True)))
    step = (_WIDTH - left) / max(1, len(hours))
    parts = [_open(height, title)]
    for share in (0.0, 0.5, 1.0):
        y = base - share * (base - 16)
        parts.append(f'<line x1="{left}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" class="axis end">{round(most * share):,}</text>')
    for place, (low, high) in enumerate(zip(first, second, strict=True)):
        x = left + place * step + step * 0.15
        tall, taller = ((base - 16) * count / most for count in (low, high))
        tip = f"{hours[place]}: {low:,} people, {high:,} other hits"
        parts.append(f"<g><title>{escape(tip)}</title>")
        parts.append(_bar(x, base - tall, step * 0.7, tall, "fill"))
        parts.append(_bar(x, base - tall - taller, step * 0.7, taller, "other"))
        parts.append("</g>")
        if place % 3 == 0:
            parts.append(
                f'<text x="{x + step * 0.35:.1f}" y="{base + 17}" class="axis mid">{escape(hours[place])}</text>'
            )
    for place, tip in marks:
        x = left + (place + 0.5) * step
        parts.append(f'<g><title>{escape(tip)}</title><path class="mark" d="M{x:.1f} {base + 25} l5 9 h-10 z"/></g>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - labels are escaped above


def bars(rows: Sequence[tuple[str, float, str]], *, title: str) -> Markup:
    """Horizontal bars around zero: label, value, and the value as text. Losses go to the left, in red."""
    row, label, numbers = 34.0, 210.0, 96.0
    height = row * max(1, len(rows)) + 4
    low, high = min(0.0, *(v for _, v, _ in rows), 0.0), max(0.0, *(v for _, v, _ in rows), 0.0)
    room = _WIDTH - label - numbers
    scale = room / ((high - low) or 1.0)
    zero = label - low * scale
    parts = [_open(height, title)]
    for place, (name, value, text) in enumerate(rows):
        y = place * row + 6
        x = zero if value >= 0 else zero + value * scale
        kind = "fill" if value >= 0 else "loss"
        parts.append(f'<text x="{label - 10}" y="{y + 16}" class="name end">{escape(_short(name))}</text>')
        parts.append(_bar(x, y, abs(value) * scale, 22, kind))
        end = zero + max(value, 0.0) * scale + 8
        parts.append(f'<text x="{end:.1f}" y="{y + 16}" class="value">{escape(text)}</text>')
    parts.append(f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="2" y2="{height - 2}" class="zero"/>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - labels are escaped above


def shares(rows: Sequence[tuple[str, int, str]], *, title: str) -> Markup:
    """One bar cut into shares: label, amount, CSS class of the share (``pending``, ``approved``…)."""
    total = sum(amount for _, amount, _ in rows) or 1
    x = 0.0
    parts = [_open(26, title)]
    for name, amount, kind in rows:
        width = _WIDTH * amount / total
        parts.append(f"<g><title>{escape(name)}</title>{_bar(x, 2, width, 22, kind)}</g>")
        x += width
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - labels are escaped above


def _open(height: float, title: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">'


def _bar(x: float, y: float, width: float, height: float, kind: str) -> str:
    if width <= 0 or height <= 0:
        return ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3" class="{kind}"/>'


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"
