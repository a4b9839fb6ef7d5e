"""The feed's client: files and addresses, packed or not, and every way in which a fetch can fail."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.vendors.errors import ReplyLost, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.product_feed import ProductFeedClient
from affiliate_empire.vendors.world_clock import WorldClock
from tests.factories.worlds import START, RunningWorld

ROWS = b"id\ttitle\n1\tChair\n" * 100


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("feed"))
    yield world
    world.stop()


def test_an_address_a_path_and_a_packed_file_give_the_same_bytes(world: RunningWorld, tmp_path: Path) -> None:
    fetched = ProductFeedClient(f"{world.url}/merchant/feed.tsv").fetch()
    assert fetched.startswith(b"id\ttitle\t")
    plain, packed = tmp_path / "feed.tsv", tmp_path / "feed.tsv.gz"
    plain.write_bytes(fetched)
    packed.write_bytes(gzip.compress(fetched))

    assert ProductFeedClient(str(plain)).fetch() == fetched
    assert ProductFeedClient(f"file://{plain}").fetch() == fetched
    assert ProductFeedClient(str(packed)).fetch() == fetched


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 503}, VendorUnavailable),
        ({"status": 429}, VendorUnavailable),
        ({"status": 404}, VendorRefused),
        ({"status": 401}, VendorRefused),
        ({"drop": True}, ReplyLost),
        ({"status": 302, "headers": {"Location": "/merchant/feed.tsv"}, "times": 50}, BadInput),  # round and round
    ],
)
def test_a_server_that_gives_no_feed(world: RunningWorld, fault: dict[str, object], kind: type[Exception]) -> None:
    world.fault("GET /merchant/feed.tsv", **fault)
    with pytest.raises(kind) as problem:
        ProductFeedClient(f"{world.url}/merchant/feed.tsv").fetch()
    assert type(problem.value) is kind
    world.clear_faults()


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(VendorUnavailable, match="could not be reached"):
        ProductFeedClient("http://127.0.0.1:9/feed.tsv").fetch()


def test_a_feed_larger_than_the_cap_is_refused_before_it_fills_the_memory(world: RunningWorld, tmp_path: Path) -> None:
    plain, packed = tmp_path / "feed.tsv", tmp_path / "feed.gz"
    plain.write_bytes(ROWS)
    packed.write_bytes(gzip.compress(ROWS))
    assert packed.stat().st_size < 1000 < len(ROWS)

    for location in (str(plain), str(packed), f"{world.url}/merchant/feed.tsv"):
        with pytest.raises(BadInput, match="larger than"):
            ProductFeedClient(location, max_bytes=1000).fetch()
    assert ProductFeedClient(str(packed), max_bytes=len(ROWS)).fetch() == ROWS


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(ROWS)[:-10])
    nonsense = tmp_path / "nonsense.gz"
    nonsense.write_bytes(b"\x1f\x8b" + b"\xff" * 50)
    for location, said in (
        (tmp_path / "none.tsv", "There is no product feed"),
        (tmp_path, "is a folder"),
        (broken, "cut off"),
        (nonsense, "broken gzip"),
    ):
        with pytest.raises(BadInput, match=said):
            ProductFeedClient(str(location)).fetch()


def test_the_worlds_clock_is_the_business_clock(world: RunningWorld) -> None:
    clock = WorldClock(world.url, cache_seconds=0)
    assert clock.now() == START
    clock.close()


def test_a_world_that_does_not_answer_is_said_so() -> None:
    clock = WorldClock("http://127.0.0.1:9")
    with pytest.raises(Exception, match="empire world"):
        clock.now()
    clock.close()
