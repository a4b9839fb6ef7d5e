"""Intelligence: which products are worth it, the strategy in force, and the plan of the day."""

import warnings

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.money import to_micros
from affiliate_empire.ledger import Ledger
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.decide_strategy import load_strategy
from affiliate_empire.operations.export import export_performance
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.operations.record_plan import record_plan
from affiliate_empire.planning import ContentPlan
from affiliate_empire.policy import Policy
from affiliate_empire.ranking import RankedProducts, rank
from affiliate_empire.settings import Settings
from assets.partitions import day
from assets.steps import days_of, failing_clearly
from resources.lake import Frames, to_dagster_type


@dg.asset(
    partitions_def=day,
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
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """Products worth making content for, best first, with the parts of their score. One row per product; free.

    Rests on the day's products and on what was known when the day began, so a later run gives the same ranking.
    """
    frames = {}
    with failing_clearly():
        for each in days_of(context):
            performance = export_performance(each, ledger=ledger, calendar=settings.calendar)
            rates = exchange_rates[str(each)]
            frames[str(each)] = rank(products[str(each)], performance, as_of=each, policy=policy, rates=rates)
    eligible = sum(int(frame["eligible"].sum()) for frame in frames.values())
    return dg.Output(frames, metadata={"eligible": eligible})


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
        reasons = dg.MetadataValue.md("\n".join(f"- {reason}" for reason in found.reasons))
        return dg.ObserveResult(
            asset_key="strategy",
            data_version=dg.DataVersion(found.sha256),
            metadata={"version": found.version, "content": dg.MetadataValue.json(found.content), "reasons": reasons},
        )


@dg.asset(
    partitions_def=day,
    deps=["strategy"],
    group_name="intelligence",
    kinds={"python", "parquet"},
    owners=["team:growth"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(ContentPlan),
)
def content_plan(
    context: dg.AssetExecutionContext,
    rankings: Frames,
    ledger: dg.ResourceParam[Ledger],
    clock: dg.ResourceParam[Clock],
    media: dg.ResourceParam[MediaStore],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """The pieces to make: product, platform, account, slot, prompt version, arm. One row per piece; free.

    Decided once: the first run of a day records the plan with its evidence, and every later one returns it.
    """
    with failing_clearly():
        prepare_ledger(ledger=ledger)
        frames = {
            str(each): record_plan(
                each,
                rankings[str(each)],
                ledger=ledger,
                clock=clock,
                media=media,
                policy=policy,
                calendar=settings.calendar,
                slate=settings.slate,
                closed=settings.closed_platforms,
                budget_micros=to_micros(settings.budget_day_usd),
                seed=settings.seed,
                clips=settings.clips_per_video,
                clip_providers=settings.clip_providers,
            )
            for each in days_of(context)
        }
    pieces = sum(len(frame) for frame in frames.values())
    explored = sum(int((frame["arm"] == "explore").sum()) for frame in frames.values())
    return dg.Output(frames, metadata={"pieces": pieces, "explore": explored})
