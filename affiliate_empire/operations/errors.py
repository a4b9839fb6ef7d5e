"""What a business verb raises on its own account; vendors' and effects' errors pass through as they are."""

from __future__ import annotations

from affiliate_empire.kernel.errors import EmpireError


class PieceRejected(EmpireError):
    """This piece cannot go on; it is quarantined with the message as its reason, and the others do."""
