"""What to do more of tomorrow: decides the next strategy from what pieces cost and earned, with the reasons.

``decide_strategy`` moves weights of prompts and niches; ``fit_funnel`` and ``plan_day`` choose single pieces.

Pure: frames in, a decision out, the same for the same seed. Recording it is ``operations.decide_strategy``'s business.
"""

from affiliate_empire.optimization.allocation import Caps, plan_day
from affiliate_empire.optimization.funnel import FunnelPosterior, FunnelSpec, fit_funnel
from affiliate_empire.optimization.strategy import (
    DECISION_COLUMNS,
    EXPLORATION_SHARE,
    Decisions,
    StrategyDecision,
    decide_strategy,
    first_strategy,
)

__all__ = [
    "DECISION_COLUMNS",
    "EXPLORATION_SHARE",
    "Caps",
    "Decisions",
    "FunnelPosterior",
    "FunnelSpec",
    "StrategyDecision",
    "decide_strategy",
    "first_strategy",
    "fit_funnel",
    "plan_day",
]
