"""What a full refresh of the marts and one day's increment cost, beside a bare scan of the columns that they read.

Makes 30 days of clicks and sales as Parquet, builds all cohorts at once and one day alone with dbt's own SQL, and holds
both against a scan of the same columns in the same run; each step is a process of its own. dbt itself, with its tests,
is measured beside it. Writes the section "Attribution" of ``benchmarks/results.md``; run it with
``.venv/bin/python benchmarks/attribution.py --clicks 20000000``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from string import Template
from typing import Any

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affiliate_empire.lake import Lake
from affiliate_empire.planning.timetable import RESTATED_DAYS
from affiliate_empire.warehouse import Warehouse
from assets.analytics import LAKE_FRAMES, MODELS, PROJECT, files_near
from benchmarks.report import conditions, write_section

FIRST, DAYS = date(2026, 10, 1), 30
MARTS = [model.name for model in MODELS.values() if model.layer == "marts"]
_BEGINS, _ENDS = date(1111, 11, 11), date(2222, 12, 22)  # what stands for a run's days in the SQL
_CLICKS_TO_A_SALE = 50


_PIECE = "'pc_$number' || '_' || lpad(i::varchar, 5, '0')"
_PLATFORM = "['blog', 'tiktok', 'instagram', 'youtube'][i % 4 + 1]"
_PLANNED = " ".join(["from (select", _PIECE, "as piece_id,", _PLATFORM, "as platform, i from range($pieces) as t(i))"])
_LAKE = {
    "content_plan": """
        select piece_id, date '$day' as day, 'video' as kind, platform, platform || ':gearlab' as account_id,
            'pd_' || (i % 500) as product_id, 'impact:' || (i % 40) as program_id, 'niche' || (i % 12) as niche,
            'video/v@' || (i % 20) as prompt_version, 'exploit' as arm """
    + _PLANNED,
    "publications": """
        select 'pb_' || piece_id as publication_id, piece_id, platform || ':gearlab' as account_id, platform,
            date '$day' as day, piece_id as remote_id, 'https://x.example/' || i as url, 't' as title,
            timestamptz '$day 12:00:00+00' as published_at """
    + _PLANNED,
    "platform_metrics": """
        select 'pb_' || piece_id as publication_id, date '$day' as day, timestamptz '$day 18:00:00+00' as observed_at,
            'd' as definition, 900 as views, 1 as likes, 1 as comments """
    + _PLANNED,
    "costs": """
        select 'ef_' || piece_id as effect_id, piece_id, date '$day' as day, 'openai' as vendor, 'write' as operation,
            270000::bigint as cost_micros """
    + _PLANNED,
    "scripts": "select piece_id, 't' as title, 'gpt' as model, 'x' as inputs_sha256 " + _PLANNED,
    "blog_posts": "select piece_id, 't' as title, 'gpt' as model, 'x' as inputs_sha256 " + _PLANNED + " where false",
    # A click comes some days after its piece; one in 50 becomes a sale, told within nine days; half of those are
    # approved a week later.
    "clicks": """
        select substr(md5('$number-' || i), 1, 26) as click_id, date '$day' as day,
            timestamptz '$day 12:00:00+00' + to_microseconds(i) as clicked_at,
            hash(i) % 10 < 8 as human, hash(i, 1) % 10 = 0 as duplicate,
            'pc_' || lpad(
                ($number - least($number, floor(-ln(1 - hash(i, 2) % 1000 / 1000) * 3)))::int::varchar, 2, '0'
            ) || '_' || lpad((hash(i, 3) % $pieces)::varchar, 5, '0') as piece_id
        from range($clicks) as t(i)""",
    "conversions": """
        select sale || state as event_id, 'impact' as network, sale as transaction_id, '' as line_id, state, click_id,
            'impact:1' as program_id, 'USD' as currency, date '$day' as day,
            timestamptz '$day 13:00:00+00' as occurred_at, timestamptz '$day 14:00:00+00' as observed_at,
            change * 20 as sale_change_micros, change as commission_change_micros,
            change * 20 as sale_usd_change_micros, change as commission_usd_change_micros
        from (
            select clicked || '-' || i as sale,
                substr(md5(lpad(clicked::varchar, 2, '0') || '-' || i), 1, 26) as click_id,
                clicked + i // 50 % 9 as told, unnest(['pending', 'approved']) as state,
                unnest([3000000, 0])::bigint as change, unnest([0, 7]) as later, i
            from range($days) as d(clicked), range(0, $clicks, 50) as t(i)
        )
        where told + later = $number and (later = 0 or i % 100 = 0)""",
}


def make(lake: Path, clicks: int, pieces: int) -> None:
    """``clicks`` hits on the links of ``pieces`` pieces a day, in all 30 days; the same on every run."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for number in range(DAYS):
            day = FIRST + timedelta(days=number)
            names = {"number": f"{number:02}", "day": day, "pieces": pieces, "clicks": clicks // DAYS, "days": DAYS}
            for asset, select in _LAKE.items():
                path = lake / asset / f"{day}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                rows = connection.sql(Template(select).substitute(names))
                rows.write_parquet(str(path), compression="zstd")


def scan(lake: Path) -> dict[str, Any]:
    """The floor: every column that the marts read of clicks and sales, hashed."""
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        for asset, columns in {
            "clicks": "click_id, piece_id, day, clicked_at, human, duplicate",
            "conversions": "event_id, network, transaction_id, line_id, state, click_id, day, observed_at, "
            "sale_change_micros, commission_change_micros",
        }.items():
            connection.read_parquet(f"{lake / asset}/*.parquet").aggregate(f"sum(hash({columns}))").fetchall()
    return {}


def build(home: Path, first: date, last: date) -> dict[str, Any]:
    """All marts for some days, by dbt's SQL without dbt."""
    compiled = json.loads((home / "sql.json").read_text("utf-8"))
    files = files_near(Lake(home / "lake"), first, last)
    built = home / "built" / "warehouse.duckdb"
    built.parent.mkdir(exist_ok=True)
    built.unlink(missing_ok=True)
    with duckdb.connect(str(built)) as connection:
        connection.execute("set threads = 1; set timezone = 'UTC'; set memory_limit = '2GB'")
        connection.execute("create schema staging; create schema intermediate; create schema build")
        for model in MODELS.values():
            text = compiled[model.name].replace(str(_BEGINS), str(first)).replace(str(_ENDS), str(last))
            for source, paths in files.items():
                text = text.replace(f"['@{source}@']", str(paths))
            schema = "build" if model.layer == "marts" else model.layer
            kept = model.layer == "marts" or model.name == "int_clicks_converting"
            connection.execute(f"create {'table' if kept else 'view'} {schema}.{model.name} as {text}")
        told = connection.execute("select sum(clicks), sum(hits), sum(revenue_micros) from build.roi").fetchone()
    return {"clicks": int(told[0]), "hits": int(told[1]), "revenue_micros": int(told[2])}


def by_dbt(home: Path, first: date, last: date) -> dict[str, Any]:
    """The same by dbt, with its tests."""
    empty = {name: model.empty() for name, model in LAKE_FRAMES.items()}
    report, _ = Warehouse(home / "warehouse", PROJECT).build(
        MARTS, first_day=first, last_day=last, restated_days=RESTATED_DAYS,
        lake=files_near(Lake(home / "lake"), first, last), empty=empty,
    )  # fmt: skip
    failed = [test.name for test in report.tests if not test.passed]
    return {"tests": len(report.tests), "failed": failed, "model_seconds": round(sum(report.seconds.values()), 1)}


def compile_sql(home: Path) -> dict[str, Any]:
    """dbt's SQL with marks where a run's days and files stand."""
    lake = {source: [f"@{source}@"] for source in LAKE_FRAMES}
    variables = {"first_day": str(_BEGINS), "last_day": str(_ENDS), "restated_days": RESTATED_DAYS, "lake": lake}
    results = Warehouse(home / "warehouse", PROJECT)._dbt(["compile"], variables)
    sql = {each.node.name: each.node.compiled_code for each in results if each.node.resource_type == "model"}
    (home / "sql.json").write_text(json.dumps(sql), "utf-8")
    return {}


def measured(home: Path, step: str) -> dict[str, Any]:
    """A step in a process of its own: what it told, CPU and wall seconds, and the most memory it held."""
    command = [sys.executable, str(Path(__file__).resolve()), "--home", str(home), "--step", step]
    told: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told


def run_step(home: Path, step: str) -> None:
    whole, day = (FIRST, FIRST + timedelta(days=DAYS - 1)), (FIRST + timedelta(days=DAYS - 5),) * 2
    steps = {
        "compile": lambda: compile_sql(home),
        "scan": lambda: scan(home / "lake"),
        "full": lambda: build(home, *whole),
        "day": lambda: build(home, *day),
        "dbt full": lambda: by_dbt(home, *whole),
        "dbt day": lambda: by_dbt(home, *day),
    }
    begun, before = time.monotonic(), _cpu()
    told = steps[step]()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told | {"cpu": _cpu() - before, "wall": time.monotonic() - begun, "peak_mb": peak}))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--clicks", type=int, default=20_000_000)
    options.add_argument("--pieces", type=int, default=500, help="a day")
    options.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--step", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.step:
        run_step(chosen.home, chosen.step)
        return
    figures: dict[int, dict[str, dict[str, Any]]] = {}
    for clicks in (chosen.clicks // 10, chosen.clicks):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            make(home / "lake", clicks, chosen.pieces)
            measured(home, "compile")  # in a process of its own: dbt keeps its file open
            steps = ("scan", "full", "day", *(("dbt full", "dbt day") if clicks == chosen.clicks else ()))
            figures[clicks] = {step: measured(home, step) for step in steps}
    write_section("Attribution", told_of(figures, chosen.clicks))


def told_of(figures: dict[int, dict[str, dict[str, Any]]], clicks: int) -> list[str]:
    names = {
        "scan": "scan of the columns",
        "full": "full refresh, the SQL",
        "day": "one day's increment, the SQL",
        "dbt full": "full refresh by dbt, with its tests",
        "dbt day": "one day's increment by dbt, with its tests",
    }
    lines = [
        conditions(
            "attribution.py", f"{clicks:,} clicks, {clicks // _CLICKS_TO_A_SALE:,} sales of {DAYS} days", "1 thread"
        ),
        "",
        "| | clicks | CPU s | ÷ scan | wall s | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for size, steps in figures.items():
        for step, one in steps.items():
            ratio = one["cpu"] / steps["scan"]["cpu"]
            lines.append(
                f"| {names[step]} | {size:,} | {one['cpu']:.1f} | {ratio:.1f} | {one['wall']:.1f} "
                f"| {one['peak_mb']:,.0f} |"
            )
    small, large = (figures[size] for size in (clicks // 10, clicks))
    to_scan, to_full, to_small = (
        large[step]["cpu"] / other["cpu"]
        for step, other in (("full", large["scan"]), ("day", large["full"]), ("full", small["full"]))
    )
    lines += [
        "",
        f"**Full refresh ÷ scan: {to_scan:.1f}** (target ≤ 8), peak {large['full']['peak_mb']:,.0f} MB (≤ 3,072); "
        f"**a day ÷ full: {to_full:.2f}** (≤ 0.25). Ten times the clicks cost {to_small:.1f} times as much. Of dbt's "
        f"{large['dbt full']['tests']} tests {len(large['dbt full']['failed'])} failed.",
    ]
    return lines


if __name__ == "__main__":
    main()
