"""Alerts: rows that tell the owner what must be known, each cause once. ``tell_owner`` delivers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Alert

ALERT_COLUMNS = ["severity", "subject", "message", "raised_at"]
SEVERITIES = ("critical", "high", "medium", "low")


def raise_alert(*cause: object, severity: str, subject: str, message: str, at: datetime, ledger: Ledger) -> bool:
    """Tell the owner of a cause, once; returns whether it was news.

    Args:
        cause: what it is, in words and ids that stay the same however often it is found.
        severity: ``critical``, ``high``, ``medium`` or ``low``.
        subject: who or what it is about, in a few words.
        message: one sentence with the remedy.
        at: business time.
        ledger: keeps the alert.
    """
    row = {
        "alert_id": derived_id("al", *cause),
        "severity": severity,
        "subject": subject,
        "message": message,
        "raised_at": at,
    }
    with ledger.begin() as session:
        stored = session.scalars(insert(Alert).values(row).on_conflict_do_nothing().returning(Alert.alert_id)).all()
    return bool(stored)


def load_alerts(begins: datetime, ends: datetime, *, ledger: Ledger) -> pd.DataFrame:
    """The alerts raised in ``[begins, ends)``, in their order: ``ALERT_COLUMNS``; those whose cause ended say so."""
    ended = func.to_char(func.timezone("UTC", Alert.resolved_at), '" (Resolved on "YYYY-MM-DD HH24:MI" UTC.)"')
    message = (Alert.message + func.coalesce(ended, "")).label("message")
    query = (
        select(*(message if name == "message" else getattr(Alert, name) for name in ALERT_COLUMNS))
        .where(Alert.raised_at >= begins, Alert.raised_at < ends)
        .order_by(Alert.raised_at, Alert.alert_id)
    )
    with ledger.begin() as session:
        return pd.DataFrame(session.execute(query).all(), columns=ALERT_COLUMNS)


def list_alerts(*, open_only: bool, ledger: Ledger) -> list[dict[str, Any]]:
    """The alerts, newest first, with every column; ``open_only``: those whose cause is not known to have ended."""
    query = select(*Alert.__table__.columns).order_by(Alert.raised_at.desc(), Alert.alert_id)
    if open_only:
        query = query.where(Alert.resolved_at.is_(None))
    with ledger.begin() as session:
        return [dict(row) for row in session.execute(query).mappings()]
