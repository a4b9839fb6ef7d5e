"""For tests of the tracking service: the rows a link hangs on, the service as a process, visitors who click."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Account,
    Base,
    Effect,
    Link,
    Piece,
    Product,
    Program,
    PromptVersion,
    Publication,
)

PUBLISHED_AT = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
TARGET_URL = "https://shop.example.net/c/77/88/1001?u=https%3A%2F%2Fshop.example.net%2Fp%2F1#reviews"


def publish_link(
    ledger: Ledger,
    code: str,
    *,
    handle: str = "gearlab",
    product_title: str = "Trail Lamp 400",
    title: str = "One lamp, forty nights?",
    target_url: str = TARGET_URL,
    published_at: datetime = PUBLISHED_AT,
    minute: int = 0,
) -> None:
    """A published video with its link ``code``; several may share a handle (give each its own ``minute``)."""
    day = published_at.date()
    account, product, piece = f"youtube:{handle}", f"impact:1001:{code}", f"pc_{code}"
    rows: list[Base] = [
        Account(account_id=account, platform="youtube", handle=handle, display_name="Gear Lab", niche=None),
        Program(
            program_id="impact:1001",
            network="impact",
            native_id="1001",
            name="Shop",
            status="joined",
            commission_rate=Decimal("0.08"),
            currency="USD",
            cookie_days=30,
            deeplink=True,
            deeplink_domains=[],
            terms={},
            observed_at=published_at,
        ),
        PromptVersion(
            prompt_version="video/question-hook@1",
            kind="video",
            template="…",
            sha256="0" * 64,
            parent=None,
            status="active",
        ),
        Product(
            product_id=product,
            program_id="impact:1001",
            source="impact",
            native_id=code,
            title=product_title,
            description="A lamp.",
            brand="Trail",
            category="Camping",
            niche="outdoor",
            price_micros=39_000_000,
            currency="USD",
            availability="in_stock",
            url="https://shop.example.net/p/1",
            image_url="https://shop.example.net/p/1.jpg",
            commission_rate=Decimal("0.08"),
            first_seen_day=day,
            last_seen_day=day,
            observed_at=published_at,
        ),
        Piece(
            piece_id=piece,
            day=day,
            revision=1,
            kind="video",
            platform="youtube",
            account_id=account,
            slot_at=published_at.replace(minute=minute),
            product_id=product,
            niche="outdoor",
            prompt_version="video/question-hook@1",
            arm="exploit",
            propensity=1.0,
            facts={},
            max_cost_micros=0,
            reason=None,
        ),
        Effect(
            effect_id=f"ef_{code}",
            key=f"publish:{piece}:{account}",
            kind="at_most_once",
            vendor="youtube",
            operation="upload",
            fingerprint="0" * 64,
            state="settled",
            day=day,
            epoch=1,
        ),
        Publication(
            publication_id=f"pb_{code}",
            piece_id=piece,
            account_id=account,
            platform="youtube",
            day=day,
            effect_id=f"ef_{code}",
            remote_id=code,
            url=f"https://www.youtube.com/shorts/{code}",
            title=title,
            description="",
            disclosures={},
            slot_at=published_at,
            published_at=published_at,
        ),
        Link(
            code=code,
            piece_id=piece,
            account_id=account,
            product_id=product,
            network="impact",
            target_url=target_url,
            sub_id_parameter="subId1",
        ),
    ]
    with ledger.begin() as session:
        for row in rows:
            session.merge(row)
            session.flush()


class ClockServer:
    """``GET /_world/clock`` and nothing else: the tracking service's idea of now, set by the test."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        clock = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = json.dumps({"now": clock.now.isoformat()}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Requests are not printed among the tests' output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()


class TrackingProcess:
    """The tracking service as its own process, so that it can be killed."""

    def __init__(self, home: Path, database_url: str, world_url: str) -> None:
        self._log = (home / "tracking.log").open("a+b")
        command = [sys.executable, "-m", "affiliate_empire.tracking", "--home", str(home), "--world-url", world_url]
        environment = {**os.environ, "DATABASE_URL": database_url, "EMPIRE_MODE": "sandbox"}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=self._log)
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready, f"the tracking service did not start: {self.log}"
        self.url: str = json.loads(ready)["url"]
        self.port = int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text("utf-8")

    def end(self, signal_number: int) -> int:
        """Send a signal, wait for the end, give the exit code."""
        self.process.send_signal(signal_number)
        code = self.process.wait(timeout=20)
        self.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


async def click_until_cut(port: int, code: str, acknowledged: list[str], *, until: asyncio.Event | None = None) -> None:
    """One keep-alive visitor: click, note the click id of the 302, again, until told to stop or the service is gone."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while until is None or not until.is_set():
                writer.write(f"GET /r/{code} HTTP/1.1\r\nHost: t\r\nUser-Agent: Mozilla/5.0 (iPhone)\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 302"), head
                acknowledged.append(head.partition(b"subId1=")[2][:26].decode())
        finally:
            writer.close()
    except (ConnectionError, asyncio.IncompleteReadError):
        return
