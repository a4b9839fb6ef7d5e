"""What to do more of tomorrow: decides the next strategy from what pieces cost and earned, with the reasons.

Pure: frames in, a decision out, the same for the same seed. Recording it is ``operations.decide_strategy``'s business.
"""

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
    "Decisions",
    "StrategyDecision",
    "decide_strategy",
    "first_strategy",
]
