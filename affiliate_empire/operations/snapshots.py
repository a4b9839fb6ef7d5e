"""Frames as they were when a decision used them: a row in the ledger, the rows themselves in the media store."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.lake import parquet_bytes
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Snapshot
from affiliate_empire.media.store import MediaStore


def keep_snapshot(
    name: str, day: date, frame: pd.DataFrame, *, ledger: Ledger, media: MediaStore, at: datetime, once: bool = False
) -> str:
    """Keep a frame; the same rows of the same day are kept once. Returns the snapshot's id.

    Args:
        name: what it is: ``rankings``, ``trend_signals``, ``trending_topics``.
        day: the day, or the week's Monday, that it belongs to.
        frame: its rows.
        ledger: keeps that it was taken.
        media: keeps its rows.
        at: business time.
        once: at most one is ever kept for the day; a later one is dropped.
    """
    sha256 = media.save(parquet_bytes(frame), "application/vnd.apache.parquet")
    snapshot_id = derived_id("sn", name, day, "" if once else sha256)
    row = {"snapshot_id": snapshot_id, "name": name, "day": day, "sha256": sha256, "rows": len(frame), "taken_at": at}
    with ledger.begin() as session:
        session.execute(insert(Snapshot).values(row).on_conflict_do_nothing())
    return snapshot_id


def load_snapshot(
    name: str, day: date, *, ledger: Ledger, media: MediaStore, or_days_before: int = 0
) -> pd.DataFrame | None:
    """The newest snapshot of a day, or of the last day before it that has one; None where there is none.

    Args:
        name: what it is.
        day: the day.
        ledger: knows what was taken.
        media: has the rows.
        or_days_before: how many days back it may be of.
    """
    query = select(Snapshot.sha256).where(
        Snapshot.name == name, Snapshot.day <= day, Snapshot.day >= day - timedelta(days=or_days_before)
    )
    with ledger.begin() as session:
        sha256 = session.scalar(query.order_by(Snapshot.day.desc(), Snapshot.taken_at.desc()).limit(1))
    return None if sha256 is None else pd.read_parquet(media.path(sha256))
