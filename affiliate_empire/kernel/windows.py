"""Rolling windows: when one more use fits, and which of several waiting ones get out in time.

Pure. A use fits only if *every* window that would contain it stays within the limit, also those that end with uses
already scheduled after it; windows that it is not in are not its business, however full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol


class Said(Protocol):
    """What a platform said of an account's posts.

    ``posts`` is how many it allows in a window (None: it did not say), ``unseen`` how many it counted at
    ``observed_at`` that nobody here made.
    """

    @property
    def posts(self) -> int | None: ...
    @property
    def unseen(self) -> int: ...
    @property
    def observed_at(self) -> datetime: ...
    @property
    def holds_until(self) -> datetime: ...


def fits(
    uses: Sequence[datetime], at: datetime, limit: int, window: timedelta, unseen: Sequence[datetime] = ()
) -> bool:
    """Whether one more use at ``at`` leaves at most ``limit`` uses in every window ``(end - window, end]``.

    Args:
        unseen: posts that the platform counts and nobody here made, as uses of the moment at which they were seen.
    """
    together = [*uses, *unseen, at]
    ends = [end for end in together if at <= end < at + window]
    return all(sum(end - window < use <= end for use in together) <= limit for end in ends)


def has_room(uses: Sequence[datetime], at: datetime, limit: int, window: timedelta, said: Sequence[Said] = ()) -> bool:
    """Whether one more use fits at ``at``, where all that was ``said`` holds: it lowers the limit and raises none."""
    posts = min([limit, *(each.posts for each in said if each.posts is not None)])
    unseen = [each.observed_at for each in said for _ in range(each.unseen)]
    return posts > 0 and fits(uses, at, posts, window, unseen)


def frees_at(
    uses: Sequence[datetime], at: datetime, limit: int, window: timedelta, said: Sequence[Said] = ()
) -> datetime:
    """The earliest time from ``at`` on at which one more use fits, as far as is known.

    Args:
        said: what the platform says of the account, each while it holds.
    """
    if limit <= 0:
        return at + window  # not before the owner raises his own limit of none
    # Room only ever appears when a use leaves the window or a word lapses, so these are the only moments to try.
    left = [use + window for use in (*uses, *(each.observed_at for each in said))]
    moments = sorted({at, *left, *(each.holds_until for each in said)})
    return next(
        moment
        for moment in moments
        if moment >= at and has_room(uses, moment, limit, window, [each for each in said if moment < each.holds_until])
    )


def going_out(
    waiting: Sequence[tuple[datetime, datetime]], room_from: Callable[[datetime, Sequence[datetime]], datetime]
) -> list[datetime | None]:
    """When those that wait go out, one after the other; None: there is no room in time, and it takes none.

    Args:
        waiting: from when on each may go out, and when it is too late for it.
        room_from: from an instant on, and beside uses that are to come, the first moment at which there is room.
    """
    out: list[datetime | None] = [None] * len(waiting)
    for number in sorted(range(len(waiting)), key=waiting.__getitem__):
        since, until = waiting[number]
        at = room_from(since, [each for each in out if each is not None])
        out[number] = at if at < until else None
    return out
