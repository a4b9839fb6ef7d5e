"""The world's clock: it stands, or runs at the wall's rate; it never runs ahead of the wall and never goes back.

It only tells and keeps the time. What happens while it moves is the market's (``market.Market.advance``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from affiliate_empire.sandbox.store import Store


def stamp(instant: datetime) -> str:
    """UTC text of fixed width, so that times compare as text in SQLite."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def instant(text: str) -> datetime:
    """Parse ISO text with an offset (``Z`` included).

    Raises:
        ValueError: not ISO, or without an offset: a time without one means a different hour to each reader.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset")
    return moment.astimezone(UTC)


class ClockRefused(Exception):
    """The clock would run ahead of the wall, or go back."""


class Clock:
    """Kept in the store as a pair (world time, wall time) and a rate, so that a restart goes on as if never stopped."""

    def __init__(
        self, store: Store, *, start: datetime | None = None, wall: Callable[[], datetime] | None = None
    ) -> None:
        self._store = store
        self.wall = wall or (lambda: datetime.now(UTC))
        kept = store.fact("clock.world")
        if kept is None:
            first = start or self.wall()
            if first > self.wall():
                raise ClockRefused(
                    "The world's clock cannot start ahead of the wall: give --now a time that has passed."
                )
            self._write(first, 0)
        self._read()
        self._latest = self._base

    @property
    def rate(self) -> int:
        return self._rate

    def now(self) -> datetime:
        """World time, aware UTC."""
        wall = self.wall()
        told = self._base if self._rate == 0 else self._base + (wall - self._base_wall)
        # A wall that is set back stops the clock instead of turning it back.
        self._latest = max(self._latest, min(told, wall))
        return self._latest

    def check(self, to: datetime) -> None:
        """Raise ``ClockRefused`` if the clock may not be moved to ``to``."""
        if to > self.wall():
            raise ClockRefused(
                f"{stamp(to)} is ahead of the wall clock ({stamp(self.wall())}); the world never runs ahead."
            )
        if to < self.now():
            raise ClockRefused(
                f"{stamp(to)} has passed: the world's clock stands at {stamp(self.now())} and never goes back."
            )

    def set(self, to: datetime) -> None:
        """Move the clock, durably."""
        self.check(to)
        self._write(to, self._rate)
        self._read()

    def set_rate(self, rate: int) -> None:
        """0: the clock stands. 1: it runs with the wall, across restarts too."""
        if rate not in (0, 1):
            raise ClockRefused("The clock's rate is 0 (it stands) or 1 (it runs with the wall).")
        self._write(self.now(), rate)
        self._read()

    def _write(self, at: datetime, rate: int) -> None:
        with self._store.transaction():
            self._store.save_fact("clock.world", stamp(at))
            self._store.save_fact("clock.wall", stamp(self.wall()))
            self._store.save_fact("clock.rate", str(rate))

    def _read(self) -> None:
        self._base = instant(self._store.fact("clock.world") or "")
        self._base_wall = instant(self._store.fact("clock.wall") or "")
        self._rate = int(self._store.fact("clock.rate") or 0)
