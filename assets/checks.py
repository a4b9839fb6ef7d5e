"""How a claim about money or law becomes an asset check; the claims are judged by ``operations.audit_day``."""

from __future__ import annotations

from datetime import date

import dagster as dg


def day_of(context: dg.AssetCheckExecutionContext) -> tuple[date | None, str | None]:
    """Day and platform of the run's partition; None where the check runs without one, which means all."""
    if not context.op_execution_context.has_partition_key:
        return None, None
    key = context.op_execution_context.partition_key
    if isinstance(key, dg.MultiPartitionKey):
        return date.fromisoformat(key.keys_by_dimension["day"]), key.keys_by_dimension["platform"]
    return date.fromisoformat(key), None


def claim_holds(problems: list[str]) -> dg.AssetCheckResult:
    """Passed when there are no problems; the problems are shown otherwise."""
    return dg.AssetCheckResult(
        passed=not problems,
        description="; ".join(problems[:5]) or None,
        metadata={"problems": dg.MetadataValue.json(problems)},
    )
