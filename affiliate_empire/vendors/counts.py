"""How a post fares, in the same words for every platform: its counters, and whether the platform let it stand.

Each platform's client fills these; what the numbers mean on a platform is the policy's metric definition. ``raw`` is
the platform's own answer, kept with the snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Standing = Literal["public", "processing", "gone", "rejected"]


@dataclass(frozen=True, kw_only=True)
class PostCounts:
    """Counters of one post so far; None where the platform does not tell.

    ``watch_seconds`` is the mean time a viewer watched; ``engaged_views`` are those that went beyond the first moment.
    """

    views: int
    likes: int
    comments: int
    shares: int | None = None
    saves: int | None = None
    reach: int | None = None
    engaged_views: int | None = None
    watch_seconds: float | None = None
    raw: dict[str, Any]


@dataclass(frozen=True)
class PostState:
    """Whether a post stands. ``reason`` is the platform's own word where it was rejected or failed."""

    standing: Standing
    reason: str | None = None
