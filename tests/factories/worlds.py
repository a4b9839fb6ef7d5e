"""A sandbox world over real HTTP, and small real files to send to it."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from affiliate_empire.sandbox.store import Store
from affiliate_empire.sandbox.world import World, build_app
from affiliate_empire.vendors.http import open_http

START = datetime.fromisoformat("2026-11-20T14:00:00+00:00")


class RunningWorld:
    """The world in a thread of this process: up at once. Control and witness are asked over HTTP, as by others."""

    def __init__(self, home: Path, *, now: datetime = START, seed: int = 7, feed: Path | None = None) -> None:
        self.home = home
        self.seed = seed
        self.feed = feed
        self.born = now
        self.port = 0
        self.url = ""
        self._http = open_http("http://127.0.0.1", timeout=60)
        self.start()

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._listener = listener
        self._world = World(self.home, self.url, self.seed, feed=self.feed, now=self.born)
        config = uvicorn.Config(
            build_app(self._world),
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=600,  # a connection that is just being closed would fail the request that it gets
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()

    @property
    def store(self) -> Store:
        """Its memory, for what only a test may put there."""
        return self._world.store

    def trend(self, niche: str, day: date) -> float:
        """How much a niche is really talked of on a day; 1 as a rule."""
        return self._world.market.audiences.trend(niche, day)

    def stop(self) -> None:
        self._http.close()
        self._server.should_exit = True
        self._thread.join(timeout=20)
        self._listener.close()
        self._world.close()

    def witness(self, book: str) -> Any:
        return self._http.get(f"{self.url}/_world/{book}").raise_for_status().json()

    def now(self) -> datetime:
        return datetime.fromisoformat(self._http.get(f"{self.url}/_world/clock").json()["now"])

    def move_to(self, at: datetime) -> None:
        self._http.post(f"{self.url}/_world/clock", json={"to": at.isoformat()}).raise_for_status()

    def put_account(self, platform: str, account: str = "*", **standing: Any) -> None:
        """How a platform treats an account from now on (``*``: all of them), by ``PUT /_world/accounts/…``."""
        self._http.put(f"{self.url}/_world/accounts/{platform}/{account}", json=standing).raise_for_status()

    def sign_in(self, platform: str, *accounts: str, **answer: Any) -> None:
        """Who is signed in at a platform, and what they answer (``deny``, ``withhold``): ``PUT /_world/consent``."""
        wish = {"platform": platform, "accounts": list(accounts), **answer}
        self._http.put(f"{self.url}/_world/consent", json=wish).raise_for_status()

    def fault(self, match: str, **rule: Any) -> None:
        """A rule of ``POST /_world/faults``, in force at once."""
        self._http.post(f"{self.url}/_world/faults", json={"match": match, **rule}).raise_for_status()

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force, each with its ``hits``."""
        rules: list[dict[str, Any]] = self._http.get(f"{self.url}/_world/faults").json()
        return rules

    def fault_hits(self) -> int:
        return sum(fault["hits"] for fault in self.faults())

    def clear_faults(self) -> None:
        self._http.delete(f"{self.url}/_world/faults").raise_for_status()


class WorldProcess(RunningWorld):
    """The world as ``empire world`` starts it: a process, which can be killed."""

    def start(self) -> None:
        command = [sys.executable, "-m", "affiliate_empire.sandbox", "--home", str(self.home), "--port", str(self.port)]
        command += ["--seed", str(self.seed), "--now", self.born.isoformat()]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = json.loads(self._process.stdout.readline())["url"]
        self.port = int(self.url.rsplit(":", 1)[1])
        transport = httpx.HTTPTransport(retries=8)  # its address is printed a moment before it listens
        with httpx.Client(transport=transport, timeout=30) as http:
            http.get(f"{self.url}/_world/health").raise_for_status()

    def kill(self) -> None:
        """As ``kill -9`` does."""
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        self._http.close()
        self._process.terminate()
        self._process.communicate(timeout=20)


def write_video(
    path: Path,
    *,
    seed: int = 0,
    seconds: int = 2,
    padding: int = 0,
    size: tuple[int, int] = (90, 160),
    rate: int = 10,
    index_first: bool = False,
) -> Path:
    """A small real mp4; ``seed`` makes it another one, ``padding`` bytes of a free box make it larger.

    ``size`` is width and height in pixels, ``rate`` frames a second. ``index_first`` puts the index before the data,
    as Instagram wants it.
    """
    box = (padding + 8).to_bytes(4) + b"free" + random.Random(seed).randbytes(padding) if padding else b""
    path.write_bytes(_video(seed, seconds, size, rate, index_first) + box)
    return path


@lru_cache(maxsize=64)
def _video(seed: int, seconds: int, size: tuple[int, int], rate: int, index_first: bool) -> bytes:
    """Encoded once a process: the same arguments make the same file."""
    import av
    import numpy as np

    rng = np.random.default_rng(seed)
    width, height = size
    frames = rng.integers(0, 255, (3, height // 10, width // 10, 3), dtype=np.uint8).repeat(10, 1).repeat(10, 2)
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:  # an index is moved to the front in files only
        with av.open(file.name, "w", options={"movflags": "faststart"} if index_first else {}) as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number in range(rate * seconds):
                frame = av.VideoFrame.from_ndarray(frames[number % len(frames)], format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return Path(file.name).read_bytes()
