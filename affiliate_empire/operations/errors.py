"""Why a piece cannot be made.

Tree::

    EmpireError
    └── PieceRejected          this piece is quarantined with its reason; the day's other pieces go on
"""

from __future__ import annotations

from affiliate_empire.kernel.errors import EmpireError


class PieceRejected(EmpireError):
    """One piece cannot be made from what it was planned with. The message is the reason that is kept with it."""
