"""How often one network of visitors may ask: a token bucket each, bounded in number.

A network is what is kept of an address anyway (/24, /48), which whole carriers share, so the limits are wide. A known
link is never limited: its floods are flagged (``analytics.traffic``) and sent on.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """``burst`` requests at once, and ``per_minute`` as they go on."""

    per_minute: float
    burst: float


HUB = Rate(per_minute=600, burst=300)
POSTBACKS = Rate(per_minute=1200, burst=600)
HEALTH = Rate(per_minute=120, burst=60)
MISSES = Rate(per_minute=60, burst=60)
"""Of paths and codes that there are not: who asks for many is looking for some."""


class Buckets:
    """A bucket for each network that asks under one rate.

    Args:
        rate: how often each may ask.
        seconds: a clock that only goes on.
        networks: buckets held at most; the one not used for longest goes first, which only ever forgives.
    """

    def __init__(self, rate: Rate, *, seconds: Callable[[], float] = time.monotonic, networks: int = 20_000) -> None:
        self._rate = rate
        self._seconds = seconds
        self._networks = networks
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, network: str) -> int:
        """Take one request; returns 0, or after how many whole seconds there is one to take again."""
        now, a_second = self._seconds(), self._rate.per_minute / 60
        left, at = self._left.pop(network, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - at) * a_second)
        allowed = left >= 1
        self._left[network] = (left - 1 if allowed else left, now)
        if len(self._left) > self._networks:
            self._left.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - left) / a_second))
