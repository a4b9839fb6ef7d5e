"""How long what was decided may still be sent: a worker that slept past it must not, for another may have taken over.

A lease in the database cannot hold back a process that is asleep (a suspended laptop, a stopped container): when it
wakes it goes on where it was. So an act is carried out behind a fence, and whoever sends looks at it right
before each request.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

from affiliate_empire.kernel.errors import EmpireError

Instant = tuple[float, float]
"""By a clock that nobody sets and that counts while the machine sleeps, where there is one; and by the wall's."""

_fence: ContextVar[tuple[Instant, float] | None] = ContextVar("fence", default=None)


class SleptTooLong(EmpireError):
    """Nothing is sent any more: what was decided is too old."""


def this_instant() -> Instant:
    """Where the two clocks stand: taken before something is decided, for ``sending_within``."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)), time.time()


@contextmanager
def sending_within(limit: timedelta, since: Instant) -> Iterator[None]:
    """What is sent inside is sent within ``limit`` since an instant, or not at all."""
    token = _fence.set((since, limit.total_seconds()))
    try:
        yield
    finally:
        _fence.reset(token)


def still_in_time() -> None:
    """Called right before a request goes out; outside of ``sending_within`` all is in time.

    Raises:
        SleptTooLong: the limit has passed, by either clock.
    """
    fence = _fence.get()
    if fence is None:
        return
    since, limit = fence
    passed = max(now - then for now, then in zip(this_instant(), since, strict=True))
    if passed >= limit:
        raise SleptTooLong(
            f"Not sent: this worker slept for {passed / 60:.0f} minutes in the middle of it, and another may have done "
            "it meanwhile. Run it again: what became of it is asked first."
        )
