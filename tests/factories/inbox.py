"""Where the owner is told: a service that takes apprise's JSON notifications."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Inbox:
    """Takes notifications while it is open.

    Args:
        slow: seconds until it answers.

    Attributes:
        messages: what it took, as ``title``, ``message`` and ``type``.
        status: what it answers; anything but 200 takes nothing.
        calls: how often it was asked.
        secret: what of the address nobody may see.
    """

    secret = "marked-secret"

    def __init__(self, *, slow: float = 0.0) -> None:
        inbox = self
        self.messages: list[dict[str, Any]] = []
        self.status = 200
        self.calls = 0

        class Service(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(slow)
                inbox.calls += 1
                if inbox.status == 200:
                    inbox.messages.append({name: message[name] for name in ("title", "message", "type")})
                self.answer(inbox.status)

            def do_GET(self) -> None:
                self.answer(200)

            def answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Location", f"/{inbox.secret}")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
        self.address = f"json://127.0.0.1:{self._server.server_port}/{self.secret}"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    def __enter__(self) -> Inbox:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
