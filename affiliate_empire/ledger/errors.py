"""What the ledger may raise to a person.

Tree::

    EmpireError
    └── DatabaseUnavailable    PostgreSQL does not answer, cannot be started, or a database cannot be created
"""

from __future__ import annotations

from affiliate_empire.kernel.errors import EmpireError


class DatabaseUnavailable(EmpireError):
    """The database does not answer; nothing that was committed is lost."""
