"""Patience with vendors: what did not happen is asked for again after a short wait.

``VendorUnavailable`` says that nothing happened, so the same call may be made again; a ``ReplyLost`` may have happened
and is repeated only for what changes nothing (``read``): a post or a paid call whose reply is lost is the effects'
business. Waits are short: an outage that outlasts them is raised, and the asset is tried again as a whole later.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from affiliate_empire.vendors.errors import ReplyLost, VendorUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_lock = threading.Lock()
_repeated: Counter[str] = Counter()


@dataclass(frozen=True)
class Patience:
    """How often a call is made, and how long is waited in between.

    Attributes:
        attempts: calls in all.
        first_wait: seconds before the second; doubled each time, and drawn between half and all of it, so that those
            who were turned away together do not come back together.
        longest_wait: the most seconds to wait; a vendor that asks for more is not waited for.
        wait: how to wait.
    """

    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 15.0
    wait: Callable[[float], None] = time.sleep

    def ask(self, call: Callable[[], T], *, seed: str, lost_too: bool = False) -> T:
        """Make a call until it is answered.

        Args:
            call: made again only when it says that nothing happened.
            seed: of the waits' chance.
            lost_too: whether a lost reply is asked for again as well; only for calls that change nothing.

        Raises:
            Exception: what the call raised last.
        """
        chance = random.Random(seed)  # noqa: S311 - it spreads waits, nothing hangs on it
        for attempt in range(1, self.attempts + 1):
            try:
                return call()
            except VendorUnavailable as error:
                wait = error.retry_after
                if wait is None:
                    wait = min(self.first_wait * 2 ** (attempt - 1), self.longest_wait) * chance.uniform(0.5, 1.0)
                lost = isinstance(error, ReplyLost) and not lost_too
                if lost or attempt == self.attempts or wait > self.longest_wait:
                    raise
                with _lock:
                    _repeated[error.vendor] += 1
                self.wait(wait)
        raise ValueError("a call is made at least once: attempts must be 1 or more")


PATIENT = Patience()


def read(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Ask for something that changes nothing at the vendor, again when no answer came: ``read(impact.fetch_catalogs)``.

    Raises:
        VendorUnavailable, VendorRefused: as the call's, after the last attempt.
    """
    return PATIENT.ask(lambda: call(*args, **kwargs), seed=getattr(call, "__name__", ""), lost_too=True)


def repeated() -> dict[str, int]:
    """How many calls this process made again so far, by vendor."""
    with _lock:
        return dict(_repeated)
