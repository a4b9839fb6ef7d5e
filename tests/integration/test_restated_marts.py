"""Incremental equals full: days built one by one, while what is known of them comes in late and in any order, end as if
all had been built at once at the end. The SQL is dbt's own, run without it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from affiliate_empire.lake import parquet_bytes
from affiliate_empire.warehouse import Warehouse, load_models
from tests.integration.test_warehouse import DAY, EMPTY, MARTS, PROJECT, at

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

OPEN = 3  # days that a cohort is open here
FIRST, LAST = date(1111, 11, 11), date(2222, 12, 22)  # what stands for a run's days in the SQL
PIECES = {f"p{number}": DAY + timedelta(days=number % 2) for number in range(3)}
DAYS = 2 + OPEN + 2  # business days that are lived
MODELS = load_models(PROJECT)
COHORT_MARTS = [mart for mart in MARTS if mart != "daily_pnl"]


@dataclass
class Marts:
    """dbt's SQL over tables in memory, of which a run reads what lies near its days, as over the lake's files."""

    sql: dict[str, str]
    rows: dict[str, pd.DataFrame] = field(default_factory=dict)

    def build(self, marts: list[str], first: date, last: date) -> dict[str, pd.DataFrame]:
        begins, ends = first - timedelta(days=OPEN), last + timedelta(days=OPEN)
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'; attach ':memory:' as warehouse; use warehouse")
            connection.execute("create schema staging; create schema intermediate; create schema build")
            for source, rows in self.rows.items():
                near = rows[rows["day"].between(begins, ends)] if "day" in rows and len(rows) else rows
                connection.register(f"lake_{source}", pq.read_table(io.BytesIO(parquet_bytes(near))))
            for model in MODELS:
                if model.layer == "marts" and model.name not in {*marts, "attributed_conversions"}:
                    continue
                schema, kind = ("build", "table") if model.layer == "marts" else (model.layer, "view")
                text = self.sql[model.name].replace(str(FIRST), str(first)).replace(str(LAST), str(last))
                connection.execute(f"create {kind} {schema}.{model.name} as {text}")
            return {mart: connection.table(f"build.{mart}").to_df() for mart in marts}


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    warehouse = Warehouse(tmp_path_factory.mktemp("compiled"), PROJECT)
    variables = {
        "first_day": str(FIRST),
        "last_day": str(LAST),
        "restated_days": OPEN,
        "lake": {source: [f"@{source}@"] for source in EMPTY},
    }
    compiled = {
        result.node.name: result.node.compiled_code
        for result in warehouse._dbt(["compile"], variables)
        if result.node.resource_type == "model"
    }
    for source in EMPTY:
        for name, text in compiled.items():
            compiled[name] = text.replace(f"read_parquet(['@{source}@'], union_by_name = true)", f"lake_{source}")
    return compiled


days_later = st.integers(0, DAYS - 1)
happenings = st.lists(
    st.tuples(
        st.sampled_from(["click", "click", "event", "event", "cost", "metric"]),
        st.sampled_from(sorted(PIECES)),
        days_later,
        st.integers(0, 3),  # which click or line of the piece
        st.integers(-3, 9),  # what it changes
        st.sampled_from([True, True, False]),  # a person; names its click; is of a piece
    ),
    min_size=1,
    max_size=25,
)


def lived(rows: list[tuple[str, str, int, int, int, bool]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the lake by asset, each with the day on which it was known."""
    lake: dict[str, list[dict[str, Any]]] = {source: [] for source in EMPTY}
    for number, (what, piece, later, which, change, flag) in enumerate(rows):
        day = DAY + timedelta(days=later)
        if what == "click":
            click = {"click_id": f"k{number}", "piece_id": piece, "day": day, "clicked_at": at(day)}
            lake["clicks"].append(click | {"human": flag, "duplicate": which == 0})
        elif what == "metric":
            counted = {"publication_id": f"pb_{piece}", "day": day, "observed_at": _moment(day, number)}
            lake["platform_metrics"].append(counted | {"definition": "d", "views": number, "likes": 0, "comments": 0})
        elif what == "cost":
            line = {"effect_id": f"e{number}", "piece_id": piece if flag else None, "day": day, "vendor": "v"}
            lake["costs"].append(line | {"operation": "o", "cost_micros": abs(change)})
    clicks = lake["clicks"] or [{"click_id": "nobody's", "day": DAY}]
    states = ["pending", "approved", "paid", "reversed"]
    for number, (what, _, later, which, change, flag) in enumerate(rows):
        if what != "event":
            continue
        # A line's sale came from one click; its events are learned in any order, and may leave the click out.
        click = clicks[which % len(clicks)]
        day = max(click["day"], DAY + timedelta(days=later))
        event = {"event_id": f"v{number}", "network": "impact", "transaction_id": f"t{which}", "line_id": ""}
        lake["conversions"].append(
            event
            | {"state": states[(change + number) % 4], "click_id": click["click_id"] if flag else None, "day": day}
            | {"program_id": "impact:1", "currency": "USD", "occurred_at": at(day), "observed_at": _moment(day, number)}
            | dict.fromkeys(("sale_change_micros", "sale_usd_change_micros"), change * 10)
            | dict.fromkeys(("commission_change_micros", "commission_usd_change_micros"), change)
        )
    return lake


def _moment(day: date, number: int) -> datetime:
    return at(day, 2) + timedelta(minutes=number)


def planned() -> dict[str, pd.DataFrame]:
    plan = [
        {
            "piece_id": piece, "day": day, "kind": "video", "platform": "youtube", "account_id": "youtube:gearlab",
            "product_id": "pd_1", "program_id": "impact:1", "niche": "home", "prompt_version": f"v@{day:%d}",
            "arm": "exploit",
        }
        for piece, day in PIECES.items()
    ]  # fmt: skip
    posts = [
        {
            "publication_id": f"pb_{piece}", "piece_id": piece, "account_id": "youtube:gearlab", "platform": "youtube",
            "day": day, "remote_id": piece, "url": piece, "title": piece, "published_at": at(day),
        }
        for piece, day in PIECES.items()
    ]  # fmt: skip
    texts = [{"piece_id": piece, "title": piece, "model": "m", "inputs_sha256": "x"} for piece in PIECES]
    return {
        "content_plan": pd.DataFrame(plan),
        "publications": pd.DataFrame(posts),
        "scripts": pd.DataFrame(texts),
        "blog_posts": pd.DataFrame(texts)[:0],
    }


def touched_on(day: date, lake: dict[str, list[dict[str, Any]]]) -> set[date]:
    """The cohorts that what was known on a day belongs to, as the sensor finds them, and the day's own."""
    of_click = {click["click_id"]: PIECES[click["piece_id"]] for click in lake["clicks"]}
    of_line: dict[str, date] = {}
    for event in lake["conversions"]:
        if event["click_id"] in of_click and event["day"] <= day:
            of_line[event["transaction_id"]] = of_click[event["click_id"]]
    found = {PIECES[click["piece_id"]] for click in lake["clicks"] if click["day"] == day}
    found |= {PIECES[row["publication_id"][3:]] for row in lake["platform_metrics"] if row["day"] == day}
    found |= {PIECES[row["piece_id"]] for row in lake["costs"] if row["day"] == day and row["piece_id"]}
    said = [event["transaction_id"] for event in lake["conversions"] if event["day"] == day]
    found |= {of_line[transaction] for transaction in said if transaction in of_line}
    return {cohort for cohort in found if timedelta(0) <= day - cohort <= timedelta(days=OPEN)} | {day}


@settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate, Phase.shrink])
@given(rows=happenings)
def test_days_built_as_they_come_equal_all_built_at_once(
    sql: dict[str, str], rows: list[tuple[str, str, int, int, int, bool]]
) -> None:
    lake = lived(rows)
    kept: dict[tuple[str, date], pd.DataFrame] = {}
    frames = {source: pd.DataFrame(found) for source, found in lake.items() if found}
    for later in range(DAYS):
        day = DAY + timedelta(days=later)
        so_far = {source: frame[frame["day"] <= day] for source, frame in frames.items()}
        marts = Marts(sql, {**EMPTY, **so_far, **planned()})
        for cohort in touched_on(day, lake):
            for mart, frame in marts.build(COHORT_MARTS, cohort, cohort).items():
                kept[mart, cohort] = frame
        kept["daily_pnl", day] = marts.build(["daily_pnl"], day, day)["daily_pnl"]
    whole = Marts(sql, {**EMPTY, **frames, **planned()}).build(MARTS, DAY, DAY + timedelta(days=DAYS))
    for mart, frame in whole.items():
        parts = [kept[key] for key in sorted(kept) if key[0] == mart and len(kept[key])]
        grown = pd.concat(parts, ignore_index=True) if parts else frame.iloc[:0]
        assert _as_rows(grown) == _as_rows(frame), mart


def _as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.astype(object).where(frame.notna(), None).to_dict("records")
