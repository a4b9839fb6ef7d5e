"""What an OAuth token endpoint gives, and how a client asks for the token in force.

Clients hold no token: they are handed a ``Tokens`` and ask it at every call, so that whoever keeps the credentials
(``affiliate_empire.vault``) can renew them between two calls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Grant:
    """A pair of tokens and their lives in seconds. Neither token shows in the repr."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: float
    refresh_expires_in: float


class Tokens(Protocol):
    """Gives the access token in force."""

    def __call__(self, rejected: str | None = None) -> str:
        """An access token; another one than ``rejected``, which the vendor did not accept.

        Raises:
            VendorError: no token can be had.
        """
