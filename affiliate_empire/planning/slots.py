"""Publishing slots: when an account may post on a day.

Pure arithmetic over the platform's preferred hours, the day's posting window, the spacing between two posts and the
rolling window of past ones (``kernel.windows``), all from ``policy``. It neither posts nor enforces: the claim of a
post checks the quota again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.windows import frees_at, going_out
from affiliate_empire.policy import PostingRule

# What a post is not planned to wait of its tolerance: the sensor looks every five minutes, and a run takes its time.
_MARGIN = timedelta(minutes=10)


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
    ahead: Sequence[datetime] = (),
    not_before: datetime | None = None,
    live: Sequence[LiveLimit] = (),
) -> SlotChoice:
    """The best free slots of an account on a day.

    A post whose window is full at its slot waits for room within the platform's tolerance, as the claim lets it: the
    day before, the post of the same hour went out some minutes after its slot.

    Args:
        rule: the platform's posting rule.
        day: a business day; its posting window runs from 06:00 to 06:00.
        calendar: gives the window and local times.
        wanted: how many are asked for.
        past: instants at which the account posted.
        ahead: slots in which it will post already.
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
        waiting = [*ahead, *chosen]
        if not opens <= slot < closes:
            continue
        if not_before is not None and slot < not_before:
            bounds.append("passed")
        elif any(abs(slot - other) < rule.spacing for other in (*past, *waiting)):
            bounds.append("spacing")
        elif not _goes_out(slot, waiting, past, rule, ()):
            bounds.append("quota")
        elif not _goes_out(slot, waiting, past, rule, live):
            bounds.append("live")
            said = said or next(
                (each.reason for each in live if not _goes_out(slot, waiting, past, rule, [each])), live[0].reason
            )
        else:
            chosen.append(slot)
    if len(chosen) == wanted:
        return SlotChoice(tuple(chosen), "")
    bound = bounds[0] if bounds else "slots"
    return SlotChoice(tuple(chosen), bound, said if bound == "live" else "")


def _goes_out(
    slot: datetime,
    waiting: Sequence[datetime],
    past: Sequence[datetime],
    rule: PostingRule,
    live: Sequence[LiveLimit],
) -> bool:
    """Whether a post in a slot goes out in time, and so do all those that would without it."""

    def room_from(at: datetime, beside: Sequence[datetime]) -> datetime:
        return frees_at([*past, *beside], at, rule.limit, rule.window, live)

    patience = max(rule.tolerance - _MARGIN, timedelta.resolution)
    without, together = (
        going_out([(each, each + patience) for each in slots], room_from) for slots in (waiting, [*waiting, slot])
    )
    return together[-1] is not None and all(
        after is not None for before, after in zip(without, together, strict=False) if before is not None
    )
