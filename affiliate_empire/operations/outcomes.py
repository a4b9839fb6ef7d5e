"""What pieces cost and brought, read from the ledger: the one place where clicks, sales, views and costs meet a piece.

Everything is read as of an instant: what was learned later is left out, so that a decision can be replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import Executable, and_, func, not_, or_, select
from sqlalchemy.dialects.postgresql import array, distinct_on
from sqlalchemy.orm import Session

from affiliate_empire.analytics.conversions import CONVERSION_COLUMNS, EVENT_COLUMNS, current_conversions
from affiliate_empire.analytics.frames import Outcomes, columns_of
from affiliate_empire.analytics.traffic import DUPLICATE, NOT_HUMAN
from affiliate_empire.ledger.tables import (
    Click,
    ConversionEvent,
    Effect,
    Link,
    MetricSnapshot,
    Piece,
    Publication,
)
from affiliate_empire.ranking import PERFORMANCE_COLUMNS, ProductPerformance


def load_frame(session: Session, query: Executable, columns: Sequence[str]) -> pd.DataFrame:
    """A query's rows as a frame with the given column names, also when there are none."""
    return pd.DataFrame(session.execute(query).all(), columns=list(columns))


def load_conversions(session: Session, *, as_of: datetime) -> pd.DataFrame:
    """Every transaction line as it stood at an instant, with the click, link and piece it is attributed to.

    Returns:
        ``analytics.conversions.CONVERSION_COLUMNS`` and ``clicked_at``, ``code``, ``piece_id``: empty where no click of
        ours has the sub-id, which makes the line unattributed.
    """
    columns = [getattr(ConversionEvent, name) for name in EVENT_COLUMNS]
    query = select(*columns).where(ConversionEvent.observed_at < as_of).order_by(ConversionEvent.event_id)
    current = current_conversions(load_frame(session, query, EVENT_COLUMNS))
    wanted = [click for click in current["click_id"] if isinstance(click, str)]
    clicks = load_frame(
        session,
        select(Click.click_id, Click.clicked_at, Click.code, Link.piece_id)
        .join(Link, Link.code == Click.code)
        .where(Click.click_id.in_(wanted)),
        ["click_id", "clicked_at", "code", "piece_id"],
    )
    if clicks.empty:
        nothing = pd.Series([None] * len(current), index=current.index, dtype=object)
        return current.assign(clicked_at=nothing, code=nothing, piece_id=nothing)
    return current.merge(clicks, on="click_id", how="left", validate="many_to_one")[
        [*CONVERSION_COLUMNS, "clicked_at", "code", "piece_id"]
    ]


def load_outcomes(session: Session, *, as_of: datetime, first_day: date, last_day: date) -> pd.DataFrame:
    """What the pieces planned for ``[first_day, last_day]`` cost and brought up to an instant: ``Outcomes``."""
    pieces = session.scalars(
        select(Piece)
        .where(Piece.day.between(first_day, last_day), Piece.status != "superseded")
        .order_by(Piece.day, Piece.slot_at, Piece.piece_id)
    ).all()
    ids = [piece.piece_id for piece in pieces]
    publications = {
        publication.piece_id: publication
        for publication in session.scalars(
            select(Publication).where(Publication.piece_id.in_(ids), Publication.published_at <= as_of)
        )
    }
    views = _views(session, ids, as_of)
    clicked = _clicks(session, ids, as_of)
    spent = session.execute(
        select(Effect.piece_id, func.sum(Effect.cost_micros))
        .where(
            Effect.piece_id.in_(ids),
            Effect.cost_micros.is_not(None),
            # Whatever ended is dated, lost and refused calls too; a cost without a date is no later learning.
            or_(Effect.settled_at.is_(None), Effect.settled_at < as_of),
        )
        .group_by(Effect.piece_id)
    )
    costs = {str(piece_id): int(cost or 0) for piece_id, cost in spent}
    earned = load_conversions(session, as_of=as_of)
    rows = []
    for piece in pieces:
        sales = earned[earned["piece_id"] == piece.piece_id]
        publication = publications.get(piece.piece_id)
        gone = publication is not None and publication.taken_down_at is not None and publication.taken_down_at <= as_of
        rows.append(
            {
                "piece_id": piece.piece_id,
                "day": piece.day,
                "kind": piece.kind,
                "platform": piece.platform,
                "account_id": piece.account_id,
                "product_id": piece.product_id,
                "product": product_name(piece.facts),
                "niche": piece.niche,
                "prompt_version": piece.prompt_version,
                "arm": piece.arm,
                "propensity": piece.propensity,
                "status": "taken down" if gone else piece.status,
                "reason": piece.reason,
                "slot_at": piece.slot_at,
                "published_at": publication.published_at if publication else None,
                "title": publication.title if publication else None,
                "url": publication.url if publication and not gone else None,
                "views": views.get(piece.piece_id, 0),
                **clicked.get(piece.piece_id, dict.fromkeys(("hits", "clicks", "unique_clicks"), 0)),
                "conversions": int((sales["state"] != "reversed").sum()),
                "reversals": int((sales["state"] == "reversed").sum()),
                "commission_micros": int(sales["commission_usd_micros"].sum()),
                "cost_micros": costs.get(piece.piece_id, 0),
            }
        )
    frame = pd.DataFrame(rows, columns=columns_of(Outcomes))
    for column in ("slot_at", "published_at"):
        frame[column] = pd.to_datetime(frame[column], utc=True)
    return Outcomes.validate(frame)


def load_performance(session: Session, *, before: datetime, before_day: date) -> pd.DataFrame:
    """What each product's published pieces of earlier days brought up to an instant: ``ranking.ProductPerformance``."""
    outcomes = load_outcomes(session, as_of=before, first_day=date.min, last_day=before_day)
    published = outcomes[outcomes["published_at"].notna() & (outcomes["day"] < before_day)]
    if published.empty:
        return pd.DataFrame(columns=PERFORMANCE_COLUMNS)
    grouped = published.sort_values(["day", "piece_id"]).groupby("product_id", as_index=False)
    return ProductPerformance.validate(
        grouped.agg(
            niche=("niche", "last"),
            pieces=("piece_id", "count"),
            clicks=("clicks", "sum"),
            earned_micros=("commission_micros", "sum"),
            last_piece_day=("day", "last"),
        )[PERFORMANCE_COLUMNS]
    )


def product_name(facts: dict[str, Any]) -> str:
    """The product's name when the piece was planned, from its facts."""
    named = (str(text) for text in facts.values())
    return next((text.removeprefix("Name: ") for text in named if text.startswith("Name: ")), "")


def is_human() -> Any:
    """SQL condition: a click that may be a person's (``analytics.traffic``)."""
    return not_(Click.flags.has_any(array(NOT_HUMAN)))


def _views(session: Session, ids: Sequence[str], as_of: datetime) -> dict[str, int]:
    """Views of each piece's publications, as last observed before an instant."""
    newest = (
        select(Publication.piece_id, MetricSnapshot.views)
        .join(MetricSnapshot, MetricSnapshot.publication_id == Publication.publication_id)
        .where(Publication.piece_id.in_(ids), MetricSnapshot.observed_at < as_of)
        .ext(distinct_on(MetricSnapshot.publication_id))
        .order_by(MetricSnapshot.publication_id, MetricSnapshot.observed_at.desc())
        .subquery()
    )
    rows = session.execute(select(newest.c.piece_id, func.sum(newest.c.views)).group_by(newest.c.piece_id)).all()
    return {str(row[0]): int(row[1]) for row in rows}


def _clicks(session: Session, ids: Sequence[str], as_of: datetime) -> dict[str, dict[str, int]]:
    """All hits on each piece's link, those of people, and people's first ones, under the names of ``Outcomes``."""
    first = and_(is_human(), ~Click.flags.contains([DUPLICATE]))
    rows = session.execute(
        select(
            Link.piece_id,
            func.count().label("hits"),
            func.count().filter(is_human()).label("clicks"),
            func.count().filter(first).label("unique_clicks"),
        )
        .join(Click, Click.code == Link.code)
        .where(Link.piece_id.in_(ids), Click.clicked_at < as_of)
        .group_by(Link.piece_id)
    ).mappings()
    return {row["piece_id"]: {name: int(row[name]) for name in ("hits", "clicks", "unique_clicks")} for row in rows}
