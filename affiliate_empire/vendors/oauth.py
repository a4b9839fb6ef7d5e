"""OAuth as the platforms share it: an owner's sign-in in the browser, what it grants, and the token in force.

Clients hold no token: they are handed a ``Tokens`` and ask it at every call, so that whoever keeps the credentials
(``affiliate_empire.vault``) can renew them between two calls. How a sign-in goes on is
``affiliate_empire.operations.connect_account``'s; what a platform calls things is its own module's.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from affiliate_empire.kernel.errors import EmpireError


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


# ---------------------------------------------------------------- signing in
class NotConsented(EmpireError):
    """The sign-in came to nothing: refused, too late, or not the one that was asked for. Nothing was stored."""


@dataclass(frozen=True)
class SignIn:
    """One sign-in: where the browser comes back to, and two secrets that only this process knows."""

    redirect_uri: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)  # of PKCE: 64 characters


@dataclass(frozen=True)
class Profile:
    """An account as its platform names it. ``id`` never changes; handle and name may."""

    id: str
    handle: str
    name: str


@dataclass(frozen=True)
class Granted:
    """What a sign-in gave.

    Attributes:
        access_token: to ask with who the account is.
        kept: what is kept of it, by the names that the platform's client knows (``refresh_token``…).
        scopes: what the owner granted; None where the platform says it only when asked.
    """

    access_token: str = field(repr=False)
    kept: Mapping[str, Any] = field(repr=False)
    scopes: frozenset[str] | None


class Authorization(Protocol):
    """How the owner of an account lets our app act for it, on one platform."""

    @property
    def name(self) -> str:
        """The platform's, as a person knows it."""

    @property
    def host(self) -> str:
        """Of the redirect to this machine: ``127.0.0.1``, or ``localhost`` where the platform takes only that."""

    @property
    def scopes(self) -> Mapping[str, str]:
        """What is asked for, and what each is for."""

    @property
    def any_of(self) -> frozenset[str]:
        """Those scopes of which one is enough, where there are such; every other one is needed."""

    def address(self, sign_in: SignIn) -> str:
        """Where the owner signs in."""

    def exchange(self, code: str, sign_in: SignIn, *, now: datetime) -> Granted:
        """A code for what it stands for.

        Raises:
            CredentialsRejected: our app, or the code, is not accepted.
            VendorUnavailable: no answer; sign in again.
        """

    def identify(self, granted: Granted) -> tuple[frozenset[str], list[Profile]]:
        """What was granted, and the accounts that it is for.

        Raises:
            VendorError: the platform does not say.
        """
