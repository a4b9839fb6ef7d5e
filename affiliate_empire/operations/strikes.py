"""What an account was restricted with goes to no other account of its platform.

Accounts are capacity, never a way around a ban: neither the file that the struck account posted or was to post, nor,
on that day, another piece about the same product. That a restricted account itself posts nothing is
``affiliate_empire.operations.hold_account``'s; that a re-plan chooses other products, ``replan_day``'s.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from affiliate_empire.ledger.tables import Account, Artifact, Piece
from affiliate_empire.operations.errors import PieceRejected


def refuse_struck_content(session: Session, piece: Piece) -> None:
    """Raise when a piece would post what a restricted account of its platform posted, or was to post.

    Raises:
        PieceRejected: it would.
    """
    mine = select(Artifact.sha256).where(Artifact.piece_id == piece.piece_id, Artifact.sha256.is_not(None))
    struck, theirs = aliased(Piece), aliased(Artifact)
    files = select(theirs.piece_id).where(
        theirs.piece_id == struck.piece_id, theirs.step == struck.kind, theirs.sha256.in_(mine)
    )
    found = session.execute(
        select(struck.piece_id, struck.account_id)
        .join(Account, Account.account_id == struck.account_id)
        .where(
            Account.platform == piece.platform,
            Account.status == "restricted",
            Account.account_id != piece.account_id,
            files.exists() | ((struck.day == piece.day) & (struck.product_id == piece.product_id)),
        )
        .order_by(struck.piece_id)
        .limit(1)
    ).first()
    if found is not None:
        raise PieceRejected(
            f"{found.account_id} is restricted by {piece.platform}, and its piece {found.piece_id} has the same "
            "file or product: that goes out on no other account."
        )
