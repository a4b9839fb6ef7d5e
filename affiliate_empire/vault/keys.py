"""The master key: 32 bytes from the setting or from a file in the home, and the encryption made with it.

AES-256-GCM with the credential's name as associated data, so that no row can be passed off as another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from affiliate_empire.kernel.errors import Misconfigured

_BYTES = 32
_NONCE_BYTES = 12


class MasterKey:
    """Encrypts and decrypts. Its repr shows ``key_id``, never the key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _BYTES:
            raise Misconfigured(f"The master key has {len(key)} bytes, it must have {_BYTES}: {_HOW_TO_MAKE_ONE}")
        self._key = key
        self.key_id = hashlib.sha256(b"vault key id" + key).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"MasterKey(key_id={self.key_id!r})"

    def encrypt(self, name: str, plain: bytes) -> bytes:
        """Nonce and ciphertext of a credential of this name."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, plain, name.encode())

    def decrypt(self, name: str, sealed: bytes) -> bytes:
        """The credential again.

        Raises:
            Misconfigured: it was changed, belongs to another name, or was encrypted with another key.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            raise Misconfigured(
                f"The stored credential {name} was changed outside the product: delete its row in the ledger's table "
                "credentials and connect the account again."
            ) from None


def open_master_key(home: Path, setting: str | None) -> MasterKey:
    """The key of ``EMPIRE_MASTER_KEY``, else that of ``<home>/vault.key``, which is made on first use.

    Args:
        setting: 32 bytes in URL-safe base64.

    Raises:
        Misconfigured: the setting or the file holds no key, or others may read the file.
    """
    if setting is not None:
        return MasterKey(_decoded(setting, "EMPIRE_MASTER_KEY"))
    path = home / "vault.key"
    if not path.exists():
        _make(path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(f"Others may read {path}, the key of all stored credentials: run `chmod 600 {path}`.")
    return MasterKey(_decoded(path.read_text("ascii"), str(path)))


_HOW_TO_MAKE_ONE = (
    "make one with `python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'`."
)


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Misconfigured(f"{where} is not a key in URL-safe base64: {_HOW_TO_MAKE_ONE}") from None


def _make(path: Path) -> None:
    """Write a new key whole or not at all; of two processes that do so at once the first one's key stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
