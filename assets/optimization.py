"""Optimization: what to make more of, decided from what pieces cost and earned, with the evidence."""

import dagster as dg
import pandas as pd

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.money import from_micros
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.decide_strategy import decide_strategy
from affiliate_empire.operations.trace_lineage import trace_prompt
from affiliate_empire.optimization import Decisions
from affiliate_empire.optimization.frames import PromptScorecards
from affiliate_empire.settings import Settings
from assets.partitions import day, prompt_version
from assets.steps import days_of, failing_clearly
from resources.lake import Frames, to_dagster_type


@dg.asset(
    partitions_def=day,
    deps=["roi"],
    group_name="optimization",
    kinds={"python", "parquet"},
    owners=["team:growth"],
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
    with failing_clearly():
        decided = {
            str(each): decide_strategy(each, ledger=ledger, clock=clock, calendar=settings.calendar, seed=settings.seed)
            for each in days_of(context)
        }
    reasons = "\n".join(f"- {reason}" for each in decided.values() for reason in each.reasons)
    return dg.Output(
        {key: each.decisions for key, each in decided.items()}, metadata={"reasons": dg.MetadataValue.md(reasons)}
    )


@dg.asset(
    partitions_def=prompt_version,
    deps=[dg.AssetDep("roi", partition_mapping=dg.AllPartitionMapping())],
    group_name="optimization",
    kinds={"python", "parquet"},
    owners=["team:growth"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(PromptScorecards),
)
def prompt_scorecards(context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Ledger]) -> dg.Output[Frames]:
    """What a prompt version cost and earned so far. One row per version; free; nothing depends on it."""
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
