"""Reports: what the owner reads."""

from pathlib import Path

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.keep_credentials import remind_of_rotation
from affiliate_empire.operations.report_day import report_day
from affiliate_empire.operations.report_week import report_week
from affiliate_empire.policy import Policy
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants, Vault
from assets.partitions import DAY_OF_PLATFORM, DAYS_OF_WEEK, day, week
from assets.steps import days_of, failing_clearly


@dg.asset(
    partitions_def=day,
    deps=["strategy_decision", "roi", "daily_pnl", dg.AssetDep("publications", partition_mapping=DAY_OF_PLATFORM)],
    group_name="reports",
    kinds={"html"},
    owners=["team:growth"],
)
def daily_report(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    clock: dg.ResourceParam[Clock],
    settings: dg.ResourceParam[Settings],
    policy: dg.ResourceParam[Policy],
    vault: dg.ResourceParam[Vault],
    grants: dg.ResourceParam[Grants],
) -> dg.MaterializeResult:
    """The owner's report of a day: what was made, seen, earned and spent, and what was decided. One HTML page per day.

    Holds everything known at the instant of its run; the next run replaces it. Free.
    """
    with failing_clearly():
        remind_of_rotation(vault=vault, grants=grants, ledger=ledger, clock=clock, policy=policy)
        paths = [
            report_day(
                each,
                ledger=ledger,
                clock=clock,
                calendar=settings.calendar,
                home=settings.home_path,
                label=settings.label,
                fixed_costs=settings.fixed_costs_usd,
            )
            for each in days_of(context)
        ]
    return _told(paths, settings)


@dg.asset(
    partitions_def=week,
    deps=[
        dg.AssetDep(name, partition_mapping=DAYS_OF_WEEK) for name in ("roi", "strategy_decision", "experiment_results")
    ],
    group_name="reports",
    kinds={"html"},
    owners=["team:growth"],
)
def weekly_report(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    clock: dg.ResourceParam[Clock],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """The owner's report of the seven days that ended on the week's Thursday: money, decisions, what was learned.

    One HTML page per week, made on Friday. Holds everything known at the instant of its run; the next run replaces it.
    Free.
    """
    with failing_clearly():
        paths = [
            report_week(
                monday,
                ledger=ledger,
                clock=clock,
                calendar=settings.calendar,
                home=settings.home_path,
                label=settings.label,
            )
            for monday in days_of(context)
        ]
    return _told(paths, settings)


def _told(paths: list[Path], settings: Settings) -> dg.MaterializeResult:
    """Where the last of the reports lies."""
    return dg.MaterializeResult(
        metadata={"report": dg.MetadataValue.path(paths[-1]), "open": dg.MetadataValue.url(paths[-1].as_uri())}
        | {"world": settings.label, "reports": len(paths)}
    )
