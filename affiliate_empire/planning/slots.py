"""Publishing slots: when an account may post on a day.

Pure arithmetic over the platform's preferred hours, the day's posting window, the spacing between two posts and the
rolling window of past ones, all from ``policy``. It neither posts nor enforces: the claim of a post checks the quota
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.policy import PostingRule


@dataclass(frozen=True)
class LiveLimit:
    """What a platform said of an account, until ``holds_until``.

    ``posts`` is how many it allows in the window (None: it did not say), ``unseen`` how many it counted at
    ``observed_at`` that nobody here made.
    """

    posts: int | None
    unseen: int
    observed_at: datetime
    holds_until: datetime
    reason: str


@dataclass(frozen=True)
class SlotChoice:
    """``slots`` are UTC instants, best hours first; ``bound`` says which cap kept the rest out, empty when none did.

    ``said`` is the platform's own word where that was the cap (``live``).
    """

    slots: tuple[datetime, ...]
    bound: str
    said: str = ""


def choose_slots(
    rule: PostingRule,
    *,
    day: date,
    calendar: BusinessCalendar,
    wanted: int,
    past: Sequence[datetime] = (),
    not_before: datetime | None = None,
    live: Sequence[LiveLimit] = (),
) -> SlotChoice:
    """The best free slots of an account on a day.

    Args:
        rule: the platform's posting rule.
        day: a business day; its posting window runs from 06:00 to 06:00.
        calendar: gives the window and local times.
        wanted: how many are asked for.
        past: instants at which the account posted or will post already.
        not_before: slots before this instant are gone (a plan made inside its own posting window).
        live: what the platform said of the account; it only lowers the rule.
    """
    opens, closes = calendar.posting_window(day)
    chosen: list[datetime] = []
    bounds: list[str] = []
    said = ""
    for local in rule.slots:
        if len(chosen) == wanted:
            break
        # A slot before the window's opening hour belongs to the night after the day.
        slot = calendar.at(day if local >= calendar.window_opens else day + timedelta(days=1), local)
        taken = [*past, *chosen]
        if not opens <= slot < closes:
            continue
        if not_before is not None and slot < not_before:
            bounds.append("passed")
        elif any(abs(slot - other) < rule.spacing for other in taken):
            bounds.append("spacing")
        elif _fullest_window([*taken, slot], rule.window) > rule.limit:
            bounds.append("quota")
        elif lowered := _lowered(live, slot, taken, rule):
            bounds.append("live")
            said = said or lowered
        else:
            chosen.append(slot)
    if len(chosen) == wanted:
        return SlotChoice(tuple(chosen), "")
    bound = bounds[0] if bounds else "slots"
    return SlotChoice(tuple(chosen), bound, said if bound == "live" else "")


def _lowered(live: Sequence[LiveLimit], slot: datetime, taken: Sequence[datetime], rule: PostingRule) -> str:
    """The platform's word that leaves no room for a slot; empty when there is room."""
    in_force = [limit for limit in live if slot < limit.holds_until]
    unseen = [limit.observed_at for limit in in_force for _ in range(limit.unseen)]
    fullest = _fullest_window([*taken, *unseen, slot], rule.window)
    for limit in in_force:
        if fullest > (rule.limit if limit.posts is None else min(rule.limit, limit.posts)):
            return limit.reason
    return ""


def _fullest_window(posts: Sequence[datetime], window: timedelta) -> int:
    """The most posts that any rolling window holds; a window that ends at a post is enough to look at."""
    return max(sum(end - window < post <= end for post in posts) for end in posts)
