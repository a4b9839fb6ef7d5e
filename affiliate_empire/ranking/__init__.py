"""Which products are worth making content for: a transparent score of named parts, best first.

Pure and without chance: equal inputs give the equal frame, ties are broken by product id. What is made of the ranking
is decided in ``affiliate_empire.planning``.
"""

from affiliate_empire.ranking.frames import PERFORMANCE_COLUMNS, ProductPerformance, RankedProducts
from affiliate_empire.ranking.score import conversion_prior, rank

__all__ = ["PERFORMANCE_COLUMNS", "ProductPerformance", "RankedProducts", "conversion_prior", "rank"]
