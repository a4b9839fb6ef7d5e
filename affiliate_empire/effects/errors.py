"""Why an effect did not happen, or may not.

Tree::

    EmpireError
    └── EffectError
        ├── BudgetRefused         a cap has no room: says which, how much is left, and when it resets
        ├── SpendNotConfirmed     live: the owner has not confirmed what a day may cost, or less than this
        ├── QuotaRefused          the account's rolling window is full: says when it has room
        ├── Paused                the owner switched the vendor or everything off
        │   └── AccountPaused     one account is held, by its owner or its platform; the others go on
        ├── NotApproved           the owner has not approved exactly this
        ├── WindowClosed          its time has passed; it is never made up for later
        ├── FingerprintConflict   the key is taken by something that looks different and may have happened
        ├── EffectInProgress      another worker holds it, or has taken it over from this one
        ├── EffectRefused         the vendor refused exactly this before, and was paid for it
        ├── EffectParked          only the owner can say whether it happened
        │   └── Unconfirmed       nothing new happens in a restored or copied ledger before its owner's word
        └── ReadOnly              this mode neither spends nor posts
"""

from __future__ import annotations

from datetime import datetime

from affiliate_empire.kernel.errors import EmpireError


class EffectError(EmpireError):
    """Base: nothing was sent by the call that raised it, or what was sent is accounted for."""


class BudgetRefused(EffectError):
    """A cap has no room for the upper bound of this call.

    ``resets_at`` is the instant at which the cap starts anew, in the business timezone; None for a run's cap.
    """

    def __init__(
        self, message: str, *, scope: str, cap_micros: int, left_micros: int, resets_at: datetime | None
    ) -> None:
        super().__init__(message)
        self.scope = scope
        self.cap_micros = cap_micros
        self.left_micros = left_micros
        self.resets_at = resets_at


class QuotaRefused(EffectError):
    """``frees_at`` is the earliest time at which this use would fit."""

    def __init__(self, message: str, *, quota: str, account_id: str, frees_at: datetime) -> None:
        super().__init__(message)
        self.quota = quota
        self.account_id = account_id
        self.frees_at = frees_at


class SpendNotConfirmed(EffectError):
    """Nothing is paid for until the owner has looked at a forecast."""


class Paused(EffectError):
    """``scope`` is the switch that is off."""

    def __init__(self, message: str, *, scope: str) -> None:
        super().__init__(message)
        self.scope = scope


class AccountPaused(Paused):
    """Nothing is sent for this account until its pause, or its platform's restriction, is lifted."""


class NotApproved(EffectError):
    """The owner's word is missing, was no, or was given for something that looks different."""


class WindowClosed(EffectError):
    """The deadline has passed by the business clock."""


class FingerprintConflict(EffectError):
    """The key lives on with another fingerprint."""


class EffectInProgress(EffectError):
    """Somebody else works on it now; ask again when they are done."""


class EffectRefused(EffectError):
    """Sending the same again would be paid and refused again."""


class EffectParked(EffectError):
    """Held, with its reservation, until the owner has looked."""


class Unconfirmed(EffectParked):
    """The ledger was restored or copied, and its owner has not said that no other works on its accounts."""


class ReadOnly(EffectError):
    """Nothing may be spent or posted."""
