"""Make the tracking link of a piece: ``/r/{code}``, which leads to the network's tracking URL of its product.

A piece has one link for good. What a click does is ``affiliate_empire.tracking``'s business.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.ids import derived_link_code
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Installation, Link, Piece, Product, Program
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.policy import Policy
from affiliate_empire.publishing.links import parse_destination
from affiliate_empire.vendors.impact import ImpactClient


def make_link(piece_id: str, *, ledger: Ledger, impact: ImpactClient, policy: Policy) -> Link:
    """The piece's link, made on the first call and returned by every later one.

    Raises:
        PieceRejected: the network allows no redirect or takes no sub-id, so that a click could not be told apart.
        VendorRefused: the network gives no link to the product's page.
        VendorUnavailable: try again later.
    """
    with ledger.begin() as session:
        stored = session.scalars(select(Link).where(Link.piece_id == piece_id)).one_or_none()
        if stored is not None:
            return stored
        piece = session.get_one(Piece, piece_id)
        product = session.get_one(Product, piece.product_id)
        program = session.get_one(Program, product.program_id)
    rule = policy.network(program.network)
    if not rule.redirect_allowed or not rule.sub_id_parameter:
        raise PieceRejected(
            f"{program.network} allows no redirect with a click id: choose a product of another network."
        )
    if program.network != "impact":
        raise Misconfigured(f"No links can be made at {program.network} yet: choose a product of an Impact programme.")
    # The catalogue's own addresses are tracking URLs already; a merchant's feed names plain pages.
    target = product.url if product.source == "impact" else impact.create_tracking_link(program.native_id, product.url)
    parse_destination(target, rule.sub_id_parameter)
    with ledger.begin() as session:
        session.execute(
            insert(Link)
            .values(
                # A restored ledger makes the same link anew: posts that bear it stay found, and their clicks counted.
                code=derived_link_code(session.scalars(select(Installation.installation_id)).one(), piece_id),
                piece_id=piece_id,
                account_id=piece.account_id,
                product_id=piece.product_id,
                network=program.network,
                target_url=target,
                sub_id_parameter=rule.sub_id_parameter,
                status="live",
            )
            .on_conflict_do_nothing()
        )
        return session.scalars(select(Link).where(Link.piece_id == piece_id)).one()
