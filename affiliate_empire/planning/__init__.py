"""What to make and publish on a day: pieces, their slots, prompt versions and arms, inside every cap.

Pure: a ranking, a strategy and caps in, a decision with its evidence out. Recording it once is
``affiliate_empire.operations.record_plan``'s business; quotas are enforced again when a piece is posted.
"""

from affiliate_empire.planning.costs import CostPart, PieceCost, against_the_plan, piece_cost
from affiliate_empire.planning.facts import product_facts
from affiliate_empire.planning.frames import ContentPlan, PlannedPieces
from affiliate_empire.planning.plan import PLATFORM_KINDS, DayCaps, PlanDecision, plan_day
from affiliate_empire.planning.slots import LiveLimit, choose_slots

__all__ = [
    "PLATFORM_KINDS",
    "ContentPlan",
    "CostPart",
    "DayCaps",
    "LiveLimit",
    "PieceCost",
    "PlanDecision",
    "PlannedPieces",
    "against_the_plan",
    "choose_slots",
    "piece_cost",
    "plan_day",
    "product_facts",
]
