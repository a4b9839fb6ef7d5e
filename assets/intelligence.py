"""Intelligence: what people search for, which products are worth it, the strategy in force, and the plan of the day."""

import warnings
from collections import Counter
from functools import partial

import dagster as dg
import pandas as pd

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.money import from_micros
from affiliate_empire.ledger import Ledger
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.decide_strategy import load_strategy
from affiliate_empire.operations.export import export_performance
from affiliate_empire.operations.list_accounts import connected_platforms
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.operations.record_plan import load_plan_evidence, record_plan
from affiliate_empire.operations.replan_day import replan_day
from affiliate_empire.operations.snapshots import keep_snapshot
from affiliate_empire.operations.sync_trends import load_day_s_trends, load_trends, record_topics, sync_trends
from affiliate_empire.planning import ContentPlan
from affiliate_empire.policy import Policy
from affiliate_empire.ranking import RankedProducts, TrendingTopics, TrendSignals, no_trends, rank
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants
from affiliate_empire.vendors.google_trends import GoogleTrendsClient
from assets.partitions import day, week
from assets.pictures import bar_plot, listing, together
from assets.steps import days_of, failing_clearly
from resources.lake import Frames, to_dagster_type


@dg.asset(
    partitions_def=day,
    group_name="intelligence",
    kinds={"google", "parquet"},
    owners=["team:growth"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(TrendSignals),
)
def trend_signals(
    context: dg.AssetExecutionContext,
    products: Frames,
    exchange_rates: Frames,
    ledger: dg.ResourceParam[Ledger],
    google_trends: dg.ResourceParam[GoogleTrendsClient],
    media: dg.ResourceParam[MediaStore],
    clock: dg.ResourceParam[Clock],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """How much niches and the best products are searched for, and how that rises. One row per term; free.

    Asked of Google every 6 hours while it is that day, each answer kept; a past day returns its last one. When Google
    answers nobody this fails, and rankings go on with the last signals or without.
    """
    frames: Frames = {}
    with failing_clearly():
        for each in days_of(context):
            if each < settings.calendar.day_of(clock.now()):
                frames[str(each)] = load_day_s_trends(each, ledger=ledger, media=media)
                continue
            performance = export_performance(each, ledger=ledger, calendar=settings.calendar)
            rates = exchange_rates[str(each)]
            frames[str(each)] = sync_trends(
                each,
                rank(products[str(each)], performance, no_trends(), as_of=each, policy=policy, rates=rates),
                google_trends=google_trends,
                ledger=ledger,
                media=media,
                clock=clock,
                rule=policy.trend_rule,
            )
    signals = together(frames)
    rises = signals.set_index("keyword")["rise"].mul(100).sort_values(ascending=False)
    return dg.Output(
        frames,
        metadata={
            "sources": ", ".join(f"{source}: {terms}" for source, terms in Counter(signals["source"]).items()),
            "rising": bar_plot(rises, title="Rise of searches over the four weeks before", text="{:+.0f} %".format),
        },
    )


@dg.asset(
    partitions_def=week,
    # The catalogue is in the ledger; a week is not made from its days' rows.
    deps=[dg.AssetDep("products")],
    group_name="intelligence",
    kinds={"google", "parquet"},
    owners=["team:growth"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(TrendingTopics),
)
def trending_topics(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    google_trends: dg.ResourceParam[GoogleTrendsClient],
    media: dg.ResourceParam[MediaStore],
    clock: dg.ResourceParam[Clock],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """What trends as the week begins, whose niche it is, and which niches go to test. One row per topic; free.

    Decided once a week: the first run records it with its evidence, and every later one returns it.
    """
    with failing_clearly():
        frames = {
            str(monday): record_topics(
                monday,
                google_trends=google_trends,
                ledger=ledger,
                media=media,
                clock=clock,
                calendar=settings.calendar,
                rule=policy.topic_rule,
            )
            for monday in days_of(context)
        }
    topics = together(frames)
    tested = topics[topics["on_test"]]
    return dg.Output(
        frames,
        metadata={
            "matched": int(topics["niche"].ne("").sum()),
            "on_test": ", ".join(tested["niche"].unique()) or "none",
            "reasons": listing(tested["reason"].unique()),
        },
    )


@dg.asset(
    partitions_def=day,
    # Of the day or of the last days before it: an outage of Google's is no outage of the ranking.
    deps=[dg.AssetDep("trend_signals")],
    group_name="intelligence",
    kinds={"python", "parquet"},
    owners=["team:growth"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(RankedProducts),
)
def rankings(
    context: dg.AssetExecutionContext,
    products: Frames,
    exchange_rates: Frames,
    ledger: dg.ResourceParam[Ledger],
    media: dg.ResourceParam[MediaStore],
    clock: dg.ResourceParam[Clock],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """Products worth making content for, best first, with the parts of their score. One row per product; free.

    Rests on the day's products, on what was known when the day began, and on the newest trend signals, so it moves when
    those are refreshed: every 6 hours, and each refresh is kept.
    """
    frames = {}
    with failing_clearly():
        for each in days_of(context):
            performance = export_performance(each, ledger=ledger, calendar=settings.calendar)
            trends = load_trends(each, ledger=ledger, media=media, rule=policy.trend_rule)
            rates = exchange_rates[str(each)]
            ranked = rank(products[str(each)], performance, trends, as_of=each, policy=policy, rates=rates)
            keep_snapshot("rankings", each, ranked, ledger=ledger, media=media, at=clock.now())
            frames[str(each)] = ranked
    everything = together(frames)
    observed = everything["trend_as_of"].max()
    return dg.Output(
        frames,
        metadata={
            "eligible": int(everything["eligible"].sum()),
            "trend_as_of": "no signals: every trend counts 1"
            if pd.isna(observed)
            else f"{observed:%Y-%m-%d %H:%M} UTC",
            "moved_by_trends": int(everything["trend"].ne(1).sum()),
            "best": bar_plot(
                everything[everything["eligible"]].set_index("title")["score"].head(6),
                title="Score of the best",
                text="{:.2f}".format,
            ),
        },
    )


_STRATEGY = dg.AssetSpec(
    "strategy",
    group_name="intelligence",
    kinds={"postgres"},
    owners=["team:growth"],
    description="The strategy in force: prompt weights, niche factors, share of exploration. Its data version is its "
    "hash. Written by an earlier day's strategy_decision; here it is only looked at, so the graph has no circle.",
)

with warnings.catch_warnings():
    # Observable sources are Beta in Dagster 1.13.
    warnings.simplefilter("ignore", dg.BetaWarning)

    @dg.multi_observable_source_asset(name="strategy", specs=[_STRATEGY])
    def strategy(ledger: dg.ResourceParam[Ledger], clock: dg.ResourceParam[Clock]) -> dg.ObserveResult:
        """Reads which strategy is in force by the business clock."""
        with failing_clearly():
            prepare_ledger(ledger=ledger)
            found = load_strategy(clock.now(), ledger=ledger)
        reasons = listing(found.reasons)
        return dg.ObserveResult(
            asset_key="strategy",
            data_version=dg.DataVersion(found.sha256),
            metadata={"version": found.version, "content": dg.MetadataValue.json(found.content), "reasons": reasons},
        )


class Replanning(dg.Config):
    """Why a day is planned anew, and which account dropped out of it; empty: it is planned once, and then only read."""

    cause: str = ""
    account_id: str = ""


@dg.asset(
    partitions_def=day,
    # The week's tests are in the ledger; a plan waits for no decision of theirs.
    deps=["strategy", dg.AssetDep("trending_topics")],
    group_name="intelligence",
    kinds={"python", "parquet"},
    owners=["team:growth"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(ContentPlan),
)
def content_plan(
    context: dg.AssetExecutionContext,
    config: Replanning,
    rankings: Frames,
    ledger: dg.ResourceParam[Ledger],
    clock: dg.ResourceParam[Clock],
    media: dg.ResourceParam[MediaStore],
    policy: dg.ResourceParam[Policy],
    grants: dg.ResourceParam[Grants],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """The pieces to make: product, platform, account, slot, prompt version, arm. One row per piece; free.

    Decided once: the first run of a day records the plan with its evidence, and every later one returns it. Only a run
    that names a cause (an account was restricted) plans what is left of the day anew, once per cause.
    """
    verb = partial(replan_day, cause=config.cause, account_id=config.account_id) if config.cause else record_plan
    with failing_clearly():
        prepare_ledger(ledger=ledger)
        closed = settings.closed_platforms(connected_platforms(grants, ledger=ledger))
        frames = {
            str(each): verb(
                each,
                rankings[str(each)],
                ledger=ledger,
                clock=clock,
                media=media,
                policy=policy,
                calendar=settings.calendar,
                slate=settings.slate,
                closed=closed,
                caps=settings.caps,
                seed=settings.seed,
                clips=settings.clips_per_video,
                clip_providers=settings.clip_providers,
            )
            for each in days_of(context)
        }
    pieces = together(frames)
    evidence = [load_plan_evidence(each, ledger=ledger) for each in days_of(context)]
    return dg.Output(
        frames,
        metadata={
            "pieces": len(pieces),
            "bound_by": listing(bound["reason"] for plan in evidence for bound in plan["bounds"]),
            "cost_of_a_piece": listing(dict.fromkeys(line for plan in evidence for line in plan.get("piece_cost", []))),
            "explore": int(pieces["arm"].eq("explore").sum()),
            "at_most_usd": float(from_micros(int(pieces["max_cost_micros"].sum()))),
            "pieces_by_platform": bar_plot(pieces["platform"].value_counts(), title="Pieces by platform"),
        },
    )
