"""What is kept of who clicked: shortened addresses, day-bound hashes; and clicks on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from affiliate_empire.tracking.spool import Spool
from affiliate_empire.tracking.visitors import truncate_address, visitor_hash


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113"),
        ("::ffff:203.0.113.77", "203.0.113"),
        ("2001:db8:42:17::9", "2001:0db8:0042"),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_an_address_is_cut_to_its_network(address: str, network: str) -> None:
    assert truncate_address(address) == network


def test_a_visitor_is_the_same_within_a_network_and_day_and_nobody_afterwards() -> None:
    today, tomorrow = b"a" * 32, b"b" * 32
    one = visitor_hash(today, truncate_address("203.0.113.77"), "Safari")
    assert one == visitor_hash(today, truncate_address("203.0.113.4"), "Safari")
    assert one != visitor_hash(today, truncate_address("203.0.114.77"), "Safari")
    assert one != visitor_hash(today, truncate_address("203.0.113.77"), "Firefox")
    assert one != visitor_hash(tomorrow, truncate_address("203.0.113.77"), "Safari")


def _row(number: int) -> str:
    return (
        "\t".join([f"click{number:021}", "code", "2026-11-20T00:00:00+00:00", "agent\x85\u2028", "", "hash", "[]"])
        + "\n"
    )


def test_spooled_clicks_come_back_without_a_torn_line(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([_row(1), _row(2)])
    spool.append([_row(3)])
    spool.close()
    (file,) = tmp_path.glob("*.clicks")
    with file.open("a") as torn:
        torn.write(_row(4)[:40])
    rows = []
    for segment in Spool(tmp_path).sealed():
        with segment:
            rows += segment.read()
            segment.delete()
    assert rows == [_row(1), _row(2), _row(3)]
    assert list(Spool(tmp_path).sealed()) == []


def test_a_file_that_another_worker_writes_is_left_alone(tmp_path: Path) -> None:
    writing, other = Spool(tmp_path), Spool(tmp_path)
    writing.append([_row(1)])
    assert list(other.sealed()) == []
    writing.close()
    assert len([segment.__exit__(None, None, None) for segment in other.sealed()]) == 1
