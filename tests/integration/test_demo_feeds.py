"""A demo's feed: read through the product's own client before anything starts, and told to the world as it was read."""

from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from affiliate_empire.cli.demo import DemoInputs, check_feed, feed_of_the_world
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.sandbox.catalog import open_catalog
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.errors import VendorRefused
from tests.unit.test_catalog import feed, row
from tests.unit.test_feed_formats import atom, rss

ROWS = [row(id="1"), row(id="2", price="12,90 EUR")]


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """A merchant's server with its feeds; only those who say the password get them."""
    feeds = {"feed.tsv": feed(*ROWS), "feed.xml": rss(*ROWS), "feed.atom": atom(*ROWS), "page": b"<html>Sign in</html>"}
    feeds |= {f"{name}.gz": gzip.compress(data) for name, data in feeds.items()}

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            data = feeds.get(path.strip("/")) if query == "token=s3cret" else None
            self.send_response(200 if data else 404)
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(timeout=20)
    assert not thread.is_alive()


def settings_in(home: Path) -> Settings:
    return Settings(_env_file=None, home=home)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["feed.tsv", "feed.xml", "feed.atom", "feed.tsv.gz", "feed.xml.gz", "feed.atom.gz"])
def test_a_feed_at_an_address_reaches_the_world(shop: str, tmp_path: Path, name: str) -> None:
    inputs = DemoInputs(f"{shop}/{name}?token=s3cret", 7)
    said = io.StringIO()
    check_feed(inputs, Console(file=said, width=200))
    copy = feed_of_the_world(settings_in(tmp_path), inputs)

    assert f"{shop}/{name}: 1 products; 1 rows set aside" in said.getvalue()
    assert "row" in said.getvalue()
    assert inputs.slug == "demo-feed-7"
    assert "s3cret" not in said.getvalue()
    assert open_catalog("http://127.0.0.1:1", copy).items["1"].title == "Canvas Daypack"


@pytest.mark.parametrize(("name", "kind"), [("none.tsv", VendorRefused), ("page", BadInput), ("page.gz", BadInput)])
def test_an_address_without_a_feed_is_refused(shop: str, name: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        check_feed(DemoInputs(f"{shop}/{name}?token=s3cret", 7), Console(file=io.StringIO()))
    assert "s3cret" not in str(caught.value)


def test_a_packed_file_is_handed_to_the_world_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "My Feed.xml.gz"
    file.write_bytes(gzip.compress(rss(*ROWS)))
    inputs = DemoInputs(str(file), 7)
    assert feed_of_the_world(settings_in(tmp_path), inputs) == file
    assert inputs.slug == "demo-my-feed-7"
    assert feed_of_the_world(settings_in(tmp_path), DemoInputs(None, 7)) is None
    assert "1" in open_catalog("http://127.0.0.1:1", file).items
