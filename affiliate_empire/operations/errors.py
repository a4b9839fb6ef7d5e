"""Why a piece cannot be made, or not be posted now.

Tree::

    EmpireError
    ├── PieceRejected          this piece is quarantined with its reason; the day's other pieces go on
    ├── BadInput
    │   └── PartMissing        an earlier step has not made a part of it yet: it is held, and the others go on
    ├── NotDue                 its slot is ahead
    └── SlotPassed             its slot has passed; it waits for another
"""

from __future__ import annotations

from affiliate_empire.kernel.errors import BadInput, EmpireError


class PieceRejected(EmpireError):
    """One piece cannot be made from what it was planned with. The message is the reason that is kept with it."""


class PartMissing(BadInput):
    """A step needs what an earlier one has not made of this piece. Nothing is wrong with the piece."""


class NotDue(EmpireError):
    """The piece's slot is further ahead than its platform takes posts in advance."""


class SlotPassed(EmpireError):
    """The piece's slot is longer ago than its platform's tolerance."""
