"""What a recorded click costs: CPU of service and PostgreSQL per redirect ÷ a bare uvicorn 302, in one run.

Prints the figures and writes them as the section "Tracking" of ``benchmarks/results.md``. Rounds of the two servers
alternate, so that a noisy machine disturbs both; the ratio is that of the medians. Run it with
``.venv/bin/python benchmarks/tracking.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from affiliate_empire.ledger import EmbeddedPostgres, Ledger, open_ledger  # noqa: E402
from benchmarks.report import conditions, write_section  # noqa: E402
from tests.factories.tracking import publish_link  # noqa: E402

CODE = "k7Qm2RtX9b"
USER_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Mobile/15E148 Safari/604.1"
)


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """The yardstick: a 302 that knows nothing and stores nothing."""
    if scope["type"] == "http":
        headers = [(b"location", b"https://shop.example.net/"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body"})


class _Visitor(asyncio.Protocol):
    """A keep-alive connection that asks again as soon as it was answered."""

    def __init__(self, until: float, latencies: list[float]) -> None:
        self._until = until
        self._latencies = latencies
        self._request = f"GET /r/{CODE} HTTP/1.1\r\nHost: t\r\nUser-Agent: {USER_AGENT}\r\n\r\n".encode()
        self._seen = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if not self._seen.endswith(b"\r\n\r\n"):
            return
        if not self._seen.startswith(b"HTTP/1.1 302"):
            self.done.set_exception(RuntimeError(f"not a redirect: {self._seen!r}"))
            return
        self._seen = b""
        now = time.perf_counter()
        self._latencies.append(now - self._asked_at)
        if now < self._until:
            self._ask()
        else:
            self._transport.close()
            self.done.set_result(None)


async def load(port: int, seconds: float, visitors: int) -> dict[str, float]:
    """Ask for ``seconds``; give the number of answers and the latencies' median and 99th percentile in milliseconds."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: _Visitor(until, latencies), "127.0.0.1", port))[1]
        for _ in range(visitors)
    ]
    await asyncio.gather(*(connection.done for connection in connections))
    latencies.sort()
    return {
        "requests": len(latencies),
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int, **environment: str) -> Iterator[psutil.Process]:
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("A server of the benchmark did not start: see its message above.")
            time.sleep(0.05)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process and all its children, the ended ones included."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    own = process.cpu_times()
    return total + own.children_user + own.children_system


def _round(port: int, processes: list[psutil.Process], seconds: float, visitors: int) -> dict[str, float]:
    before = [_cpu_seconds(process) for process in processes]
    command = [sys.executable, __file__, "--load", str(port), "--seconds", str(seconds), "--visitors", str(visitors)]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    spent = [after - start for after, start in zip(map(_cpu_seconds, processes), before, strict=True)]
    measured["cpu_us"] = 1e6 * sum(spent) / measured["requests"]
    measured["server_us"] = 1e6 * spent[0] / measured["requests"]
    measured["rate"] = measured["requests"] / seconds
    return dict(measured)


def _postmaster(ledger: Ledger) -> psutil.Process:
    with ledger.begin() as session:
        pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    parent = psutil.Process(pid).parent()
    if parent is None:
        raise SystemExit("PostgreSQL's first process cannot be seen from here.")
    return parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--load", type=int, metavar="PORT", help="only be the visitors of a server on this port")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--visitors", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.load:
        print(json.dumps(asyncio.run(load(options.load, options.seconds, options.visitors))))
        return

    with tempfile.TemporaryDirectory(prefix="empire-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        ledger = open_ledger(home, None, "live")
        try:
            publish_link(ledger, CODE)
            rounds = _measure(home, ledger, options)
            with ledger.begin() as session:
                stored = session.execute(text("SELECT count(*) FROM clicks")).scalar_one()
        finally:
            ledger.dispose()
            EmbeddedPostgres(home).stop()
    answered = sum(int(one["requests"]) for one in rounds["service"])
    if stored != answered:
        raise SystemExit(f"{answered} clicks were answered and {stored} are stored.")
    _report(rounds, answered, options)


def _measure(home: Path, ledger: Ledger, options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    bare_port, port = _free_port(), _free_port()
    bare_command = ["-m", "uvicorn", "benchmarks.tracking:bare", "--port", str(bare_port), "--no-access-log"]
    command = ["-m", "affiliate_empire.tracking", "--home", str(home), "--port", str(port)]
    rounds: dict[str, list[dict[str, float]]] = {"bare": [], "service": []}
    with (
        _running([*bare_command, "--log-level", "warning"], bare_port) as yardstick,
        _running(command, port, EMPIRE_MODE="live", DATABASE_URL=ledger.url) as service,
    ):
        database = _postmaster(ledger)
        for number in range(options.rounds + 1):
            for name, where, who in (("bare", bare_port, [yardstick]), ("service", port, [service, database])):
                measured = _round(where, who, options.seconds, options.visitors)
                if number:  # the first round warms up; its clicks are kept and counted all the same
                    rounds[name].append(measured)
                else:
                    rounds.setdefault("warm-up", []).append(measured)
    rounds["service"].insert(0, rounds.pop("warm-up")[1])
    return rounds


def _report(rounds: dict[str, list[dict[str, float]]], stored: int, options: argparse.Namespace) -> None:
    def median(name: str, figure: str) -> float:
        return statistics.median(one[figure] for one in rounds[name][1 if name == "service" else 0 :])

    ratio = median("service", "cpu_us") / median("bare", "cpu_us")
    lines = [
        conditions(
            "tracking.py",
            f"{options.visitors} keep-alive visitors",
            f"medians of {options.rounds} alternating rounds of {options.seconds:g} s",
        ),
        "",
        "| | CPU µs per request | of it the server | requests/s | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|",
    ]
    for name, label in (("bare", "bare uvicorn 302"), ("service", "`/r/{code}`, click committed first")):
        figures = [median(name, figure) for figure in ("cpu_us", "server_us", "rate", "p50_ms", "p99_ms")]
        lines.append(f"| {label} | " + " | ".join(f"{figure:,.1f}" for figure in figures) + " |")
    lines += [
        "",
        f"**CPU per recorded redirect (server + PostgreSQL) ÷ bare 302: {ratio:.2f}** "
        f"(target ≤ 1.5: {'reached' if ratio <= 1.5 else 'not reached'}). "
        f"All {stored:,} answered clicks were in the ledger.",
    ]
    write_section("Tracking", lines)


if __name__ == "__main__":
    main()
