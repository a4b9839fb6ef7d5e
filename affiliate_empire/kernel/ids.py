"""Identifiers: sortable ones for events, derived ones for things that must be the same on every run."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import datetime
from typing import Any

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def new_ulid(at: datetime) -> str:
    """A 26-character lower-case ULID: 48 bits of the instant in milliseconds, 80 random bits.

    Every network's sub-id accepts it (26 characters of ``[0-9a-z]``). Source: github.com/ulid/spec.
    """
    number = (int(at.timestamp() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def derived_id(prefix: str, *parts: object) -> str:
    """``prefix_`` and 20 hex characters of a hash of the parts: the same parts give the same id on every run."""
    text = "\x1f".join(str(part) for part in parts)
    return f"{prefix}_{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def new_link_code() -> str:
    """Ten random base58 characters (58 bits): a tracking link that cannot be guessed by scanning."""
    return "".join(secrets.choice(_BASE58) for _ in range(10))


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces; the text that hashes and snapshots are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
