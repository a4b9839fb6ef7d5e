"""The lake in Dagster: several partitions in one run, and frames that must fit their schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.typing.pandas import Series

from affiliate_empire.lake import PartitionMissing
from resources.lake import FrameType, LakeIOManager, to_dagster_type

DAYS = dg.DailyPartitionsDefinition("2026-11-01", end_offset=1)


class Sales(pa.DataFrameModel):
    """Sales of a day. One row per sale."""

    sale_id: Series[str] = pa.Field(unique=True, description="the sale")
    day: Series[object] = pa.Field(description="business day")
    sale_micros: Series[int] = pa.Field(ge=0, description="amount")

    class Config:
        strict = True
        coerce = True
        ordered = True


def sales(*amounts: Any) -> pd.DataFrame:
    rows = [
        {"sale_id": f"s{n}", "day": pd.Timestamp("2026-11-21").date(), "sale_micros": a} for n, a in enumerate(amounts)
    ]
    return pd.DataFrame(rows, columns=["sale_id", "day", "sale_micros"])


def run(
    tmp_path: Path, returned: Any, first: str = "2026-11-20", last: str = "2026-11-21"
) -> dg.ExecuteInProcessResult:
    """Runs an asset that returns this for a range of days, and one that adds up what it loads."""

    @dg.asset(
        name="sales",
        partitions_def=DAYS,
        io_manager_key="lake",
        dagster_type=to_dagster_type(Sales),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def sold() -> Any:
        return returned

    @dg.asset(partitions_def=DAYS, ins={"sales": dg.AssetIn()}, backfill_policy=dg.BackfillPolicy.single_run())
    def totals(sales: dict[str, pd.DataFrame]) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={key: int(frame["sale_micros"].sum()) for key, frame in sales.items()})

    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "dagster")) as instance:
        definitions = dg.Definitions(
            assets=[sold, totals],
            jobs=[dg.define_asset_job("both", [sold, totals])],
            resources={"lake": LakeIOManager(root=str(tmp_path / "lake"), label="SIMULATED")},
            executor=dg.in_process_executor,
        )
        return definitions.resolve_job_def("both").execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
        )


pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning", "ignore::dagster.PreviewWarning")


def _metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event, *_) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def test_one_run_stores_and_loads_several_days(tmp_path: Path) -> None:
    result = run(tmp_path, {"2026-11-20": sales(1, 2), "2026-11-21": sales(40)})
    assert result.success
    assert sorted(path.name for path in (tmp_path / "lake" / "sales").iterdir()) == [
        "2026-11-20.parquet",
        "2026-11-21.parquet",
    ]
    assert _metadata(result, "totals") == {"2026-11-20": 3, "2026-11-21": 40}
    shown = _metadata(result, "sales")
    assert (shown["dagster/row_count"], shown["world"]) == (3, "SIMULATED")
    assert "| s0 | 2026-11-21 | 40 |" in shown["preview"]


def test_one_day_is_a_dict_too(tmp_path: Path) -> None:
    result = run(tmp_path, {"2026-11-21": sales(7)}, first="2026-11-21")
    assert _metadata(result, "totals") == {"2026-11-21": 7}


def test_a_day_without_rows_keeps_its_types(tmp_path: Path) -> None:
    assert run(tmp_path, {"2026-11-21": sales()}, first="2026-11-21").success
    import pyarrow.parquet as pq

    schema = pq.read_schema(tmp_path / "lake" / "sales" / "2026-11-21.parquet")
    assert {name: str(schema.field(name).type) for name in schema.names} == {
        "sale_id": "large_string",
        "day": "date32[day]",
        "sale_micros": "int64",
    }


@pytest.mark.parametrize(
    "frame",
    [
        sales(-1),
        sales(1).drop(columns="day"),
        pd.concat([sales(1), sales(1)]),
        sales(1).assign(more=1),
        sales("12,90 EUR"),
    ],
    ids=["negative", "missing column", "twice", "unknown column", "no number"],
)
def test_a_frame_that_does_not_fit_is_refused_and_nothing_is_stored(tmp_path: Path, frame: pd.DataFrame) -> None:
    assert not run(tmp_path, {"2026-11-21": frame}, first="2026-11-21").success
    assert not (tmp_path / "lake" / "sales").exists()


def test_other_partitions_than_the_runs_are_refused(tmp_path: Path) -> None:
    assert not run(tmp_path, {"2026-11-21": sales(1)}).success


def test_a_type_shows_the_schema() -> None:
    kept = to_dagster_type(Sales)
    assert isinstance(kept, FrameType)
    assert to_dagster_type(Sales) is kept
    columns = {column.name: column for column in kept.table_schema.columns}
    assert list(columns) == ["sale_id", "day", "sale_micros"]
    assert columns["sale_id"].description == "the sale"
    assert columns["sale_id"].constraints.unique
    assert columns["sale_micros"].constraints.other == ["greater_than_or_equal_to(0)"]


def test_a_partition_that_was_never_made_is_a_sentence(tmp_path: Path) -> None:
    lake = LakeIOManager(root=str(tmp_path), label="SIMULATED").lake
    with pytest.raises(PartitionMissing, match="materialize that partition first"):
        lake.read("sales", "2026-11-21")
