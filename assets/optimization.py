"""Optimization: what to make more of, decided from what pieces cost and earned, with the evidence."""

import math

import dagster as dg
import pandas as pd

from affiliate_empire.experiments.frames import ExperimentResults
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.money import from_micros
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.decide_strategy import decide_strategy
from affiliate_empire.operations.review_experiments import review_experiments
from affiliate_empire.operations.trace_lineage import trace_prompt
from affiliate_empire.optimization import Decisions
from affiliate_empire.optimization.frames import PromptScorecards
from affiliate_empire.settings import Settings
from assets.partitions import DAY_BEFORE, day, prompt_version
from assets.pictures import bar_plot, in_dollars, listing, together
from assets.steps import days_of, failing_clearly
from resources.lake import Frames, to_dagster_type

_GROUP = "optimization"
_OWNERS = ["team:growth"]


@dg.asset(
    partitions_def=day,
    # It reads what was published and clicked before its day; the days before it are the ledger's.
    deps=[
        dg.AssetDep("clicks", partition_mapping=DAY_BEFORE),
        dg.AssetDep("platform_metrics", partition_mapping=DAY_BEFORE),
    ],
    group_name=_GROUP,
    kinds={"python", "parquet"},
    owners=_OWNERS,
    io_manager_key="lake",
    dagster_type=to_dagster_type(ExperimentResults),
)
def experiment_results(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    clock: dg.ResourceParam[Clock],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """Which of two prompt versions is clicked more, by a test that may be looked at every day. One row per pair; free.

    Reviewed on Wednesdays, from all that was seen before the day; later runs of a day return what was said.
    """
    with failing_clearly():
        frames = {
            str(each): review_experiments(each, ledger=ledger, clock=clock, calendar=settings.calendar)
            for each in days_of(context)
        }
    pairs = together(frames)
    lifts = (pairs["log_lift"].map(math.expm1) * 100).set_axis(pairs["arm_b"] + " over " + pairs["arm_a"])
    return dg.Output(
        frames,
        metadata={
            "decided": int(pairs["decision"].ne("continue").sum()),
            "lift": bar_plot(lifts, title="Click-through rate of one over the other", text="{:+.0f} %".format),
        },
    )


def _decided(
    context: dg.AssetExecutionContext, ledger: Ledger, clock: Clock, settings: Settings, *, subject: str | None = None
) -> dg.Output[Frames]:
    """The evenings' judgements about one subject, or all. Whichever asset asks first has the evening decide."""
    with failing_clearly():
        evenings = {
            str(each): decide_strategy(each, ledger=ledger, clock=clock, calendar=settings.calendar, seed=settings.seed)
            for each in days_of(context)
        }
    frames = {
        key: evening.decisions
        if subject is None
        else evening.decisions[evening.decisions["subject"] == subject].reset_index(drop=True)
        for key, evening in evenings.items()
    }
    decisions = together(frames)
    expected = decisions.set_index("key")["profit_per_piece_micros"].sort_values(ascending=False)
    return dg.Output(
        frames,
        metadata={
            "moved": int(decisions["weight_after"].sub(decisions["weight_before"]).abs().gt(0.01).sum()),
            "expected_profit": bar_plot(expected, title="Expected profit per mature piece", text=in_dollars),
            "reasons": listing(decisions["reason"]),
        },
    )


@dg.asset(
    partitions_def=day,
    deps=["roi"],
    group_name=_GROUP,
    kinds={"python", "parquet"},
    owners=_OWNERS,
    io_manager_key="lake",
    dagster_type=to_dagster_type(Decisions),
)
def niche_verdicts(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    clock: dg.ResourceParam[Clock],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """Which niches are worth more or less of the plan, with the evidence. One row per niche; free.

    Judged once per evening together with everything else; later runs return what was judged.
    """
    return _decided(context, ledger, clock, settings, subject="niche")


@dg.asset(
    partitions_def=day,
    deps=["roi"],
    group_name=_GROUP,
    kinds={"python", "parquet"},
    owners=_OWNERS,
    io_manager_key="lake",
    dagster_type=to_dagster_type(Decisions),
)
def platform_allocation(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    clock: dg.ResourceParam[Clock],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """What each platform's pieces earn; the slate itself stays the owner's. One row per platform; free.

    Judged once per evening together with everything else; later runs return what was judged.
    """
    return _decided(context, ledger, clock, settings, subject="platform")


@dg.asset(
    partitions_def=day,
    deps=["roi", "niche_verdicts", "platform_allocation"],
    group_name=_GROUP,
    kinds={"python", "parquet"},
    owners=_OWNERS,
    io_manager_key="lake",
    dagster_type=to_dagster_type(Decisions),
)
def strategy_decision(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    clock: dg.ResourceParam[Clock],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """What the evening decided about prompt versions, niches and platforms. One row per decision; free.

    Decided once per day and in force from the next midnight; later runs return what was decided.
    """
    return _decided(context, ledger, clock, settings)


@dg.asset(
    partitions_def=prompt_version,
    deps=[dg.AssetDep("roi", partition_mapping=dg.AllPartitionMapping())],
    group_name=_GROUP,
    kinds={"python", "parquet"},
    owners=_OWNERS,
    io_manager_key="lake",
    dagster_type=to_dagster_type(PromptScorecards),
)
def prompt_scorecards(context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Ledger]) -> dg.Output[Frames]:
    """What a prompt version cost and earned so far. One row per version.

    As of its run, every evening; nothing depends on it. Free.
    """
    with failing_clearly():
        traces = {key: trace_prompt(key, ledger=ledger) for key in context.partition_keys}
    frames: Frames = {
        key: PromptScorecards.validate(
            pd.DataFrame(
                [
                    {"prompt_version": key, "pieces": len(trace["pieces"]), "conversions": len(trace["conversions"])}
                    | {name: trace[name] for name in ("views", "clicks", "commission_micros", "cost_micros")}
                    | {"profit_micros": trace["profit_micros"]}
                ]
            )
        )
        for key, trace in traces.items()
    }
    profit = sum(trace["profit_micros"] for trace in traces.values())
    return dg.Output(frames, metadata={"profit_usd": float(from_micros(profit))})
