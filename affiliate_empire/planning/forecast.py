"""What a day may cost at most and what it should cost, before anything is spent: pure, from slate, prices and caps.

A day that is planned is forecast from its plan; for another one the slate is taken as it will be planned: as many
pieces as the accounts' posting rules allow and the caps' room pays for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from affiliate_empire.kernel.caps import Caps, Room
from affiliate_empire.kernel.money import dollars
from affiliate_empire.planning.costs import PieceCost
from affiliate_empire.planning.plan import PLATFORM_KINDS, fitting
from affiliate_empire.policy import OriginalPlan

_DAYS_A_MONTH = 30  # of the original plan: $412 is about $14 a day


@dataclass(frozen=True)
class ForecastLine:
    """One part of the day's cost in micro-dollars, beside a day's share of the original plan's line for it."""

    part: str
    vendor: str
    pieces: int
    max_micros: int
    usual_micros: int
    plan_micros: int


@dataclass(frozen=True)
class Forecast:
    """What a day costs. ``asked`` counts pieces by platform; ``pieces`` those that the caps pay for, by kind."""

    day: date
    asked: Mapping[str, int]
    pieces: Mapping[str, int]
    lines: tuple[ForecastLine, ...]
    caps: Caps
    room: Room
    notes: tuple[str, ...]

    @property
    def max_micros(self) -> int:
        """Nothing beyond it can be charged: the pieces' upper bounds, or what the caps have left."""
        return min(sum(line.max_micros for line in self.lines), self.room.micros)

    @property
    def usual_micros(self) -> int:
        return min(sum(line.usual_micros for line in self.lines), self.max_micros)


def forecast_costs(
    day: date,
    *,
    asked: Mapping[str, int],
    planned: Mapping[str, int] | None,
    costs: Mapping[str, PieceCost],
    caps: Caps,
    room: Room,
    original: OriginalPlan,
) -> Forecast:
    """The forecast of one day.

    Args:
        asked: pieces by platform, as many as its accounts may post.
        planned: pieces by kind of the day's plan; None while there is none.
        costs: of a piece, by kind.
        caps: what may be spent.
        room: what the caps have left for the day.
        original: the plan of costs that the lines stand beside.
    """
    notes: list[str] = []
    if planned is None:
        kinds = _in_order(asked)
        kept, full = fitting(kinds, costs, room)
        pieces = Counter(kind for kind, keeps in zip(kinds, kept, strict=True) if keeps)
        if full:
            notes.append(f"{sum(pieces.values())} of {len(kinds)} pieces fit the budget: {' and '.join(full)}.")
    else:
        pieces = Counter(planned)
    by_part = {line.part: line.month_micros // _DAYS_A_MONTH for line in original.lines}
    lines = [
        ForecastLine(
            part.part,
            part.vendor,
            pieces[kind],
            pieces[kind] * part.max_micros,
            pieces[kind] * part.usual_micros,
            by_part.get(part.part, 0),
        )
        for kind, cost in costs.items()
        for part in cost.parts
    ]
    elsewhere = [line for line in original.lines if not line.part]
    if elsewhere:
        told = ", ".join(f"{line.what} {dollars(line.month_micros)} a month" for line in elsewhere)
        notes.append(f"Not paid through the business, and so in no cap: {told}.")
    return Forecast(day, dict(asked), dict(pieces), tuple(lines), caps, room, tuple(notes))


def _in_order(asked: Mapping[str, int]) -> Sequence[str]:
    """The kinds of the slate's pieces, its platforms interleaved evenly as the plan does it."""
    placed = [((turn + 0.5) / number, platform) for platform, number in asked.items() for turn in range(number)]
    return [PLATFORM_KINDS[platform] for _, platform in sorted(placed, key=lambda each: each[0])]
