"""Turns: which of an account's waiting pieces go out where there is not room for all of them.

The piece that should earn most comes first, and waiting makes every piece worth more, so that none starves. Pure: what
fits is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from affiliate_empire.kernel.windows import going_out

# After each such wait a piece goes before all that wait less, whatever they should earn.
PATIENCE = timedelta(hours=6)


@dataclass(frozen=True)
class Waiting:
    """A piece that is not out yet. It waits since the slot that the plan gave it, whatever slot it has by now."""

    piece_id: str
    slot_at: datetime
    waits_since: datetime
    expected_profit_micros: int


def in_order(waiting: Sequence[Waiting], now: datetime) -> list[Waiting]:
    """The pieces by turns: by how often they have waited a whole ``PATIENCE``, then by what they should earn.

    Two pieces stand to each other as they do whoever else waits: a re-plan, which takes some out, keeps the order.
    """

    def standing(piece: Waiting) -> tuple[int, int, datetime, str]:
        waited = max(timedelta(0), now - piece.waits_since) // PATIENCE
        return -waited, -piece.expected_profit_micros, piece.slot_at, piece.piece_id

    return sorted(waiting, key=standing)


def with_room(
    waiting: Sequence[Waiting],
    now: datetime,
    *,
    tolerance: timedelta,
    room_from: Callable[[datetime, Sequence[datetime]], datetime],
) -> dict[str, datetime]:
    """When pieces go out as things stand, by id, in the order of their turns; those that find no room are not in it.

    A piece waits at its slot for room as long as it may; one whose turn comes later never costs another its room.

    Args:
        waiting: one account's pieces.
        now: business time; nothing goes out before it, nor before its slot.
        tolerance: how long after its slot a piece may go out.
        room_from: from an instant on, and beside posts that are to come, the first moment with room for one more.
    """
    chosen: dict[str, tuple[datetime, datetime]] = {}
    out: dict[str, datetime] = {}
    for piece in in_order(waiting, now):
        trial = chosen | {piece.piece_id: (max(piece.slot_at, now), piece.slot_at + tolerance)}
        moments = going_out(list(trial.values()), room_from)
        going = {name: at for name, at in zip(trial, moments, strict=True) if at is not None}
        if len(going) == len(trial):
            chosen, out = trial, going
    return out
