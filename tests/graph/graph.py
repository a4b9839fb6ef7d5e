"""The graph as plain data: what the snapshot holds. ``python -m tests.graph.graph`` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg

from affiliate_empire.settings import Settings
from definitions import JOBS, build_defs

SNAPSHOT = Path(__file__).with_name("graph.json")


def definitions() -> dg.Definitions:
    """The definitions by default settings, whatever this machine's ``.env`` says."""
    return build_defs(Settings(_env_file=None))  # type: ignore[call-arg]


def described(defs: dg.Definitions) -> dict[str, Any]:
    """Keys, dependencies, groups, kinds, partitions, checks; jobs; what ticks."""
    graph = defs.resolve_asset_graph()
    assets = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "partitions": _partitions(node.partitions_def),
            "checks": sorted(check.name for check in node.check_keys),
            "deps": {
                parent.to_user_string(): _mapping(graph.get_partition_mapping(key, parent))
                for parent in sorted(node.parent_keys)
            },
        }
    repository = defs.get_repository_def()
    return {
        "assets": dict(sorted(assets.items())),
        "jobs": {
            name: sorted(key.to_user_string() for key in defs.resolve_job_def(name).asset_layer.selected_asset_keys)
            for name in JOBS
        },
        "schedules": {
            schedule.name: f"{schedule.cron_schedule} {schedule.execution_timezone} {schedule.job_name}"
            for schedule in sorted(repository.schedule_defs, key=lambda each: each.name)
        },
        "sensors": {
            sensor.name: {
                "seconds": sensor.minimum_interval_seconds,
                "jobs": sorted({t.job_name for t in sensor.targets}),
            }
            for sensor in sorted(repository.sensor_defs, key=lambda each: each.name)
        },
    }


def _partitions(definition: dg.PartitionsDefinition | None) -> str:
    match definition:
        case None:
            return ""
        case dg.MultiPartitionsDefinition():
            return " × ".join(dimension.name for dimension in definition.partitions_defs)
        case dg.DynamicPartitionsDefinition():
            return f"dynamic {definition.name}"
        case dg.TimeWindowPartitionsDefinition():
            return f"{definition.schedule_type.value.lower()} {definition.timezone}, {definition.end_offset:+}"
    raise AssertionError(definition)


def _mapping(mapping: dg.PartitionMapping) -> str:
    if isinstance(mapping, dg.TimeWindowPartitionMapping):
        same = mapping.start_offset == mapping.end_offset == 0
        return "same" if same else f"{mapping.start_offset:+}…{mapping.end_offset:+}"
    return type(mapping).__name__.removesuffix("PartitionMapping")


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(described(definitions()), indent=1, ensure_ascii=False) + "\n", "utf-8")
