"""``python -m affiliate_empire.sandbox``: open a world and serve it on loopback until it is told to stop."""

from __future__ import annotations

import argparse
import fcntl
import json
import socket
import sys
import zlib
from datetime import datetime
from pathlib import Path

import uvicorn

from affiliate_empire.sandbox.clock import ClockRefused, instant
from affiliate_empire.sandbox.world import World, WorldRefused, build_app


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. 0 after a stop, 1 with one sentence when the world cannot open."""
    parser = argparse.ArgumentParser(prog="python -m affiliate_empire.sandbox", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="its state lies in HOME/world")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one and prints it")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--feed", type=Path, help="a Google Merchant feed to serve in the default merchant's place")
    parser.add_argument("--now", type=_time, help="where the clock of a new world stands; an opened one keeps its own")
    options = parser.parse_args(arguments)
    folder = options.home / "world"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _refuse(f"A world is already running in {folder}: stop it with `empire stop`, or use another home.")
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", options.port))
        except OSError as error:
            return _refuse(
                f"Port {options.port} cannot be used ({error.strerror}): choose another with --port (0: a free one)."
            )
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            world = World(options.home, base_url, options.seed, feed=options.feed, now=options.now)
        except (WorldRefused, ClockRefused) as error:
            return _refuse(str(error))
        except OSError as error:
            return _refuse(f"The feed {options.feed} cannot be read ({error.strerror}): give --feed an existing file.")
        except (SyntaxError, ValueError, EOFError, zlib.error) as error:  # broken XML, broken gzip
            return _refuse(f"The feed {options.feed} cannot be read ({type(error).__name__}): give --feed a sound one.")
        print(json.dumps({"event": "world", "url": base_url, "seed": options.seed}), flush=True)
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(world),
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=2,
                # A client of ours may pause for as long as a render takes between two requests.
                timeout_keep_alive=75,
            )
        )
        server.run(sockets=[listener])
        world.close()
    return 0


def _time(text: str) -> datetime:
    try:
        return instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _refuse(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
