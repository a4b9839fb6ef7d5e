"""How tired an audience is: what was posted lately with the same product, niche, prompt or platform.

Counts of one's own posts in windows of days before a piece, and on its own day, for every kind of repetition that could
tire. Which of them matter is the regression's to learn (``pooling.Brakes``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Array = np.ndarray
Codes = Mapping[str, Array]

REPEATS: tuple[tuple[str, ...], ...] = (
    ("product",),
    ("niche",),
    ("prompt",),
    ("platform",),
    ("product", "platform"),
    ("product", "prompt"),
    ("niche", "platform"),
    ("prompt", "platform"),
)
WINDOWS = ((0, 0), (1, 3), (4, 10))  # days before; the first is the piece's own day
MEMORY = WINDOWS[-1][1]
WINDOW_DAYS = np.array([1.0 + oldest - latest for latest, oldest in WINDOWS])

_SHIFT = 1 << 31


def joined(codes: Codes, factors: tuple[str, ...]) -> Array:
    """One integer for a group given by one or two factors."""
    first = codes[factors[0]].astype(np.int64)
    return first if len(factors) == 1 else first * _SHIFT + codes[factors[1]]


def repeats(codes: Codes, day: Array, past: Codes, past_day: Array) -> Array:
    """Posts of ``past`` in each window before each row's day. Rows × repeats × windows; a row does not count itself.

    Args:
        codes, day: the rows and their days (integers).
        past, past_day: all posts; the rows themselves are among them where they have been posted.
    """
    counts = np.zeros((len(day), len(REPEATS), len(WINDOWS)))
    if not len(past_day) or not len(day):
        return counts
    first = int(min(day.min(), past_day.min())) - MEMORY - 1
    span = int(max(day.max(), past_day.max())) - first + 2
    for place, factors in enumerate(REPEATS):
        groups, group = np.unique(joined(past, factors), return_inverse=True)
        mine = joined(codes, factors)
        at = np.minimum(np.searchsorted(groups, mine), len(groups) - 1)
        known = groups[at] == mine
        line = np.sort(group * span + (past_day - first))
        for window, (latest, oldest) in enumerate(WINDOWS):
            start = np.searchsorted(line, at * span + (day - first - oldest), side="left")
            end = np.searchsorted(line, at * span + (day - first - latest), side="right")
            counts[:, place, window] = np.where(known, end - start, 0)
    return counts
