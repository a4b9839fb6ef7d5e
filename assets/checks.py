"""How a claim about money or law becomes an asset check; the claims are judged by ``operations.audit_day``."""

from __future__ import annotations

from datetime import date

import dagster as dg

_TOLD = 5  # problems in a check's own sentence; the metadata hold all


def day_of(context: dg.AssetCheckExecutionContext) -> tuple[date | None, str | None]:
    """Day and platform of the run's partition; None where the check runs without one, which means all."""
    if not context.op_execution_context.has_partition_key:
        return None, None
    key = context.op_execution_context.partition_key
    if isinstance(key, dg.MultiPartitionKey):
        return date.fromisoformat(key.keys_by_dimension["day"]), key.keys_by_dimension["platform"]
    return date.fromisoformat(key), None


def claim_holds(problems: list[str], *, looked_at: str, remedy: str) -> dg.AssetCheckResult:
    """Passed when there are no problems; otherwise they are told, with what the owner can do.

    Args:
        problems: a sentence each, with the piece or account it is about.
        looked_at: what was judged, with its number.
        remedy: what to do about a problem, one sentence.
    """
    told = "; ".join(problems[:_TOLD]) + (f"; and {len(problems) - _TOLD} more." if len(problems) > _TOLD else "")
    return dg.AssetCheckResult(
        passed=not problems,
        description=f"{told} → {remedy}" if problems else f"It holds of {looked_at}.",
        metadata={"looked_at": looked_at, "problems": dg.MetadataValue.json(problems)},
    )
