"""The partitions: business days, weeks, platforms, prompt versions; and which days of one asset another is made from.

Timezone and first day are the owner's settings: ``definitions`` puts them in by ``repartitioned``; what stands here
serves until then.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import date

import dagster as dg

from affiliate_empire.planning.timetable import RESTATED_DAYS as RESTATED_DAYS

PLATFORMS = ("blog", "instagram", "tiktok", "youtube")
TIMEZONE = "America/New_York"
FIRST_DAY = date(2024, 1, 1)


def _daily(first_day: date, timezone: str) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(start_date=first_day.isoformat(), timezone=timezone, end_offset=1)


def _weekly(first_day: date, timezone: str) -> dg.WeeklyPartitionsDefinition:
    return dg.WeeklyPartitionsDefinition(
        start_date=first_day.isoformat(), timezone=timezone, end_offset=1, day_offset=1
    )


def _by_platform(daily: dg.DailyPartitionsDefinition) -> dg.MultiPartitionsDefinition:
    return dg.MultiPartitionsDefinition({"day": daily, "platform": dg.StaticPartitionsDefinition(list(PLATFORMS))})


day = _daily(FIRST_DAY, TIMEZONE)
week = _weekly(FIRST_DAY, TIMEZONE)
day_and_platform = _by_platform(day)
prompt_version = dg.DynamicPartitionsDefinition(name="prompt_versions")

with warnings.catch_warnings():
    # These mappings are Beta in Dagster 1.13; what they do for us is held by tests/graph.
    warnings.simplefilter("ignore", dg.BetaWarning)
    DAY_OF_PLATFORM = dg.MultiToSingleDimensionPartitionMapping("day")
    # A cohort's day ← that day and all days on which its money may have moved.
    SINCE = dg.TimeWindowPartitionMapping(
        start_offset=0, end_offset=RESTATED_DAYS, allow_nonexistent_upstream_partitions=True
    )
    DAY_BEFORE = dg.TimeWindowPartitionMapping(
        start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True
    )
    # The report of a week (its Monday) ← the days of its Monday to Sunday; the Friday before is read from the ledger.
    DAYS_OF_WEEK = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
    # A calendar day ← the days whose pieces may have moved its money.
    UNTIL = dg.TimeWindowPartitionMapping(
        start_offset=-RESTATED_DAYS, end_offset=0, allow_nonexistent_upstream_partitions=True
    )


def repartitioned(
    assets: Sequence[dg.AssetsDefinition], *, first_day: date, timezone: str
) -> list[dg.AssetsDefinition]:
    """The assets with their days and weeks counted from ``first_day`` in ``timezone``."""
    daily = _daily(first_day, timezone)
    new: dict[dg.PartitionsDefinition, dg.PartitionsDefinition] = {
        day: daily,
        week: _weekly(first_day, timezone),
        day_and_platform: _by_platform(daily),
    }

    def renewed(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec._replace(partitions_def=new[spec.partitions_def]) if spec.partitions_def in new else spec

    return [definition.map_asset_specs(renewed) for definition in assets]
