"""The vault: credentials in the ledger, and their renewal by exactly one writer.

A renewal is a lease on the credential's row by the database's time. No transaction is open while the vendor is asked;
what it gives is stored before anybody may use it. Whoever wants the credential meanwhile waits for the new one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.leases import is_dead, this_process
from affiliate_empire.ledger.tables import Alert, Credential
from affiliate_empire.vault.keys import KeyMissing, MasterKeys, opened_by

Secret = dict[str, Any]

_LEASE = timedelta(seconds=90)  # longer than any token endpoint's hard time-out
_LOOK_AGAIN = 0.1  # seconds between two looks at a credential that another one renews


class RenewalStuck(EmpireError):
    """Another process renews the credential and does not come to an end."""


class Vault:
    """Encrypted credentials by name. Its repr, errors and log lines never hold one.

    Args:
        keys: gives the master keys when a credential is first read or written, and again when one cannot be opened
            with them: a key may have been added meanwhile.
    """

    def __init__(self, ledger: Ledger, keys: Callable[[], MasterKeys]) -> None:
        self.ledger = ledger
        self._open_keys = keys
        self._opened: MasterKeys | None = None

    def __repr__(self) -> str:
        return f"Vault({self._opened!r})"

    def load(self, name: str) -> Secret | None:
        """A credential, None when there is none of this name.

        Raises:
            Misconfigured: it cannot be decrypted with the master key in force.
        """
        with self.ledger.begin() as session:
            row = session.get(Credential, name)
        return None if row is None else self._decrypted(row)

    def adopt(self, former: str, name: str) -> None:
        """Keep a credential under another name from now on, unless there is one of that name."""
        with self.ledger.begin() as session:
            row = session.scalars(select(Credential).where(Credential.name == former).with_for_update()).one_or_none()
            if row is None:
                return
            if session.get(Credential, name) is None:
                self._create(session, name)
                self._write(session, name, self._decrypted(row))
            session.delete(row)

    def names(self) -> dict[str, datetime]:
        """Every credential that is stored, and when it was last written."""
        query = select(Credential.name, Credential.updated_at).where(Credential.version > 0).order_by(Credential.name)
        with self.ledger.begin() as session:
            return {row.name: row.updated_at for row in session.execute(query)}

    def forget(self, name: str) -> bool:
        """Delete a credential; whether there was one."""
        with self.ledger.begin() as session:
            return bool(
                session.scalars(delete(Credential).where(Credential.name == name).returning(Credential.name)).all()
            )

    def encrypt_anew(self, *, only_current: bool = False) -> int:
        """Encrypt every credential that another set of keys opens for exactly the keys at hand; returns how many.

        Each in a transaction of its own: readers and the one who renews it go on, and what was done stays done.

        Args:
            only_current: for the key in force alone.
        """
        self._opened = self._open_keys()
        keys = self._opened.only_current() if only_current else self._opened
        changed = 0
        with self.ledger.begin() as session:
            names = session.scalars(select(Credential.name).order_by(Credential.name)).all()
        for name in names:
            with self.ledger.begin() as session:
                found = select(Credential).where(Credential.name == name).with_for_update()
                row = session.scalars(found).one_or_none()
                if row is None or set(opened_by(name, row.ciphertext, row.key_id)) == set(keys.ids):
                    continue
                plain = json.dumps(self._decrypted(row)).encode()
                values = {"ciphertext": keys.encrypt(name, plain), "key_id": keys.key_id, "updated_at": row.updated_at}
                session.execute(update(Credential).where(Credential.name == name).values(**values))
                changed += 1
        return changed

    def save(self, name: str, secret: Secret) -> None:
        """Keep a credential, in place of the one of the same name."""
        with self.ledger.begin() as session:
            self._create(session, name)
            self._write(session, name, secret)

    def put_in_place(self, former: str, name: str, secret: Secret) -> None:
        """Keep a credential under its name, and what it was kept under until then no more, in one transaction."""
        with self.ledger.begin() as session:
            self._create(session, name)
            self._write(session, name, secret)
            session.execute(delete(Credential).where(Credential.name == former))

    def renewed(self, name: str, *, is_fresh: Callable[[Secret], bool], renew: Callable[[Secret], Secret]) -> Secret:
        """The credential, renewed if it is not fresh: by this caller, or by the one who is at it.

        Args:
            is_fresh: whether a stored secret may be used as it is; ``{}`` stands for none.
            renew: asks the vendor, with the stored secret; returns the new one. Called without an open transaction,
                and by one caller at a time. One that holds ``refused`` only replaces what it was asked with.

        Raises:
            RenewalStuck: another caller holds the renewal longer than its lease.
            Whatever ``renew`` raises; then the stored credential is as it was.
        """
        until = time.monotonic() + 2 * _LEASE.total_seconds()
        while True:
            held = None
            with self.ledger.begin() as session:
                self._create(session, name)
                row = session.scalars(select(Credential).where(Credential.name == name).with_for_update()).one()
                secret = self._decrypted(row)
                if is_fresh(secret):
                    return secret
                if not _held(session, row):
                    row.lease_owner = this_process()
                    row.lease_until = func.clock_timestamp() + _LEASE
                    session.flush()
                    session.refresh(row)
                    held = row
            if held is not None:
                if (new := self._renew(held, secret, renew)) is not None:
                    return new
                continue
            if time.monotonic() > until:
                raise RenewalStuck(f"Another process has been renewing {name} for minutes: end it and run again.")
            time.sleep(_LOOK_AGAIN)

    def alert(self, alert_id: str, subject: str, message: str, at: datetime) -> None:
        """Tell the owner that a credential is dead; the same cause is told once."""
        alert = insert(Alert).values(alert_id=alert_id, severity="high", subject=subject, message=message, raised_at=at)
        with self.ledger.begin() as session:
            session.execute(alert.on_conflict_do_nothing())

    def _renew(self, ours: Credential, secret: Secret, renew: Callable[[Secret], Secret]) -> Secret | None:
        """The new credential, stored; None where another one took its place meanwhile, to be looked at first."""
        name = ours.name
        try:
            new = renew(secret)
        except BaseException:  # even an interrupt: the lease is for the one who renews
            with self.ledger.begin() as session:
                still_ours = (Credential.name == name, Credential.lease_until == ours.lease_until)
                session.execute(update(Credential).where(*still_ours).values(lease_owner=None, lease_until=None))
            raise
        with self.ledger.begin() as session:
            row = session.scalars(select(Credential).where(Credential.name == name).with_for_update()).one()
            if row.version != ours.version:
                # Refused after we slept past our lease, or of a grant that its owner has replaced: no news.
                replaced = self._decrypted(row).get("connected_at") != secret.get("connected_at")
                if "refused" in new or replaced:
                    return None
            # A grant is stored whatever happened meanwhile: of rotating tokens only the last one granted lives.
            self._write(session, name, new)
        return new

    def _create(self, session: Session, name: str) -> None:
        """A row of this name, if there is none; no key that was retired meanwhile shuts it."""
        if session.scalar(select(Credential.name).where(Credential.name == name)) is not None:
            return
        self._opened = self._open_keys()
        values = {"name": name, "ciphertext": self._encrypted(name, {}), "key_id": self._keys.key_id, "version": 0}
        session.execute(insert(Credential).values(**values).on_conflict_do_nothing())

    def _write(self, session: Session, name: str, secret: Secret) -> None:
        self._opened = self._open_keys()  # one that was retired meanwhile must not be written with
        values = {"ciphertext": self._encrypted(name, secret), "key_id": self._keys.key_id}
        changed = update(Credential).where(Credential.name == name)
        changed = changed.values(**values, version=Credential.version + 1, lease_owner=None, lease_until=None)
        session.execute(changed)

    @property
    def key_id(self) -> str:
        """Of the master key in force."""
        return self._keys.key_id

    @property
    def _keys(self) -> MasterKeys:
        if self._opened is None:
            self._opened = self._open_keys()
        return self._opened

    def _encrypted(self, name: str, secret: Secret) -> bytes:
        return self._keys.encrypt(name, json.dumps(secret).encode())

    def _decrypted(self, row: Credential) -> Secret:
        if row.version == 0:  # made to be locked: nothing was written to it yet
            return {}
        try:
            plain = self._keys.decrypt(row.name, row.ciphertext, row.key_id)
        except KeyMissing:
            self._opened = self._open_keys()
            plain = self._opened.decrypt(row.name, row.ciphertext, row.key_id)
        secret: Secret = json.loads(plain)
        return secret


def _held(session: Session, row: Credential) -> bool:
    """Whether somebody who lives is renewing the credential. A thread of this process counts until its lease ends."""
    now = session.scalar(select(func.clock_timestamp()))
    if row.lease_owner is None or row.lease_until is None or now is None or row.lease_until <= now:
        return False
    return not is_dead(row.lease_owner)
