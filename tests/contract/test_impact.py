"""Impact's client against the sandbox world: programmes, catalogues, links, clicks, actions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from affiliate_empire.sandbox.clock import stamp
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.errors import ReplyLost, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.impact import ImpactClient
from tests.factories.worlds import START, RunningWorld

SID = SANDBOX_KEYS["impact_account_sid"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("impact"))
    yield world
    world.stop()


@pytest.fixture
def client(world: RunningWorld) -> Iterator[ImpactClient]:
    client = open_client(world)
    yield client
    world.clear_faults()
    client.close()


def open_client(
    world: RunningWorld, *, auth_token: str = SANDBOX_KEYS["impact_auth_token"], page_size: int = 100
) -> ImpactClient:
    return ImpactClient(f"{world.url}/impact", account_sid=SID, auth_token=auth_token, page_size=page_size)


def ask(world: RunningWorld, path: str, **params: str) -> httpx.Response:
    return httpx.get(
        f"{world.url}/impact/Mediapartners/{SID}{path}",
        params=params,
        auth=(SID, SANDBOX_KEYS["impact_auth_token"]),
        headers={"Accept": "application/json"},
        trust_env=False,
    )


def save_action(world: RunningWorld, number: int, updated_at: datetime, **changes: str) -> None:
    action = {
        "id": f"1001.6003.{number:09d}",
        "campaign_id": "1001",
        "state": "PENDING",
        "payout": "2.40",
        "amount": "30.00",
        "intended_payout": "2.40",
        "intended_amount": "30.00",
        "currency": "USD",
        "event_at": stamp(updated_at),
        "creation_at": stamp(updated_at),
        "locking_at": stamp(updated_at + timedelta(days=30)),
        "subid1": "01kclickid",
        "oid": f"O{number}",
        "updated_at": stamp(updated_at),
    } | changes
    world.store.execute(
        "INSERT INTO actions (id, campaign_id, state, payout, amount, intended_payout, intended_amount, currency,"
        " event_at, creation_at, locking_at, subid1, oid, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tuple(action.values()),
    )


def test_joined_programmes_with_their_terms(client: ImpactClient, world: RunningWorld) -> None:
    campaigns = {campaign["CampaignId"]: campaign for campaign in client.fetch_campaigns()}

    assert {campaign["CampaignName"] for campaign in campaigns.values()} == {"Harbor & Pine", "Northlight"}
    assert campaigns["1001"]["AllowsDeeplinking"] == "true"
    assert urlsplit(world.url).netloc in campaigns["1001"]["DeeplinkDomains"]
    (terms,) = client.fetch_public_terms("1001")["PayoutTermsList"]
    assert (terms["PayoutPercentage"], terms["ReferralPeriod"]) == ("5", "30")


def test_a_catalogue_is_read_to_its_end_and_every_number_is_a_string(client: ImpactClient, world: RunningWorld) -> None:
    (catalog,) = client.fetch_catalogs()
    items = client.fetch_catalog_items(catalog["Id"])
    by_sevens = open_client(world, page_size=7)
    assert by_sevens.fetch_catalog_items(catalog["Id"]) == items
    by_sevens.close()

    assert catalog["NumberOfItems"] == str(len(items))
    assert len({item["CatalogItemId"] for item in items}) == len(items) >= 80
    assert all(isinstance(item["CurrentPrice"], str) for item in items)
    assert all(item["Url"].startswith(f"{world.url}/impact_click/c/") for item in items)
    feed = httpx.get(f"{world.url}/merchant/feed.tsv", trust_env=False).text
    assert not any(f"\n{item['CatalogItemId']}\t" in feed for item in items)


def test_an_ftp_password_never_leaves_the_client(client: ImpactClient, world: RunningWorld) -> None:
    assert "not-for-logs" in ask(world, "/Catalogs").text
    assert "not-for-logs" not in str(client.fetch_catalogs())


def test_pages_are_numbered_in_strings(world: RunningWorld) -> None:
    first = ask(world, "/Catalogs/7002/Items", Page="1", PageSize="7").json()
    last = ask(world, "/Catalogs/7002/Items", Page=first["@numpages"], PageSize="7").json()

    assert first["@page"] == "1"
    assert len(first["Items"]) == 7
    assert first["@nextpageuri"].endswith("PageSize=7&Page=2")
    assert last["@nextpageuri"] == ""
    assert (int(first["@numpages"]) - 1) * 7 + len(last["Items"]) == int(first["@total"])


def test_the_api_says_how_many_calls_are_left(world: RunningWorld) -> None:
    first, second = ask(world, "/Campaigns"), ask(world, "/Campaigns")

    assert first.headers["x-ratelimit-limit"] == "1000"
    assert int(first.headers["x-ratelimit-remaining"]) == int(second.headers["x-ratelimit-remaining"]) + 1
    assert 0 < int(first.headers["x-ratelimit-reset"]) <= 3600
    assert ask(world, "/Catalogs").headers["x-ratelimit-limit"] == "3600"


def test_a_tracking_link_leads_to_the_shop_and_the_click_is_recorded_first(
    client: ImpactClient, world: RunningWorld
) -> None:
    page = f"{world.url}/merchant/products/HP-1001"
    link = client.create_tracking_link("1001", page)

    assert "subId1" not in link
    click = httpx.get(f"{link}&subId1=01jclickid", trust_env=False)

    assert click.status_code == 302
    location = urlsplit(click.headers["location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == page
    (recorded,) = world.store.query("SELECT * FROM impact_clicks WHERE subid1 = '01jclickid'")
    assert parse_qs(location.query)["irclickid"] == [recorded["id"]]
    assert (recorded["program"], recorded["destination"]) == ("1001", page)


def test_a_click_is_not_led_to_a_foreign_domain(world: RunningWorld) -> None:
    click = httpx.get(
        f"{world.url}/impact_click/c/3101/2001/1001", params={"u": "https://evil.invalid/"}, trust_env=False
    )
    assert urlsplit(click.headers["location"]).netloc == urlsplit(world.url).netloc
    unknown = httpx.get(f"{world.url}/impact_click/c/3101/2001/9999", trust_env=False)
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("program", "page"),
    [("1001", "https://elsewhere.invalid/p"), ("1001", "javascript:alert(1)"), ("4711", "http://127.0.0.1/")],
)
def test_a_link_that_impact_does_not_give(client: ImpactClient, program: str, page: str) -> None:
    with pytest.raises(VendorRefused):
        client.create_tracking_link(program, page)


def test_deep_link_domains_are_those_of_the_loaded_feed(tmp_path: Path) -> None:
    feed = tmp_path / "feed.tsv"
    feed.write_text(
        "id\ttitle\tdescription\tlink\timage_link\tavailability\tprice\tproduct_type\n"
        "1\tOak Chair\tSolid oak.\thttps://shop.example.com/p/1\t\tin_stock\t80.00 USD\tfurniture > chairs\n"
    )
    world = RunningWorld(tmp_path / "home", feed=feed)
    client = open_client(world)

    link = client.create_tracking_link("1001", "https://shop.example.com/p/1")
    assert parse_qs(urlsplit(link).query)["u"] == ["https://shop.example.com/p/1"]
    click = httpx.get(f"{link}&subId1=x", trust_env=False)
    assert click.headers["location"].startswith("https://shop.example.com/p/1?irclickid=")

    client.close()
    world.stop()


def test_actions_of_a_long_time_are_read_in_windows_and_each_once(client: ImpactClient, world: RunningWorld) -> None:
    save_action(world, 1, START - timedelta(days=80))
    save_action(world, 2, START - timedelta(days=50), state="APPROVED")
    save_action(world, 3, START - timedelta(milliseconds=300))
    save_action(world, 4, START - timedelta(days=200))

    actions = client.fetch_actions(START - timedelta(days=100), START)

    assert [action["Oid"] for action in actions] == ["O1", "O2", "O3"]
    action = actions[0]
    assert (action["State"], action["Payout"], action["SubId1"]) == ("PENDING", "2.40", "01kclickid")
    assert action["DeltaPayout"] == "0.00"
    assert datetime.fromisoformat(action["EventDate"]) == START - timedelta(days=80)


def test_a_window_has_its_rules(world: RunningWorld) -> None:
    def status(start: datetime | None, end: datetime | None) -> int:
        window = {name: at.isoformat() for name, at in (("StartDate", start), ("EndDate", end)) if at is not None}
        return ask(world, "/Actions", **window).status_code

    assert status(START - timedelta(days=45), START) == 200
    assert status(START - timedelta(days=46), START) == 400
    assert status(START - timedelta(days=1), None) == 400
    assert status(START, START - timedelta(days=1)) == 400
    assert status(START - timedelta(days=1200), START - timedelta(days=1190)) == 400
    assert ask(world, "/Actions", StartDate="2026-11-19T00:00:00", EndDate="2026-11-20T00:00:00").status_code == 400
    assert ask(world, "/Actions", Colour="red").status_code == 400
    assert ask(world, "/Actions").status_code == 200


def test_a_wrong_token_is_refused_with_the_remedy(world: RunningWorld) -> None:
    client = open_client(world, auth_token="wrong")
    with pytest.raises(VendorRefused, match="EMPIRE_IMPACT_AUTH_TOKEN"):
        client.fetch_campaigns()
    client.close()


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ({"status": 500}, VendorUnavailable, "500"),
        ({"status": 429, "headers": {"X-RateLimit-Reset": "120"}}, VendorUnavailable, "429"),
        ({"status": 403, "body": {"Status": "ERROR", "Message": "scope"}}, VendorRefused, "403"),
        ({"status": 200, "body": "<html>maintenance</html>"}, ReplyLost, "unreadable"),
        ({"status": 200, "body": {"Campaigns": None}}, VendorUnavailable, "unreadable"),
        ({"drop": True}, ReplyLost, "RemoteProtocolError"),
    ],
)
def test_an_outage_is_never_an_empty_list(
    client: ImpactClient, world: RunningWorld, fault: dict[str, object], kind: type[Exception], code: str
) -> None:
    world.fault("GET /impact/*", **fault)
    with pytest.raises(kind) as problem:
        client.fetch_campaigns()
    assert problem.value.code == code  # type: ignore[attr-defined]
    if code == "429":
        assert problem.value.retry_after == 120  # type: ignore[attr-defined]
