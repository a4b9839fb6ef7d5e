"""A home of its own for an end-to-end test, driven through the command line as a person would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

EMPIRE = Path(sys.executable).with_name("empire")


@dataclass
class Home:
    """A home folder and the ways to run commands in it. Light videos; nothing beyond loopback can be reached."""

    path: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("EMPIRE_", "DAGSTER_"))}
        kept.pop("DATABASE_URL", None)
        return kept | {
            "EMPIRE_HOME": str(self.path),
            "EMPIRE_RENDER_PROFILE": "light",
            "EMPIRE_WEATHER": "calm",
            "EMPIRE_SLATE_YOUTUBE": "2",
            "EMPIRE_SLATE_TIKTOK": "0",
            "EMPIRE_SLATE_INSTAGRAM": "0",
            "EMPIRE_CLIPS_PER_VIDEO": "0",
            "NETWORK_GUARD_LOG": str(self.path.parent / "network.log"),
            "TERM": "dumb",
            **self.variables,
        }

    def run(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run ``empire`` to its end."""
        return subprocess.run(
            [str(EMPIRE), *arguments],
            env=self.environment,
            cwd=self.path.parent,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def refused(self, *arguments: str) -> str:
        """Run a command that must fail with one sentence; returns the sentence."""
        done = self.run(*arguments, timeout=120)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        sentence = done.stderr.strip()
        assert sentence, "nothing was said"
        assert len(sentence.splitlines()) == 1, sentence
        return sentence

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``empire`` in a process group of its own, so that all of it can be killed at once."""
        with (self.path.parent / "started.log").open("ab") as log:
            return subprocess.Popen(
                [str(EMPIRE), *arguments],
                env=self.environment,
                cwd=self.path.parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def demo(self, *arguments: str) -> dict[str, Any]:
        """A demo that succeeds; returns its summary."""
        file = self.path.parent / "summary.json"
        done = self.run("demo", "--json", str(file), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(file.read_text("utf-8"))  # type: ignore[no-any-return]

    @property
    def world_url(self) -> str:
        ports = json.loads((self.path / "ports.json").read_text("utf-8"))
        return f"http://127.0.0.1:{ports['world']}"

    def world_answers(self) -> bool:
        """Whether the world of this home serves by now."""
        try:
            return httpx.get(f"{self.world_url}/_world/health", timeout=5).is_success
        except (FileNotFoundError, KeyError, httpx.TransportError):
            return False

    def witness(self, what: str) -> list[dict[str, Any]]:
        """What the world recorded; the world must run."""
        return httpx.get(f"{self.world_url}/_world/{what}", timeout=30).raise_for_status().json()  # type: ignore[no-any-return]

    def network_violations(self) -> str:
        log = self.path.parent / "network.log"
        return log.read_text("utf-8") if log.exists() else ""


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """``kill -9`` of a command and of everything it started in its group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


def wait_until(holds: Any, what: str, seconds: float = 180) -> None:
    """Poll until something holds; fails with what was awaited."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.05)
