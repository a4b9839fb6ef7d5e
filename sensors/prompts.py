"""A prompt version was added to the library: records it, so that it is a partition and can be planned."""

from __future__ import annotations

from typing import Any

import dagster as dg

from affiliate_empire.prompts import load_library
from assets.partitions import prompt_version


def prompt_version_added(job: Any, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        job=job,
        name="prompt_version_added",
        minimum_interval_seconds=300,
        default_status=status,
        description="The library holds a prompt version that is not recorded yet: records it. Looks every 5 minutes.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known = set(context.instance.get_dynamic_partitions("prompt_versions"))
        new = [template.prompt_version for template in load_library() if template.prompt_version not in known]
        if not new:
            return dg.SensorResult([], skip_reason="Every prompt version is recorded.")
        return dg.SensorResult(
            [dg.RunRequest(run_key=name, partition_key=name) for name in new],
            dynamic_partitions_requests=[prompt_version.build_add_request(new)],
        )

    return tick
