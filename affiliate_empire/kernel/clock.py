"""Time: the clock is handed in, and a day is a business day in the owner's timezone.

``SystemClock`` is the only place of the business that reads the machine's time. The sandbox's clock is a client of
the world (``affiliate_empire.vendors.world_clock``). Leases and time-outs use the database's time, never this.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Tells the business time as an aware UTC datetime."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock: live mode."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class FixedClock:
    """A clock that stands where it was put: tests and replays."""

    at: datetime

    def now(self) -> datetime:
        return self.at.astimezone(UTC)


@dataclass(frozen=True)
class BusinessCalendar:
    """Business days of one timezone.

    A day's posting window is 06:00 of that day to 06:00 of the next, local time: evening slots pass midnight.
    """

    timezone: str = "America/New_York"
    window_opens: time = time(6, 0)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def day_of(self, instant: datetime) -> date:
        """The calendar day that holds an instant."""
        return instant.astimezone(self.zone).date()

    def at(self, day: date, local: time) -> datetime:
        """The UTC instant of a local time on a day."""
        return datetime.combine(day, local, tzinfo=self.zone).astimezone(UTC)

    def midnight(self, day: date) -> datetime:
        """The UTC instant at which a calendar day begins."""
        return self.at(day, time(0, 0))

    def posting_window(self, day: date) -> tuple[datetime, datetime]:
        """UTC instants between which a day's pieces may be posted: ``[opens, closes)``."""
        return self.at(day, self.window_opens), self.at(day + timedelta(days=1), self.window_opens)

    def last_closed_day(self, now: datetime) -> date:
        """The latest day whose posting window has closed."""
        local = now.astimezone(self.zone)
        return local.date() - timedelta(days=1 if local.time() >= self.window_opens else 2)
