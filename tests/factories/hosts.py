"""A host of the blog: its deploy hook, which counts who calls."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType


class Host:
    """Answers its hook's secret address with one status while it is open.

    Attributes:
        calls: how often it was asked to build.
        secret: what of the address nobody may see.
    """

    secret = "prj_marked-secret"

    def __init__(self, status: int) -> None:
        host = self
        self.calls = 0

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                host.calls += self.path == f"/deploy/{host.secret}?key={host.secret}"
                self.send_response(status)
                self.send_header("Location", f"/{host.secret}")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Hook)
        self.address = f"http://127.0.0.1:{self._server.server_port}/deploy/{self.secret}?key={self.secret}"

    def __enter__(self) -> Host:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
