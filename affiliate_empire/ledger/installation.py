"""Whose ledger this is: its one row, and the epoch that a restore or a copy begins."""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.ledger.tables import Alert, Installation

_CONFIRM = (
    "nothing is spent or posted until you have said with `empire effects confirm` that no other installation works on "
    "its accounts, and "
)


def bump_epoch(session: Session, reason: str, *, confirmed: bool = False, knows_since: bool = False) -> int:
    """Begin a new epoch: every effect that is open now waits for the owner, since it may have happened elsewhere.

    So does everything new, until ``confirm_epoch``; and posts of days up to the one after now, which may have gone out
    after the backup, are looked for on their platforms before they are posted (``affiliate_empire.effects``).

    Args:
        reason: what befell the ledger: ``copied or restored``.
        confirmed: the owner is asked in another way (everything is paused), or need not be.
        knows_since: what was done after the backup is in this ledger all the same.

    Returns:
        The new epoch.
    """
    installation = session.scalars(select(Installation).with_for_update()).one()
    installation.epoch += 1
    if confirmed:
        installation.confirmed_epoch = installation.epoch
    if not knows_since:
        installation.restored_at = func.clock_timestamp()
    session.flush()
    alert = insert(Alert).values(
        alert_id=derived_id("al", "epoch", installation.installation_id, installation.epoch),
        severity="high",
        subject="this ledger is a copy",
        message=(
            f"This ledger was {reason}: {'' if confirmed else _CONFIRM}what was open then is held until you have "
            "looked; see `empire effects`."
        ),
        raised_at=func.now(),
    )
    session.execute(alert.on_conflict_do_nothing())
    return installation.epoch


def confirm_epoch(session: Session) -> int:
    """The owner's word that no other installation works on this ledger's accounts. Returns the epoch."""
    confirmed = update(Installation).values(confirmed_epoch=Installation.epoch).returning(Installation.epoch)
    return session.scalars(confirmed).one()
