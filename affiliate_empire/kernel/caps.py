"""Caps: what the owner allows to be spent, and what is left of it.

Amounts in micro-dollars. ``Settings.caps`` makes them of the owner's settings and nothing else does; they are enforced
by ``affiliate_empire.effects.budgets`` and looked at ahead by the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from affiliate_empire.kernel.clock import BusinessCalendar


@dataclass(frozen=True)
class Caps:
    """What may be spent in a business day, in its month, in one run, and per vendor or niche and day.

    A vendor or niche that is not named has no cap of its own. ``calendar`` says where days and months begin.
    """

    day_micros: int
    month_micros: int
    run_micros: int
    vendor_day_micros: Mapping[str, int] = field(default_factory=dict)
    niche_day_micros: Mapping[str, int] = field(default_factory=dict)
    calendar: BusinessCalendar = field(default_factory=BusinessCalendar)


@dataclass(frozen=True)
class Room:
    """What is left of the caps that a day's plan is held to; never below nothing."""

    day_micros: int
    month_micros: int
    vendor_micros: Mapping[str, int] = field(default_factory=dict)
    niche_micros: Mapping[str, int] = field(default_factory=dict)

    @property
    def micros(self) -> int:
        """What is left for everything together."""
        return min(self.day_micros, self.month_micros)

    def less(self, micros: int, by_vendor: Mapping[str, int], niche: str) -> Room:
        """What is left when a piece of a niche takes so much, of which so much from each vendor."""
        return replace(
            self,
            day_micros=max(0, self.day_micros - micros),
            month_micros=max(0, self.month_micros - micros),
            vendor_micros={name: max(0, left - by_vendor.get(name, 0)) for name, left in self.vendor_micros.items()},
            niche_micros={
                name: max(0, left - micros) if name == niche else left for name, left in self.niche_micros.items()
            },
        )
