"""The root of every error that a person may read.

An ``EmpireError`` message is one sentence that says what happened and what to do. Tree::

    EmpireError
    ├── BadInput               a feed, a flag, a file that cannot be used
    ├── Misconfigured          a missing key, a wrong URL, a port in use, two worlds in one home
    └── (kernel.files, vendors.errors, effects.errors, ledger.errors add their own branches)
"""


class EmpireError(Exception):
    """Base of the errors whose message is written for the owner: one sentence, with the remedy."""


class BadInput(EmpireError):
    """Something handed in by a person or a merchant cannot be used."""


class Misconfigured(EmpireError):
    """A setting is missing, contradictory, or points at something that does not answer."""
