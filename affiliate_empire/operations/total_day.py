"""What a day's pieces came to, by the ledger alone: the figures held against a witness and shown to the owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from affiliate_empire.analytics.conversions import current_state
from affiliate_empire.kernel.money import USD, from_micros, to_micros
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Artifact,
    Click,
    ConversionEvent,
    Effect,
    Link,
    MetricSnapshot,
    Piece,
    Publication,
)
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.take_down import is_unpublished


@dataclass(frozen=True)
class DayTotals:
    """Everything the ledger holds of the pieces of one day. Money in micros; ids as the outside knows them.

    ``charges`` maps the vendor's request id to what was booked for it; ``lost_micros`` lists what was booked at its
    maximum because the reply never came. ``payouts`` maps the network's transaction id to the commission as it stands,
    in the network's currency; ``usd_rates`` those that are not in dollars to the rate they count at.
    """

    day: date
    pieces: int
    quarantined: dict[str, str]
    missed: dict[str, str]  # made or not, but not posted, and why
    posts: dict[str, str] = field(default_factory=dict)  # remote id → platform
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)  # remote id → what the platform was told
    charges: dict[str, int] = field(default_factory=dict)
    lost_micros: list[int] = field(default_factory=list)
    cost_micros: int = 0
    views: int = 0
    clicks: set[str] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    payouts: dict[str, int] = field(default_factory=dict)
    usd_rates: dict[str, Decimal] = field(default_factory=dict)
    videos: list[Path] = field(default_factory=list)

    @property
    def revenue_micros(self) -> int:
        """Dollars."""
        return self.in_dollars(self.payouts)

    def in_dollars(self, payouts: Mapping[str, int]) -> int:
        """The sum of commissions by transaction id, each at the rate that the ledger stored with it."""
        return sum(
            to_micros(from_micros(micros) * self.usd_rates.get(action, Decimal(1)))
            for action, micros in payouts.items()
        )


def total_day(day: date, *, ledger: Ledger, media: MediaStore) -> DayTotals:
    """Add up a day's cohort: the pieces planned for the day, and all they cost and earned so far."""
    with ledger.begin() as session:
        pieces = session.scalars(select(Piece).where(Piece.day == day, Piece.status != "superseded")).all()
        ids = [piece.piece_id for piece in pieces]
        publications = session.scalars(select(Publication).where(Publication.piece_id.in_(ids))).all()
        effects = session.scalars(select(Effect).where(Effect.day == day, Effect.cost_micros > 0)).all()
        codes = set(session.scalars(select(Link.code).where(Link.piece_id.in_(ids))))
        clicks = set(session.scalars(select(Click.click_id).where(Click.code.in_(codes))))
        events = session.scalars(select(ConversionEvent).where(ConversionEvent.click_id.in_(clicks))).all()
        newest = (
            select(MetricSnapshot)
            .where(MetricSnapshot.publication_id.in_([p.publication_id for p in publications]))
            .ext(distinct_on(MetricSnapshot.publication_id))
            .order_by(MetricSnapshot.publication_id, MetricSnapshot.observed_at.desc())
        )
        views = sum(snapshot.views for snapshot in session.scalars(newest))
        files = session.scalars(
            select(Artifact.sha256)
            .where(Artifact.piece_id.in_(ids), Artifact.step == "video")
            .order_by(Artifact.piece_id)
        )
        videos = [media.path(sha256) for sha256 in files if sha256]
        return DayTotals(
            day=day,
            pieces=len(pieces),
            quarantined={p.piece_id: p.reason or "" for p in pieces if p.status == "quarantined"},
            missed={
                p.piece_id: p.reason or "its slot passed before it was posted"
                for p in pieces
                if p.status == "expired" and p.piece_id not in {each.piece_id for each in publications}
            },
            posts={p.remote_id: p.platform for p in publications if not is_unpublished(p)},
            labels={p.remote_id: p.disclosures for p in publications},
            charges={e.remote_id or e.effect_id: e.cost_micros or 0 for e in effects if e.state != "lost"},
            lost_micros=[e.cost_micros or 0 for e in effects if e.state == "lost"],
            cost_micros=sum(e.cost_micros or 0 for e in effects),
            views=views,
            clicks=clicks,
            codes=codes,
            payouts=current_state(events),
            # Without a rate a commission counts as no dollars, here as everywhere.
            usd_rates={e.transaction_id: e.usd_rate or Decimal(0) for e in events if e.currency != USD},
            videos=videos,
        )
