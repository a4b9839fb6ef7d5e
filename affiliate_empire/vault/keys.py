"""The master keys: 32 bytes each, from the setting or from a file in the home, and the encryption made with them.

The first key is in force; those after it are being retired. Each credential is encrypted (AES-256-GCM, its name as
associated data, so that no row can be passed off as another) with a key of its own, and that one with every master key
of whoever wrote it: while a key is being replaced, who has only the old one and who has only the new one read the same.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from affiliate_empire.kernel.errors import Misconfigured

_BYTES = 32
_NONCE_BYTES = 12
_SEVERAL_KEYS = b"vault\x002\x00"  # what begins otherwise was encrypted with one master key itself
_ID = 12


class MasterKey:
    """Encrypts and decrypts. Its repr shows ``key_id``, never the key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _BYTES:
            raise Misconfigured(f"The master key has {len(key)} bytes, it must have {_BYTES}: {_HOW_TO_MAKE_ONE}")
        self._key = key
        self.key_id = hashlib.sha256(b"vault key id" + key).hexdigest()[:_ID]

    def __repr__(self) -> str:
        return f"MasterKey(key_id={self.key_id!r})"

    def encrypt(self, name: str, plain: bytes) -> bytes:
        """Nonce and ciphertext of what belongs to this name."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, plain, name.encode())

    def decrypt(self, name: str, sealed: bytes) -> bytes:
        """The plain text again.

        Raises:
            Misconfigured: it was changed, or belongs to another name.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):  # the latter of what is too short to hold a nonce
            raise _changed(name) from None


class MasterKeys:
    """The keys that this process has, the one in force first."""

    def __init__(self, keys: Sequence[MasterKey]) -> None:
        self._keys = list(keys)

    def __repr__(self) -> str:
        return f"MasterKeys({self.ids!r})"

    @property
    def key_id(self) -> str:
        """Of the key in force."""
        return self._keys[0].key_id

    @property
    def ids(self) -> list[str]:
        return [key.key_id for key in self._keys]

    def only_current(self) -> MasterKeys:
        """Without those that are being retired."""
        return MasterKeys(self._keys[:1])

    def encrypt(self, name: str, plain: bytes) -> bytes:
        """A credential of this name, for whoever has one of these keys."""
        own = secrets.token_bytes(_BYTES)
        wraps = {key.key_id: base64.b64encode(key.encrypt(name, own)).decode() for key in self._keys}
        header = json.dumps(wraps).encode()
        return _SEVERAL_KEYS + len(header).to_bytes(4, "big") + header + MasterKey(own).encrypt(name, plain)

    def decrypt(self, name: str, sealed: bytes, key_id: str) -> bytes:
        """The credential again.

        Args:
            key_id: the master key that was in force when it was encrypted.

        Raises:
            Misconfigured: it was changed, belongs to another name, or none of these keys opens it.
        """
        if not sealed.startswith(_SEVERAL_KEYS):
            return self._key(name, {key_id: b""})[0].decrypt(name, sealed)
        wraps, body = _parts(name, sealed)
        key, wrapped = self._key(name, wraps)
        own = key.decrypt(name, wrapped)
        return MasterKey(own).decrypt(name, body)

    def _key(self, name: str, wraps: dict[str, bytes]) -> tuple[MasterKey, bytes]:
        for key in self._keys:
            if key.key_id in wraps:
                return key, wraps[key.key_id]
        raise KeyMissing(
            f"The stored credential {name} was encrypted with master key {' or '.join(wraps)}, and this process has "
            f"{' and '.join(self.ids)}: put the old EMPIRE_MASTER_KEY or vault.key back, or run `empire secrets forget "
            f"{name}` and connect the account again."
        )


class KeyMissing(Misconfigured):
    """None of the keys at hand opens the credential."""


def opened_by(name: str, sealed: bytes, key_id: str) -> list[str]:
    """Which master keys open a credential; ``key_id`` is the one in force when it was encrypted.

    Raises:
        Misconfigured: it was changed.
    """
    if not sealed.startswith(_SEVERAL_KEYS):
        return [key_id]
    return list(_parts(name, sealed)[0])


def _parts(name: str, sealed: bytes) -> tuple[dict[str, bytes], bytes]:
    start = len(_SEVERAL_KEYS) + 4
    ends = start + int.from_bytes(sealed[len(_SEVERAL_KEYS) : start], "big")
    try:
        header = json.loads(sealed[start:ends])
        wraps = {str(key_id): base64.b64decode(wrapped, validate=True) for key_id, wrapped in header.items()}
    except (ValueError, TypeError, AttributeError):  # no text, no JSON, no object, no base64: all of them a byte away
        raise _changed(name) from None
    if not wraps:
        raise _changed(name)
    return wraps, sealed[ends:]


def _changed(name: str) -> Misconfigured:
    return Misconfigured(
        f"The stored credential {name} was changed outside the product: run `empire secrets forget {name}` and connect "
        "the account again."
    )


def open_master_keys(home: Path, setting: str | None) -> MasterKeys:
    """The keys of ``EMPIRE_MASTER_KEY``, else those of ``<home>/vault.key``, which is made on first use.

    Args:
        setting: 32 bytes in URL-safe base64; several with commas between them, the one in force first.

    Raises:
        Misconfigured: the setting or the file holds no key, or others may read the file.
    """
    if setting is not None:
        return MasterKeys([MasterKey(_decoded(text, "EMPIRE_MASTER_KEY")) for text in setting.split(",")])
    path = key_file(home)
    if not path.exists():
        _make(path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(f"Others may read {path}, the key of all stored credentials: run `chmod 600 {path}`.")
    return MasterKeys([MasterKey(_decoded(text, str(path))) for text in path.read_text("ascii").split()])


def key_file(home: Path) -> Path:
    """Where a home without ``EMPIRE_MASTER_KEY`` has its keys, a line each."""
    return home / "vault.key"


def add_key(home: Path) -> None:
    """Put a new key in force in the key file, before those that are there."""
    path = key_file(home)
    _replace(path, _new_key() + path.read_bytes())


def drop_keys(home: Path) -> None:
    """Leave only the key in force in the key file."""
    path = key_file(home)
    _replace(path, path.read_bytes().split()[0] + b"\n")


_HOW_TO_MAKE_ONE = (
    "put your copy of it back, for what it encrypted opens with no other. Only where nothing is stored yet, make one "
    "with `python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'`."
)


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Misconfigured(f"{where} is not a key in URL-safe base64: {_HOW_TO_MAKE_ONE}") from None


def _new_key() -> bytes:
    return base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)) + b"\n"


def _make(path: Path) -> None:
    """Write a new key whole or not at all; of two processes that do so at once the first one's key stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path, _new_key())
    try:
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def _replace(path: Path, content: bytes) -> None:
    """The whole file, or what it was before."""
    _draft(path, content).replace(path)


def _draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft
