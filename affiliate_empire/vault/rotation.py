"""Access tokens that run out, by refresh tokens that rotate: each works once, so the last one must never be lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.vault.grants import Grants
from affiliate_empire.vault.store import Secret
from affiliate_empire.vendors.oauth import Grant

_MARGIN = timedelta(minutes=5)  # a token is not used in its last minutes: the call it is for takes time


class RotatingTokens:
    """Gives an account's access token in force (``vendors.oauth.Tokens``); renews it when it ran out or was rejected.

    Args:
        account_id: whose.
        refresh: asks the vendor.
        clock: business time.
    """

    def __init__(self, grants: Grants, account_id: str, *, refresh: Callable[[str], Grant], clock: Clock) -> None:
        self._grants = grants
        self._account_id = account_id
        self._refresh = refresh
        self._clock = clock

    def __call__(self, rejected: str | None = None) -> str:
        """The access token in force.

        Raises:
            GrantEnded: the grant is dead (``invalid_grant``); the vendor is not asked again before the account is
                connected anew, and the owner has an alert.
            VendorUnavailable: no token can be had now.
            Misconfigured: the account is not connected, or its grant cannot be decrypted.
        """

        def is_fresh(secret: Secret) -> bool:
            token = secret.get("access_token")
            return bool(token) and token != rejected and self._clock.now() < _ends(secret) - _MARGIN

        def renew(secret: Secret) -> Secret:
            grant = self._refresh(secret["refresh_token"])
            return {
                "access_token": grant.access_token,
                "refresh_token": grant.refresh_token,
                "expires_at": (self._clock.now() + timedelta(seconds=grant.expires_in)).isoformat(),
            }

        return str(self._grants.renewed(self._account_id, is_fresh=is_fresh, renew=renew)["access_token"])


def _ends(secret: Secret) -> datetime:
    return datetime.fromisoformat(secret["expires_at"])
