"""Clicks to the ledger: many hits, one commit, and nobody is sent on before it.

Hits gather for 5 ms (or until 512 have come), then one ``COPY`` writes them in one transaction; only when it is
committed do their 302s leave. That costs a fraction of one commit per click and loses none when this process or
PostgreSQL is killed: what a visitor was told has been stored.

A connection that breaks during a ``COPY`` leaves it open whether the batch was committed, so it is tried again without
the click ids that are already there. While the database stays away, batches go to the spool
(``affiliate_empire.tracking.spool``) and the redirects go on. When the spool fails as well, visitors are still sent on:
the clicks are counted in ``unrecorded``, which turns ``/healthz`` red; a sale from such a click arrives with a click id
nobody knows and stays visible as unattributed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import psycopg
import structlog

from affiliate_empire.kernel.clock import Clock, FixedClock, SystemClock
from affiliate_empire.kernel.ids import new_ulids
from affiliate_empire.tracking.outages import DATABASE_OUTAGE
from affiliate_empire.tracking.spool import Spool
from affiliate_empire.tracking.visitors import DailySalts, visitor_hash

USER_AGENT_CHARACTERS = 512
REFERRER_CHARACTERS = 1024
_COMMIT_SECONDS = 5.0  # a server that holds a commit longer is treated as away

_COLUMNS = "click_id, code, clicked_at, user_agent, referrer, visitor_hash, flags"
_COPY = f"COPY clicks ({_COLUMNS}) FROM STDIN"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": None})

log = structlog.get_logger(__name__)


class Overloaded(Exception):
    """More hits are waiting for the database than may be held in memory."""


@dataclass(slots=True)
class Batch:
    """Hits that share a commit: ``(code, user agent, referrer, network, flags)`` each.

    ``click_ids`` resolves to their ids, in order, once they are stored.
    """

    click_ids: asyncio.Future[list[str]]
    hits: list[tuple[str, str, str, str, tuple[str, ...]]] = field(default_factory=list)


class ClickRecorder:
    """One writer per process; any number of processes share a database.

    Args:
        conninfo: libpq connection string of the ledger.
        clock: the business clock; read once per batch.
        salts: the days' salts for visitor hashes.
        spool: where clicks wait while the database is away.
        flush_seconds: how long the first hit of a batch waits for company.
        flush_hits: the batch size that ends the waiting.
        max_pending: hits held in memory at most; beyond it ``Overloaded``.
        patience: seconds to wait for a database that went away before batches are spooled.
    """

    def __init__(
        self,
        conninfo: str,
        clock: Clock,
        salts: DailySalts,
        spool: Spool,
        *,
        flush_seconds: float = 0.005,
        flush_hits: int = 512,
        max_pending: int = 8192,
        patience: float = 2.0,
    ) -> None:
        self.recorded = 0
        self.spooled = 0
        self.unrecorded = 0
        self.losing = False  # neither the database nor the disk takes clicks at the moment
        self._conninfo = conninfo
        self._clock = clock
        self._salts = salts
        self._spool = spool
        self._flush_seconds = flush_seconds
        self._flush_hits = flush_hits
        self._max_pending = max_pending
        self._patience = patience
        self._batch: Batch | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._writer: asyncio.Task[None] | None = None
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._away_since: float | None = None
        self._next_attempt = 0.0
        self._to_replay = False

    @property
    def database_away(self) -> bool:
        return self._away_since is not None

    def add(self, code: str, user_agent: str, referrer: str, network: str, flags: tuple[str, ...]) -> tuple[Batch, int]:
        """Put a hit into the open batch; await ``batch.click_ids`` and take the one at the index.

        Raises:
            Overloaded: the writer is behind by ``max_pending`` hits.
        """
        batch = self._batch
        if batch is None:
            loop = asyncio.get_running_loop()
            batch = self._batch = Batch(loop.create_future())
            loop.call_later(self._flush_seconds, self._wake.set)
        index = len(batch.hits)
        if index >= self._max_pending:
            raise Overloaded
        batch.hits.append((code, user_agent, referrer, network, flags))
        if index + 1 == self._flush_hits:
            self._wake.set()
        return batch, index

    async def start(self) -> None:
        """Connect, store what an earlier process spooled, begin to write. Raises one of ``DATABASE_OUTAGE``."""
        await self._connect()
        await self._salts.of(await self._now())
        await self._replay()
        self._writer = asyncio.create_task(self._write_forever(), name="clicks")

    async def stop(self) -> None:
        """Store what is waiting, then close."""
        self._stopping = True
        self._wake.set()
        if self._writer is not None:
            await self._writer
        await self._disconnect()
        self._spool.close()

    # ------------------------------------------------------------------ the writer
    async def _write_forever(self) -> None:
        while not (self._stopping and self._batch is None):
            # While clicks lie in the spool, look for the database every second even when nobody clicks.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0 if self._away_since is not None else None):
                    await self._wake.wait()
            self._wake.clear()
            batch, self._batch = self._batch, None
            try:
                if batch is not None:
                    await self._store(batch)
                elif self._away_since is not None:
                    await self._copy_patiently([], [])
                if self._to_replay and self._away_since is None:
                    await self._replay()
            except DATABASE_OUTAGE as error:  # in the replay: what was not committed is still in its file
                await self._lost_database(error)
            except Exception as error:
                # Whatever went wrong, this batch's visitors must get an answer and the next batch its chance.
                log.exception("batch_failed")
                if batch is not None and not batch.click_ids.done():
                    batch.click_ids.set_exception(error)
                    batch.click_ids.exception()  # seen: a batch whose visitors have all left is no unhandled error

    async def _store(self, batch: Batch) -> None:
        now = await self._now()
        click_ids = new_ulids(now, len(batch.hits))
        rows = list(self._rows(batch, click_ids, now, await self._salts.of(now)))
        if await self._copy_patiently(click_ids, rows):
            self.recorded += len(rows)
            self.losing = False
        else:
            await self._spool_or_count(rows)
        if not batch.click_ids.done():  # cancelled when its visitors have left
            batch.click_ids.set_result(click_ids)

    async def _now(self) -> datetime:
        if isinstance(self._clock, SystemClock | FixedClock):
            return self._clock.now()
        return await asyncio.to_thread(self._clock.now)  # the world's clock is an HTTP request

    def _rows(self, batch: Batch, click_ids: list[str], now: datetime, salt: bytes) -> Iterator[str]:
        """The batch in COPY's text format, one line per click."""
        clicked_at = now.isoformat()
        for click_id, (code, user_agent, referrer, network, flags) in zip(click_ids, batch.hits, strict=True):
            visitor = visitor_hash(salt, network, user_agent)
            agent = _escaped(user_agent, USER_AGENT_CHARACTERS)
            page = _escaped(referrer, REFERRER_CHARACTERS) if referrer else ""
            yield f"{click_id}\t{code}\t{clicked_at}\t{agent}\t{page}\t{visitor}\t{_json(flags)}\n"

    async def _spool_or_count(self, rows: list[str]) -> None:
        try:
            await asyncio.to_thread(self._spool.append, rows)
        except OSError as error:
            self.losing = True
            self.unrecorded += len(rows)
            log.error("clicks_unrecorded", clicks=len(rows), total=self.unrecorded, error=str(error))
        else:
            self.losing = False
            self.spooled += len(rows)
            self._to_replay = True

    # ------------------------------------------------------------------ the database
    async def _copy_patiently(self, click_ids: list[str], rows: list[str]) -> bool:
        """COPY the rows, over reconnects, until they are committed (True) or patience has ended (False)."""
        loop = asyncio.get_running_loop()
        in_doubt = False
        while True:
            if self._connection is None and loop.time() < self._next_attempt:
                if self._impatient:
                    return False
                await asyncio.sleep(self._next_attempt - loop.time())
            try:
                async with asyncio.timeout(_COMMIT_SECONDS):
                    if self._connection is None:
                        await self._connect()
                    if in_doubt:
                        rows = await self._missing(click_ids, rows)
                    if rows:
                        await self._copy(rows)
            except DATABASE_OUTAGE as error:
                in_doubt = True
                await self._lost_database(error)
            else:
                if self._away_since is not None:
                    log.warning("database_back", after_seconds=round(loop.time() - self._away_since, 1))
                    self._away_since = None
                return True

    async def _lost_database(self, error: BaseException) -> None:
        now = asyncio.get_running_loop().time()
        if self._away_since is None:
            self._away_since = now
            log.warning("database_away", error=str(error).strip())
        await self._disconnect()
        self._next_attempt = now + (1.0 if self._impatient else 0.1)

    @property
    def _impatient(self) -> bool:
        away = self._away_since
        return away is not None and (self._stopping or asyncio.get_running_loop().time() - away >= self._patience)

    async def _connect(self) -> None:
        # A COPY outside a transaction block is its own transaction: one round trip less than BEGIN … COMMIT.
        self._connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, connect_timeout=3)
        # Said here because the whole promise rests on it: a commit answers after the log is on disk.
        await self._connection.execute("SET synchronous_commit = on")

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _copy(self, rows: Sequence[str], statement: str = _COPY) -> None:
        assert self._connection is not None  # noqa: S101
        async with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write("".join(rows))

    async def _missing(self, click_ids: list[str], rows: list[str]) -> list[str]:
        """The rows of a batch in doubt that are not in the ledger."""
        assert self._connection is not None  # noqa: S101
        cursor = await self._connection.execute("SELECT click_id FROM clicks WHERE click_id = ANY(%s)", [click_ids])
        stored = {click_id for (click_id,) in await cursor.fetchall()}
        return [row for row in rows if row.partition("\t")[0] not in stored]

    async def _replay(self) -> None:
        """Store every spooled click that is not yet in the ledger; a spool file goes once its clicks are committed."""
        assert self._connection is not None  # noqa: S101
        for segment in self._spool.sealed():
            with segment:
                rows = await asyncio.to_thread(segment.read)
                async with self._connection.transaction():
                    await self._connection.execute(
                        "CREATE TEMPORARY TABLE spooled (LIKE clicks INCLUDING DEFAULTS) ON COMMIT DROP"
                    )
                    await self._copy(rows, f"COPY spooled ({_COLUMNS}) FROM STDIN")
                    await self._connection.execute("INSERT INTO clicks SELECT * FROM spooled ON CONFLICT DO NOTHING")
                segment.delete()
                log.warning("spool_replayed", clicks=len(rows))
        self._to_replay = False


@lru_cache(maxsize=4096)  # translate() costs as much as the rest of the row, and browsers repeat themselves
def _escaped(said: str, characters: int) -> str:
    return said[:characters].translate(_ESCAPES)


@lru_cache(maxsize=64)
def _json(flags: tuple[str, ...]) -> str:
    return json.dumps(flags)
