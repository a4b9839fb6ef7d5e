"""Holding a piece against its product as last observed, right before it is posted.

Between the script and the slot the catalogue may have been read again. What a cited price is, is
``affiliate_empire.compliance``'s; nothing is fetched here.
"""

from __future__ import annotations

from sqlalchemy import func, select

from affiliate_empire.compliance import check_price
from affiliate_empire.content import Post, Script
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact, Piece, Product, Program
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.planning.facts import price_fact

# By kind: the step that wrote what goes out, and what it wrote.
_DOCUMENTS: dict[str, tuple[str, type[Script] | type[Post]]] = {"video": ("script", Script), "post": ("post", Post)}


def refuse_changed_offer(piece: Piece, *, ledger: Ledger) -> None:
    """Let a piece pass whose product can be bought, at the price that it cites if it cites one.

    Raises:
        PieceRejected: with what the piece relies on and what is true now.
    """
    step, form = _DOCUMENTS[piece.kind]
    with ledger.begin() as session:
        product = session.get_one(Product, piece.product_id)
        program = session.get_one(Program, product.program_id)
        written = session.get(Artifact, (piece.piece_id, step, ""))
        read_at = session.scalar(select(func.max(Product.observed_at)).where(Product.source == product.source))
    if program.status != "joined":
        raise PieceRejected(
            f"The programme {program.name} was joined when the piece was planned and is {_words(program.status)} now: "
            f"{product.title} pays nothing."
        )
    if read_at is not None and product.observed_at < read_at:
        raise PieceRejected(
            f"{product.title} is offered no more: it was last seen on {product.observed_at:%Y-%m-%d %H:%M} UTC, and "
            f"the catalogue of {read_at:%Y-%m-%d %H:%M} UTC is without it."
        )
    if product.availability != "in_stock":
        raise PieceRejected(
            f"{product.title} was in stock when the piece was planned and is {_words(product.availability)} now."
        )
    if written is not None:
        document = form.model_validate({name: written.content[name] for name in form.model_fields})
        facts = {key: str(text) for key, text in piece.facts.items()}
        if reasons := check_price(document, facts, price_fact(product.price_micros, product.currency)):
            raise PieceRejected(" ".join(reasons))


def _words(state: str) -> str:
    return state.replace("_", " ")
