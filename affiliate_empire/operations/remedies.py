"""What a post that failed asks for: the one place that decides it, for every error of a vendor or of the effects.

``operations.publish_piece`` acts on it: it keeps until when a window is full, holds an account and tells its owner, or
rejects the piece; what may be tried again is raised as it is.
"""

from __future__ import annotations

from enum import StrEnum

from affiliate_empire.effects import (
    BudgetRefused,
    EffectInProgress,
    EffectRefused,
    QuotaRefused,
    WindowClosed,
)
from affiliate_empire.effects.errors import EffectError
from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.operations.errors import NotDue, PartMissing, PieceRejected, SlotPassed
from affiliate_empire.vendors.errors import (
    AccountRestricted,
    CredentialsRejected,
    QuotaExhausted,
    VendorRefused,
    VendorUnavailable,
)


class Remedy(StrEnum):
    """What is done about an error.

    ``retry``: the same again, soon. ``wait``: the same again, not before a window has room. ``person``: nothing until
    somebody has looked. ``reject``: never again.
    """

    RETRY = "retry"
    WAIT = "wait"
    PERSON = "person"
    REJECT = "reject"


# The first that fits decides: what is narrower stands before what it is a kind of.
_BY_ERROR: tuple[tuple[type[EmpireError], Remedy], ...] = (
    (VendorUnavailable, Remedy.RETRY),
    (EffectInProgress, Remedy.RETRY),
    (PartMissing, Remedy.RETRY),
    (QuotaExhausted, Remedy.WAIT),
    (QuotaRefused, Remedy.WAIT),
    (BudgetRefused, Remedy.WAIT),
    (NotDue, Remedy.WAIT),
    (SlotPassed, Remedy.WAIT),
    (AccountRestricted, Remedy.PERSON),
    (CredentialsRejected, Remedy.PERSON),
    (VendorRefused, Remedy.REJECT),
    (EffectRefused, Remedy.REJECT),
    (WindowClosed, Remedy.REJECT),
    (PieceRejected, Remedy.REJECT),
    # Parked, paused, another fingerprint, a mode that only reads, a missing key: a person's word is wanted.
    (EffectError, Remedy.PERSON),
)


def remedy_of(error: Exception) -> Remedy:
    """What an error asks for. One that is not known here is a person's."""
    return next((remedy for kind, remedy in _BY_ERROR if isinstance(error, kind)), Remedy.PERSON)


_WORDS = {
    Remedy.RETRY: "tried again",
    Remedy.WAIT: "waits for room",
    Remedy.PERSON: "needs a person",
    Remedy.REJECT: "rejected",
}


def in_words(error: Exception) -> str:
    """An error as it is shown: what it asks for, then what it says."""
    return f"{_WORDS[remedy_of(error)]}: {error}"


def is_in_words(said: str) -> bool:
    """Whether a text is an error ``in_words``."""
    return said.startswith(tuple(f"{words}: " for words in _WORDS.values()))
