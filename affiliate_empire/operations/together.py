"""Acts that several pieces do together: one commit for all posts of a run, though each is an effect of its own.

Each member comes to the act by itself, one after the other in the order they are expected; the act is done once, when
every member has come or has ended without coming. What it is that they do is not this module's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_member: ContextVar[str | None] = ContextVar("member", default=None)


@dataclass
class _Coming(Generic[Item, Result]):
    item: Item
    name: str
    begun: bool = False
    outcome: Result | BaseException | None = None
    done: bool = False


class Together(Generic[Item, Result]):
    """A meeting point of threads. Whoever comes without being a member acts alone and at once.

    Args:
        act: does the act for several; returns for each what it came to, or the error to raise.
        longest_wait: seconds that a member waits for another one, so that one that hangs holds up nobody for good.
    """

    def __init__(
        self, act: Callable[[Sequence[Item]], Sequence[Result | Exception]], *, longest_wait: float = 60.0
    ) -> None:
        self._act = act
        self._longest_wait = longest_wait
        self._changed = threading.Condition()
        self._to_come: list[str] = []  # expected, and neither come yet nor ended
        self._active: set[str] = set()  # expected, and not ended
        self._waiting: list[_Coming[Item, Result]] = []

    def expect(self, members: Sequence[str]) -> None:
        """Who is about to come, in this order. Each of them must pass through ``member``."""
        with self._changed:
            self._to_come += members
            self._active |= set(members)

    @contextmanager
    def member(self, name: str) -> Iterator[None]:
        """What a member does until it has ended; begins when those expected before it have come or ended."""
        with self._changed:
            self._changed.wait_for(
                lambda: name not in self._to_come or self._to_come[0] == name, timeout=self._longest_wait
            )
            self._active.add(name)  # it may be back, after it ended in vain
        mark = _member.set(name)
        try:
            yield
        finally:
            _member.reset(mark)
            with self._changed:
                self._active.discard(name)
                self._come(name)
                self._changed.notify_all()

    def do(self, item: Item) -> Result:
        """Take part in the act; returns what it came to for this item.

        Raises:
            Exception: what the act raised, or returned for this item.
        """
        name = _member.get()
        if name is None:
            return _result((self._act([item]))[0])
        mine: _Coming[Item, Result] = _Coming(item, name)
        with self._changed:
            self._waiting.append(mine)
            self._come(name)
            self._changed.notify_all()
            self._changed.wait_for(lambda: mine.begun or self._complete(), timeout=self._longest_wait)
            if mine.begun:
                self._changed.wait_for(lambda: mine.done)
                return _result(mine.outcome)
            together, self._waiting = self._waiting, []
            for one in together:
                one.begun = True
        self._do(together)
        return _result(mine.outcome)

    def _do(self, together: Sequence[_Coming[Item, Result]]) -> None:
        try:
            outcomes: Sequence[Result | BaseException] = self._act([one.item for one in together])
            if len(outcomes) != len(together):
                raise ValueError(f"{len(together)} came, {len(outcomes)} were answered")
        except BaseException as error:  # noqa: BLE001 - whatever it was, each of them raises it
            outcomes = [error] * len(together)
        with self._changed:
            for one, outcome in zip(together, outcomes, strict=True):
                one.outcome, one.done = outcome, True
            self._changed.notify_all()

    def _complete(self) -> bool:
        return self._active <= {one.name for one in self._waiting}

    def _come(self, name: str) -> None:
        if name in self._to_come:
            self._to_come.remove(name)


def _result(outcome: Result | BaseException | None) -> Result:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome  # type: ignore[return-value] # what the act gave, whatever that is
