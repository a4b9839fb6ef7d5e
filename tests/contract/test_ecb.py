"""The ECB's reference rates, over real HTTP, against the sandbox world: read strictly, never guessed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest

from affiliate_empire.sandbox.servers.ecb import is_fixing_day
from affiliate_empire.vendors.ecb import ECBClient
from affiliate_empire.vendors.errors import VendorRefused, VendorUnavailable
from tests.factories.worlds import RunningWorld

FRIDAY = date(2026, 3, 27)
DAILY, HISTORY = "GET /ecb/stats/eurofxref/eurofxref-daily.xml", "GET /ecb/stats/eurofxref/eurofxref-hist-90d.xml"


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("world"), now=datetime(2026, 3, 27, 14, 30, tzinfo=UTC))
    yield world
    world.stop()


@pytest.fixture
def world(module_world: RunningWorld) -> RunningWorld:
    module_world.clear_faults()
    return module_world


@pytest.fixture
def client(world: RunningWorld) -> Iterator[ECBClient]:
    client = ECBClient(f"{world.url}/ecb", timeout=5)
    yield client
    client.close()


def test_rates_are_fixed_on_working_days_at_four_in_frankfurt_and_carried_over_a_weekend(
    client: ECBClient, world: RunningWorld
) -> None:
    thursday = client.fetch_latest()
    assert thursday.day == FRIDAY - timedelta(days=1)  # half past three in Frankfurt
    world.move_to(datetime(2026, 3, 27, 15, 1, tzinfo=UTC))
    friday = client.fetch_latest()
    assert friday.day == FRIDAY
    world.move_to(datetime(2026, 3, 29, 20, tzinfo=UTC))
    assert client.fetch_latest() == friday
    assert Decimal("0.9") < friday.per_euro["USD"] < Decimal("1.4")
    assert "EUR" not in friday.per_euro
    world.move_to(datetime(2026, 4, 6, 20, tzinfo=UTC))
    assert client.fetch_latest().day == date(2026, 4, 2)  # Good Friday to Easter Monday


def test_the_history_holds_ninety_days_newest_first_and_moves_little_by_little(client: ECBClient) -> None:
    history = client.fetch_history()
    assert history[0] == client.fetch_latest()
    assert 58 <= len(history) <= 65
    assert all(is_fixing_day(fixing.day) for fixing in history)
    for newer, older in pairwise(history):
        assert newer.day > older.day
        for currency, rate in newer.per_euro.items():
            assert abs(rate / older.per_euro[currency] - 1) < Decimal("0.02")
            assert rate != older.per_euro[currency] or currency not in ("USD", "GBP")


def test_two_worlds_of_one_seed_have_the_same_rates(client: ECBClient, world: RunningWorld, tmp_path: Any) -> None:
    for seed, same in ((7, True), (8, False)):
        other = RunningWorld(tmp_path / str(seed), now=world.now(), seed=seed)
        there = ECBClient(f"{other.url}/ecb")
        assert (there.fetch_latest() == client.fetch_latest()) is same
        there.close()
        other.stop()


def xml(days: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
        f'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><Cube>{days}</Cube></gesmes:Envelope>'
    )


GOOD = "<Cube time='2026-03-27'><Cube currency='USD' rate='1.1'/></Cube>"
OLDER = GOOD.replace("-27", "-26")


def test_the_smallest_file_of_the_bank_is_read(client: ECBClient, world: RunningWorld) -> None:
    world.fault(HISTORY, status=200, body=xml(GOOD + OLDER))
    assert [(fixing.day.day, fixing.per_euro) for fixing in client.fetch_history()] == [
        (27, {"USD": Decimal("1.1")}),
        (26, {"USD": Decimal("1.1")}),
    ]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("<!DOCTYPE html><html><body>Maintenance</body></html>", "a web page instead of"),
        ("\n<HTML><body>Log in to the hotel's network</body></HTML>", "a web page instead of"),
        (xml(GOOD)[:-20], "no XML"),
        ("", "no XML"),
        ("{}", "no XML"),
    ],
)
def test_what_is_no_xml_may_be_asked_for_again(client: ECBClient, world: RunningWorld, body: str, says: str) -> None:
    world.fault(DAILY, status=200, body=body)
    with pytest.raises(VendorUnavailable, match=says) as unavailable:
        client.fetch_latest()
    assert unavailable.value.code == "not_xml"


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa">]>'


@pytest.mark.parametrize(
    "body",
    [
        xml(""),
        xml("<Cube time='2026-03-27'></Cube>"),
        xml(GOOD.replace("rate", "price")),
        xml(GOOD.replace("1.1", "0")),
        xml(GOOD.replace("1.1", "-1")),
        xml(GOOD.replace("1.1", "NaN")),
        xml(GOOD.replace("1.1", "1,1")),
        xml(GOOD.replace("USD", "usd")),
        xml(GOOD.replace("USD", "GBP")),
        xml(GOOD.replace("2026-03-27", "27.03.2026")),
        xml(GOOD.replace("/></Cube>", "/><Cube currency='USD' rate='1.2'/></Cube>")),
        xml(OLDER + GOOD),
        xml(GOOD).replace("vocabulary/2002-08-01", "vocabulary/2030-01-01"),
        "<rates/>",
        xml(GOOD).replace("?><gesmes", f"?>{BOMB}<gesmes", 1),
    ],
)
def test_a_file_of_another_form_is_refused_for_good(client: ECBClient, world: RunningWorld, body: str) -> None:
    world.fault(DAILY, status=200, body=body)
    with pytest.raises(VendorRefused) as refused:
        client.fetch_latest()
    assert refused.value.code == "format"


@pytest.mark.parametrize(
    ("status", "expected"), [(503, VendorUnavailable), (429, VendorUnavailable), (404, VendorRefused)]
)
def test_each_status_has_its_meaning(
    client: ECBClient, world: RunningWorld, status: int, expected: type[Exception]
) -> None:
    world.fault(DAILY, status=status, body="<html></html>", headers={"retry-after": "9"})
    with pytest.raises(expected) as raised:
        client.fetch_latest()
    assert getattr(raised.value, "retry_after", 9) == 9


def test_a_bank_out_of_reach_is_unavailable(client: ECBClient, world: RunningWorld) -> None:
    world.fault(DAILY, drop=True)
    with pytest.raises(VendorUnavailable):
        client.fetch_latest()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    with pytest.raises(VendorUnavailable, match="check the network"):
        ECBClient(f"http://127.0.0.1:{closed}").fetch_latest()


def test_the_web_site_has_no_other_rates(world: RunningWorld) -> None:
    reply = httpx.get(f"{world.url}/ecb/stats/eurofxref/eurofxref-hist.xml", trust_env=False)
    assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (404, "text/html")


@pytest.mark.parametrize(
    ("day", "fixed"),
    [
        (date(2026, 4, 3), False),  # Good Friday
        (date(2026, 4, 6), False),  # Easter Monday
        (date(2027, 3, 26), False),
        (date(2026, 12, 25), False),
        (date(2026, 5, 1), False),
        (date(2026, 11, 21), False),  # a Saturday
        (date(2026, 11, 26), True),  # Thanksgiving is no holiday in Frankfurt
    ],
)
def test_target_closes_on_its_holidays(day: date, fixed: bool) -> None:
    assert is_fixing_day(day) is fixed
