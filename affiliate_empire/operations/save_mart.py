"""Marts in the ledger's database: the schema ``marts``, for SQL tools. They are copies of the lake's partitions."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pandas.api import types
from sqlalchemy import text

from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.ledger import Ledger


def save_mart(name: str, partitions: Mapping[str, pd.DataFrame], *, partition_column: str, ledger: Ledger) -> None:
    """Replace the given days of a mart, in one transaction.

    A mart whose columns changed is made anew; the days that are not given then come back when they are materialized.

    Args:
        name: the mart, a table of the schema ``marts``.
        partitions: day (ISO) → rows of that day.
        partition_column: the column that holds the day.
        ledger: the ledger whose database keeps the schema.
    """
    sample = next(iter(partitions.values()))
    columns = {column: _sql_type(sample[column], column == partition_column) for column in sample.columns}
    shape = derived_id("shape", *(f"{column} {kind}" for column, kind in columns.items()))
    with ledger.begin() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"marts.{name}"})
        session.execute(text("CREATE SCHEMA IF NOT EXISTS marts"))
        kept = session.scalar(text("SELECT obj_description(to_regclass(:name), 'pg_class')"), {"name": f"marts.{name}"})
        if kept != shape:
            listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            session.execute(text(f'DROP TABLE IF EXISTS marts."{name}"'))
            session.execute(text(f'CREATE TABLE marts."{name}" ({listed})'))
            session.execute(text(f"COMMENT ON TABLE marts.\"{name}\" IS '{shape}'"))
        for day, frame in partitions.items():
            session.execute(
                text(f'DELETE FROM marts."{name}" WHERE "{partition_column}" = :day'),  # noqa: S608 - names of dbt models
                {"day": day},
            )
            records = frame.astype(object).where(frame.notna(), None).to_dict("records")
            rows = [{str(name): value for name, value in record.items()} for record in records]
            if rows:
                named = ", ".join(f'"{column}"' for column in columns)
                values = ", ".join(f":{column}" for column in columns)
                session.execute(text(f'INSERT INTO marts."{name}" ({named}) VALUES ({values})'), rows)  # noqa: S608


def _sql_type(column: pd.Series, is_day: bool) -> str:
    if is_day:
        return "date"
    if types.is_bool_dtype(column):
        return "boolean"
    if types.is_integer_dtype(column):
        return "bigint"
    if types.is_float_dtype(column):
        return "double precision"
    if types.is_datetime64_any_dtype(column):
        return "timestamptz"
    return "text"
