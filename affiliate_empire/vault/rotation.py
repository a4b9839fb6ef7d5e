"""Access tokens that run out, by refresh tokens that rotate: each works once, so the last one must never be lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.ids import derived_id, fingerprint
from affiliate_empire.vault.store import Secret, Vault
from affiliate_empire.vendors.errors import CredentialsRejected, VendorRefused
from affiliate_empire.vendors.oauth import Grant

_MARGIN = timedelta(minutes=5)  # a token is not used in its last minutes: the call it is for takes time


class RotatingTokens:
    """Gives the access token in force (``vendors.oauth.Tokens``); renews it when it ran out or was rejected.

    Args:
        name: the credential's name in the vault.
        first: gives the refresh token that the account's owner was granted. The chain begins with it, and begins anew
            when it is another one.
        refresh: asks the vendor.
        clock: business time.
    """

    def __init__(
        self, vault: Vault, name: str, *, first: Callable[[], str], refresh: Callable[[str], Grant], clock: Clock
    ) -> None:
        self._vault = vault
        self._name = name
        self._first = first
        self._refresh = refresh
        self._clock = clock

    def __call__(self, rejected: str | None = None) -> str:
        """The access token in force.

        Raises:
            VendorRefused: the grant is dead (``invalid_grant``); the vendor is not asked again before there is a new
                first token, and the owner has an alert.
            VendorUnavailable: no token can be had now.
            Misconfigured: there is no first token, or the stored one cannot be decrypted.
        """
        first = self._first()
        origin = fingerprint([self._name, first])

        def is_fresh(secret: Secret) -> bool:
            if secret.get("origin") != origin:
                return False
            if "refused" in secret:
                return True
            return secret["access_token"] != rejected and self._clock.now() < _ends(secret) - _MARGIN

        def renew(secret: Secret) -> Secret:
            same_chain = secret.get("origin") == origin
            try:
                grant = self._refresh(secret["refresh_token"] if same_chain else first)
            except VendorRefused as error:
                if error.code != "invalid_grant":
                    raise
                return {"origin": origin, "refused": str(error), "vendor": error.vendor}
            expires_at = self._clock.now() + timedelta(seconds=grant.expires_in)
            return {
                "origin": origin,
                "access_token": grant.access_token,
                "refresh_token": grant.refresh_token,
                "expires_at": expires_at.isoformat(),
            }

        secret = self._vault.renewed(self._name, is_fresh=is_fresh, renew=renew)
        if "refused" in secret:
            subject = f"{secret['vendor']}: access was refused"
            alert_id = derived_id("al", self._name, "refused", origin)
            self._vault.alert(alert_id, subject, secret["refused"], self._clock.now())
            raise CredentialsRejected(secret["refused"], vendor=secret["vendor"], code="invalid_grant")
        return str(secret["access_token"])


def _ends(secret: Secret) -> datetime:
    return datetime.fromisoformat(secret["expires_at"])
