"""Analytics: what happened to the posts, what was earned and spent, and the warehouse's models of it.

The dbt models are assets whose specs are read from the dbt project's own files, without dbt. Only the marts are
partitioned; their days become lake partitions and are copied to the ledger's schema ``marts``.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd
import pandera.pandas as pa

from affiliate_empire.analytics.frames import Clicks, Conversions, Costs, PlatformMetrics, Publications
from affiliate_empire.content.frames import Texts
from affiliate_empire.effects import Effects
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.money import from_micros
from affiliate_empire.lake import Lake
from affiliate_empire.ledger import Ledger
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.audit_day import budgets_looked_at, spend_beyond_caps, unbalanced_books
from affiliate_empire.operations.export import (
    export_clicks,
    export_conversions,
    export_costs,
    export_platform_metrics,
)
from affiliate_empire.operations.find_tiktok_posts import find_tiktok_posts
from affiliate_empire.operations.finish_youtube_videos import finish_youtube_videos
from affiliate_empire.operations.forget_visitors import forget_visitors
from affiliate_empire.operations.judge_clicks import judge_clicks
from affiliate_empire.operations.save_mart import save_mart
from affiliate_empire.operations.sync_conversions import sync_conversions
from affiliate_empire.operations.sync_metrics import MetricsReader, sync_metrics
from affiliate_empire.planning import ContentPlan
from affiliate_empire.policy import Policy
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.impact import ImpactClient
from affiliate_empire.vendors.instagram import InstagramClient
from affiliate_empire.vendors.tiktok import TikTokClient
from affiliate_empire.vendors.youtube import YouTubeClient
from affiliate_empire.vendors.youtube_analytics import YouTubeAnalyticsClient
from affiliate_empire.warehouse import BuildReport, Model, Warehouse, load_models
from assets.checks import claim_holds
from assets.partitions import DAY_OF_PLATFORM, RESTATED_DAYS, SINCE, UNTIL, day
from assets.pictures import bar_plot, in_dollars, listing, together
from assets.steps import days_of, failing_clearly
from resources.lake import Frames, to_dagster_type
from resources.warehouse import PROJECT

_GROUP = "analytics"
_OWNERS = ["team:growth"]


@dg.asset(
    partitions_def=day,
    deps=[dg.AssetDep("publications", partition_mapping=DAY_OF_PLATFORM)],
    group_name=_GROUP,
    kinds={"youtube", "tiktok", "instagram"},
    owners=_OWNERS,
    io_manager_key="lake",
    dagster_type=to_dagster_type(PlatformMetrics),
)
def platform_metrics(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    effects: dg.ResourceParam[Effects],
    media: dg.ResourceParam[MediaStore],
    youtube: dg.ResourceParam[PerAccount[YouTubeClient]],
    youtube_analytics: dg.ResourceParam[PerAccount[YouTubeAnalyticsClient]],
    tiktok: dg.ResourceParam[PerAccount[TikTokClient]],
    instagram: dg.ResourceParam[PerAccount[InstagramClient]],
    clock: dg.ResourceParam[Clock],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """What platforms counted, with the definition of the count. One row per publication and observation; free.

    Observed anew while it is that day; a past day returns what was observed on it. An account that cannot be read is
    among the problems and leaves the others their rows; shares and watch time come days late. On the way YouTube's
    videos are given their covers, once they are processed.
    """
    problems: list[str] = []
    with failing_clearly():
        if settings.calendar.day_of(clock.now()) in days_of(context):

            def finish_videos(account_id: str) -> int:
                client = youtube.of(account_id)
                return finish_youtube_videos(
                    account_id, ledger=ledger, effects=effects, youtube=client, media=media, clock=clock
                )

            readers: dict[str, PerAccount[MetricsReader]] = {
                "youtube": youtube, "tiktok": tiktok, "instagram": instagram,
            }  # fmt: skip

            def find_posts(account_id: str) -> int:
                client = tiktok.of(account_id)
                return find_tiktok_posts(account_id, ledger=ledger, tiktok=client, clock=clock, policy=policy)

            problems = sync_metrics(
                ledger=ledger,
                readers=readers,
                analytics=youtube_analytics,
                clock=clock,
                policy=policy,
                before={"youtube": finish_videos, "tiktok": find_posts},
            ).problems
        frames = {
            str(each): export_platform_metrics(each, ledger=ledger, calendar=settings.calendar)
            for each in days_of(context)
        }
    # Counts are totals so far: of each post, the last.
    last = together(frames).sort_values("observed_at").drop_duplicates("publication_id", keep="last")
    views = last.groupby(last["definition"].str.split(".").str[0])["views"].sum().sort_values(ascending=False)
    plot = bar_plot(views, title="Views by platform, as each counts them")
    return dg.Output(
        frames, metadata={"views": int(views.sum()), "views_by_platform": plot, "problems": listing(problems)}
    )


@dg.asset(
    partitions_def=day,
    deps=[dg.AssetDep("publications", partition_mapping=DAY_OF_PLATFORM)],
    group_name=_GROUP,
    kinds={"postgres", "parquet"},
    owners=_OWNERS,
    io_manager_key="lake",
    dagster_type=to_dagster_type(Clicks),
)
def clicks(
    context: dg.AssetExecutionContext,
    clock: dg.ResourceParam[Clock],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """Hits on tracking links, bots flagged and kept. One row per hit.

    The tracking service records a hit as it happens; a run judges what each is, copies the day's hits as they are then,
    and forgets who made those that are old (EMPIRE_KEEP_VISITS_DAYS). Free.
    """
    with failing_clearly():
        judge_clicks(ledger=ledger)
        forget_visitors(ledger=ledger, clock=clock, calendar=settings.calendar, keep_days=settings.keep_visits_days)
        frames = {
            str(each): export_clicks(each, ledger=ledger, calendar=settings.calendar) for each in days_of(context)
        }
    hits = together(frames)
    people = hits[hits["human"]]
    hours = pd.to_datetime(people["clicked_at"], utc=True).dt.tz_convert(settings.timezone).dt.hour // 4 * 4
    by_time = hours.value_counts().reindex(range(0, 24, 4), fill_value=0)
    by_time.index = [f"{hour:02}:00 to {hour + 4:02}:00" for hour in by_time.index]
    plot = bar_plot(by_time, title=f"Clicks of people by time of day in {settings.timezone}")
    return dg.Output(
        frames,
        metadata={
            "hits": len(hits),
            "of_people": len(people),
            "of_people_first": int((~people["duplicate"]).sum()),
            "people_by_time": plot,
        },
    )


@dg.asset(
    partitions_def=day,
    deps=["clicks"],
    group_name=_GROUP,
    kinds={"impact", "parquet"},
    owners=_OWNERS,
    io_manager_key="lake",
    dagster_type=to_dagster_type(Conversions),
)
def conversions(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    impact: dg.ResourceParam[ImpactClient],
    clock: dg.ResourceParam[Clock],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """What networks said about sales, by push and by poll, each thing once. One row per event.

    Polled at every run while it is that day; a past day returns what was learned on it. Free.
    """
    problems: list[str] = []
    with failing_clearly():
        if settings.calendar.day_of(clock.now()) in days_of(context):
            problems = sync_conversions(ledger=ledger, impact=impact, clock=clock).problems
        frames = {
            str(each): export_conversions(each, ledger=ledger, calendar=settings.calendar) for each in days_of(context)
        }
    changes = together(frames).groupby("kind")["commission_usd_change_micros"].sum()
    return dg.Output(
        frames,
        metadata={
            "commission_change_usd": float(from_micros(int(changes.sum()))),
            "commission_by_kind": bar_plot(changes, title="Change of commissions by kind of event", text=in_dollars),
            "problems": listing(problems),
        },
    )


@dg.asset(
    partitions_def=day,
    deps=["scripts", "blog_posts", "voiceovers", "video_clips", "thumbnails"],
    group_name=_GROUP,
    kinds={"postgres", "parquet"},
    owners=_OWNERS,
    io_manager_key="lake",
    dagster_type=to_dagster_type(Costs),
)
def costs(
    context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Ledger], settings: dg.ResourceParam[Settings]
) -> dg.Output[Frames]:
    """What vendors charged, and the day's part of what is paid by the month. One row per cost line.

    A lost reply stands at the most it can have cost. A run copies the lines booked to the day until then, and what the
    owner states (EMPIRE_FIXED_COSTS_USD). Free: it asks no vendor.
    """
    with failing_clearly():
        frames = {
            str(each): export_costs(each, ledger=ledger, fixed_costs=settings.fixed_costs_usd)
            for each in days_of(context)
        }
    spent = together(frames).groupby("vendor")["cost_micros"].sum().sort_values(ascending=False)
    plot = bar_plot(spent, title="Spent by vendor", text=in_dollars)
    return dg.Output(frames, metadata={"spent_usd": float(from_micros(int(spent.sum()))), "spent_by_vendor": plot})


@dg.asset_check(asset=costs, blocking=True)
def spend_within_caps(ledger: dg.ResourceParam[Ledger]) -> dg.AssetCheckResult:
    """No budget holds more than its cap: per run, day, month, vendor and niche."""
    return claim_holds(
        spend_beyond_caps(ledger=ledger),
        looked_at=budgets_looked_at(ledger=ledger),
        remedy="A vendor charged more than the price table says: what the cap covers stands still; mend "
        "policy/prices.toml before the next day.",
    )


@dg.asset_check(asset=costs, blocking=True)
def ledger_balances(ledger: dg.ResourceParam[Ledger]) -> dg.AssetCheckResult:
    """Budgets, reservations and effects add up to each other, to the micro."""
    return claim_holds(
        unbalanced_books(ledger=ledger),
        looked_at=budgets_looked_at(ledger=ledger),
        remedy="Stop spending with `empire pause all`, and compare the effects of `empire effects` with the vendors' "
        "invoices.",
    )


# ---------------------------------------------------------------- the warehouse
TESTS_HOLD = "dbt_tests_hold"
LAKE_FRAMES: dict[str, type[pa.DataFrameModel]] = {
    "content_plan": ContentPlan,
    "publications": Publications,
    "platform_metrics": PlatformMetrics,
    "clicks": Clicks,
    "conversions": Conversions,
    "costs": Costs,
    "scripts": Texts,
    "blog_posts": Texts,
}
MODELS = {model.name: model for model in load_models(PROJECT)}


_OF_THE_DAY = ("content_plan", "scripts", "blog_posts")  # made for a day's pieces, and for no other day's


def _sources(model: Model) -> set[str]:
    """The lake assets that a model reads, by whatever way."""
    return set(model.sources).union(*(_sources(MODELS[up]) for up in model.models))


def _days_read(source: str, model: Model) -> dg.PartitionMapping | None:
    """Which days of a lake asset a mart's day is made from; None is the same day."""
    if source == "publications":
        return DAY_OF_PLATFORM
    if model.partition_column == "money_day":
        return UNTIL
    return None if source in _OF_THE_DAY else SINCE


# What the owner reads after a model's own description: how fresh it is, and what a run costs.
_FRESHNESS = {
    "cohort_day": f"Made anew by each run of its day, with money of up to {RESTATED_DAYS} days later. Free.",
    "money_day": "Made anew by each run of its day, with what was learned until then. Free.",
    None: "A view: as fresh as what it reads. Free.",
}


def _spec(model: Model) -> dg.AssetSpec:
    mart = model.layer == "marts"
    # A model upstream is unpartitioned and tells nothing of days, so a mart names the lake's days itself.
    lake = [
        dg.AssetDep(name, partition_mapping=_days_read(name, model) if mart else None)
        for name in sorted(_sources(model) if mart else model.sources)
    ]
    columns = [dg.TableColumn(name, type=kind, description=says) for name, (kind, says) in model.columns.items()]
    spec = dg.AssetSpec(
        model.name,
        deps=[*model.models, *lake],
        description=f"{model.description} {_FRESHNESS[model.partition_column]}",
        group_name=_GROUP,
        owners=[model.owner] if model.owner else _OWNERS,
        kinds={"dbt", "duckdb", "parquet"} if mart else {"dbt", "duckdb"},
        metadata={"dagster/column_schema": dg.TableSchema(columns)},
        partitions_def=day if mart else None,
    )
    return spec.with_io_manager_key("lake") if mart else spec


def _models_asset(name: str, models: list[Model]) -> dg.AssetsDefinition:
    """Some models as one asset definition, whose run builds and tests those that are selected."""
    marts = [model.name for model in models if model.layer == "marts"]

    @dg.multi_asset(
        name=name,
        specs=[_spec(model) for model in models],
        check_specs=[
            dg.AssetCheckSpec(
                TESTS_HOLD,
                asset=mart,
                blocking=True,
                description="Every dbt test of the model, and of what it reads, passes.",
            )
            for mart in marts
        ],
        can_subset=True,
        pool="duckdb",
        required_resource_keys={"lake", "warehouse", "ledger"},
    )
    def built(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from _built(context, [model.name for model in models])

    return built


def _built(context: dg.AssetExecutionContext, models: list[str]) -> Iterator[Any]:
    """Builds and tests the selected models for the run's days; an old cohort is restated as a whole."""
    lake: Lake = context.resources.lake.lake
    warehouse: Warehouse = context.resources.warehouse
    ledger: Ledger = context.resources.ledger
    selected = [name for name in models if dg.AssetKey(name) in context.selected_asset_keys]
    # Views without a day (somebody materializes only them) look at the whole lake.
    days = days_of(context) if context.has_partition_key or context.has_partition_key_range else []
    first, last = (days[0], days[-1]) if days else (date.min, date.max)
    with failing_clearly():
        report, marts = warehouse.build(
            selected,
            first_day=first,
            last_day=last,
            restated_days=RESTATED_DAYS,
            lake=files_near(lake, first, last),
            empty={name: model.empty() for name, model in LAKE_FRAMES.items()},
        )
        for name in selected:
            if name in report.skipped:
                continue
            if name not in marts:
                yield dg.MaterializeResult(asset_key=name, metadata={"seconds": report.seconds[name]})
                continue
            column = MODELS[name].partition_column or ""
            frames = {str(each): _rows_of(marts[name], column, each) for each in days}
            save_mart(name, frames, partition_column=column, ledger=ledger)
            yield dg.MaterializeResult(
                asset_key=name,
                value=frames,
                metadata=_money(name, frames) | {"seconds": report.seconds[name]},
                check_results=[_tests_hold(name, report)],
            )
    if report.skipped:
        failed = "; ".join(f"{test.name}: {test.message}" for test in report.tests if not test.passed)
        raise dg.Failure(
            f"Not built, because a dbt test failed: {', '.join(report.skipped)} ({failed}).", allow_retries=False
        )


def files_near(lake: Lake, first: date, last: date) -> dict[str, list[str]]:
    """The lake's files that hold what the days' pieces did and what moved the days' money."""

    def near(partition: str) -> bool:
        each = date.fromisoformat(partition[:10])
        return (each - last).days <= RESTATED_DAYS and (first - each).days <= RESTATED_DAYS

    return {name: [str(lake.path(name, key)) for key in lake.partitions(name) if near(key)] for name in LAKE_FRAMES}


def _rows_of(frame: pd.DataFrame, column: str, each: date) -> pd.DataFrame:
    return frame[frame[column] == each].reset_index(drop=True)


def _tests_hold(name: str, report: BuildReport) -> dg.AssetCheckResult:
    """The mart's own tests and those of every model it is made from."""
    reads = {name}
    for upstream in reversed(MODELS):
        if any(upstream in MODELS[reader].models for reader in reads):
            reads.add(upstream)
    tests = [test for test in report.tests if test.model in reads]
    failed = {test.name: test.message for test in tests if not test.passed}
    return dg.AssetCheckResult(
        passed=not failed,
        asset_key=name,
        check_name=TESTS_HOLD,
        description=f"{len(tests)} tests hold."
        if not failed
        else "; ".join(f"{test}: {message}" for test, message in failed.items())
        + " → Look at the rows that the test selects (dbt_models/), and mend what wrote them; reports wait for it.",
        metadata={"tests": len(tests), "failed": dg.MetadataValue.json(failed)},
    )


def _money(name: str, frames: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """The sums of a mart's money columns, in dollars."""
    rows = pd.concat(frames.values())
    sums = {column.removesuffix("_micros"): rows[column].sum() for column in rows.columns if column.endswith("_micros")}
    if name == "revenue_lineage":
        sums.pop("piece_cost")  # repeated on each line of a piece: its sum means nothing
    plots = {
        f"profit_by_{by}": bar_plot(
            rows.groupby(by)["profit_micros"].sum().sort_values(ascending=False),
            title=f"Profit by {by.replace('_', ' ')}",
            text=in_dollars,
        )
        for by in ("platform", "prompt_version", "niche")
        if {by, "profit_micros"} <= set(rows.columns)
    }
    return {f"{column}_usd": float(from_micros(int(total))) for column, total in sums.items()} | plots


# A definition has one mapping of days per upstream asset: cohorts look ahead of their day, the calendar looks back.
_CALENDAR = [model for model in MODELS.values() if model.partition_column == "money_day"]
cohort_models = _models_asset("cohort_models", [model for model in MODELS.values() if model not in _CALENDAR])
calendar_models = _models_asset("calendar_models", _CALENDAR)
