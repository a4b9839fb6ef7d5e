"""A day's events as frames for the lake, exported from the ledger: publications, metrics, clicks, conversions, costs.

A day is a calendar day of the business timezone, by when a thing happened or was learned; publications and costs belong
to the day of their piece's plan. Frames are ordered and hold no time of export, so the same day gives the same bytes.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import select, tuple_

from affiliate_empire.analytics.conversions import EVENT_COLUMNS, conversion_changes
from affiliate_empire.analytics.fixed_costs import FixedCosts, fixed_costs_of
from affiliate_empire.analytics.frames import Clicks, Conversions, Costs, PlatformMetrics, Publications, columns_of
from affiliate_empire.analytics.traffic import DUPLICATE, is_human
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.ids import canonical_json
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Click, ConversionEvent, Effect, Link, MetricSnapshot, Publication
from affiliate_empire.operations.outcomes import load_frame, load_performance

_INSTANTS = ("slot_at", "published_at", "observed_at", "clicked_at", "occurred_at", "settled_at")


def export_publications(day: date, *, ledger: Ledger, platform: str | None = None) -> pd.DataFrame:
    """Posts of the pieces planned for a day, on one platform or on all: ``Publications``."""
    query = (
        select(Publication).where(Publication.day == day).order_by(Publication.published_at, Publication.publication_id)
    )
    if platform is not None:
        query = query.where(Publication.platform == platform)
    columns = columns_of(Publications)
    with ledger.begin() as session:
        rows = [{name: getattr(row, name) for name in columns} for row in session.scalars(query)]
    for row in rows:
        row["disclosures"] = canonical_json(row["disclosures"])
    return Publications.validate(_frame(rows, columns))


def export_platform_metrics(day: date, *, ledger: Ledger, calendar: BusinessCalendar) -> pd.DataFrame:
    """Metric snapshots taken on a day: ``PlatformMetrics``."""
    start, end = calendar.midnight(day), calendar.midnight(day + timedelta(days=1))
    query = (
        select(MetricSnapshot)
        .where(MetricSnapshot.observed_at >= start, MetricSnapshot.observed_at < end)
        .order_by(MetricSnapshot.observed_at, MetricSnapshot.publication_id)
    )
    columns = columns_of(PlatformMetrics)
    with ledger.begin() as session:
        rows = [{name: getattr(row, name, day) for name in columns} for row in session.scalars(query)]
    return PlatformMetrics.validate(_frame(rows, columns))


def export_clicks(day: date, *, ledger: Ledger, calendar: BusinessCalendar) -> pd.DataFrame:
    """Hits on tracking links on a day, flagged: ``Clicks``."""
    start, end = calendar.midnight(day), calendar.midnight(day + timedelta(days=1))
    taken = [
        Click.click_id,
        Click.clicked_at,
        Click.code,
        Link.piece_id,
        Click.flags,
        Click.referrer,
        Click.visitor_hash,
    ]
    query = (
        select(*taken)
        .outerjoin(Link, Link.code == Click.code)
        .where(Click.clicked_at >= start, Click.clicked_at < end)
        .order_by(Click.clicked_at, Click.click_id)
    )
    with ledger.begin() as session:
        frame = load_frame(session, query, [column.key for column in taken])
    flags = [sorted(str(flag) for flag in row) for row in frame["flags"]]
    frame["human"] = [is_human(row) for row in flags]
    frame["duplicate"] = [DUPLICATE in row for row in flags]
    frame["flags"] = [",".join(row) for row in flags]
    frame["day"] = day
    return Clicks.validate(_typed(frame)[columns_of(Clicks)])


def export_conversions(day: date, *, ledger: Ledger, calendar: BusinessCalendar) -> pd.DataFrame:
    """What was learned of transactions on a day, with what it changed: ``Conversions``."""
    start, end = calendar.midnight(day), calendar.midnight(day + timedelta(days=1))
    event = ConversionEvent
    key = tuple_(event.network, event.transaction_id, event.line_id)
    touched = (
        select(event.network, event.transaction_id, event.line_id)
        .where(event.observed_at >= start, event.observed_at < end)
        .distinct()
    )
    # A change is a difference, so it needs all that was known of the line before.
    query = select(*(getattr(event, name) for name in EVENT_COLUMNS)).where(key.in_(touched), event.observed_at < end)
    with ledger.begin() as session:
        known = load_frame(session, query, EVENT_COLUMNS)
    changes = conversion_changes(_typed(known))
    changes = changes[changes["observed_at"] >= pd.Timestamp(start)] if len(changes) else changes
    return Conversions.validate(changes.assign(day=day).reset_index(drop=True)[columns_of(Conversions)])


def export_costs(day: date, *, ledger: Ledger, fixed_costs: FixedCosts) -> pd.DataFrame:
    """Cost lines booked to a day's budget, and its part of what is paid by the month: ``Costs``."""
    columns = columns_of(Costs)
    query = select(Effect).where(Effect.day == day, Effect.cost_micros > 0).order_by(Effect.effect_id)
    with ledger.begin() as session:
        rows = [{name: getattr(row, name, "USD") for name in columns} for row in session.scalars(query)]
    for name, micros in fixed_costs_of(day, fixed_costs).items():
        line = {"effect_id": f"fixed:{name}:{day}", "day": day, "vendor": name, "operation": "a day's part of a month"}
        rows.append(line | {"state": "fixed", "cost_micros": micros, "currency": "USD"})
    return Costs.validate(_frame(rows, columns))


def export_performance(day: date, *, ledger: Ledger, calendar: BusinessCalendar) -> pd.DataFrame:
    """What each product's pieces brought before a day began: ``ranking.ProductPerformance``."""
    with ledger.begin() as session:
        return load_performance(session, before=calendar.midnight(day), before_day=day)


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    return _typed(pd.DataFrame(rows, columns=columns))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Instants as UTC timestamps also where a column is empty or holds nothing."""
    return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in _INSTANTS if name in frame.columns})
