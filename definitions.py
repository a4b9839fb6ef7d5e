"""The roof: the one place where real things are chosen. ``defs`` is what Dagster loads, ``build_defs`` what tests call.

Nothing happens at import. Loading reads the settings and the dbt project's files; it opens no connection and writes
nothing.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from typing import Any

import dagster as dg

from affiliate_empire.kernel.clock import SystemClock
from affiliate_empire.settings import Settings
from assets import analytics, content, discovery, intelligence, optimization, publishing, reports
from assets.partitions import repartitioned
from resources.anthropic import AnthropicResource
from resources.blog import BlogResource
from resources.clock import ClockResource
from resources.ecb import ECBResource
from resources.effects import EffectsResource
from resources.elevenlabs import ElevenLabsResource
from resources.fal import FalResource
from resources.google_trends import GoogleTrendsResource
from resources.grants import GrantsResource
from resources.impact import ImpactResource
from resources.instagram import InstagramResource
from resources.lake import LakeIOManager
from resources.ledger import LedgerResource
from resources.media import MediaResource
from resources.openai import OpenAIResource
from resources.owner import OwnerResource
from resources.product_feed import ProductFeedResource
from resources.runway import RunwayResource
from resources.tiktok import TikTokResource
from resources.vault import VaultResource
from resources.warehouse import WarehouseResource
from resources.youtube import YouTubeAnalyticsResource, YouTubeResource
from schedules.stages import build_schedules
from sensors.build import build_sensors

ASSETS: list[dg.AssetsDefinition] = [
    discovery.affiliate_programs,
    discovery.products,
    discovery.exchange_rates,
    intelligence.trend_signals,
    intelligence.trending_topics,
    intelligence.rankings,
    intelligence.strategy,
    intelligence.content_plan,
    content.prompt_versions,
    content.scripts,
    content.blog_posts,
    content.voiceovers,
    content.video_clips,
    content.thumbnails,
    content.videos,
    publishing.publications,
    analytics.platform_metrics,
    analytics.clicks,
    analytics.conversions,
    analytics.costs,
    analytics.cohort_models,
    analytics.calendar_models,
    optimization.experiment_results,
    optimization.niche_verdicts,
    optimization.platform_allocation,
    optimization.strategy_decision,
    optimization.prompt_scorecards,
    reports.daily_report,
    reports.weekly_report,
]
CHECKS = [
    content.scripts_cite_facts,
    content.blog_posts_cite_facts,
    publishing.every_piece_discloses,
    publishing.no_duplicate_publication,
    publishing.slots_within_quota,
    analytics.spend_within_caps,
    analytics.ledger_balances,
]

_assets = dg.AssetSelection.assets
_results = _assets(analytics.platform_metrics, analytics.clicks, analytics.conversions, analytics.costs)
_marts = _assets(analytics.cohort_models, analytics.calendar_models)
# One run has one kind of partition, so a day is a sequence of these. The stages are the timetable's
# (``affiliate_empire.planning.timetable``), each with its own schedule.
_STAGES = {
    "fetch_products": _assets(discovery.products, discovery.exchange_rates),
    "observe_trends": _assets(intelligence.trend_signals),
    "rank_products": _assets(intelligence.rankings),
    "plan_day": _assets("strategy") | _assets(intelligence.content_plan),
    "write_content": _assets(content.scripts, content.blog_posts),
    "make_media": _assets(content.voiceovers, content.video_clips, content.thumbnails, content.videos),
    "publish_pieces": _assets(publishing.publications),
    "sync_results": _results,
    "compute_roi": _marts,
    "decide_strategy": _assets(
        optimization.niche_verdicts, optimization.platform_allocation, optimization.strategy_decision
    ),
    "report_day": _assets(reports.daily_report),
    "discover_programs": _assets(discovery.affiliate_programs),
    "choose_tests": _assets(intelligence.trending_topics),
    "review_experiments": _assets(optimization.experiment_results),
    "report_week": _assets(reports.weekly_report),
}


def _several(*stages: str) -> dg.AssetSelection:
    return functools.reduce(operator.or_, (_STAGES[stage] for stage in stages))


JOBS = _STAGES | {
    "record_prompts": _assets(content.prompt_versions),
    "score_prompts": _assets(optimization.prompt_scorecards),
    "restate_roi": _assets(analytics.conversions, analytics.cohort_models),
    # Several stages in one run: what a driven day uses, and what the owner materializes by hand. Trends are not among
    # them: they may fail without the day.
    "prepare_day": _several("rank_products", "plan_day", "write_content", "make_media"),
    # What an account's restriction leaves of the day; which account is in the run's config.
    "replan_day": _assets(intelligence.content_plan) | _several("write_content", "make_media"),
    "close_day": _several("compute_roi", "decide_strategy", "report_day"),
}

# What the owner reads of each job; a schedule says the same and when.
PURPOSES = {
    "fetch_products": "Fetches the products of joined programmes and the day's exchange rates. Free.",
    "observe_trends": "Asks Google what is searched for; the day goes on without it. Free.",
    "rank_products": "Ranks the products by what a piece about them should earn. Free.",
    "plan_day": "Plans the day's pieces: product, account, slot, prompt version. Planned once, then only read. Free.",
    "write_content": "Writes scripts and blog posts. Costs cents; what is written already is not paid for again.",
    "make_media": "Makes voices, stills, clips, thumbnails and videos. The dearest stage, bounded by the day's budget; "
    "what is made already is not paid for again.",
    "publish_pieces": "Posts what is due on one platform. Nothing is posted twice, and nothing of a day that is over.",
    "sync_results": "Reads views, clicks, sales and costs as they stand now. Free.",
    "compute_roi": "Computes what pieces earned and cost: by piece, day, platform, niche and prompt version. Free.",
    "decide_strategy": "Decides what to make more of, with the evidence; in force from midnight. Free.",
    "report_day": "Writes the owner's report of the day. Free.",
    "discover_programs": "Asks the networks which programmes are joined, and on what terms. Free.",
    "choose_tests": "Reads what trends and sends niches to test for a week. Free.",
    "review_experiments": "Tests which prompt version is clicked more. Free.",
    "report_week": "Writes the owner's report of the week. Free.",
    "record_prompts": "Records prompt versions that are new in the library, so that they can be planned. Free.",
    "score_prompts": "Adds up what each prompt version cost and earned so far. Free.",
    "restate_roi": "Computes past days anew whose money has changed since. Free.",
    "prepare_day": "A day from its ranking to its finished videos, in one run: made once, paid once.",
    "replan_day": "Plans what is left of a day without an account that dropped out, and makes the new pieces. At most "
    "an hour ahead nothing changes; bounded by the day's budget.",
    "close_day": "A day's books, decisions and report, in one run. Free.",
}


def build_defs(settings: Settings | None = None, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The graph with its resources.

    Args:
        settings: read from the environment when not given.
        resource_overrides: resource key → what stands in for it; the others are handed the same stand-in.
    """
    settings = settings or Settings()
    today = settings.calendar.day_of(SystemClock().now())
    # From the first of January, so that the set of partitions changes its beginning once a year and not every night.
    first_day = settings.first_day or settings.first_partition(today).replace(month=1, day=1)
    jobs = {name: dg.define_asset_job(name, selection, description=PURPOSES[name]) for name, selection in JOBS.items()}
    return dg.Definitions(
        assets=labelled(repartitioned(ASSETS, first_day=first_day, timezone=settings.timezone), settings.label),
        asset_checks=CHECKS,
        jobs=list(jobs.values()),
        schedules=build_schedules(settings, PURPOSES),
        sensors=build_sensors(settings, jobs),
        resources=_resources(settings, dict(resource_overrides or {})),
        # A process per step would cost more than the steps (ADR 0002); pieces are concurrent inside an asset.
        executor=dg.in_process_executor,
    )


def labelled(assets: list[dg.AssetsDefinition], world: str) -> list[dg.AssetsDefinition]:
    """The assets with a tag that says whether their numbers are SIMULATED or LIVE."""
    return [each.map_asset_specs(lambda spec: spec.merge_attributes(tags={"world": world})) for each in assets]


def _resources(settings: Settings, overrides: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {"settings": settings}
    clock = overrides.get("clock", ClockResource(**given))
    ledger = overrides.get("ledger", LedgerResource(**given))
    vault = overrides.get("vault", VaultResource(**given, ledger=ledger))
    grants = overrides.get("grants", GrantsResource(**given, vault=vault, clock=clock))
    of_accounts = {**given, "grants": grants}
    return {
        "settings": settings,
        "policy": settings.policy,
        "clock": clock,
        "ledger": ledger,
        "effects": EffectsResource(**given, ledger=ledger, clock=clock),
        "lake": LakeIOManager(root=str(settings.home_path / "lake"), label=settings.label),
        "media": MediaResource(**given),
        "warehouse": WarehouseResource(**given),
        "openai": OpenAIResource(**given),
        "anthropic": AnthropicResource(**given),
        "elevenlabs": ElevenLabsResource(**given),
        "fal": FalResource(**given),
        "runway": RunwayResource(**given),
        "vault": vault,
        "grants": grants,
        "youtube": YouTubeResource(**of_accounts, clock=clock),
        "youtube_analytics": YouTubeAnalyticsResource(**of_accounts),
        "tiktok": TikTokResource(**of_accounts, clock=clock),
        "instagram": InstagramResource(**of_accounts, clock=clock),
        "blog": BlogResource(**given),
        "impact": ImpactResource(**given),
        "ecb": ECBResource(**given),
        "product_feed": ProductFeedResource(**given),
        "google_trends": GoogleTrendsResource(**given),
        "owner": OwnerResource(**given),
    } | overrides


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build_defs()
