"""The embedded PostgreSQL: a real server whose programs come from a Python package and whose life cycle is ours.

One server per home, found and shared by every process of it; it outlives them, is started anew after a ``kill -9`` of
itself or of us, and stops on ``stop()``. It listens on a socket in a private folder only and asks everyone for the
password that lies in the home (0600). Liveness is a ``SELECT`` answered by *our* cluster, never a pid. Who runs it and
where it lies is ``affiliate_empire.ledger.placement``; what is stored in it, ``affiliate_empire.ledger.tables``.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from affiliate_empire.kernel.files import out_of_space
from affiliate_empire.ledger import placement
from affiliate_empire.ledger.errors import DatabaseUnavailable
from affiliate_empire.ledger.placement import ServerUser

ROLE = "empire"
PORT = 5432  # only names the socket file: nothing listens on TCP
DATABASES = ("empire", "dagster")

# Recovery after a crash replays at most max_wal_size of log; on two slow cores that is seconds, not minutes.
_PATIENCE = 90.0

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Dagster opens many connections of its own; every process of ours holds at most ten.
    "max_connections": "300",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",  # compiling costs more than our short queries
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    # The password is 256 random bits: stretching protects nothing, and costs 3 ms of CPU on every new connection.
    "scram_iterations": "1",
}


class EmbeddedPostgres:
    """The server of one home.

    Args:
        home: the home's folder; everything of the server lies in ``<home>/postgres``.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().resolve()
        self.folder = self.home / "postgres"
        self._problem = "no answer"

    # ------------------------------------------------------------------ what others call
    def start(self) -> None:
        """Make sure that the server answers. Finds a running one; two processes at once start one server.

        Raises:
            DatabaseUnavailable: it does not come up; the message ends with the last line of its log.
            Misconfigured: this user cannot run it here.
        """
        if self._answers():
            return
        self._make_folder()
        with self._lock():
            if self._answers():
                return
            data = placement.place_data(self.folder)
            user = placement.server_user(data)
            if not (data / "PG_VERSION").exists():
                self._create_cluster(data, user)
            self._launch(data, user)
            self._create_databases()

    def stop(self) -> None:
        """Stop the server, rolling open transactions back; nothing happens when it does not run."""
        if not self.folder.exists():
            return
        with self._lock():
            data = placement.data_folder(self.folder)
            if self._postmaster(data) is None:
                return
            self._halt(data)
            socket = self._own_socket(data)
            if socket is not None and not socket.is_relative_to(self.folder):
                shutil.rmtree(socket)

    def running(self) -> bool:
        """Whether the server of this home answers a query now."""
        return self._answers()

    def url(self, database: str = "empire") -> str:
        """``postgresql://`` URL of a database of this server, with its password.

        Raises:
            DatabaseUnavailable: the server was never started in this home.
        """
        try:
            socket = json.loads((self.folder / "endpoint.json").read_text())["socket"]
            password = (self.folder / "password").read_text().strip()
        except FileNotFoundError as error:
            raise DatabaseUnavailable(
                f"There is no database in {self.home} yet: start it with `empire db url`."
            ) from error
        return f"postgresql://{ROLE}:{password}@localhost/{database}?host={quote(socket, safe='/')}&port={PORT}"

    def fingerprint(self) -> str:
        """Names the cluster's folder on its disk: a moved one keeps it, a copy or a restored one has another."""
        return str(placement.data_folder(self.folder).stat().st_ino)

    def postmaster_pid(self) -> int | None:
        """Process id of the running server, if it runs."""
        postmaster = self._postmaster(placement.data_folder(self.folder))
        return None if postmaster is None else postmaster.pid

    # ------------------------------------------------------------------ life cycle
    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Root's server runs as another user, who walks through this folder to its data; the secrets in it are 0600.
        self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time starts or stops; the kernel frees the lock when its holder dies."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _create_cluster(self, data: Path, user: ServerUser) -> None:
        """initdb into a draft that is renamed when it is complete and on disk: a kill in between leaves no half."""
        password = secrets.token_urlsafe(32)
        placement.replace_text(self.folder / "password", password + "\n")
        draft = data.with_name("data.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        # initdb reads the password from a file that its own user can open.
        password_file = data.with_name("password.initdb")
        placement.replace_text(password_file, password + "\n")
        user.own(draft)
        user.own(password_file)
        try:
            self._run(
                user,
                draft,
                "initdb",
                *("--pgdata", ".", "--username", ROLE, "--auth", "scram-sha-256", "--pwfile", str(password_file)),
                *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
                *("--set", "scram_iterations=1", "--no-sync", "--no-instructions"),
            )
            with (draft / "postgresql.conf").open("a") as conf:
                conf.write("\ninclude 'empire.conf'\n")
            self._write_settings(draft, user, Path("/nowhere"))
            self._run(user, draft, "initdb", "--pgdata", ".", "--sync-only")
        finally:
            password_file.unlink()
        draft.rename(data)

    @staticmethod
    def _write_settings(data: Path, user: ServerUser, socket: Path) -> None:
        settings = {**_SETTINGS, "unix_socket_directories": f'"{socket}"'}
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
        conf = data / "empire.conf"
        placement.replace_text(
            conf, "# Written at every start by affiliate_empire.ledger.postgres\n" + "\n".join(lines)
        )
        user.own(conf)

    def _launch(self, data: Path, user: ServerUser) -> None:
        if self._postmaster(data) is not None:
            if self._answers_soon(data):
                return
            if self._postmaster(data) is not None:
                # Alive, but deaf: its socket was swept away with the temporary folder, or it hangs.
                self._halt(data)
        self._clear_leftovers(data)
        socket = self._own_socket(data) or placement.place_socket(self.folder, user)
        for leftover in socket.glob(".s.PGSQL.*"):
            leftover.unlink()
        self._write_settings(data, user, socket)
        placement.replace_text(self.folder / "endpoint.json", json.dumps({"socket": str(socket), "data": str(data)}))
        # Relative paths from its own folder: pg_ctl hands them to a shell, where a quote in the home's name would bite.
        self._run(user, data, "pg_ctl", "-D", ".", "-l", "postgres.log", "-t", str(int(_PATIENCE)), "-w", "-s", "start")
        if not self._answers_soon(data):
            raise DatabaseUnavailable(
                f"PostgreSQL started in {data} but does not answer ({self._problem}): see {data / 'postgres.log'}."
            )

    def _halt(self, data: Path) -> None:
        user = placement.server_user(data)
        try:
            self._run(user, data, "pg_ctl", "-D", ".", "-m", "fast", "-t", "30", "-w", "-s", "stop")
        except DatabaseUnavailable:
            # A backend that does not listen: what was committed is in the log and is recovered at the next start.
            self._run(user, data, "pg_ctl", "-D", ".", "-m", "immediate", "-t", "30", "-w", "-s", "stop")

    @staticmethod
    def _clear_leftovers(data: Path) -> None:
        """After a crash: end orphaned backends, and drop a pid file whose number now belongs to somebody else.

        PostgreSQL itself refuses to start while the pid in its file is alive, whosever it is.
        """
        pid_file = data / "postmaster.pid"
        if not pid_file.exists():
            return  # it was stopped in order
        orphans = [process for process in psutil.process_iter(["name"]) if _serves(process, data)]
        for process in orphans:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(orphans, timeout=10)
        pid_file.unlink(missing_ok=True)

    def _create_databases(self) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as connection:
            present = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
            for name in DATABASES:
                if name not in present:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    # ------------------------------------------------------------------ finding it
    def _answers(self) -> bool:
        """Whether our cluster answers now."""
        try:
            return self._reached_data() == str(placement.data_folder(self.folder))
        except DatabaseUnavailable as error:
            self._problem = str(error)
            return False
        except psycopg.OperationalError as error:
            self._problem = str(error).strip()
            # Too many connections: it is up, and the crowd is somebody else's trouble.
            return error.sqlstate == "53300"

    def _answers_soon(self, data: Path) -> bool:
        """Whether it answers within a recovering server's time; ends early when it is dead or has lost its socket."""
        give_up = time.monotonic() + _PATIENCE
        while not self._answers():
            socket = self._own_socket(data)
            deaf = socket is None or not (socket / f".s.PGSQL.{PORT}").exists()
            if deaf or self._postmaster(data) is None or time.monotonic() >= give_up:
                return False
            time.sleep(0.05)
        return True

    def _reached_data(self) -> str:
        """The data folder of whatever listens on our socket; a copied home's notes may lead to another's server."""
        with psycopg.connect(self.url("postgres"), connect_timeout=10, autocommit=True) as connection:
            row = connection.execute("SELECT current_setting('data_directory')").fetchone()
        return "" if row is None else str(row[0])

    def _own_socket(self, data: Path) -> Path | None:
        """The socket folder of the last start, if it still stands and is ours: not that of a home we are a copy of."""
        endpoint = self.folder / "endpoint.json"
        if not endpoint.exists():
            return None
        record = json.loads(endpoint.read_text())
        socket = Path(record["socket"])
        owner = placement.server_user(data).uid
        if record["data"] != str(data) or not socket.is_dir() or socket.is_symlink() or socket.stat().st_uid != owner:
            return None
        return socket

    @staticmethod
    def _postmaster(data: Path) -> psutil.Process | None:
        """The live postmaster of this cluster. A pid alone proves nothing: another program may have been given it."""
        try:
            process = psutil.Process(int((data / "postmaster.pid").read_text().split("\n", 1)[0]))
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        return process if _serves(process, data) else None

    @staticmethod
    def _run(user: ServerUser, folder: Path, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the server's user inside ``folder``, in a bare environment."""
        command = [str(placement.program_folder(user) / program), *arguments]
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        try:
            subprocess.run(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=_PATIENCE + 30, check=True, **user.spawn_arguments,
            )  # fmt: skip
        except (subprocess.SubprocessError, OSError) as error:
            whole = getattr(error, "stderr", None) or str(error)
            if os.strerror(errno.ENOSPC) in whole:
                raise out_of_space(folder.parent) from error
            said = whole.strip().splitlines()
            log = folder / "postgres.log"
            last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
            raise DatabaseUnavailable(
                f"PostgreSQL's {program} failed in {folder}: {' '.join([*said[-1:], *last])} — free disk space or "
                "memory if it asks for it, or set DATABASE_URL."
            ) from error


def _serves(process: psutil.Process, data: Path) -> bool:
    """Whether a process is a PostgreSQL of this cluster: all of its processes stand in the data folder."""
    try:
        return (
            process.name() == "postgres"
            and process.status() != psutil.STATUS_ZOMBIE
            and Path(process.cwd()).resolve() == data.resolve()
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
        return False
