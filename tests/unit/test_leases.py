"""Who still lives: owners of leases are told apart from those who merely bear their number."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from affiliate_empire.ledger.leases import is_dead, this_process


def owner(**changed: str) -> str:
    host, boot, pid, start = this_process().split("|")
    parts = {"host": host, "boot": boot, "pid": pid, "start": start} | changed
    return "|".join(parts.values())


def test_this_process_lives() -> None:
    assert not is_dead(this_process())


def test_a_pid_that_was_given_to_another_process_is_dead() -> None:
    assert is_dead(owner(start="1"))


def test_a_process_that_ended_is_dead_even_before_it_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    pid = str(child.pid)
    psutil.wait_procs([psutil.Process(child.pid)], timeout=0)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert is_dead(owner(pid=pid))
    child.wait(timeout=20)
    assert is_dead(owner(pid=pid))


def test_nothing_is_known_of_other_hosts_and_other_containers() -> None:
    boot = this_process().split("|")[1]
    assert not is_dead(owner(host="elsewhere/00000000", pid="1", start="1"))
    assert not is_dead(owner(boot=f"{boot.split(':')[0]}:1", pid="1", start="1"))


def test_a_restarted_host_has_none_of_its_old_processes() -> None:
    assert is_dead(owner(boot="another-boot-:4026531836"))
