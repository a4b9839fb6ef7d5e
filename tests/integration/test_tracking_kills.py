"""No acknowledged click is lost: the tracking service killed, stopped, cut off, and without its database."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import select, text

from affiliate_empire.kernel.clock import BusinessCalendar, FixedClock
from affiliate_empire.ledger import EmbeddedPostgres, Ledger
from affiliate_empire.ledger.tables import Click
from affiliate_empire.tracking.recorder import ClickRecorder
from affiliate_empire.tracking.spool import Spool
from affiliate_empire.tracking.visitors import DailySalts
from tests.factories.tracking import PUBLISHED_AT, ClockServer, TrackingProcess, click_until_cut, publish_link

CODE = "k7Qm2RtX9b"


@pytest.fixture(scope="module")
def clock() -> Iterator[ClockServer]:
    server = ClockServer(PUBLISHED_AT + timedelta(hours=5))
    yield server
    server.close()


def stored(ledger: Ledger) -> list[str]:
    with ledger.begin() as session:
        return list(session.scalars(select(Click.click_id).order_by(Click.click_id)))


async def _load(port: int, acknowledged: list[str], visitors: int, stop: Callable[[], None], enough: int) -> None:
    """Visitors click until ``enough`` were acknowledged; then ``stop`` is called and they go on until they are cut."""
    tasks = [asyncio.create_task(click_until_cut(port, CODE, acknowledged)) for _ in range(visitors)]
    async with asyncio.timeout(60):
        while len(acknowledged) < enough and not all(task.done() for task in tasks):
            await asyncio.sleep(0.005)
    await asyncio.to_thread(stop)
    await asyncio.gather(*tasks)


def test_a_killed_service_has_stored_every_click_it_acknowledged(
    ledger: Ledger, clock: ClockServer, tmp_path: Path
) -> None:
    publish_link(ledger, CODE)
    acknowledged: list[str] = []
    process = TrackingProcess(tmp_path, ledger.url, clock.url)
    asyncio.run(_load(process.port, acknowledged, 32, process.process.kill, 1000))
    process.close()

    process = TrackingProcess(tmp_path, ledger.url, clock.url)
    with psycopg.connect(ledger.url) as holder:
        # The worst moment: every visitor is waiting for a commit that the database is holding up.
        def kill_while_a_commit_is_held() -> None:
            holder.execute("LOCK TABLE clicks IN SHARE MODE")
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'clicks'::regclass"
            until = time.monotonic() + 60
            while holder.execute(waiting).fetchone() is None:
                assert time.monotonic() < until, "no commit ever waited"
                time.sleep(0.005)
            process.process.kill()

        asyncio.run(_load(process.port, acknowledged, 32, kill_while_a_commit_is_held, 2000))
    process.close()
    assert len(acknowledged) >= 2000
    assert len(set(acknowledged)) == len(acknowledged)
    assert set(acknowledged) <= set(stored(ledger))


def test_cut_connections_and_a_stop_lose_and_double_nothing(ledger: Ledger, clock: ClockServer, tmp_path: Path) -> None:
    publish_link(ledger, CODE)
    acknowledged: list[str] = []
    process = TrackingProcess(tmp_path, ledger.url, clock.url)

    async def run() -> None:
        visitors = [asyncio.create_task(click_until_cut(process.port, CODE, acknowledged)) for _ in range(16)]

        async def clicked(enough: int) -> None:
            async with asyncio.timeout(60):
                while len(acknowledged) < enough:
                    for visitor in visitors:
                        assert not visitor.done(), visitor.exception() or process.log
                    await asyncio.sleep(0.005)

        for enough in (200, 500, 800):
            await clicked(enough)
            await asyncio.to_thread(_cut_connections, ledger)
        await clicked(1100)
        process.process.terminate()
        await asyncio.gather(*visitors)

    asyncio.run(run())
    assert process.process.wait(timeout=20) == 0
    process.close()
    assert "database_away" in process.log
    assert sorted(acknowledged) == stored(ledger), "what was stored is what was acknowledged, once each"


def _cut_connections(ledger: Ledger) -> None:
    with ledger.begin() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


class _ReplyLoser:
    """A wire to the database that breaks where the first COPY's confirmation should come; it carries all the rest."""

    def __init__(self, ledger: Ledger) -> None:
        parameters = conninfo_to_dict(ledger.url)
        self._socket = f"{parameters['host']}/.s.PGSQL.{parameters['port']}"
        self._parameters = parameters
        self.lost = 0
        self._carrying: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return make_conninfo(**{**self._parameters, "host": "127.0.0.1", "port": port})

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*self._carrying)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.append(task)
        from_database, to_database = await asyncio.open_unix_connection(self._socket)

        async def upstream() -> None:
            while data := await reader.read(65536):
                to_database.write(data)
            to_database.close()
            await to_database.wait_closed()

        sending = asyncio.create_task(upstream())
        while data := await from_database.read(65536):
            if b"COPY 2\0" in data and not self.lost:
                self.lost += 1
                break
            writer.write(data)
        writer.close()
        await asyncio.gather(sending, writer.wait_closed())


def test_a_commit_whose_confirmation_is_lost_is_not_stored_twice(ledger: Ledger, tmp_path: Path) -> None:
    wire = _ReplyLoser(ledger)

    async def run() -> list[str]:
        async with wire as conninfo:
            salts = DailySalts(ledger, BusinessCalendar())
            recorder = ClickRecorder(conninfo, FixedClock(PUBLISHED_AT), salts, Spool(tmp_path))
            await recorder.start()
            try:
                recorder.add(CODE, "Mozilla/5.0", "", "203.0.113", ())
                batch, _ = recorder.add(CODE, "Mozilla/5.0", "", "203.0.113", ())
                return await batch.click_ids
            finally:
                await recorder.stop()

    click_ids = asyncio.run(run())
    assert wire.lost == 1
    assert stored(ledger) == sorted(click_ids)
    assert len(click_ids) == 2


def test_while_the_database_is_away_visitors_go_on_and_a_kill_then_loses_no_click(
    ledger: Ledger, postgres: EmbeddedPostgres, clock: ClockServer, tmp_path: Path
) -> None:
    publish_link(ledger, CODE)
    name = ledger.engine.url.database
    acknowledged: list[str] = []
    process = TrackingProcess(tmp_path, ledger.url, clock.url)

    def visit(times: int) -> None:
        with httpx.Client(base_url=process.url, timeout=20, trust_env=False) as client:
            for _ in range(times):
                location = client.get(f"/r/{CODE}").headers["location"]
                acknowledged.extend(parse_qs(urlsplit(location).query)["subId1"])

    visit(5)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            visit(20)
            with httpx.Client(base_url=process.url, trust_env=False) as client:
                health = client.get("/healthz")
                unknown = client.get("/r/neverseen11")
            process.end(signal.SIGKILL)
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert (health.status_code, health.json()["status"], health.json()["spooled"]) == (200, "degraded", 20)
    assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "5")
    ledger.engine.dispose()  # its connections were cut as well

    process = TrackingProcess(tmp_path, ledger.url, clock.url)
    visit(1)
    process.end(signal.SIGTERM)
    assert sorted(acknowledged) == stored(ledger)
    assert list((tmp_path / "tracking" / "spool").iterdir()) == []


def _start(tmp_path: Path, database_url: str, port: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "affiliate_empire.tracking", "--home", str(tmp_path), "--port", str(port)]
    environment = {**os.environ, "DATABASE_URL": database_url}
    return subprocess.run(
        [*command, "--world-url", "http://127.0.0.1:9"], env=environment, capture_output=True, text=True
    )


def test_a_port_in_use_and_a_database_that_does_not_answer_are_one_sentence_each(
    ledger: Ledger, clock: ClockServer, tmp_path: Path
) -> None:
    taken = _start(tmp_path, ledger.url, int(clock.url.rpartition(":")[2]))
    away = _start(tmp_path, "postgresql://empire@127.0.0.1:9/empire", 0)
    for ended, word in ((taken, "--port"), (away, "DATABASE_URL")):
        assert ended.returncode == 1
        assert word in ended.stderr
        assert ended.stderr.count("\n") == 1
        assert ended.stdout == ""
