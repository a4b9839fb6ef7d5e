"""Identifiers: sortable ones for events, derived ones for things that must be the same on every run."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import datetime
from typing import Any

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def new_ulid(at: datetime) -> str:
    """A 26-character lower-case ULID: 48 bits of the instant in milliseconds, 80 random bits.

    Every network's sub-id accepts it (26 characters of ``[0-9a-z]``). Source: github.com/ulid/spec.
    """
    return new_ulids(at, 1)[0]


def new_ulids(at: datetime, count: int) -> list[str]:
    """``count`` ULIDs of one instant, with one system call for all their random bits: the redirect makes batches."""
    milliseconds = int(at.timestamp() * 1000)
    time_part = "".join(_CROCKFORD[(milliseconds >> shift) & 31] for shift in range(45, -1, -5))
    random_bytes = secrets.token_bytes(10 * count)
    return [time_part + _base32(random_bytes[start : start + 10]) for start in range(0, 10 * count, 10)]


def _base32(ten_bytes: bytes) -> str:
    """Sixteen characters of 80 bits, two at a time."""
    number = int.from_bytes(ten_bytes, "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in (70, 60, 50, 40, 30, 20, 10, 0)])


def derived_id(prefix: str, *parts: object) -> str:
    """``prefix_`` and 20 hex characters of a hash of the parts: the same parts give the same id on every run."""
    text = "\x1f".join(str(part) for part in parts)
    return f"{prefix}_{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def new_link_code() -> str:
    """Ten random base58 characters (58 bits): a tracking link that cannot be guessed by scanning."""
    return "".join(secrets.choice(_BASE58) for _ in range(10))


def derived_link_code(*parts: object) -> str:
    """As ``new_link_code``, but the same parts give the same code; one of them must be a secret."""
    number = int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest())
    return "".join(_BASE58[number // 58**place % 58] for place in range(10))


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces; the text that hashes and snapshots are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
