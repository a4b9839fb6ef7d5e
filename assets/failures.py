"""What a person needs of a failed run: one sentence, read from its events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg

from affiliate_empire.vendors.errors import ReplyLost, VendorUnavailable

_OUTAGES = {VendorUnavailable.__name__, ReplyLost.__name__}


def reason_of(events: Iterable[dg.DagsterEvent]) -> str:
    """The failure's own sentence, or the check that did not hold."""
    known = list(events)
    for event in known:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            if not check.passed and check.blocking:
                asset = check.asset_key.to_python_identifier()
                return f"{check.check_name} does not hold for {asset}: {check.description}"
    for event in known:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return data.user_failure_data.description
            return _root_of(data.error)
    # Before any step: a resource could not be made, a process died.
    ends = [event.job_failure_data for event in known if event.event_type_value == "PIPELINE_FAILURE"]
    return _root_of(ends[0].error) if ends else "no step failed; see the run in the Dagster UI"


def events_of(run: dg.DagsterRun, instance: dg.DagsterInstance) -> list[dg.DagsterEvent]:
    """A stored run's events."""
    return [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event is not None]


def was_an_outage(run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    """Whether a run failed only because a vendor could not be reached: then another try makes sense."""
    failed = [event for event in events_of(run, instance) if event.is_step_failure]
    return bool(failed) and all(_names(event) & _OUTAGES for event in failed)


def _root_of(error: Any) -> str:
    """The message of an error's first cause."""
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else "no reason was given; see the run in the Dagster UI"


def _names(event: dg.DagsterEvent) -> set[str]:
    """The classes of an error and its causes."""
    names, error = set(), event.step_failure_data.error
    while error is not None:
        names.add(error.cls_name or "")
        error = error.cause
    return names
