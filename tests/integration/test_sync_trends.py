"""Trends in the ledger: every refresh kept, an outage survived, the week's tests decided once. Real PostgreSQL, the
world over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import select

from affiliate_empire.catalog.frames import ExchangeRates
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Snapshot
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.operations.record_plan import load_plan_evidence
from affiliate_empire.operations.snapshots import load_snapshot
from affiliate_empire.operations.sync_trends import (
    NeverObserved,
    load_day_s_trends,
    load_niches_on_test,
    load_trends,
    record_topics,
    sync_trends,
)
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.errors import VendorUnavailable
from affiliate_empire.vendors.google_trends import GoogleTrendsClient
from definitions import build_defs
from resources.lake import LakeIOManager
from tests.factories.business_day import CALENDAR, BusinessDay
from tests.factories.catalog import DAY, product, products
from tests.factories.worlds import RunningWorld

POLICY = load_policy()
MONDAY = DAY - timedelta(days=DAY.weekday())
NOW = datetime(2026, 11, 21, 5, 45, tzinfo=UTC)  # 00:45 of the day
EXPLORE = "POST /google_trends/trends/api/explore"
FEED = "GET /google_trends/trending/rss"
NO_RATES = pd.DataFrame(columns=list(ExchangeRates.to_schema().columns))
LONG_WAIT = {"Retry-After": "60"}  # more than anybody's patience
SHOP = {"fitness": "Yoga Mat, 6 mm", "outdoor": "Trail Running Headlamp", "pets": "Slow Feeder Dog Bowl"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path / "world", now=NOW)
    yield world
    world.stop()


@dataclass
class Desk:
    """The day's catalogue, stored and ranked, and what asks Google."""

    ledger: Ledger
    world: RunningWorld
    media: MediaStore

    def __post_init__(self) -> None:
        self.clock = FixedClock(NOW)
        self.google = GoogleTrendsClient(f"{self.world.url}/google_trends", timeout=10)
        self.business = BusinessDay(self.ledger, self.media)
        self.products = products(*(product(niche, niche=niche, title=title) for niche, title in SHOP.items()))
        self.ranked = self.business.offer(self.products)

    def observe(self, day: date = DAY) -> pd.DataFrame:
        return sync_trends(
            day,
            self.ranked,
            google_trends=self.google,
            ledger=self.ledger,
            media=self.media,
            clock=self.clock,
            rule=POLICY.trend_rule,
        )

    def trends(self, day: date = DAY) -> pd.DataFrame:
        return load_trends(day, ledger=self.ledger, media=self.media, rule=POLICY.trend_rule)

    def topics(self, monday: date = MONDAY) -> pd.DataFrame:
        return record_topics(
            monday,
            google_trends=self.google,
            ledger=self.ledger,
            media=self.media,
            clock=self.clock,
            calendar=CALENDAR,
            rule=POLICY.topic_rule,
        )

    def snapshots(self, name: str) -> list[date]:
        with self.ledger.begin() as session:
            return list(session.scalars(select(Snapshot.day).where(Snapshot.name == name).order_by(Snapshot.taken_at)))


@pytest.fixture
def desk(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Desk:
    return Desk(ledger, world, MediaStore(tmp_path / "media"))


# ---------------------------------------------------------------- signals
def test_niches_and_products_are_asked_for_and_every_refresh_is_kept(desk: Desk) -> None:
    first = desk.observe()
    assert set(first.loc[first["kind"] == "niche", "subject"]) == set(SHOP)
    assert set(first.loc[first["kind"] == "product", "subject"]) == set(desk.products["product_id"])
    assert set(first["source"]) == {"pytrends"}
    assert first["interest"].max() > 20
    assert desk.trends().equals(first)

    desk.clock.at = NOW + timedelta(hours=6)
    second = desk.observe()
    assert desk.snapshots("trend_signals") == [DAY, DAY]
    assert desk.trends().equals(second)
    assert second["observed_at"].unique().tolist() == [pd.Timestamp(desk.clock.at)]
    # The same answer at the same instant is the same snapshot.
    desk.observe()
    assert desk.snapshots("trend_signals") == [DAY, DAY]


def test_an_outage_keeps_nothing_and_the_last_signals_serve_for_a_while(desk: Desk, world: RunningWorld) -> None:
    yesterday = DAY - timedelta(days=1)
    kept = desk.observe(yesterday)
    # The second request fails, by both libraries.
    world.fault(EXPLORE, status=429, headers=LONG_WAIT, times=2, skip=1)
    with pytest.raises(VendorUnavailable, match=r"pytrends .*429.*trendspyg .*429"):
        desk.observe()
    assert desk.snapshots("trend_signals") == [yesterday]
    for days_on in range(1, POLICY.trend_rule.used_for_days + 1):
        assert desk.trends(yesterday + timedelta(days=days_on)).equals(kept)
    assert desk.trends(yesterday + timedelta(days=POLICY.trend_rule.used_for_days + 1)).empty
    assert desk.trends(yesterday - timedelta(days=1)).empty


def test_a_past_day_gives_what_was_observed_on_it_or_says_that_nobody_asked(desk: Desk) -> None:
    kept = desk.observe()
    assert load_day_s_trends(DAY, ledger=desk.ledger, media=desk.media).equals(kept)
    with pytest.raises(NeverObserved, match="Nobody asked Google Trends on 2026-11-22"):
        load_day_s_trends(DAY + timedelta(days=1), ledger=desk.ledger, media=desk.media)


# ---------------------------------------------------------------- the week's tests
def feed(world: RunningWorld, *titles: str) -> None:
    """What trends from now on, most searched for first."""
    items = "".join(
        f"<item><title>{title}</title><ht:approx_traffic>{1000 * (9 - number)}+</ht:approx_traffic>"
        "<pubDate>Fri, 20 Nov 2026 14:00:00 -0800</pubDate></item>"
        for number, title in enumerate(titles)
    )
    namespace = 'xmlns:ht="https://trends.google.com/trending/rss"'
    world.clear_faults()
    body = f"<rss {namespace}><channel>{items}</channel></rss>"
    world.fault(FEED, status=200, body=body, times=99)


def test_the_week_s_tests_are_decided_once(desk: Desk, world: RunningWorld) -> None:
    feed(world, "yoga mat", "playoff schedule", "slow feeder")
    first = desk.topics()
    assert load_niches_on_test(DAY, ledger=desk.ledger, media=desk.media) == ["fitness", "pets"]
    feed(world, "running headlamp")
    desk.clock.at = NOW + timedelta(days=1)
    assert desk.topics().equals(first)
    # Long after, too, and without Google.
    desk.clock.at = NOW + timedelta(days=40)
    world.clear_faults()
    world.fault(FEED, status=503, headers=LONG_WAIT, times=99)
    assert desk.topics().equals(first)
    assert desk.snapshots("trending_topics") == [MONDAY]


def test_two_who_decide_at_once_agree(desk: Desk, world: RunningWorld) -> None:
    world.fault(FEED, delay=0.2, times=99)
    with ThreadPoolExecutor(4) as pool:
        decided = list(pool.map(lambda _: desk.topics(), range(4)))
    assert all(topics.equals(decided[0]) for topics in decided)
    assert desk.snapshots("trending_topics") == [MONDAY]


def test_a_niche_that_was_published_lately_is_not_new(desk: Desk, world: RunningWorld) -> None:
    lately = BusinessDay(desk.ledger, desk.media, day=DAY - timedelta(days=27))
    prepare_ledger(ledger=desk.ledger)
    plan = lately.plan(desk.ranked, slate={"youtube": 3})
    piece = plan.loc[plan["niche"] == "fitness", "piece_id"].item()
    lately.publish(piece)
    feed(world, "yoga mat", "running headlamp")
    topics = desk.topics().set_index("topic")
    assert topics["on_test"].to_dict() == {"yoga mat": False, "running headlamp": True}
    assert "fitness was published on 2026-10-25" in topics.loc["yoga mat", "reason"]


def test_what_cannot_be_decided_is_said_and_not_recorded(desk: Desk, world: RunningWorld) -> None:
    with pytest.raises(NeverObserved, match="the week of 2026-11-09 were never recorded"):
        desk.topics(MONDAY - timedelta(days=7))
    world.fault(FEED, status=503, headers=LONG_WAIT)
    with pytest.raises(VendorUnavailable):
        desk.topics()
    assert desk.snapshots("trending_topics") == []
    assert load_niches_on_test(DAY, ledger=desk.ledger, media=desk.media) == []


def test_without_a_catalogue_nothing_is_decided(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="materialize products first"):
        record_topics(
            MONDAY,
            google_trends=GoogleTrendsClient(f"{world.url}/google_trends"),
            ledger=ledger,
            media=MediaStore(tmp_path / "media"),
            clock=FixedClock(NOW),
            calendar=CALENDAR,
            rule=POLICY.topic_rule,
        )


# ---------------------------------------------------------------- the graph
@pytest.mark.filterwarnings("ignore::dagster.BetaWarning", "ignore::dagster.PreviewWarning")
def test_rankings_go_on_without_google_and_say_of_when_their_signals_are(
    desk: Desk, world: RunningWorld, tmp_path: Path
) -> None:
    settings = Settings(_env_file=None, home=tmp_path)  # type: ignore[call-arg]
    given = {"ledger": desk.ledger, "clock": desk.clock, "media": desk.media, "google_trends": desk.google}
    definitions = build_defs(settings, given)
    lake = definitions.resources["lake"]
    assert isinstance(lake, LakeIOManager)
    lake.lake.write("products", str(DAY), desk.products)
    lake.lake.write("exchange_rates", str(DAY), NO_RATES)

    def run(job: str) -> dg.ExecuteInProcessResult:
        return definitions.resolve_job_def(job).execute_in_process(
            instance=instance, partition_key=str(DAY), raise_on_error=False
        )

    def said(result: dg.ExecuteInProcessResult) -> str:
        [event] = [each for each in result.all_events if each.is_step_materialization]
        return str(event.materialization.metadata["trend_as_of"].value)

    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        world.fault(EXPLORE, status=429, headers={"Retry-After": "0"}, times=99)
        out = run("observe_trends")
        assert not out.success
        assert len([event for event in out.all_events if event.is_step_restarted]) == 2
        without = run("rank_products")
        assert without.success
        assert said(without) == "no signals: every trend counts 1"

        world.clear_faults()
        assert run("observe_trends").success
        ranked = run("rank_products")
        assert said(ranked) == "2026-11-21 05:45 UTC"
    frame = lake.lake.read("rankings", str(DAY))
    assert frame["trend"].ne(1).any()
    assert frame["trend_as_of"].notna().all()
    # Each refresh is kept, and the plan is made from the last.
    assert desk.snapshots("rankings") == [DAY, DAY]
    newest = load_snapshot("rankings", DAY, ledger=desk.ledger, media=desk.media)
    assert newest is not None
    assert newest["trend"].tolist() == frame["trend"].tolist()


def test_the_plan_tests_what_the_week_decided(desk: Desk, world: RunningWorld) -> None:
    feed(world, "yoga mat")
    desk.topics()
    prepare_ledger(ledger=desk.ledger)
    more = products(*(product(f"b{number}", niche=("bags", "desks")[number % 2]) for number in range(8)))
    ranked = desk.business.offer(pd.concat([desk.products, more], ignore_index=True))
    sunk = ranked.assign(score=ranked["score"].where(ranked["niche"].isin(["bags", "desks"]), ranked["score"] / 100))
    plan = desk.business.plan(sunk)
    assert plan["niche"].value_counts().to_dict() == {"bags": 2, "desks": 2, "fitness": 1}
    assert load_plan_evidence(DAY, ledger=desk.ledger)["on_test"] == ["fitness"]
