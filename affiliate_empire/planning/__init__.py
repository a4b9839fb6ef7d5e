"""What to make and publish on a day: pieces, their slots, prompt versions and arms, inside every cap.

Pure: a ranking, a strategy and caps in, a decision with its evidence out. Recording it once is
``affiliate_empire.operations.record_plan``'s business; quotas are enforced again when a piece is posted.
"""

from affiliate_empire.planning.costs import max_cost_micros
from affiliate_empire.planning.facts import product_facts
from affiliate_empire.planning.frames import ContentPlan, PlannedPieces
from affiliate_empire.planning.plan import PLATFORM_KINDS, DayCaps, PlanDecision, plan_day
from affiliate_empire.planning.slots import choose_slots

__all__ = [
    "PLATFORM_KINDS",
    "ContentPlan",
    "DayCaps",
    "PlanDecision",
    "PlannedPieces",
    "choose_slots",
    "max_cost_micros",
    "plan_day",
    "product_facts",
]
