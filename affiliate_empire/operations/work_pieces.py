"""Working the pieces of a day through one step, several at a time.

A piece that is rejected is quarantined with its reason and the others go on; a piece whose vendor did nothing is tried
again after a wait; one whose parts are not made yet is held, and so is one that its step can go on without; any other
failure is raised once the pieces under way have ended. Each piece checkpoints itself in the ledger, so working a day
again repeats nothing that is done. What a step does is its own verb's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any

from sqlalchemy import select, update

from affiliate_empire.effects import BudgetRefused, State, WindowClosed
from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Effect, Piece
from affiliate_empire.operations.errors import PartMissing, PieceRejected
from affiliate_empire.operations.patience import PATIENT, Patience
from affiliate_empire.operations.publish_piece import OPERATION
from affiliate_empire.operations.remedies import in_words, is_in_words
from affiliate_empire.operations.together import Together
from affiliate_empire.vendors.errors import VendorUnavailable


@dataclass
class PiecesWorked:
    """What a step did. ``quarantined`` maps a piece to its reason and holds those of earlier runs of the step too.

    ``missed`` are pieces that are too late for their day: nothing is wrong with them, and nothing is made up for.
    ``held`` maps a piece that waits for its account, its owner, a part or money to the remedy and the reason: the next
    run works it again. ``short`` are those of them that a cap refused; ``errors`` says what held each,
    or that its day is over.
    """

    step: str
    made: list[str] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    short: dict[str, BudgetRefused] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return len(self.made) + len(self.quarantined)

    @property
    def healthy(self) -> bool:
        """At least 95 % were made; below 20 pieces, where one is more than that, at most one was not."""
        allowed = max(1, self.total // 20)
        return len(self.quarantined) <= allowed


def pieces_of(day: date, *, ledger: Ledger, kind: str | None = None) -> list[Piece]:
    """The pieces planned for a day that were not superseded, in the order of their slots; also quarantined ones."""
    query = select(Piece).where(Piece.day == day, Piece.status != "superseded")
    if kind is not None:
        query = query.where(Piece.kind == kind)
    with ledger.begin() as session:
        return list(session.scalars(query.order_by(Piece.slot_at, Piece.piece_id)))


def pieces_gone_out(day: date, *, ledger: Ledger) -> set[str]:
    """The pieces of a day whose post went out, or may have: what was made for them must stay what was posted."""
    may_have = (State.PREPARED, State.COMMITTING, State.UNKNOWN, State.SETTLED)
    query = select(Effect.piece_id).where(
        Effect.day == day, Effect.operation == OPERATION, Effect.state.in_(may_have), Effect.piece_id.is_not(None)
    )
    with ledger.begin() as session:
        return {str(piece_id) for piece_id in session.scalars(query)}


def work_pieces(
    step: str,
    pieces: Sequence[Piece],
    verb: Callable[[str], object],
    *,
    ledger: Ledger,
    at_once: int,
    patience: Patience = PATIENT,
    holding: tuple[type[Exception], ...] = (),
    final: Collection[str] = (),
    together: Together[Any, Any] | None = None,
) -> PiecesWorked:
    """Call a verb for each piece that is not quarantined and not final, in the order given.

    What a cap refused is tried once more, one piece after the other, when those under way have ended: what they did not
    use of what they had reserved is there again.

    Args:
        step: what is done, as a noun (``scripts``); stands before the reason of what it quarantines.
        pieces: the pieces of one day.
        verb: takes a piece id; reuses what it already made; raises ``PieceRejected`` for a piece that cannot be made.
        ledger: where a quarantine is kept.
        at_once: how many pieces are worked concurrently: what the vendor stands.
        patience: how a vendor is waited for that did nothing; a lost reply is the effects' to find out about. Where an
            outage holds pieces, each one after the first is asked for once.
        holding: the errors that hold one piece and not the step, beside a part that is missing.
        final: pieces that are made for good, whatever their inputs would be today.
        together: where the pieces meet for an act that is done once for all; each then has a thread of its own.

    Raises:
        Exception: the first failure that was not a rejection, after the pieces under way have ended.
    """
    worked = PiecesWorked(step)
    for piece in pieces:
        if piece.status == "quarantined" and (piece.reason or "").startswith(f"{step}: "):
            worked.quarantined[piece.piece_id] = (piece.reason or "").removeprefix(f"{step}: ")
    worked.missed += [piece.piece_id for piece in pieces if piece.status == "expired"]
    usable = [piece.piece_id for piece in pieces if piece.status == "planned"]
    worked.made += [piece_id for piece_id in usable if piece_id in final]
    waiting = [piece_id for piece_id in usable if piece_id not in final]
    failed, outage = threading.Event(), threading.Event()
    holding = (PartMissing, *holding)
    of_the_piece: tuple[type[Exception], ...] = (PieceRejected, WindowClosed, *holding)
    book = _Book(worked, {piece.piece_id: piece.reason or "" for piece in pieces}, holding, ledger)

    def work(piece_id: str) -> bool:
        """Whether it was begun. What waits when a step has failed is left: a pool's own cancelling hangs its reader."""
        with together.member(piece_id) if together else nullcontext():
            if failed.is_set():
                return False
            try:
                asked = replace(patience, attempts=1) if outage.is_set() else patience
                asked.ask(partial(verb, piece_id), seed=f"{step} {piece_id}")
            except of_the_piece as error:
                if isinstance(error, VendorUnavailable):
                    outage.set()
                raise
            except BaseException:  # whatever it was: the next piece is not begun, so that no vendor is asked in vain
                failed.set()
                raise
            return True

    if together and waiting:
        together.expect(waiting)
        at_once = len(waiting)
    with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix=step) as pool:
        futures = {pool.submit(work, piece_id): piece_id for piece_id in waiting}
        for future in as_completed(futures):
            begun = future.exception() is None and future.result()
            book.note(futures[future], future.exception(), begun=begun)
    for piece_id in [each for each in waiting if each in worked.short]:
        if book.failure is None:
            book.note(piece_id, *_tried(partial(work, piece_id)))
    if book.failure is not None:
        raise book.failure
    worked.made.sort()
    return worked


def _says_why(reason: str) -> bool:
    """Whether a step said already what a piece waits for: why a part is missing says more than that it is."""
    return is_in_words(reason) or is_in_words(reason.partition(": ")[2])


def _tried(work: Callable[[], bool]) -> tuple[BaseException | None, bool]:
    """The error of a piece, or whether it was begun."""
    try:
        return None, work()
    except BaseException as error:  # noqa: BLE001 - the book says what it means, and what is raised
        return error, False


@dataclass
class _Book:
    """Keeps what came of each piece: in what the step did, and with the piece."""

    worked: PiecesWorked
    reasons: dict[str, str]
    holding: tuple[type[Exception], ...]
    ledger: Ledger
    failure: BaseException | None = None

    def note(self, piece_id: str, error: BaseException | None, begun: bool) -> None:
        """What working a piece came to; the last word on it counts."""
        step, worked = self.worked.step, self.worked
        worked.held.pop(piece_id, None)
        worked.short.pop(piece_id, None)
        worked.errors.pop(piece_id, None)
        if error is None:
            if begun:
                worked.made.append(piece_id)
                if is_in_words(self.reasons[piece_id].removeprefix(f"{step}: ")):
                    _say_of(piece_id, None, self.ledger)
        elif isinstance(error, PieceRejected):
            worked.quarantined[piece_id] = str(error)
            _quarantine(piece_id, f"{step}: {error}", self.ledger)
        elif isinstance(error, WindowClosed):
            worked.missed.append(piece_id)
            worked.errors[piece_id] = error
            self._say(piece_id, error)
        elif isinstance(error, self.holding):
            worked.held[piece_id] = in_words(error)
            worked.errors[piece_id] = error
            if isinstance(error, BudgetRefused):
                worked.short[piece_id] = error
            if isinstance(error, PartMissing) and _says_why(self.reasons[piece_id]):
                worked.held[piece_id] += f" ({self.reasons[piece_id]})"
            else:
                self._say(piece_id, error)
        else:
            if isinstance(error, EmpireError):
                self._say(piece_id, error)
            self.failure = self.failure or error

    def _say(self, piece_id: str, error: Exception) -> None:
        self.reasons[piece_id] = f"{self.worked.step}: {in_words(error)}"
        _say_of(piece_id, self.reasons[piece_id], self.ledger)


def _quarantine(piece_id: str, reason: str, ledger: Ledger) -> None:
    with ledger.begin() as session:
        piece = session.get_one(Piece, piece_id)
        piece.status, piece.reason = "quarantined", reason


def _say_of(piece_id: str, reason: str | None, ledger: Ledger) -> None:
    """Keep why a piece is not further, for the day's report; what is out of the day has its own reason."""
    with ledger.begin() as session:
        session.execute(
            update(Piece).where(Piece.piece_id == piece_id, Piece.status == "planned").values(reason=reason)
        )
