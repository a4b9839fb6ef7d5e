"""Who holds a row of the ledger, and whether they still live.

A lease is held by a process, by the database's time. On the same host a dead process is recognised at once, so that a
rerun right after ``kill -9`` need not wait for its lease to run out.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import psutil


def this_process() -> str:
    """``host|boot|pid|start``: names one process, though pids are given anew and hosts are restarted."""
    pid = os.getpid()
    return "|".join([*_this_host(), str(pid), _start_of(pid) or "0"])


def is_dead(owner: str) -> bool:
    """Whether a lease's owner is known to be gone. False when it cannot be known: another host, another container."""
    host, boot, pid, start = owner.split("|")
    own_host, own_boot = _this_host()
    if host != own_host:
        return False
    if boot == own_boot:
        return _start_of(int(pid)) != start
    # The same machine since restarted; the same boot with another pid space is a container that we cannot see into.
    return boot.split(":")[0] != own_boot.split(":")[0]


@cache
def _this_host() -> tuple[str, str]:
    machine = _first_line("/etc/machine-id")[:8]
    try:
        pid_space = str(Path("/proc/self/ns/pid").stat().st_ino)
    except FileNotFoundError:
        pid_space = ""
    boot = _first_line("/proc/sys/kernel/random/boot_id") or str(int(psutil.boot_time()))
    return f"{socket.gethostname()}/{machine}", f"{boot[:13]}:{pid_space}"


def _start_of(pid: int) -> str | None:
    """When a process started, None when it is gone or a zombie. Clock ticks since boot do not shift with the clock."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
        return _start_without_proc(pid)
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _start_without_proc(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.NoSuchProcess:
        return None


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except FileNotFoundError:
        return ""
