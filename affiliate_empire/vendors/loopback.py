"""The browser's way back from a sign-in: a server on this machine that takes one redirect, and nothing else.

It listens on loopback only, writes no log (the redirect's address holds the code), and ends with the answer.
"""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.vendors.oauth import NotConsented

_PATH = "/callback"
_LAST_PORT = 65535
_SLOW = 5.0  # seconds that one browser connection may be silent: browsers open some that they never use
_PAGE = b"<!doctype html><meta charset=utf-8><title>Sign-in</title><p>Back to the terminal: it says what came of this."


class Loopback:
    """Waits for one redirect.

    Args:
        host: how the redirect names this machine (``127.0.0.1`` or ``localhost``).
        port: 0 takes a free one.

    Raises:
        BadInput: the port is taken, or there is none by that number.
    """

    def __init__(self, host: str, port: int = 0) -> None:
        if not 0 <= port <= _LAST_PORT:
            raise BadInput(f"There is no port {port}: choose a --port up to {_LAST_PORT}, or 0 for a free one.")
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError:
            raise BadInput(f"Port {port} is taken: end what listens there, or choose another --port.") from None
        self.redirect_uri = f"http://{host}:{self._server.server_address[1]}{_PATH}"

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.server_close()

    def wait(self, seconds: float) -> dict[str, str]:
        """The parameters that the browser came back with.

        Raises:
            NotConsented: it did not come in time.
        """
        until = time.monotonic() + seconds
        while self._server.answer is None:
            self._server.timeout = until - time.monotonic()
            if self._server.timeout <= 0:
                raise NotConsented(
                    f"Nobody came back from the sign-in within {seconds:.0f} seconds: run the command again, and open "
                    "its address in a browser on this machine."
                )
            self._server.handle_request()
        return self._server.answer


class _Server(TCPServer):
    allow_reuse_address = True
    answer: dict[str, str] | None = None


class _Handler(BaseHTTPRequestHandler):
    timeout = _SLOW
    server: _Server

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path != _PATH:
            self.send_error(404)
            return
        self.server.answer = dict(parse_qsl(address.query, keep_blank_values=True))
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(_PAGE)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the address holds the code."""
