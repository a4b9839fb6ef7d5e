"""Tokens that live for weeks and are extended before they end: Instagram's.

A token that ended cannot be extended, so it is done in good time, and the owner is told in good time when it cannot be.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.vault.grants import Grants
from affiliate_empire.vault.store import Secret
from affiliate_empire.vendors.errors import GrantEnded, VendorError, VendorUnavailable
from affiliate_empire.vendors.instagram import LongLivedToken

_RESTS = timedelta(hours=24)  # a younger token is not extended: Meta gives the same one back
_NEAR = timedelta(days=14)  # of 60: two weeks to notice that it does not work
_AGAIN = timedelta(hours=1)  # between two tries


class ExtendedToken:
    """Gives an account's grant in force, with its ``access_token`` extended when its end is near.

    Args:
        account_id: whose.
        extend: asks the vendor; None where our app's credentials are not there, and the token ends when it ends.
        clock: business time.
    """

    def __init__(
        self, grants: Grants, account_id: str, *, extend: Callable[[str], LongLivedToken] | None, clock: Clock
    ) -> None:
        self._grants = grants
        self._account_id = account_id
        self._extend = extend
        self._clock = clock
        self._not_before: datetime | None = None

    def __call__(self) -> Secret:
        """The grant in force.

        Raises:
            GrantEnded: it is dead; the owner has an alert.
            Misconfigured: the account is not connected, or its grant cannot be decrypted.
        """
        extend, now = self._extend, self._clock.now()
        if extend is None or (self._not_before is not None and now < self._not_before):
            return self._grants.of(self._account_id)

        def renew(secret: Secret) -> Secret:
            token = extend(secret["access_token"])
            at = self._clock.now()
            ends = None if token.expires_in is None else (at + timedelta(seconds=token.expires_in)).isoformat()
            return {"access_token": token.access_token, "issued_at": at.isoformat(), "expires_at": ends}

        try:
            return self._grants.renewed(self._account_id, is_fresh=lambda secret: not _is_due(secret, now), renew=renew)
        except GrantEnded:
            raise
        except VendorError as error:
            # The token lives on: it is used, and tried again later.
            self._not_before = now + _AGAIN
            secret = self._grants.of(self._account_id)
            if not isinstance(error, VendorUnavailable) or _ends_within(secret, now, _NEAR / 2):
                ends = (secret.get("expires_at") or "an unknown day")[:10]
                message = f"The access to {self._account_id} was not extended and ends on {ends}: {error}"
                self._grants.tell(self._account_id, "access was not extended", message, secret)
            return secret


def _is_due(secret: Secret, now: datetime) -> bool:
    """Whether it is to be extended; one of unknown age is, so that its end becomes known."""
    if "issued_at" not in secret:
        return True
    return now >= datetime.fromisoformat(secret["issued_at"]) + _RESTS and _ends_within(secret, now, _NEAR)


def _ends_within(secret: Secret, now: datetime, span: timedelta) -> bool:
    ends = secret.get("expires_at")
    return ends is not None and now >= datetime.fromisoformat(ends) - span
