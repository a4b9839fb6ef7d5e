"""How often a network may ask: bursts, their end, and a bounded memory."""

from __future__ import annotations

from affiliate_empire.tracking.limits import Buckets, Rate


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_as_many_as_the_rate_gives() -> None:
    seconds = Seconds()
    buckets = Buckets(Rate(per_minute=30, burst=5), seconds=seconds)
    assert [buckets.take("a") for _ in range(7)] == [0, 0, 0, 0, 0, 2, 2]
    assert buckets.take("b") == 0
    seconds.now += 1.9
    assert buckets.take("a") == 1
    seconds.now += 0.1
    assert [buckets.take("a"), buckets.take("a")] == [0, 2]
    seconds.now += 3600
    assert [buckets.take("a") for _ in range(6)] == [0, 0, 0, 0, 0, 2]


def test_refusals_cost_nothing_and_memory_stays_bounded() -> None:
    seconds = Seconds()
    buckets = Buckets(Rate(per_minute=60, burst=1), seconds=seconds, networks=10)
    assert [bool(buckets.take("a")) for _ in range(50)] == [False] + [True] * 49
    seconds.now += 1
    assert buckets.take("a") == 0
    for number in range(1000):
        buckets.take(f"n{number}")
    assert len(buckets) == 10
