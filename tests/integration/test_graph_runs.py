"""Runs of the real graph on a real ledger, lake and warehouse: what they keep, what stops them, what reruns change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import select, text

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.lake import Lake
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Budget, Effect, Reservation
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.export import export_publications
from affiliate_empire.operations.save_mart import save_mart
from affiliate_empire.settings import Settings
from affiliate_empire.warehouse import Warehouse
from definitions import build_defs
from resources.warehouse import PROJECT
from runner import failure_of
from tests.factories.business_day import BusinessDay
from tests.factories.catalog import DAY

# dbt and its libraries still use what Python and click have deprecated; Dagster previews partitioned checks.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
    "ignore::dagster.PreviewWarning",
    "ignore::dagster.BetaWarning",
)

NEXT = DAY + timedelta(days=1)
# All others are vendors.
OURS = {"settings", "policy", "clock", "ledger", "effects", "vault", "grants", "lake", "media", "warehouse"}
MARTS = ("attributed_conversions", "daily_pnl", "revenue_lineage", "roi")


class House:
    """A home, its definitions with the outside left out, and an instance in memory."""

    def __init__(self, home: Path, ledger: Ledger) -> None:
        self.home = home
        self.ledger = ledger
        self.business = BusinessDay(ledger, MediaStore(home / "media"))
        self.clock = FixedClock(self.business.at(54))  # both days are over: nothing is observed anew
        self.instance = dg.DagsterInstance.ephemeral(tempdir=str(home / "dagster"))
        settings = Settings(_env_file=None, home=home)  # type: ignore[call-arg]
        outside = dict.fromkeys(set(build_defs(settings).resources or {}) - OURS, "not connected")
        self.definitions = build_defs(settings, {"ledger": ledger, "clock": self.clock, **outside})

    def run(self, job: str, partition: str, **tags: str) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, partition_key=partition, raise_on_error=False, tags=tags
        )

    def frame(self, asset: str, day: date = DAY) -> pd.DataFrame:
        return pd.read_parquet(self.home / "lake" / asset / f"{day}.parquet")

    def hashes(self) -> dict[str, str]:
        files = (path for path in (self.home / "lake").rglob("*.parquet"))
        return {str(p.relative_to(self.home)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    def live(self) -> pd.DataFrame:
        """A day on which all was published and three sales were learned of, one of them reversed after midnight."""
        plan = self.business.prepared()
        codes = [self.business.publish(piece) for piece in plan["piece_id"]]
        clicks = [self.business.click(codes[0], number) for number in range(10)]
        self.business.click(codes[0], 90, flags=("bot",))
        self.business.sell("1001.1", clicks[0], "4.21")
        self.business.sell("1001.2", clicks[1], "3.337")
        self.business.sell("1001.2", clicks[1], "0", hour=26, Status="REVERSED")
        self.business.sell("1001.4", None, "2.00")
        self.balance()
        self.write_plan(plan)
        return plan

    def write_plan(self, plan: pd.DataFrame) -> None:
        """The partitions of the morning and of publishing, which these tests do not run."""
        kept = Lake(self.home / "lake")
        kept.write("content_plan", str(DAY), plan)
        for platform in ("blog", "youtube"):
            frame = export_publications(DAY, ledger=self.ledger, platform=platform)
            kept.write("publications", f"{DAY}|{platform}", frame)

    def balance(self) -> None:
        """Book what the factory spent, as the effects do."""
        scope = f"day:{DAY}"
        with self.ledger.begin() as session:
            effects = session.scalars(select(Effect)).all()
            spent = sum(effect.cost_micros or 0 for effect in effects)
            session.add(Budget(scope=scope, cap_micros=14_000_000, reserved_micros=0, spent_micros=spent))
            session.flush()
            for effect in effects:
                cost = effect.cost_micros or 0
                session.add(
                    Reservation(effect_id=effect.effect_id, scope=scope, reserved_micros=cost, spent_micros=cost)
                )


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parsed")
    Warehouse(folder, PROJECT).dependencies()
    return folder / "manifests"


@pytest.fixture
def house(tmp_path: Path, ledger: Ledger, manifests: Path) -> Iterator[House]:
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse" / "manifests").symlink_to(manifests)
    house = House(tmp_path, ledger)
    yield house
    house.instance.dispose()
    with ledger.begin() as session:
        session.execute(text("DROP SCHEMA IF EXISTS marts CASCADE"))


@pytest.mark.long
def test_a_lived_day_reaches_the_marts_to_the_micro_and_stays_byte_equal(house: House) -> None:
    plan = house.live()
    for day in (DAY, NEXT):
        assert (result := house.run("sync_results", str(day))).success, failure_of(result)
    assert (result := house.run("close_day", str(DAY))).success, failure_of(result)

    roi = house.frame("roi")
    assert int(roi["revenue_micros"].sum()) == 4_210_000
    assert int(roi["cost_micros"].sum()) == int(house.frame("costs")["cost_micros"].sum()) == len(plan) * 49_500
    assert int(roi["reversals"].sum()) == 1
    earner = plan.set_index("piece_id")["prompt_version"].iloc[0]
    assert set(house.frame("revenue_lineage")["prompt_version"]) == {earner}
    assert int(house.frame("daily_pnl")["revenue_micros"].sum()) == 4_210_000 + 3_337_000 + 2_000_000
    assert (house.home / "reports" / f"{DAY}.html").exists()

    with house.ledger.begin() as session:
        for mart in MARTS:
            rows = session.scalar(text(f"SELECT count(*) FROM marts.{mart}"))  # noqa: S608
            assert rows == len(house.frame(mart)), mart
        total = session.scalar(text("SELECT sum(profit_micros) FROM marts.roi WHERE cohort_day = :day"), {"day": DAY})
    assert int(total or 0) == int(roi["profit_micros"].sum())

    before = house.hashes()
    house.clock.at = house.business.at(55)
    assert house.run("sync_results", str(DAY)).success
    assert house.run("close_day", str(DAY)).success
    assert house.hashes() == before


def test_several_days_are_restated_in_one_run(house: House) -> None:
    house.live()
    for day in (DAY, NEXT):
        assert house.run("sync_results", str(day)).success
    job = house.definitions.resolve_job_def("close_day")
    result = job.execute_in_process(
        instance=house.instance,
        raise_on_error=False,
        asset_selection=[dg.AssetKey("daily_pnl")],
        tags={"dagster/asset_partition_range_start": str(DAY), "dagster/asset_partition_range_end": str(NEXT)},
    )
    assert result.success, failure_of(result)
    assert int(house.frame("daily_pnl", NEXT)["revenue_micros"].sum()) == -3_337_000
    done = house.instance.get_materialized_partitions(dg.AssetKey("daily_pnl"))
    assert done == {str(DAY), str(NEXT)}


def test_books_that_do_not_balance_stop_the_day(house: House) -> None:
    house.live()
    with house.ledger.begin() as session:
        session.get_one(Budget, f"day:{DAY}").spent_micros += 1
    result = house.run("sync_results", str(DAY))
    assert not result.success
    assert "ledger_balances does not hold for costs" in failure_of(result)
    assert f"day:{DAY} spent" in failure_of(result)


def test_spending_beyond_a_cap_stops_the_day(house: House) -> None:
    house.live()
    with house.ledger.begin() as session:
        session.get_one(Budget, f"day:{DAY}").cap_micros = 1_000
    result = house.run("sync_results", str(DAY))
    assert not result.success
    assert "spend_within_caps does not hold for costs" in failure_of(result)


def test_a_past_day_that_was_never_observed_says_so_and_is_not_retried(house: House) -> None:
    result = house.definitions.resolve_job_def("fetch_products").execute_in_process(
        instance=house.instance,
        partition_key=str(DAY - timedelta(days=30)),
        raise_on_error=False,
        asset_selection=[dg.AssetKey("products")],
    )
    assert not result.success
    assert failure_of(result).startswith("The lake has no products of")
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


def test_a_mart_whose_columns_changed_is_made_anew(house: House) -> None:
    def rows(**columns: Any) -> dict[str, pd.DataFrame]:
        return {str(DAY): pd.DataFrame({"cohort_day": [DAY], **columns})}

    save_mart("roi", rows(pieces=[1]), partition_column="cohort_day", ledger=house.ledger)
    save_mart("roi", rows(pieces=[2], note=[None]), partition_column="cohort_day", ledger=house.ledger)
    save_mart("roi", rows(pieces=[3], note=["x"]), partition_column="cohort_day", ledger=house.ledger)
    with house.ledger.begin() as session:
        assert session.execute(text("SELECT cohort_day, pieces, note FROM marts.roi")).all() == [(DAY, 3, "x")]
