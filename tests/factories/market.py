"""For tests of the world's market: posts, and a small tracking service that remembers everything it was asked."""

from __future__ import annotations

import html
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from affiliate_empire.sandbox.market.taste import DECLARATIONS
from affiliate_empire.sandbox.servers.impact import PARTNER
from affiliate_empire.sandbox.world import World
from tests.factories.worlds import RunningWorld

DAY = datetime.fromisoformat("2026-11-20T05:15:00+00:00")  # 00:15 in New York
VIDEO = {"duration": 29.0, "width": 1080, "height": 1920}
FLAGS = {"containsSyntheticMedia": True, "hasPaidProductPlacement": True, "selfDeclaredMadeForKids": False}
DECLARED: dict[str, dict[str, Any]] = {
    "youtube": FLAGS,
    **{platform: dict.fromkeys(DECLARATIONS[platform], True) for platform in ("tiktok", "instagram", "blog")},
}


@dataclass
class Entry:
    """A link of the service: ``/r/{code}``."""

    product: str
    title: str
    target: str


@dataclass
class Tracker:
    """Answers ``/h/…`` and ``/r/…`` like a tracking service, and takes postbacks at ``/pb``."""

    entries: dict[str, Entry] = field(default_factory=dict)
    clicks: list[tuple[str, str, str]] = field(default_factory=list)  # click id, code, user agent
    postbacks: list[dict[str, str]] = field(default_factory=list)
    postback_status: int = 204
    hold_from: int | None = None  # the number of clicks from which on replies are held back
    holding: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Tracker:
        tracker, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

            def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                if path.startswith("/h/"):
                    items = "".join(
                        f'<li><a href="/r/{code}">{html.escape(entry.product)}</a> {html.escape(entry.title)}</li>'
                        for code, entry in tracker.entries.items()
                    )
                    self.answer(200, f"<ul>{items}</ul>".encode())
                elif path.startswith("/r/"):
                    code = path.removeprefix("/r/")
                    with lock:
                        click_id = f"{len(tracker.clicks):026d}"
                        tracker.clicks.append((click_id, code, self.headers["user-agent"]))
                    if tracker.hold_from is not None and len(tracker.clicks) > tracker.hold_from:
                        tracker.holding.set()
                        tracker.release.wait(30)
                    self.answer(302, location=f"{tracker.entries[code].target}&subId1={click_id}")
                else:
                    tracker.postbacks.append(dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True)))
                    self.answer(tracker.postback_status)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A visitor that was killed hangs up: nothing to report."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def settings(self) -> dict[str, Any]:
        """What ``PUT /_world/settings`` is told."""
        return {"impact_postback_url": f"http://{self.host}/pb", "tracking_hosts": [self.host]}


def publish_video(
    world: World,
    item_id: str,
    *,
    tracker: Tracker | None = None,
    title: str | None = None,
    text: str = "Three facts before you buy.",
    public_at: datetime = DAY + timedelta(hours=9),
    remote_id: str | None = None,
    code: str | None = None,
    host: str = "127.0.0.1:9999",
    media: dict[str, Any] = VIDEO,
    flags: dict[str, Any] | None = None,
    account: str = "gearlab",
    platform: str = "youtube",
) -> str:
    """A video about a product, described as ours are: disclosure, text, typed hub address, link; gives its id."""
    item = world.catalog.items[item_id]
    title = title or f"{item.title}: what to know"
    code = code or f"code{item_id}"
    remote_id = remote_id or f"video-{item_id}"
    if tracker is not None:
        host = tracker.host
        program = world.catalog.programs[item.program_id]
        click = f"{world.base_url}/impact_click/c/{PARTNER}/{program.ad_id}/{program.program_id}"
        tracker.entries[code] = Entry(item.title, title, f"{click}?u={quote(item.link, safe='')}")
    world.accept_post(
        platform,
        account,
        remote_id,
        title=title,
        text=f"#ad · Contains affiliate links. Made with AI.\n\n{text}\n\nEverything shown: {host}/h/gearlab\n"
        f"This product: http://{host}/r/{code}\n\n#home #gear #ideas",
        media=media,
        public_at=public_at,
        flags=DECLARED[platform] if flags is None else flags,
    )
    return remote_id


def comparable(running: RunningWorld) -> dict[str, Any]:
    """What happened, without the ids that our tracking service gave."""
    return {
        "posts": [(post["title"], post["views"], post["likes"], post["comments"]) for post in running.witness("posts")],
        "clicks": sorted(
            (click["person"], click["code"], click["at"], click["bot"]) for click in running.witness("clicks")
        ),
        "payouts": [(paid["action_id"], paid["payout_micros"], paid["at"]) for paid in running.witness("payouts")],
    }
