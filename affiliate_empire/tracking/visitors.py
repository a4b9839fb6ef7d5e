"""Who clicked, without knowing who: a day's salted hash of a shortened address and the user agent.

The address itself is never stored or logged: it is cut to its network (/24, /48) before it is hashed, the salt changes
with the business day, and once a salt is deleted (retention) the day's hashes can no longer be tied to anything.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
import secrets
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Salt

HASH_CHARACTERS = 32
_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}", re.ASCII)


def truncate_address(address: str) -> str:
    """The network of an address: /24 of IPv4 (mapped IPv4 too), /48 of IPv6; ``""`` when it is no address."""
    if ":" not in address:  # without ipaddress, which costs more than the rest of the visit
        return address.rpartition(".")[0] if _IPV4.fullmatch(address) else ""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return parsed.exploded[:14] if mapped is None else str(mapped).rpartition(".")[0]


def visitor_hash(salt: bytes, network: str, user_agent: str) -> str:
    """HMAC-SHA256 of network and user agent under the day's salt; 32 hex characters."""
    message = f"{network}\x1f{user_agent}".encode("utf-8", "surrogateescape")
    return hmac.digest(salt, message, "sha256").hex()[:HASH_CHARACTERS]


class DailySalts:
    """The salt of each business day, shared by every worker through the ledger."""

    def __init__(self, ledger: Ledger, calendar: BusinessCalendar) -> None:
        self._ledger = ledger
        self._calendar = calendar
        self._known: dict[date, bytes] = {}

    async def of(self, instant: datetime) -> bytes:
        """The salt of the instant's business day.

        The next day's salt is fetched along, so that a database that is down at midnight does not stop clicks.
        """
        day = self._calendar.day_of(instant)
        salt = self._known.get(day)
        if salt is None:
            self._known = await asyncio.to_thread(self._load, (day, day + timedelta(days=1)))
            salt = self._known[day]
        return salt

    def _load(self, days: tuple[date, ...]) -> dict[date, bytes]:
        with self._ledger.begin() as session:
            session.execute(
                insert(Salt)
                .values([{"day": day, "salt": secrets.token_hex(32)} for day in days])
                .on_conflict_do_nothing()
            )
            rows = session.execute(select(Salt.day, Salt.salt).where(Salt.day.in_(days))).all()
        return {day: bytes.fromhex(salt) for day, salt in rows}
