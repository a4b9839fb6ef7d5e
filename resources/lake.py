"""The lake as Dagster's IO manager, and the type that carries a frame's schema from a subject to the UI.

Where files lie and how they are written is ``affiliate_empire.lake``'s.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import pandas as pd
from pydantic import PrivateAttr

from affiliate_empire.kernel.files import OutOfSpace
from affiliate_empire.lake import Lake

Frames = dict[str, pd.DataFrame]
"""What a partitioned asset returns and takes: partition key → frame. One run may hold several partitions."""

SHOWN_AT_ONCE = 1000
"""The UI shows Markdown of fewer characters in the page at once, and more behind a link (dagster-webserver 1.13)."""

_PREVIEW_ROWS, _PREVIEW_COLUMNS = 5, 6
_PREVIEW_CELL = 28  # characters


class FrameType(dg.DagsterType):
    """The type of an asset whose partitions are frames of one pandera schema.

    dagster-pandera does not load with pandas 3, so the bridge is our own: the schema validates at the boundary, in both
    directions, and appears as the asset's table schema.
    """

    def __init__(self, model: Any) -> None:
        self.schema = model.to_schema()
        super().__init__(
            type_check_fn=self._check,
            name=model.__name__,
            description=(model.__doc__ or "").strip(),
            metadata={"dagster/column_schema": self.table_schema},
            typing_type=dict,
        )

    @property
    def table_schema(self) -> dg.TableSchema:
        """The columns as Dagster shows them."""
        return dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name=name,
                    type=str(column.dtype),
                    description=column.description,
                    constraints=dg.TableColumnConstraints(
                        nullable=bool(column.nullable),
                        unique=bool(column.unique),
                        other=[str(check.error or check.name) for check in column.checks],
                    ),
                )
                for name, column in self.schema.columns.items()
            ]
        )

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with the schema's columns first and its types, also when it has no rows.

        Raises:
            pandera.errors.SchemaErrors: it does not fit.
        """
        return self.schema.validate(frame, lazy=True)

    def _check(self, _: dg.TypeCheckContext, value: object) -> dg.TypeCheck:
        from pandera.errors import SchemaErrors

        frames = value if isinstance(value, dict) else {"": value}
        for partition, frame in frames.items():
            if not isinstance(frame, pd.DataFrame):
                return dg.TypeCheck(False, description=f"{partition}: not a frame but {type(frame).__name__}")
            try:
                self.conform(frame)
            except SchemaErrors as errors:
                cases = errors.failure_cases.head(20)
                return dg.TypeCheck(
                    False,
                    description=f"{partition}: {len(errors.failure_cases)} values do not fit the schema {self.key}",
                    metadata={"failures": dg.MetadataValue.md(_markdown(cases))},
                )
        return dg.TypeCheck(True)


_types: dict[Any, FrameType] = {}


def to_dagster_type(model: Any) -> FrameType:
    """The Dagster type of a pandera ``DataFrameModel``; one per model, as Dagster wants names to be unique."""
    if model not in _types:
        _types[model] = FrameType(model)
    return _types[model]


class LakeIOManager(dg.ConfigurableIOManager):
    """Stores ``Frames``, a file per partition, and loads them back as ``Frames``.

    Always a dict from partition key to frame, also for one partition, so that a body is the same for a day and for a
    range of days. ``label`` (SIMULATED or LIVE) stands beside every count.
    """

    root: str
    label: str
    _lake: Lake | None = PrivateAttr(default=None)

    @property
    def lake(self) -> Lake:
        if self._lake is None:
            self._lake = Lake(self.root)
        return self._lake

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        asset = context.asset_key.to_python_identifier()
        keys: list[str | None] = list(context.asset_partition_keys) if context.has_asset_partitions else [None]
        frames: dict[str | None, pd.DataFrame] = obj if isinstance(obj, dict) else {None: obj}
        if set(frames) != set(keys):
            raise dg.DagsterInvariantViolationError(
                f"{asset} returned partitions {sorted(map(str, frames))}, this run is for {sorted(map(str, keys))}."
            )
        conform = context.dagster_type.conform if isinstance(context.dagster_type, FrameType) else lambda frame: frame
        rows, paths, preview = 0, [], None
        for key in keys:
            frame = conform(frames[key])
            try:
                paths.append(self.lake.write(asset, key, frame))
            except OutOfSpace as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            rows += len(frame)
            preview = frame
        metadata: dict[str, Any] = {"dagster/row_count": rows, "world": self.label, "path": str(paths[-1])}
        if preview is not None and len(preview):
            metadata["preview"] = dg.MetadataValue.md(_preview(preview))
        context.add_output_metadata(metadata)

    def load_input(self, context: dg.InputContext) -> Any:
        asset = context.asset_key.to_python_identifier()
        if not context.has_asset_partitions:
            return self.lake.read(asset)
        return {key: self.lake.read(asset, key) for key in context.asset_partition_keys}


def _preview(frame: pd.DataFrame) -> str:
    """The first rows and as many of the first columns as are shown at once."""
    head = frame.head(_PREVIEW_ROWS)
    tables = (_markdown(head.iloc[:, :width], cell=_PREVIEW_CELL) for width in range(_PREVIEW_COLUMNS, 0, -1))
    return next((table for table in tables if len(table) < SHOWN_AT_ONCE), "")


def _markdown(frame: pd.DataFrame, *, cell: int = 80) -> str:
    """A frame as a table whose cells are cut to so many characters."""

    def cut(value: object) -> str:
        text = str(value).replace("|", "\\|").replace("\n", " ")
        return text if len(text) <= cell else text[: cell - 1] + "…"

    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + " --- |" * len(frame.columns)]
    lines += ["| " + " | ".join(map(cut, row)) + " |" for row in frame.itertuples(index=False, name=None)]
    return "\n".join(lines)
