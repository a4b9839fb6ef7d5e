"""The warehouse in real dbt on DuckDB: the ROI formula, restated cohorts, days that stay as they were."""

from __future__ import annotations

import io
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from affiliate_empire.lake import Lake, parquet_bytes
from affiliate_empire.warehouse import BuildReport, Warehouse, WarehouseBroken, load_models

# dbt and its libraries still use what Python and click have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

PROJECT = Path(__file__).parents[2] / "dbt_models"
DAY = date(2026, 11, 21)
MARTS = ["attributed_conversions", "daily_pnl", "revenue_lineage", "roi"]
MONEY = ("sale_change_micros", "commission_change_micros", "sale_usd_change_micros", "commission_usd_change_micros")
TYPES = dict.fromkeys(("cost_micros", "views", "likes", "comments", *MONEY), "int64")
COLUMNS = {
    "content_plan": "piece_id,day,kind,platform,account_id,product_id,program_id,niche,prompt_version,arm",
    "publications": "publication_id,piece_id,account_id,platform,day,remote_id,url,title,published_at",
    "platform_metrics": "publication_id,day,observed_at,definition,views,likes,comments",
    "clicks": "click_id,piece_id,day,clicked_at,human,duplicate",
    "conversions": "event_id,network,transaction_id,line_id,state,click_id,program_id,currency,day,"
    "occurred_at,observed_at,sale_change_micros,commission_change_micros,sale_usd_change_micros,"
    "commission_usd_change_micros",
    "costs": "effect_id,piece_id,day,vendor,operation,cost_micros",
    "scripts": "piece_id,title,model,inputs_sha256",
    "blog_posts": "piece_id,title,model,inputs_sha256",
}
PIECES = {"a": ("video/question@1", "youtube"), "b": ("video/number@1", "youtube"), "c": ("post/guide@1", "blog")}


def _column(name: str) -> pd.Series:
    return pd.Series([], dtype="bool" if name in ("human", "duplicate") else TYPES.get(name, "object"))


EMPTY = {
    source: pd.DataFrame({name: _column(name) for name in columns.split(",")}) for source, columns in COLUMNS.items()
}


def at(day: date, hour: int = 15) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def conversion(event: str, transaction: str, click: str | None, day: date, state: str, change: int) -> dict[str, Any]:
    return {
        "event_id": event,
        "network": "impact",
        "transaction_id": transaction,
        "line_id": "",
        "state": state,
        "click_id": click,
        "program_id": "impact:1001",
        "currency": "USD",
        "day": day,
        "occurred_at": at(DAY, 20),
        "observed_at": at(day, 21),
        "sale_change_micros": change * 20,
        "commission_change_micros": change,
    }


class Books:
    """A small lake that grows, and the warehouse over it."""

    def __init__(self, home: Path) -> None:
        self.lake = Lake(home / "lake")
        self.warehouse = Warehouse(home / "warehouse", PROJECT)
        self.files: dict[str, list[str]] = {}

    def keep(self, asset: str, partition: str, rows: list[dict[str, Any]]) -> None:
        path = str(self.lake.write(asset, partition, pd.DataFrame(rows)))
        paths = self.files.setdefault(asset, [])
        if path not in paths:
            paths.append(path)

    def build(
        self, first: date = DAY, last: date = DAY, marts: list[str] = MARTS
    ) -> tuple[BuildReport, dict[str, pd.DataFrame]]:
        return self.warehouse.build(
            marts, first_day=first, last_day=last, restated_days=60, lake=self.files, empty=EMPTY
        )


@pytest.fixture
def books(tmp_path: Path, kept_manifest: Path) -> Books:
    """One day: three pieces, $6 spent, one approved commission of $10 on piece a and one of $2 on piece c."""
    books = Books(tmp_path)
    shutil.copytree(kept_manifest, tmp_path / "warehouse" / "manifests")
    day = {"day": DAY}
    books.keep(
        "content_plan",
        f"{DAY}",
        [
            {
                **day,
                "piece_id": piece,
                "kind": prompt.split("/")[0],
                "platform": platform,
                "account_id": f"{platform}:gearlab",
                "product_id": "pd_1",
                "program_id": "impact:1001",
                "niche": "home",
                "prompt_version": prompt,
                "arm": "exploit",
            }
            for piece, (prompt, platform) in PIECES.items()
        ],
    )
    books.keep(
        "publications",
        f"{DAY}",
        [
            {
                **day,
                "publication_id": f"pb_{piece}",
                "piece_id": piece,
                "account_id": f"{platform}:gearlab",
                "platform": platform,
                "remote_id": f"r{piece}",
                "url": f"https://example.test/{piece}",
                "title": piece,
                "published_at": at(DAY),
            }
            for piece, (_, platform) in PIECES.items()
        ],
    )
    books.keep(
        "platform_metrics",
        f"{DAY}",
        [
            {
                **day,
                "publication_id": "pb_a",
                "observed_at": at(DAY, h),
                "definition": "d",
                "views": v,
                "likes": 0,
                "comments": 0,
            }
            for h, v in ((16, 100), (20, 900))
        ],
    )
    clicks = [("k1", "a", True), ("k2", "a", True), ("k3", "a", False), ("k4", "c", True), ("k5", None, True)]
    repeats = {"k2"}
    books.keep(
        "clicks",
        f"{DAY}",
        [
            {**day, "click_id": k, "piece_id": p, "clicked_at": at(DAY, 18), "human": human, "duplicate": k in repeats}
            for k, p, human in clicks
        ],
    )
    text = {"inputs_sha256": "0" * 64}
    books.keep("scripts", f"{DAY}", [{**text, "piece_id": p, "title": p, "model": "gpt-5.4-mini"} for p in "ab"])
    books.keep("blog_posts", f"{DAY}", [{**text, "piece_id": "c", "title": "c", "model": "claude-sonnet-4-6"}])
    books.keep(
        "costs",
        f"{DAY}",
        [
            {**day, "effect_id": f"e{piece}", "piece_id": piece, "vendor": "openai", "operation": "x", "cost_micros": c}
            for piece, c in (("a", 4_000_000), ("b", 1_500_000), ("c", 500_000))
        ],
    )
    books.keep(
        "conversions",
        f"{DAY}",
        [
            conversion("v1", "t1", "k1", DAY, "pending", 10_000_000),
            conversion("v2", "t2", "k4", DAY, "pending", 2_000_000),
            conversion("v3", "t3", None, DAY, "pending", 700_000),
        ],
    )
    return books


@pytest.fixture(scope="module")
def kept_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manifest")
    Warehouse(folder, PROJECT).dependencies()
    return folder / "manifests"


def test_models_read_without_dbt_are_those_of_its_manifest(kept_manifest: Path) -> None:
    by_dbt = Warehouse(kept_manifest.parent, PROJECT).dependencies()
    assert {m.name: (set(m.models), set(m.sources)) for m in load_models(PROJECT)} == by_dbt


def test_every_column_is_stated_with_its_type(books: Books) -> None:
    books.build()
    with duckdb.connect(str(books.warehouse.file), read_only=True) as connection:
        columns = connection.execute("SELECT table_name, column_name, data_type FROM information_schema.columns")
        real = sorted(columns.fetchall())
    assert real == sorted(
        (m.name, column, kind) for m in load_models(PROJECT) for column, (kind, _) in m.columns.items()
    )


def test_a_changed_source_is_parsed_anew_and_an_unchanged_one_is_not(tmp_path: Path, kept_manifest: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    warehouse = Warehouse(tmp_path / "warehouse", project)
    assert "daily_pnl" in warehouse.dependencies()
    (first,) = (tmp_path / "warehouse" / "manifests").iterdir()
    stamp = first.stat().st_mtime_ns
    warehouse.dependencies()
    assert first.stat().st_mtime_ns == stamp
    for path in (project / "models" / "marts").glob("daily_pnl*"):
        path.unlink()
    for path in (project / "tests").glob("daily_pnl*"):
        path.unlink()
    assert "daily_pnl" not in Warehouse(tmp_path / "warehouse", project).dependencies()


def test_roi_formula_by_dbts_unit_tests(books: Books) -> None:
    books.build()
    outcomes = books.warehouse.run_unit_tests()
    assert outcomes == {"roi_is_profit_over_cost": (True, outcomes["roi_is_profit_over_cost"][1])}


def test_a_day_adds_up_to_the_micro(books: Books) -> None:
    report, frames = books.build()
    assert [test for test in report.tests if not test.passed] == []
    assert len(report.tests) > 40
    roi = frames["roi"].set_index("prompt_version")
    assert roi["revenue_micros"].to_dict() == {
        "post/guide@1": 2_000_000,
        "video/number@1": 0,
        "video/question@1": 10_000_000,
    }
    assert roi["roi_percent"].to_dict() == {"post/guide@1": 300.0, "video/number@1": -100.0, "video/question@1": 150.0}
    counts = ["views", "hits", "clicks", "unique_clicks", "posts"]
    assert roi.loc["video/question@1", counts].to_list() == [900, 3, 2, 1, 1]
    where = ["account_id", "network", "views_definition"]
    assert roi.loc["video/question@1", where].to_list() == ["youtube:gearlab", "impact", "d"]
    assert roi[["pending_micros", "approved_micros", "paid_micros"]].sum().to_list() == [12_000_000, 0, 0]
    assert roi.loc["video/question@1", ["break_even_clicks", "conversion_percent"]].to_list() == [0.8, 50.0]
    pnl = frames["daily_pnl"].groupby(["niche", "platform"])["profit_micros"].sum().to_dict()
    assert pnl == {
        ("home", "youtube"): 4_500_000,
        ("home", "blog"): 1_500_000,
        ("unattributed", "unattributed"): 700_000,
    }
    lineage = frames["revenue_lineage"].set_index("transaction_id")
    assert lineage[["prompt_version", "model", "account_id"]].T.to_dict("list") == {
        "t1": ["video/question@1", "gpt-5.4-mini", "youtube:gearlab"],
        "t2": ["post/guide@1", "claude-sonnet-4-6", "blog:gearlab"],
    }


def test_what_is_paid_for_no_piece_is_shared_by_the_days_pieces_to_the_micro(books: Books) -> None:
    hosting = {"day": DAY, "effect_id": "fixed:hosting", "piece_id": None, "vendor": "hosting", "operation": "month"}
    books.keep("costs", f"{DAY}-hosting", [hosting | {"cost_micros": 1_666_667}])
    report, frames = books.build()
    assert [test for test in report.tests if not test.passed] == []
    roi = frames["roi"].set_index("prompt_version")
    assert sorted(roi["shared_cost_micros"]) == [555_555, 555_556, 555_556]
    assert roi["cost_micros"].sum() == 6_000_000 + 1_666_667 == frames["daily_pnl"]["cost_micros"].sum()
    assert roi["profit_micros"].sum() == 12_000_000 - 7_666_667


def test_a_late_reversal_restates_its_cohort_and_not_the_closed_day(books: Books) -> None:
    _, before = books.build()
    late = DAY + timedelta(days=33)
    books.keep("conversions", f"{late}", [conversion("v9", "t1", None, late, "reversed", -10_000_000)])
    books.keep(
        "conversions",
        f"{DAY + timedelta(days=2)}",
        [conversion("v8", "t9", "k2", DAY + timedelta(days=2), "pending", 5)],
    )
    _, after = books.build()
    roi = after["roi"].set_index("prompt_version")
    assert roi.loc["video/question@1", ["revenue_micros", "conversions", "reversals"]].to_list() == [5, 1, 1]
    assert roi.loc["video/question@1", "roi_percent"] == pytest.approx((5 - 4_000_000) / 4_000_000 * 100)
    assert parquet_bytes(after["daily_pnl"]) == parquet_bytes(before["daily_pnl"])
    _, of_late_day = books.build(late, late)
    (line,) = of_late_day["daily_pnl"].to_dict("records")
    assert (line["niche"], line["platform"], line["revenue_micros"]) == ("home", "youtube", -10_000_000)
    assert line["taken_back_micros"] == -10_000_000


def test_a_reversed_line_is_a_reversal_and_no_conversion(books: Books) -> None:
    _, before = books.build()
    counted = before["roi"].set_index("prompt_version")[["conversions", "reversals"]]
    assert counted.loc["post/guide@1"].to_list() == [1, 0]
    late = DAY + timedelta(days=1)
    books.keep("conversions", f"{late}", [conversion("v7", "t2", None, late, "reversed", -2_000_000)])
    _, after = books.build()
    counted = after["roi"].set_index("prompt_version")[["conversions", "reversals"]]
    assert counted.loc["post/guide@1"].to_list() == [0, 1]
    assert counted.loc["video/question@1"].to_list() == [1, 0]


def test_other_currencies_count_in_dollars_beside_partitions_that_know_none(books: Books) -> None:
    """The other partition was written before anything but dollars was counted."""
    euro = conversion("v6", "t4", "k2", DAY + timedelta(days=1), "pending", 3_000_000) | {"currency": "EUR"}
    unknown = conversion("v5", "t5", "k2", DAY + timedelta(days=1), "pending", 9_000_000) | {"currency": "XAU"}
    worth = {"sale_usd_change_micros": 65_000_000, "commission_usd_change_micros": 3_250_000}
    nothing = dict.fromkeys(worth, 0)
    books.keep("conversions", f"{DAY + timedelta(days=1)}", [euro | worth, unknown | nothing])
    report, frames = books.build()
    assert [test for test in report.tests if not test.passed] == []
    roi = frames["roi"].set_index("prompt_version")
    assert roi.loc["video/question@1", ["revenue_micros", "conversions"]].to_list() == [13_250_000, 3]
    lineage = frames["attributed_conversions"].set_index("transaction_id")
    assert lineage["commission_micros"].to_dict() == {"t1": 10_000_000, "t2": 2_000_000, "t4": 3_250_000, "t5": 0}
    assert lineage["sale_micros"]["t4"] == 65_000_000


def test_marts_are_byte_equal_when_built_again(books: Books) -> None:
    _, first = books.build()
    _, again = books.build()
    assert {name: parquet_bytes(frame) for name, frame in first.items()} == {
        name: parquet_bytes(frame) for name, frame in again.items()
    }


def test_one_mart_is_built_with_what_it_needs_and_no_more(books: Books) -> None:
    report, frames = books.build(marts=["daily_pnl"])
    assert list(frames) == ["daily_pnl"]
    assert "int_pieces_measured" not in report.seconds
    assert {test.model for test in report.tests} >= {"daily_pnl", "stg_lake__costs"}


def test_a_day_without_anything_has_marts_without_rows(tmp_path: Path, kept_manifest: Path) -> None:
    shutil.copytree(kept_manifest, tmp_path / "warehouse" / "manifests")
    books = Books(tmp_path)
    books.files = {source: [] for source in COLUMNS}
    report, frames = books.build()
    assert [test for test in report.tests if not test.passed] == []
    assert {name: len(frame) for name, frame in frames.items()} == dict.fromkeys(MARTS, 0)
    assert pq.read_schema(io.BytesIO(parquet_bytes(frames["roi"]))).field("cohort_day").type == pa.date32()


def test_a_failed_test_is_reported_and_stops_what_reads_the_model(books: Books) -> None:
    cost = {"day": DAY, "effect_id": "ea", "piece_id": "a", "vendor": "openai", "operation": "x", "cost_micros": 1}
    books.keep("costs", f"{DAY}-again", [cost])
    report, frames = books.build()
    assert {(t.model, t.name) for t in report.tests if not t.passed} == {
        ("stg_lake__costs", "unique_stg_lake__costs_effect_id")
    }
    assert "roi" in report.skipped
    assert "roi" not in frames


def test_a_broken_file_is_one_clear_error_and_frees_the_warehouse(books: Books) -> None:
    good = books.files["costs"]
    books.files["costs"] = [*good, "/nowhere/costs.parquet"]
    with pytest.raises(WarehouseBroken, match="stg_lake__costs"):
        books.build()
    books.files["costs"] = good
    report, _ = books.build()
    assert "roi" in report.seconds
