"""Which products are worth making content for: a transparent score of named parts, best first.

Pure and without chance: equal inputs give the equal frame, ties are broken by product id. What is made of the ranking
is decided in ``affiliate_empire.planning``.
"""

from affiliate_empire.ranking.frames import (
    PERFORMANCE_COLUMNS,
    ProductPerformance,
    RankedProducts,
    TrendingTopics,
    TrendSignals,
)
from affiliate_empire.ranking.score import conversion_prior, rank
from affiliate_empire.ranking.topics import niches_to_test
from affiliate_empire.ranking.trends import Term, no_trends, signals_of, terms_to_ask

__all__ = [
    "PERFORMANCE_COLUMNS",
    "ProductPerformance",
    "RankedProducts",
    "Term",
    "TrendSignals",
    "TrendingTopics",
    "conversion_prior",
    "niches_to_test",
    "no_trends",
    "rank",
    "signals_of",
    "terms_to_ask",
]
