"""The link table in memory: which code leads where, as of the last commit to ``links``.

Loaded whole at start, then kept fresh by PostgreSQL itself: a trigger on ``links`` (migration) announces each changed
code on the channel ``links_changed``, whoever changed it. A code that is not in the table costs one look-up before it
is answered 404, so a link works from its commit on even if the announcement is still on its way. Retired links are not
kept here: they answer exactly as unknown ones do.
"""

from __future__ import annotations

import asyncio
import contextlib
import re

import psycopg
import structlog
from sqlalchemy import select

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Link
from affiliate_empire.publishing.links import Destination, parse_destination
from affiliate_empire.tracking.outages import DATABASE_OUTAGE

CHANNEL = "links_changed"
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RECONNECT_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)

log = structlog.get_logger(__name__)


class LinkTable:
    """``live`` maps code → destination; the redirect reads it without awaiting anything."""

    def __init__(self, ledger: Ledger) -> None:
        self.live: dict[str, Destination] = {}
        self._ledger = ledger
        self._listener: asyncio.Task[None] | None = None
        self._lookups = asyncio.Semaphore(4)  # a scan of codes may occupy four connections, not the database

    async def start(self) -> None:
        """Load every live link and begin to listen. Raises ``ledger.errors.DatabaseUnavailable``."""
        loaded = asyncio.Event()
        self._listener = asyncio.create_task(self._listen_forever(loaded), name="links")
        waiter = asyncio.create_task(loaded.wait())
        await asyncio.wait({self._listener, waiter}, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if self._listener.done():
            self._listener.result()

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener

    async def find(self, code: str) -> Destination | None:
        """A code that is not in memory: ask the database once."""
        if not _CODE.fullmatch(code):
            return None
        async with self._lookups:
            await asyncio.to_thread(self._load, code)
        return self.live.get(code)

    def _load(self, code: str | None = None) -> None:
        """Read one link, or all of them; links that cannot be followed safely are logged and left out."""
        query = select(Link.code, Link.target_url, Link.sub_id_parameter).where(Link.status == "live")
        if code is not None:
            query = query.where(Link.code == code)
        with self._ledger.begin() as session:
            rows = session.execute(query).all()
        found: dict[str, Destination] = {}
        for row in rows:
            try:
                if not _CODE.fullmatch(row.code):
                    raise BadInput(f"The code {row.code!r} cannot stand in an address.")
                found[row.code] = parse_destination(row.target_url, row.sub_id_parameter)
            except BadInput as error:
                log.error("link_unusable", code=row.code, reason=str(error))
        if code is None:
            self.live = found
        elif code in found:
            self.live[code] = found[code]
        else:
            self.live.pop(code, None)

    async def _listen_forever(self, loaded: asyncio.Event) -> None:
        attempt = 0
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._ledger.url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    await asyncio.to_thread(self._load)  # after LISTEN: no change falls between the two
                    loaded.set()
                    attempt = 0
                    async for notification in connection.notifies():
                        await asyncio.to_thread(self._load, notification.payload or None)  # "": all of them
            except DATABASE_OUTAGE as error:
                if not loaded.is_set():
                    raise
                log.warning("links_listener_lost", error=str(error).strip())
            await asyncio.sleep(_RECONNECT_SECONDS[min(attempt, len(_RECONNECT_SECONDS) - 1)])
            attempt += 1
