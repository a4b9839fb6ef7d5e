"""The owner's word before live money is spent: the newest confirmed forecast covers what is allowed and asked for now.

What a forecast says is ``affiliate_empire.planning.forecast``'s business; here it is only held against a claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from affiliate_empire.effects.errors import SpendNotConfirmed
from affiliate_empire.kernel.caps import Caps
from affiliate_empire.kernel.ids import derived_id, fingerprint
from affiliate_empire.kernel.money import dollars
from affiliate_empire.ledger.tables import SpendConfirmation

# A slate may grow by so much before the owner is asked again.
_MORE_PIECES = 1.25
_REMEDY = "look at `empire forecast`, then confirm it with `empire forecast --confirm`"


@dataclass(frozen=True)
class Terms:
    """What is held against the confirmation: the caps in force, and how many pieces a day the slate asks for."""

    caps: Caps
    pieces: int

    @property
    def allowed(self) -> dict[str, Any]:
        """The caps by their setting's name, as they are stored; a map for those by name."""
        return {
            "DAY": self.caps.day_micros,
            "MONTH": self.caps.month_micros,
            "RUN": self.caps.run_micros,
            "VENDOR_DAY": dict(self.caps.vendor_day_micros),
            "NICHE_DAY": dict(self.caps.niche_day_micros),
        }


def confirm(session: Session, day: date, terms: Terms, figures: Mapping[str, Any], *, at: datetime) -> str:
    """Store the owner's word; returns the terms' hash.

    Args:
        figures: what the forecast said of the day.
    """
    stored = {"caps": terms.allowed, "pieces": terms.pieces, "forecast": dict(figures)}
    sha256 = fingerprint(stored)
    session.add(
        SpendConfirmation(
            confirmation_id=derived_id("sc", sha256, at.isoformat()),
            day=day,
            terms=stored,
            terms_sha256=sha256,
            confirmed_at=at,
        )
    )
    return sha256


def require_confirmed(session: Session, terms: Terms) -> None:
    """Let a paid claim pass that the newest confirmation covers.

    Raises:
        SpendNotConfirmed: there is none; or a cap was raised, or the slate grew by more than a quarter, since.
    """
    newest = select(SpendConfirmation.terms).order_by(SpendConfirmation.confirmed_at.desc()).limit(1)
    confirmed = session.scalar(newest)
    if confirmed is None:
        raise SpendNotConfirmed(f"No live money is spent before you have confirmed what a day may cost: {_REMEDY}.")
    if raised := _raised(confirmed["caps"], terms.allowed):
        raise SpendNotConfirmed(f"{raised} since you confirmed what a day may cost: {_REMEDY}.")
    if terms.pieces > _MORE_PIECES * confirmed["pieces"]:
        raise SpendNotConfirmed(
            f"The slate asks for {terms.pieces} pieces a day, and you confirmed what {confirmed['pieces']} may cost: "
            f"{_REMEDY}."
        )


def unconfirmed(session: Session, terms: Terms) -> str | None:
    """Why the terms are not confirmed; None when they are."""
    try:
        require_confirmed(session, terms)
    except SpendNotConfirmed as error:
        return str(error)
    return None


def _raised(confirmed: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first cap that allows more now than what was confirmed; a named one that is gone allows everything."""
    for name in ("DAY", "MONTH", "RUN"):
        if now[name] > confirmed[name]:
            return f"EMPIRE_BUDGET_{name}_USD was raised from {dollars(confirmed[name])} to {dollars(now[name])}"
    for name in ("VENDOR_DAY", "NICHE_DAY"):
        for of, cap in sorted(confirmed[name].items()):
            if of not in now[name]:
                return f"EMPIRE_BUDGET_{name}_USD no longer caps {of}, which it did at {dollars(cap)}"
            if now[name][of] > cap:
                return f"EMPIRE_BUDGET_{name}_USD of {of} was raised from {dollars(cap)} to {dollars(now[name][of])}"
    return None
