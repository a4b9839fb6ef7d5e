"""What the owners of accounts granted: one credential per account, by the account's id (``youtube:gearlab``).

An account that was connected has its grant in the vault. The first account of each platform may have it in the settings
instead: then the vault keeps what became of that one (its rotated tokens, or that it is dead), and begins anew when the
settings bring another. A dead grant is told to the owner once and never sent to the vendor again.
"""

from __future__ import annotations

from collections.abc import Callable

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.ids import derived_id, fingerprint
from affiliate_empire.ledger.accounts import first_account
from affiliate_empire.vault.store import Secret, Vault
from affiliate_empire.vendors.accounts import NotConnected
from affiliate_empire.vendors.errors import GrantEnded


class Grants:
    """The grants of all accounts.

    Args:
        given: gives the settings' grant for a platform (``refresh_token`` or ``access_token``, and what else belongs
            to it); None where they have none. It is the first account's.
        clock: business time, for alerts.
    """

    def __init__(self, vault: Vault, *, given: Callable[[str], Secret | None], clock: Clock) -> None:
        self._vault = vault
        self._given = given
        self._clock = clock

    def of(self, account_id: str) -> Secret:
        """The grant in force.

        Raises:
            NotConnected: there is none.
            GrantEnded: it is dead.
            Misconfigured: it cannot be decrypted.
        """
        secret = self._in_force(account_id)(self._vault.load(account_id) or {})
        self._refuse_dead(account_id, secret)
        return secret

    def adopt(self, former: str, platform: str) -> None:
        """Keep what the vault has of a platform's first account under the account's name from now on."""
        account_id = first_account(platform, ledger=self._vault.ledger)
        if account_id is not None:
            self._vault.adopt(former, account_id)

    def refuse_unconnected(self, account_id: str) -> None:
        """Raise ``NotConnected`` where there is no grant, dead or alive."""
        self._in_force(account_id)(self._vault.load(account_id) or {})

    def is_connected(self, account_id: str) -> bool:
        """Whether there is a grant, dead or alive."""
        try:
            self.refuse_unconnected(account_id)
        except NotConnected:
            return False
        return True

    def renewed(
        self, account_id: str, *, is_fresh: Callable[[Secret], bool], renew: Callable[[Secret], Secret]
    ) -> Secret:
        """The grant in force, renewed by exactly one writer when it is not fresh, and stored before it is used.

        Args:
            is_fresh: whether it may be used as it is.
            renew: asks the vendor; returns what changes.

        Raises:
            NotConnected, GrantEnded, Misconfigured: as ``of``.
            VendorError: it cannot be renewed now; what is stored is as it was.
        """
        in_force = self._in_force(account_id)

        def fresh(stored: Secret) -> bool:
            secret = in_force(stored)
            return "refused" in secret or is_fresh(secret)

        def ask(stored: Secret) -> Secret:
            secret = in_force(stored)
            try:
                return secret | renew(secret)
            except GrantEnded as error:
                return secret | {"refused": str(error), "vendor": error.vendor, "code": error.code}

        secret = self._vault.renewed(account_id, is_fresh=fresh, renew=ask)
        self._refuse_dead(account_id, secret)
        return secret

    def end(self, account_id: str, used: Secret, error: GrantEnded) -> None:
        """Remember that the vendor does not accept a grant any more; another one that came meanwhile stays."""
        in_force = self._in_force(account_id)

        def is_another(stored: Secret) -> bool:
            secret = in_force(stored)
            same = _origin(secret) == _origin(used) and secret.get("access_token") == used.get("access_token")
            return "refused" in secret or not same

        def mark(stored: Secret) -> Secret:
            return in_force(stored) | {"refused": str(error), "vendor": error.vendor, "code": error.code}

        secret = self._vault.renewed(account_id, is_fresh=is_another, renew=mark)
        if "refused" in secret:
            self.tell(account_id, "access was refused", secret["refused"], secret)

    def tell(self, account_id: str, what: str, message: str, used: Secret) -> None:
        """Alert the owner of something about a grant, once."""
        alert_id = derived_id("al", account_id, what, _origin(used))
        self._vault.alert(alert_id, f"{account_id}: {what}", message, self._clock.now())

    def _in_force(self, account_id: str) -> Callable[[Secret], Secret]:
        """What the grant is, given what is stored under the account's name (``{}`` for nothing).

        The settings and the ledger are asked here, and not while the credential's row is locked.
        """
        platform = account_id.partition(":")[0]
        seed = self._given(platform)
        if seed is not None and first_account(platform, ledger=self._vault.ledger) != account_id:
            seed = None

        def choose(stored: Secret) -> Secret:
            if stored.get("connected_at"):
                return stored
            if seed is None:
                raise NotConnected(
                    f"{account_id} is not connected: run `empire connect {platform} --account {account_id}`."
                )
            origin = fingerprint([platform, seed.get("refresh_token") or seed["access_token"]])
            return stored if stored.get("origin") == origin else seed | {"origin": origin}

        return choose

    def _refuse_dead(self, account_id: str, secret: Secret) -> None:
        if "refused" in secret:
            self.tell(account_id, "access was refused", secret["refused"], secret)
            raise GrantEnded(secret["refused"], vendor=secret["vendor"], code=secret.get("code", "invalid_grant"))


def _origin(secret: Secret) -> str:
    """Which grant of its owner it goes back to."""
    return str(secret.get("connected_at") or secret.get("origin"))
