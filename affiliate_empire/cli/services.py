"""Our own background services in one home: the sandbox world, the tracking service, the embedded database.

Starts, finds again and stops processes; a service is ours when its pid file names a living process that was started
when the file says. It knows no business: what a service does is in its own package.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.files import save_whole
from affiliate_empire.settings import Settings

START_TIMEOUT = 90.0  # seconds; importing the stack on a busy machine takes most of it
STOP_TIMEOUT = 20.0
_STOPS_OTHERS = {"dev": 3 * STOP_TIMEOUT}  # it ends what it started first

_MODULES = {"world": "affiliate_empire.sandbox", "track": "affiliate_empire.tracking"}
_HEALTH = {"world": "/_world/health", "track": "/healthz"}


class Services:
    """The services of one home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home_path

    def port(self, name: str) -> int:
        """The service's port: the setting, or the one this home remembers; a free one is taken the first time."""
        explicit: int = getattr(self.settings, f"{name}_port")
        if explicit:
            return explicit
        file = self.settings.ports_file
        ports: dict[str, int] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        if name not in ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports[name] = probe.getsockname()[1]
            self.remember(name, ports[name])
        return ports[name]

    def remember(self, name: str, port: int) -> None:
        """Note a port for the home, so that links keep working after a restart."""
        file = self.settings.ports_file
        ports: dict[str, int] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        save_whole(file, json.dumps(ports | {name: port}).encode())

    def command(self, name: str, port: int, *extra: str) -> list[str]:
        """The command line of a service."""
        return [sys.executable, "-m", _MODULES[name], "--home", str(self.home), "--port", str(port), *extra]

    def running(self, name: str) -> bool:
        """Whether the service's own process is alive."""
        return self._process(name) is not None

    def start(self, name: str, extra: Sequence[str] = ()) -> bool:
        """Start a service in the background unless it runs; wait until it answers. Returns whether it was started.

        Raises:
            Misconfigured: its port is another program's, or it ended before it answered.
        """
        port = self.port(name)
        if self.running(name):
            self._wait(name, port, None)
            return False
        require_free_port(port, f"EMPIRE_{name.upper()}_PORT")
        log = self.home / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            process = subprocess.Popen(
                self.command(name, port, *extra),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"EMPIRE_HOME": str(self.home)},
            )
        self.note_pid(name, process.pid)
        self._wait(name, port, process)
        return True

    def stop(self, name: str) -> bool:
        """Stop a service: SIGTERM, then SIGKILL. Returns whether it ran."""
        process = self._process(name)
        if process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
                deadline = time.monotonic() + _STOPS_OTHERS.get(name, STOP_TIMEOUT)
                # Ended or a zombie that its parent has not buried: either way it serves nobody any more.
                while self._process(name) is not None and time.monotonic() < deadline:
                    time.sleep(0.05)
                if self._process(name) is None:
                    break
        self.forget(name)
        return process is not None

    def forget(self, name: str) -> None:
        """Remove the pid file of a service that has ended."""
        self._pid_file(name).unlink(missing_ok=True)

    def note_pid(self, name: str, pid: int) -> None:
        """Write the pid file of a service, with the start time that tells a reused pid."""
        file = self._pid_file(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(psutil.NoSuchProcess):
            file.write_text(f"{pid} {psutil.Process(pid).create_time()}", "utf-8")

    def dagster_processes(self) -> list[psutil.Process]:
        """Dagster's processes on this home's instance, whoever started them: of a killed `empire dev` they live on."""
        instance = str(self.home / "dagster")
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("DAGSTER_HOME") == instance and _is_dagster(process.cmdline()):
                    found.append(process)
        return found

    def stop_dagster(self) -> bool:
        """End them: in order first, by force after ``STOP_TIMEOUT`` seconds. Returns whether there were any."""
        family = self.dagster_processes()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(family, timeout=STOP_TIMEOUT)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return bool(family)

    # ------------------------------------------------------------ inside
    def _pid_file(self, name: str) -> Path:
        return self.home / "run" / f"{name}.pid"

    def _process(self, name: str) -> psutil.Process | None:
        try:
            pid, started = self._pid_file(name).read_text("utf-8").split()
            process = psutil.Process(int(pid))
            alive = process.create_time() == float(started) and process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        return process if alive else None

    def _wait(self, name: str, port: int, process: subprocess.Popen[bytes] | None) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}{_HEALTH[name]}", timeout=5, trust_env=False).is_success:
                    return
            if process is not None and process.poll() is not None:
                self._pid_file(name).unlink(missing_ok=True)
                raise Misconfigured(f"{name} ended at once: {_last_line(self.home / 'logs' / f'{name}.log')}")
            time.sleep(0.05)
        log = self.home / "logs" / f"{name}.log"
        raise Misconfigured(f"{name} did not answer on port {port} within {START_TIMEOUT:.0f} s: see {log}.")


@contextmanager
def alone_in(home: Path, command: str) -> Iterator[None]:
    """Hold a home for a command that moves its world's time or replaces its ledger; a second one is refused.

    Raises:
        Misconfigured: another such command is at work, which it names.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "home.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Misconfigured(
                f"`{lock.read() or 'another command'}` is at work in {home}: wait for its end or stop it with "
                "`empire stop`, or give this one a home of its own with EMPIRE_HOME."
            ) from None
        lock.truncate(0)
        lock.write(command)
        lock.flush()
        yield


def require_free_port(port: int, setting: str) -> None:
    """Raise ``Misconfigured`` when another program listens on a port; ``setting`` is what chooses it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Misconfigured(f"Port {port} is in use by another program: set {setting} to a free one.") from None


def end_tree(pid: int) -> None:
    """End a process and all it started: in order first, by force after ``STOP_TIMEOUT`` seconds."""
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
        root.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(family, timeout=STOP_TIMEOUT)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _is_dagster(command: list[str]) -> bool:
    """Whether it is `dagster dev` or one of its own: the web server, the daemon, a code server, a run."""
    return any(part == "dagster" or part.startswith(("dagster.", "dagster_webserver")) for part in command[1:4])


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"it said nothing (log: {log})."
