"""The sandbox world's clock, seen from the business. In live mode the business uses ``kernel.clock.SystemClock``."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import httpx

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.vendors.http import open_http


class WorldClock:
    """A ``Clock`` over ``GET /_world/clock``.

    A reading is kept for ``cache_seconds`` of this machine's monotonic time: the tracking service asks once per click,
    and the world waits longer than that after it moved its clock before it sends the clicks of the new step.
    """

    def __init__(self, world_url: str, *, cache_seconds: float = 0.02, timeout: float = 10.0) -> None:
        self._url = f"{world_url.rstrip('/')}/_world/clock"
        self._http = open_http(world_url, timeout=timeout)
        self._cache_seconds = cache_seconds
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._now = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """The world's time, aware, UTC.

        Raises:
            Misconfigured: the world does not answer.
        """
        with self._lock:
            asked_at = time.monotonic()
            if asked_at - self._read_at > self._cache_seconds:
                self._now = self._fetch_now()
                # Counted from before the question: the reading is never older than the cache says.
                self._read_at = asked_at
            return self._now

    def _fetch_now(self) -> datetime:
        try:
            response = self._http.get(self._url)
            response.raise_for_status()
            return datetime.fromisoformat(response.json()["now"]).astimezone(UTC)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise Misconfigured(
                f"The sandbox world's clock at {self._url} does not answer: start the world with `empire world`."
            ) from error

    def close(self) -> None:
        self._http.close()
