"""Every sensor, with the jobs that it may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from affiliate_empire.settings import Settings
from sensors.alerts import alerts_untold
from sensors.budgets import budget_exceeded
from sensors.conversions import late_conversions
from sensors.emergencies import emergency_reoptimization
from sensors.failures import run_failed
from sensors.prompts import prompt_version_added
from sensors.publications import publications_due
from sensors.stages import stages_overdue


def build_sensors(settings: Settings, jobs: Mapping[str, Any]) -> list[dg.SensorDefinition]:
    """Every sensor; running from the start only on autopilot.

    Args:
        settings: whether it is on autopilot.
        jobs: every job by name.
    """
    status = dg.DefaultSensorStatus.RUNNING if settings.autopilot else dg.DefaultSensorStatus.STOPPED
    return [
        publications_due(jobs["publish_pieces"], status),
        stages_overdue(jobs, status),
        late_conversions(jobs["restate_roi"], status),
        emergency_reoptimization(jobs, status),
        budget_exceeded(status),
        alerts_untold(status),
        prompt_version_added(jobs["record_prompts"], status),
        run_failed(status),
    ]
