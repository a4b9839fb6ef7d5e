"""The lake keeps partitions as equal bytes for equal frames, where notebooks look for them."""

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate_empire.lake import Lake, PartitionMissing, parquet_bytes

FRAME = pd.DataFrame(
    {
        "piece_id": ["pc_a", "pc_b"],
        "day": [date(2026, 11, 21)] * 2,
        "at": [datetime(2026, 11, 21, 15, tzinfo=UTC)] * 2,
        "cost_micros": [9_500, 0],
        "flags": [["bot"], []],
        "title": ["Größe", None],
    }
)


def test_partitions_lie_where_the_layout_says(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("products", "2026-11-21", FRAME)
    lake.write("publications", "2026-11-21|youtube", FRAME)
    lake.write("strategy", None, FRAME)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"products/2026-11-21.parquet", "publications/2026-11-21/youtube.parquet", "strategy/all.parquet"}
    assert lake.partitions("publications") == ["2026-11-21|youtube"]
    assert lake.partitions("products") == ["2026-11-21"]
    assert lake.partitions("rankings") == []


def test_a_frame_comes_back_as_it_was_written(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("products", "2026-11-21", FRAME)
    read = lake.read("products", "2026-11-21")
    assert read.drop(columns="flags").equals(FRAME.drop(columns="flags").astype({"at": "datetime64[us, UTC]"}))
    assert [list(flags) for flags in read["flags"]] == [["bot"], []]


def test_a_partition_that_was_never_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(PartitionMissing, match="no products of 2026-11-21: materialize"):
        Lake(tmp_path).read("products", "2026-11-21")


def test_a_partition_key_cannot_leave_the_lake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a partition key"):
        Lake(tmp_path).path("products", "../../etc/passwd")


@given(
    st.lists(
        st.tuples(st.text(max_size=20), st.integers(-(2**62), 2**62), st.datetimes(timezones=st.just(UTC))), max_size=20
    )
)
def test_equal_frames_are_equal_bytes(rows: list[tuple[str, int, datetime]]) -> None:
    def frame() -> pd.DataFrame:
        text = pd.Series([row[0] for row in rows], dtype="str")
        at = pd.Series([row[2] for row in rows], dtype="datetime64[us, UTC]")
        return pd.DataFrame({"text": text, "micros": pd.Series([row[1] for row in rows], dtype="int64"), "at": at})

    first, again = frame(), frame()
    again.index = pd.Index(range(100, 100 + len(rows)))  # the index is no content
    assert parquet_bytes(first) == parquet_bytes(again)
