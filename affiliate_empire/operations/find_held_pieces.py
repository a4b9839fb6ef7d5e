"""Which held pieces of a day can go on: what the sensor ``stages_overdue`` asks. Making them is the assets'.

What its owner must judge first, what the caps have no room for, and what is an account's that is held, waits on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from affiliate_empire.effects.report import waiting_for_owner
from affiliate_empire.kernel.ids import fingerprint
from affiliate_empire.ledger.tables import Effect, Installation, Piece
from affiliate_empire.operations.keep_room import Purse


@dataclass(frozen=True)
class HeldPieces:
    """The pieces of a day that can go on: those without a text, and those whose text is there and whose media are not.

    ``state`` is another one whenever a piece was worked since, or waits for something else: what was begun again in
    vain is not begun a third time.
    """

    texts: Sequence[str]
    media: Sequence[str]
    state: str


def find_held_pieces(day: date, *, purse: Purse) -> HeldPieces:
    """The planned pieces of a day that are not finished, that no cap refuses, and that wait for nobody's word."""
    with purse.ledger.begin() as session:
        installation = session.scalars(select(Installation)).one()
        if installation.confirmed_epoch != installation.epoch:
            return HeldPieces([], [], "")
        affordable = purse.affordable(session, day)
        stuck = waiting_for_owner(session, [piece.piece_id for piece, _ in affordable])
        going = [(piece, need.done) for piece, need in affordable if piece.piece_id not in stuck]
        unfinished = [(piece, done) for piece, done in going if piece.kind not in done]
        texts = [piece for piece, done in unfinished if piece.kind == "post" or "script" not in done]
        media = [piece for piece, done in unfinished if piece.kind == "video" and "script" in done]
        state = fingerprint(_states(session, [*texts, *media]))
    return HeldPieces(_ids(texts), _ids(media), state)


def _ids(pieces: Sequence[Piece]) -> list[str]:
    return [piece.piece_id for piece in pieces]


def _states(session: Session, pieces: Sequence[Piece]) -> list[list[str]]:
    query = (
        select(Effect.piece_id, func.max(Effect.updated_at))
        .where(Effect.piece_id.in_(_ids(pieces)))
        .group_by(Effect.piece_id)
    )
    touched = {piece_id: at for piece_id, at in session.execute(query)}
    return [[piece.piece_id, piece.reason or "", str(touched.get(piece.piece_id))] for piece in pieces]
