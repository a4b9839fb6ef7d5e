"""Everything that spends or posts happens here, exactly once, within its budgets and its accounts' quotas.

``Effects.perform`` carries out an ``Act`` with a handle (a post); ``Effects.perform_paid`` one call that costs money.
What is done at a vendor is written by ``affiliate_empire.operations``; how a vendor is spoken to, by
``affiliate_empire.vendors``.
"""

from affiliate_empire.effects.errors import (
    AccountPaused,
    BudgetRefused,
    EffectError,
    EffectInProgress,
    EffectParked,
    EffectRefused,
    FingerprintConflict,
    NotApproved,
    Paused,
    QuotaRefused,
    ReadOnly,
    SpendNotConfirmed,
    Unconfirmed,
    WindowClosed,
)
from affiliate_empire.effects.machine import Effects
from affiliate_empire.effects.model import (
    RESTORED,
    Accepted,
    Act,
    EffectKind,
    Failed,
    Gone,
    Intent,
    NotDone,
    OpenEffect,
    PaidCall,
    Quota,
    Receipt,
    Reconciled,
    State,
    StillUnknown,
    Verdict,
    may_have_been_done,
)
from affiliate_empire.kernel.caps import Caps

__all__ = [
    "RESTORED",
    "Accepted",
    "AccountPaused",
    "Act",
    "BudgetRefused",
    "Caps",
    "EffectError",
    "EffectInProgress",
    "EffectKind",
    "EffectParked",
    "EffectRefused",
    "Effects",
    "Failed",
    "FingerprintConflict",
    "Gone",
    "Intent",
    "NotApproved",
    "NotDone",
    "OpenEffect",
    "PaidCall",
    "Paused",
    "Quota",
    "QuotaRefused",
    "ReadOnly",
    "Receipt",
    "Reconciled",
    "SpendNotConfirmed",
    "State",
    "StillUnknown",
    "Unconfirmed",
    "Verdict",
    "WindowClosed",
    "may_have_been_done",
]
