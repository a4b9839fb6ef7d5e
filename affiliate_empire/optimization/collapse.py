"""Whether sales have collapsed: fewer than chance explains, given how many people clicked.

Pure. Sales per matured click are taken as one Poisson rate, known from the days before;
``affiliate_empire.operations`` reads the counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ALARM = 0.001  # chance of so few sales where nothing is wrong; one false alarm in three years of days
_SALES_KNOWN = 20  # fewer sales before tell no rate to hold a day against


@dataclass(frozen=True)
class Collapse:
    """What was expected and what came. ``chance`` is that of so few sales or fewer at the rate of the days before."""

    sales: int
    expected: float
    chance: float

    @property
    def is_one(self) -> bool:
        return self.chance < ALARM


def judge_sales(*, sales: int, clicks: float, sales_before: int, clicks_before: float) -> Collapse | None:
    """Hold recent sales against the rate of the days before.

    The rate is known only from ``sales_before``: with a flat prior it is Gamma, so the sales expected of ``clicks`` are
    negative binomial, which is wider than Poisson where the past is short.

    Args:
        sales: sales that came of the recent clicks.
        clicks: recent human clicks, each counted as the share of its sales that can have been reported by now.
        sales_before: sales of the clicks before those.
        clicks_before: those clicks.

    Returns:
        None where the past is too short to say anything.
    """
    if sales_before < _SALES_KNOWN or clicks <= 0 or clicks_before <= 0:
        return None
    shape, share = sales_before + 1.0, clicks / (clicks + clicks_before)
    chance = sum(
        math.exp(
            math.lgamma(shape + count)
            - math.lgamma(shape)
            - math.lgamma(count + 1)
            + shape * math.log1p(-share)
            + count * math.log(share)
        )
        for count in range(sales + 1)
    )
    return Collapse(sales, shape * clicks / clicks_before, min(1.0, chance))
