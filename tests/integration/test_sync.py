"""Reading the outside into the ledger: catalogue, metrics, conversions. Real PostgreSQL, the world over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from affiliate_empire.analytics.conversions import current_state
from affiliate_empire.analytics.impact import events_from_push
from affiliate_empire.kernel.errors import BadInput, Misconfigured
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.conversions import save_conversion_events
from affiliate_empire.ledger.tables import (
    Alert,
    ConversionEvent,
    Product,
    Program,
    Publication,
    RejectedRow,
)
from affiliate_empire.operations.sync_catalog import CatalogSync, sync_catalog
from affiliate_empire.operations.sync_conversions import ConversionsSync, sync_conversions
from affiliate_empire.operations.sync_programs import sync_programs
from affiliate_empire.policy import load_policy
from affiliate_empire.sandbox.clock import stamp
from affiliate_empire.vendors.errors import VendorUnavailable
from affiliate_empire.vendors.product_feed import ProductFeedClient
from tests.factories.publishing import DAY, SLOT, Business, add_video, open_business
from tests.factories.worlds import START, RunningWorld, write_video

LONG_AGO = datetime(2026, 8, 20, 14, tzinfo=UTC)
HEADER = "id\ttitle\tdescription\tlink\timage_link\tavailability\tprice\tproduct_type\tbrand\n"


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RunningWorld]:
    """Opened at ``START``, or long ago where weeks have to pass: its clock never runs ahead of the wall."""
    world = RunningWorld(tmp_path, now=getattr(request, "param", START))
    yield world
    world.stop()


@dataclass
class Desk:
    """The clients of a business that has no row yet."""

    business: Business

    def read(self, feed: str | None = None, *, day: date = DAY, feed_program: str | None = None) -> CatalogSync:
        source = self.business.feed if feed is None else ProductFeedClient(feed)
        return sync_catalog(
            day,
            ledger=self.business.ledger,
            product_feed=source,
            impact=self.business.impact,
            clock=self.business.clock,
            feed_program=feed_program,
        )

    def poll(self) -> ConversionsSync:
        return sync_conversions(ledger=self.business.ledger, impact=self.business.impact, clock=self.business.clock)


@pytest.fixture
def desk(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Desk]:
    business = Business(ledger.url, world.url, str(tmp_path))
    yield Desk(business)
    business.close()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    yield business
    business.close()


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.begin() as session:
        return list(session.scalars(select(table)))


def count(ledger: Ledger, table: Any) -> int:
    with ledger.begin() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def write_feed(path: Path, world: RunningWorld, *lines: str) -> str:
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines).replace("SHOP", f"{world.url}/merchant/products"))
    return str(path)


# ---------------------------------------------------------------- catalogue
def test_feed_and_impact_catalogue_become_one_frame_of_products(
    desk: Desk, ledger: Ledger, world: RunningWorld
) -> None:
    sync = desk.read()

    assert sync.programs == 2
    assert set(sync.products["source"]) == {"product_feed", "impact"}
    assert len(sync.products) == count(ledger, Product) == 200
    assert len(sync.rejected) == count(ledger, RejectedRow) == 0
    programs = {program.program_id: program for program in rows(ledger, Program)}
    assert programs["impact:1001"].commission_rate == Decimal("0.05")
    assert programs["impact:1002"].cookie_days == 30
    paid_by = dict(zip(sync.products["native_id"], sync.products["program_id"], strict=True))
    assert paid_by["HP-1001"] == "impact:1001"
    assert paid_by["NL-1001"] == "impact:1002"
    grinder = next(product for product in rows(ledger, Product) if product.native_id == "HP-1002")
    assert (grinder.price_micros, grinder.currency, grinder.first_seen_day) == (64_000_000, "USD", DAY)


def test_programmes_are_told_with_their_terms_and_whether_they_may_be_planned(desk: Desk, ledger: Ledger) -> None:
    business = desk.business
    programs = sync_programs(
        ledger=ledger, impact=business.impact, clock=business.clock, policy=load_policy()
    ).set_index("program_id")

    assert list(programs.index) == ["impact:1001", "impact:1002"]
    assert programs.loc["impact:1001", "commission_rate"] == pytest.approx(0.05)
    assert programs["eligible"].all()
    assert set(programs["reason"]) == {""}
    assert count(ledger, Program) == 2

    strict = load_policy()
    forbids = [network | {"ai_content_allowed": False} for network in strict.networks["networks"]]
    strict = replace(strict, networks={"networks": forbids})
    refused = sync_programs(ledger=ledger, impact=business.impact, clock=business.clock, policy=strict)
    assert not refused["eligible"].any()
    assert set(refused["reason"]) == {"its network forbids AI-made content"}


def test_reading_again_changes_what_changed_and_keeps_the_first_day(
    desk: Desk, ledger: Ledger, world: RunningWorld, tmp_path: Path
) -> None:
    row = "A\tOak Shelf\tSolid oak.\tSHOP/HP-1001\t\tin_stock\t{} USD\tHome > Shelves\tH&P"
    desk.read(write_feed(tmp_path / "one.tsv", world, row.format("80.00")))
    world.move_to(START + timedelta(days=1))
    next_day = DAY + timedelta(days=1)
    sync = desk.read(write_feed(tmp_path / "two.tsv", world, row.format("75.50")), day=next_day)

    shelf = next(product for product in rows(ledger, Product) if product.native_id == "A")
    assert (shelf.price_micros, shelf.first_seen_day, shelf.last_seen_day) == (75_500_000, DAY, next_day)
    assert set(sync.products["first_seen_day"]) == {DAY}


def test_unusable_rows_are_kept_with_their_reason_and_the_others_go_on(
    desk: Desk, ledger: Ledger, world: RunningWorld, tmp_path: Path
) -> None:
    feed = write_feed(
        tmp_path / "feed.tsv",
        world,
        "A\tOak Shelf\tSolid oak.\tSHOP/HP-1001\t\tin_stock\t80.00 USD\tHome > Shelves\tH&P",
        "B\tPine Shelf\tPine.\tSHOP/HP-1002\t\tin_stock\t12,90 EUR\tHome > Shelves\tH&P",
        "C\tElm Shelf\tElm.\tSHOP/HP-1003\t\tin_stock\tN/A\tHome > Shelves\tH&P",
        "A\tOak Shelf\tAgain.\tSHOP/HP-1001\t\tin_stock\t80.00 USD\tHome > Shelves\tH&P",
        "D\tAsh Shelf\tAsh.\thttps://elsewhere.example/p/4\t\tin_stock\t10.00 USD\tHome > Shelves\tH&P",
    )
    for _ in range(2):  # a second read keeps no row twice
        sync = desk.read(feed)

    assert "A" in set(sync.products["native_id"])
    kept = {row.raw.get("id") or row.raw.get("native_id"): row.reason for row in rows(ledger, RejectedRow)}
    assert {"C", "D"} <= set(kept)
    assert "not on the domains" in kept["D"]
    assert count(ledger, RejectedRow) == len(sync.rejected)
    assert "D" not in set(sync.products["native_id"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<!doctype html><html><body>Log in</body></html>", "HTML page"),
        (HEADER, "no rows"),
        ("id\ttitle\tdescription\tlink\tavailability\n1\tA\tB\thttp://x.example/\tin_stock\n", "price"),
        ("", "empty"),
    ],
)
def test_a_feed_that_cannot_be_used_leaves_the_ledger_as_it_was(
    desk: Desk, ledger: Ledger, world: RunningWorld, tmp_path: Path, content: str, said: str
) -> None:
    desk.read()
    bad = tmp_path / "bad.tsv"
    bad.write_text(content)
    world.move_to(START + timedelta(days=1))

    with pytest.raises(BadInput, match=said):
        desk.read(str(bad), day=DAY + timedelta(days=1))
    assert {product.last_seen_day for product in rows(ledger, Product)} == {DAY}


def test_a_feed_that_no_programme_pays_for(desk: Desk, ledger: Ledger, world: RunningWorld, tmp_path: Path) -> None:
    feed = write_feed(
        tmp_path / "feed.tsv", world, "A\tShelf\tOak.\thttps://elsewhere.example/1\t\tin_stock\t8.00 USD\tHome\tX"
    )
    for chosen in (None, "1001", "4711"):
        with pytest.raises(Misconfigured, match="EMPIRE_PRODUCT_FEED_PROGRAM"):
            desk.read(feed, feed_program=chosen)
    assert count(ledger, Program) == 0


def test_an_outage_of_impact_stores_nothing(desk: Desk, ledger: Ledger, world: RunningWorld) -> None:
    world.fault("GET /impact/*/Catalogs*", status=503, times=9)
    with pytest.raises(VendorUnavailable):
        desk.read()
    assert count(ledger, Product) == count(ledger, Program) == 0


def test_a_short_outage_of_impact_is_waited_for(desk: Desk, ledger: Ledger, world: RunningWorld) -> None:
    world.fault("GET /impact/*/Catalogs", kind="busy")
    world.fault("GET /impact/*/PublicTerms", drop=True)
    desk.read()
    assert world.fault_hits() == 2
    assert count(ledger, Program) == 2


# ---------------------------------------------------------------- conversions
def save_action(world: RunningWorld, number: int, **changes: str) -> str:
    at = stamp(world.now())
    action = {
        "id": f"1001.6003.{number:09d}",
        "campaign_id": "1001",
        "state": "PENDING",
        "payout": "2.40",
        "amount": "30.00",
        "intended_payout": "2.40",
        "intended_amount": "30.00",
        "currency": "USD",
        "event_at": at,
        "creation_at": at,
        "locking_at": at,
        "subid1": f"01kclick{number}",
        "oid": f"O{number}",
        "updated_at": at,
    } | changes
    world.store.execute(
        "INSERT OR REPLACE INTO actions (id, campaign_id, state, payout, amount, intended_payout, intended_amount,"
        " currency, event_at, creation_at, locking_at, subid1, oid, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tuple(action.values()),
    )
    return action["id"]


def test_a_poll_brings_what_no_push_brought_and_nothing_twice(desk: Desk, ledger: Ledger, world: RunningWorld) -> None:
    pushed, lost = save_action(world, 1), save_action(world, 2)
    push = {"ActionId": pushed, "Status": "PENDING", "Payout": "2.40", "Amount": "30.00", "Currency": "USD"}
    push |= {"SubId1": "01kclick1", "CampaignId": "1001", "EventDate": stamp(START)}
    with ledger.begin() as session:
        save_conversion_events(session, events_from_push(push, START))

    assert desk.poll() == ConversionsSync(actions=2, new_events=1, problems=[])
    assert desk.poll().new_events == 0
    events = {event.transaction_id: event for event in rows(ledger, ConversionEvent)}
    assert (events[pushed].source, events[lost].source) == ("push", "poll")
    assert events[lost].commission_micros == 2_400_000
    assert events[lost].click_id == "01kclick2"
    assert events[lost].program_id == "impact:1001"


@pytest.mark.parametrize("world", [LONG_AGO], indirect=True)
def test_changes_and_reversals_are_followed_weeks_later(desk: Desk, ledger: Ledger, world: RunningWorld) -> None:
    steady, shrunk, returned = (save_action(world, number) for number in (1, 2, 3))
    desk.poll()
    for week in range(1, 5):
        world.move_to(LONG_AGO + timedelta(days=7 * week))
        if week == 2:
            save_action(world, 2, payout="1.20", amount="15.00")
        if week == 4:
            save_action(world, 1, state="APPROVED")
            save_action(world, 3, state="REVERSED", payout="0.00", amount="0.00")
        desk.poll()

    assert current_state(rows(ledger, ConversionEvent)) == {steady: 2_400_000, shrunk: 1_200_000, returned: 0}
    paid = {row["action_id"]: row["payout_micros"] for row in world.witness("payouts")}
    assert current_state(rows(ledger, ConversionEvent)) == paid


def test_a_change_that_is_taken_back_is_taken_back_here_too(desk: Desk, ledger: Ledger, world: RunningWorld) -> None:
    action = save_action(world, 1)
    for hours, payout in ((1, "1.20"), (2, "0.60"), (3, "1.20")):
        world.move_to(START + timedelta(hours=hours))
        save_action(world, 1, payout=payout)
        desk.poll()
        assert current_state(rows(ledger, ConversionEvent)) == {action: int(Decimal(payout) * 1_000_000)}


def test_an_action_that_makes_no_sense_stops_nothing(desk: Desk, ledger: Ledger, world: RunningWorld) -> None:
    save_action(world, 1, state="DREAMT")
    good = save_action(world, 2)
    for _ in range(2):
        done = desk.poll()

    assert len(done.problems) == 1
    assert count(ledger, Alert) == 1
    assert [event.transaction_id for event in rows(ledger, ConversionEvent)] == [good]


def test_the_first_poll_reaches_back_to_the_first_post(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    business.publish(add_video(business, write_video(tmp_path / "short.mp4")))
    assert rows(business.ledger, Publication)[0].published_at == SLOT
    with business.ledger.begin() as session:
        session.execute(update(Publication).values(published_at=START - timedelta(days=60)))
    save_action(world, 1, updated_at=stamp(START - timedelta(days=50)))
    assert Desk(business).poll().actions == 1


def test_times_stay_in_utc(desk: Desk, ledger: Ledger, world: RunningWorld) -> None:
    save_action(world, 1, event_at="2026-11-20T09:00:00-05:00")
    desk.poll()
    (event,) = rows(ledger, ConversionEvent)
    assert event.occurred_at == datetime(2026, 11, 20, 14, tzinfo=UTC)
