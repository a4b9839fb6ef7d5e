"""Taking a backup of the ledger back, so that nothing is posted or paid for twice.

What the database does is ``affiliate_empire.ledger.backup``'s business. Here stands what the business has to know where
the former ledger is gone: pieces that were planned when the backup was made may have been posted since.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from affiliate_empire.effects import EffectKind, State
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.backup import Restored, restore_backup
from affiliate_empire.ledger.tables import Effect, Piece
from affiliate_empire.operations.publish_piece import OPERATION, live_key


def restore_ledger(
    file: Path, *, ledger: Ledger, calendar: BusinessCalendar, now: datetime, at: datetime, key_ids: Collection[str]
) -> Restored:
    """Put the ledger of a backup in place of the current one.

    Args:
        ledger: the current ledger; afterwards it is the restored one.
        now: business time: pieces of days whose posting window is open may have been posted since the backup.
        at: the wall's time.
        key_ids: the master keys at hand; none where the home has none yet.

    Raises:
        BadInput, Misconfigured, DatabaseUnavailable: as ``restore_backup``.
    """
    restored = restore_backup(ledger, file, at=at, key_ids=key_ids)
    if restored.since:
        return restored
    return replace(restored, parked=restored.parked + _park_posts(ledger, calendar, now))


def _park_posts(ledger: Ledger, calendar: BusinessCalendar, now: datetime) -> int:
    """Let each planned piece whose post nothing is known of wait for the owner's word; returns how many."""
    with ledger.begin() as session:
        unknown = session.execute(
            select(Piece, live_key()).where(
                Piece.status == "planned",
                Piece.day >= calendar.day_of(now) - timedelta(days=1),
                live_key().not_in(select(Effect.key)),
            )
        ).all()
        for piece, key in unknown:
            session.add(
                Effect(
                    effect_id=derived_id("ef", key, 0),
                    key=key,
                    kind=EffectKind.AT_MOST_ONCE,
                    vendor=piece.platform,
                    operation=OPERATION,
                    fingerprint="unknown",
                    state=State.INTENDED,
                    day=piece.day,
                    piece_id=piece.piece_id,
                    account_id=piece.account_id,
                    niche=piece.niche,
                    max_cost_micros=0,
                    claims=0,
                    epoch=0,
                    error="it may have been posted after the backup that this ledger was restored from",
                )
            )
        return len(unknown)
