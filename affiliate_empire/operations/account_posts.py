"""When accounts posted, and when they will: one instant a piece, as the claim of a post counts it.

A post counts at the moment at which it took its account's quota (``quota_uses``), which a published piece keeps beside
its slot; only what has taken none yet counts at its slot.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from affiliate_empire.ledger.tables import Effect, Piece, Publication, QuotaUse


@dataclass
class AccountPosts:
    """An account's posts, by piece: when they took their quota (``past``), and the slots of those to come."""

    past: dict[str, datetime] = field(default_factory=dict)
    ahead: dict[str, datetime] = field(default_factory=dict)


def load_posts(session: Session, since: datetime, *, besides: Collection[str] = ()) -> dict[str, AccountPosts]:
    """Every account's posts after an instant.

    Args:
        besides: pieces whose slots do not count.
    """
    used = (
        select(QuotaUse.account_id, QuotaUse.effect_id, Effect.piece_id, QuotaUse.at)
        .join(Effect, Effect.effect_id == QuotaUse.effect_id)
        .where(QuotaUse.at > since)
    )
    # A post that its owner settled by hand may have no use left; one that TikTok failed after all has none to give.
    fallen = and_(Publication.platform == "tiktok", Publication.taken_down_at.is_not(None))
    posted = (
        select(Publication.account_id, Publication.effect_id, Publication.piece_id, Publication.published_at)
        .outerjoin(QuotaUse, QuotaUse.effect_id == Publication.effect_id)
        .where(Publication.published_at > since, QuotaUse.effect_id.is_(None), ~fallen)
    )
    slots = select(Piece.account_id, Piece.piece_id, Piece.slot_at).where(
        Piece.status == "planned",
        Piece.slot_at > since,
        Piece.piece_id.not_in(besides),
        Piece.piece_id.not_in(select(Publication.piece_id).where(fallen)),
    )
    found: dict[str, AccountPosts] = {}
    for query in (used, posted):
        for account_id, effect_id, piece_id, at in session.execute(query):
            found.setdefault(account_id, AccountPosts()).past[piece_id or effect_id] = at
    for account_id, piece_id, slot_at in session.execute(slots):
        posts = found.setdefault(account_id, AccountPosts())
        if piece_id not in posts.past:
            posts.ahead[piece_id] = slot_at
    return found
