"""Start the tracking service: ``python -m affiliate_empire.tracking --home DIR --port P`` (``empire track`` does this).

Prints one JSON line once it answers requests. Ends with exit code 0 on SIGTERM or Ctrl-C, after the requests in flight
have been answered and their clicks stored.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
from pathlib import Path

import structlog
import uvicorn

from affiliate_empire.kernel.clock import Clock, SystemClock
from affiliate_empire.kernel.errors import EmpireError, Misconfigured
from affiliate_empire.ledger.open import open_ledger
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import Settings, load_settings
from affiliate_empire.tracking.app import TrackingConfig, create_app
from affiliate_empire.tracking.postbacks import READERS, Sender
from affiliate_empire.tracking.protocol import protocol_for
from affiliate_empire.vendors.world_clock import WorldClock

_DRAIN_SECONDS = 10


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="empire track", description="The public tracking service.")
    parser.add_argument("--home", type=Path, help="the installation's folder (default: EMPIRE_HOME)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--world-url", help="the sandbox world (default: the one this home remembers)")
    parser.add_argument(
        "--trusted-proxies",
        default="127.0.0.1,::1",
        help="comma-separated addresses whose X-Forwarded-For is believed",
    )
    options = parser.parse_args(arguments)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        return _serve(options)
    except EmpireError as error:
        print(error, file=sys.stderr)
        return 1


def _serve(options: argparse.Namespace) -> int:
    settings = load_settings() if options.home is None else load_settings(home=options.home)
    listener = _listen(options.host, options.port)
    url = settings.database_url.get_secret_value() if settings.database_url else None
    ledger = open_ledger(settings.home_path, url, settings.mode)
    try:
        config = TrackingConfig(
            spool_folder=settings.home_path / "tracking" / "spool",
            disclosure=load_policy().disclosure("text"),
            senders=_senders(settings),
            calendar=settings.calendar,
            simulated=settings.simulated,
        )
        app = create_app(ledger, _clock(settings, options.world_url), config)
        server = _Server(
            uvicorn.Config(
                app,
                http=protocol_for(app.redirect, options.trusted_proxies),
                log_level="warning",
                access_log=False,  # it would write addresses
                server_header=False,
                proxy_headers=True,
                forwarded_allow_ips=options.trusted_proxies,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
                ws="none",
            )
        )
        # uvicorn raises the signal again when it is done: with a handler of ours that ends in exit code 0.
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, lambda *_: None)
        server.run(sockets=[listener])
        return 0 if server.started else 1
    finally:
        ledger.dispose()


class _Server(uvicorn.Server):
    """uvicorn that says on stdout where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            print(json.dumps({"event": "ready", "service": "tracking", "url": f"http://{host}:{port}"}), flush=True)


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else is started. Raises ``Misconfigured`` when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Misconfigured(
            f"The tracking service cannot listen on {host}:{port} ({error.strerror}): stop what uses the "
            "port, or choose another with --port."
        ) from error
    return listener


def _clock(settings: Settings, world_url: str | None) -> Clock:
    return WorldClock(world_url or settings.world_url) if settings.simulated else SystemClock()


def _senders(settings: Settings) -> dict[str, Sender]:
    """Who may push conversions; a network without a secret is polled instead."""
    tokens = {network: settings.postback_tokens(network) for network in READERS}
    return {
        **{
            network: Sender(tokens=secrets, networks=settings.postback_networks.get(network, ()))
            for network, secrets in tokens.items()
            if secrets
        },
        **{
            name: Sender(
                signatures=secrets.get_secret_value().split(), networks=settings.postback_networks.get(name, ())
            )
            for name, secrets in settings.webhook_secrets.items()
        },
    }


if __name__ == "__main__":
    sys.exit(main())
