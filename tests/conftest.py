"""What every test stands on: no network beyond loopback, and a real migrated PostgreSQL.

One embedded server serves the whole session and all its xdist workers; each test module that asks gets a database of
its own, cloned from a migrated template, and each test finds it empty but for the installation's row.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import runpy
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import text

from affiliate_empire.ledger import EmbeddedPostgres, Ledger
from affiliate_empire.ledger.tables import ApprovalDecision, ApprovalRequest, Base, Installation

_GUARD = Path(__file__).parent / "guard"
_HOME_VARIABLE = "EMPIRE_TESTS_HOME"
_TEMPLATE = "ledger_template"
_database_numbers = count(1)
_isolated = pytest.StashKey[bool]()


# ---------------------------------------------------------------- no network
def _leave_the_network() -> bool:
    """Move this process and its children to come into a network of their own that has a loopback and nothing else.

    Only root may do so, and not in every container; the audit hook guards everywhere, but sees Python's sockets only.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    new_network = 0x40000000
    if ctypes.CDLL(None).unshare(new_network) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        set_flags, up_and_running = 0x8914, 0x41
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", up_and_running))
    return True


def pytest_configure(config: pytest.Config) -> None:
    runpy.run_path(str(_GUARD / "sitecustomize.py"))
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(_GUARD)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_GUARD), *paths])
    config.stash[_isolated] = _leave_the_network()
    if not hasattr(config, "workerinput"):
        _remove_dead_sessions()
        home = Path(tempfile.mkdtemp(prefix=f"empire-tests-{os.getpid()}-"))
        home.chmod(0o755)  # PostgreSQL runs as another user when the tests run as root
        os.environ[_HOME_VARIABLE] = str(home)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The modules that take longest, by their limits, first: one begun last would leave the other workers idle."""
    limits: dict[Path, float] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        limits[item.path] = max(limits.get(item.path, 0.0), limit.args[0] if limit else 0.0)
    items.sort(key=lambda item: -limits[item.path])


def pytest_report_header(config: pytest.Config) -> str:
    return f"network: {'a namespace with loopback only' if config.stash[_isolated] else 'guarded by an audit hook'}"


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and _HOME_VARIABLE in os.environ:
        _remove_home(Path(os.environ.pop(_HOME_VARIABLE)))


def _remove_home(home: Path) -> None:
    EmbeddedPostgres(home).stop()
    shutil.rmtree(home)


def _remove_dead_sessions() -> None:
    """A session that was killed leaves its server running; the next one of the same user ends it."""
    for home in Path(tempfile.gettempdir()).glob("empire-tests-*-*"):
        pid = int(home.name.split("-")[2])
        # Another session that starts now may be removing the same one.
        with suppress(FileNotFoundError):
            if home.stat().st_uid == os.geteuid() and not psutil.pid_exists(pid):
                _remove_home(home)


# ---------------------------------------------------------------- a real database
@pytest.fixture(scope="session")
def postgres() -> EmbeddedPostgres:
    """The session's server, started by whichever worker asks first, with a migrated template in it."""
    home = Path(os.environ[_HOME_VARIABLE])
    server = EmbeddedPostgres(home)
    server.start()
    with (home / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_TEMPLATE,)).fetchone()
            if found is None:
                connection.execute("CREATE DATABASE ledger_draft")
                draft = Ledger(server.url("ledger_draft"))
                draft.migrate()
                draft.dispose()
                connection.execute(f"ALTER DATABASE ledger_draft RENAME TO {_TEMPLATE}")
    return server


@pytest.fixture(scope="module")
def module_ledger(postgres: EmbeddedPostgres) -> Iterator[Ledger]:
    """A migrated database of this test module alone; what a test leaves in it, the next one finds."""
    name = f"ledger_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{next(_database_numbers)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    ledger = Ledger(postgres.url(name))
    _empty(ledger)
    yield ledger
    ledger.dispose()


@pytest.fixture
def ledger(module_ledger: Ledger) -> Ledger:
    """The module's database, emptied for this test: sandbox mode, epoch 1, nothing else."""
    _empty(module_ledger)
    return module_ledger


def _empty(ledger: Ledger) -> None:
    # Of few rows DELETE is faster, since TRUNCATE makes every table's files anew; what is append-only refuses it.
    kept = {ApprovalDecision.__tablename__, ApprovalRequest.__tablename__}
    names = [table.name for table in reversed(Base.metadata.sorted_tables) if table.name not in kept]
    statements = [f"TRUNCATE {', '.join(kept)}", *(f"DELETE FROM {name}" for name in names)]  # noqa: S608 - our own
    with ledger.begin() as session:
        session.execute(text("; ".join(statements)))
        session.add(Installation(installation_id="test-installation", mode="sandbox", epoch=1))
