"""The lake: each asset partition as one Parquet file, in a layout that notebooks and DuckDB read directly.

``<root>/<asset>/<partition>.parquet``; a two-dimensional partition is a folder and a file
(``publications/2026-11-21/youtube.parquet``). Equal frames give equal bytes, and a reader sees either the old file
or the new one. What a frame must look like is the subjects' business; plugging it into Dagster is ``resources.lake``'s.
"""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.kernel.files import save_whole


class PartitionMissing(EmpireError):
    """A partition was asked for that has not been materialized."""


class Lake:
    """Parquet files under one root: a local folder, or a bucket by its URL (``s3://…``)."""

    def __init__(self, root: str | Path) -> None:
        self.root = UPath(root)

    def path(self, asset: str, partition: str | None = None) -> UPath:
        """Where a partition lies; ``2026-11-21|youtube`` is a folder and a file, no partition is ``all.parquet``."""
        parts = [part for dimension in (partition or "all").split("|") for part in dimension.split("/")]
        if any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"not a partition key: {partition!r}")
        return self.root.joinpath(asset, *parts[:-1], f"{parts[-1]}.parquet")

    def write(self, asset: str, partition: str | None, frame: pd.DataFrame) -> UPath:
        """Replaces a partition as a whole; the index is dropped.

        Raises:
            OutOfSpace: the partition is as it was.
        """
        path = self.path(asset, partition)
        data = parquet_bytes(frame)
        if path.protocol:  # an object store's put is atomic by itself
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        else:
            save_whole(Path(str(path)), data)
        return path

    def read(self, asset: str, partition: str | None = None) -> pd.DataFrame:
        """A partition as it was written.

        Raises:
            PartitionMissing: it was never materialized.
        """
        path = self.path(asset, partition)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise PartitionMissing(
                f"The lake has no {asset}{f' of {partition}' if partition else ''}: materialize that partition first."
            ) from None
        return pq.read_table(io.BytesIO(data)).to_pandas()

    def partitions(self, asset: str) -> list[str]:
        """The keys of the partitions that were materialized, sorted."""
        folder = self.root / asset
        files = folder.rglob("*.parquet") if folder.exists() else []
        return sorted("|".join(path.relative_to(folder).with_suffix("").parts) for path in files)


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """A frame as Parquet, the same bytes for equal frames.

    A column without a single value gets its type from its name, so that an empty day reads like any other.
    """
    table = pa.Table.from_pandas(frame.reset_index(drop=True), preserve_index=False)
    for position, field in enumerate(table.schema):
        if pa.types.is_null(field.type):
            named = field.with_type(_type_by_name(field.name))
            table = table.set_column(position, named, table.column(position).cast(named.type))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", coerce_timestamps="us", store_schema=True)
    return buffer.getvalue()


def _type_by_name(name: str) -> pa.DataType:
    if name == "day" or name.endswith("_day"):
        return pa.date32()
    if name.endswith("_at"):
        return pa.timestamp("us", tz="UTC")
    return pa.int64() if name.endswith("_micros") else pa.string()
