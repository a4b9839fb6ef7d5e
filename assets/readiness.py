"""Whether a stage of the timetable may begin: read off the graph's dependencies and the instance's records.

Which stages there are and when they are due is ``affiliate_empire.planning.timetable``'s. Nothing is started here.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any

import dagster as dg
from dagster import AssetKey, DagsterInstance

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
PARTITION = "dagster/partition"
# Google may answer nobody for days: what is made from these goes on with the last ones, or without.
DISPENSABLE = {AssetKey("trend_signals"), AssetKey("trending_topics")}


class Readiness:
    """What one tick wants to know of a job's partition. Reads each asset's records once."""

    def __init__(self, repository: dg.RepositoryDefinition | None, instance: DagsterInstance) -> None:
        if repository is None:
            raise dg.DagsterInvariantViolationError("A tick needs the repository: Dagster gives it to real ones.")
        self._graph = repository.asset_graph
        self._repository = repository
        self._instance = instance
        self._done: dict[AssetKey, Set[str]] = {}

    def is_done(self, job: str, partitions: Iterable[str]) -> bool:
        """Whether all of a job's partitioned assets are materialized for one of the partitions."""
        keys = [key for key in self._keys(job) if self._partitions(key) is not None]
        return any(all(partition in self._materialized(key) for key in keys) for partition in partitions)

    def missing_inputs(self, job: str, partition: str) -> list[str]:
        """The assets that a job's partition waits for, by name; empty when it may begin.

        Of an upstream asset with days, that very day is needed; of one with weeks or prompt versions, anything at all:
        a day reads the newest from the ledger. Posts are made all day long, so nothing waits for all of them; and what
        can be done without is waited for by nobody.
        """
        mine = self._keys(job)
        parents = {parent for key in mine for parent in self._graph.get(key).parent_keys} - mine - DISPENSABLE
        return sorted(parent.to_python_identifier() for parent in parents if not self._is_there(parent, partition))

    def is_under_way(self, job: str, partition: str) -> bool:
        """Whether a run that makes some of a job's assets for the partition waits or runs, whoever asked for it."""
        runs = self._instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags={PARTITION: partition}))
        return any(bool(self._made_by(run) & self._keys(job)) for run in runs)

    def failures(self, job: str, partition: str) -> list[dg.DagsterRun]:
        """The failed runs of a job's partition, newest first."""
        return list(
            self._instance.get_runs(
                dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.FAILURE], tags={PARTITION: partition})
            )
        )

    def ended_well(self, job: str, partition: str) -> bool:
        """Whether the last run of a job's partition that ended did so without a failure."""
        ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
        filters = dg.RunsFilter(job_name=job, statuses=ended, tags={PARTITION: partition})
        return [run.status for run in self._instance.get_runs(filters, limit=1)] == ended[:1]

    def _made_by(self, run: dg.DagsterRun) -> Set[AssetKey]:
        known = self._repository.has_job(run.job_name)
        return run.asset_selection or (self._keys(run.job_name) if known else frozenset())

    def _keys(self, job: str) -> Set[AssetKey]:
        return self._repository.get_job(job).asset_layer.selected_asset_keys

    def _partitions(self, key: AssetKey) -> dg.PartitionsDefinition[Any] | None:
        node = self._graph.get(key)
        return node.partitions_def if node.is_materializable else None

    def _is_there(self, key: AssetKey, partition: str) -> bool:
        definition = self._partitions(key)
        if definition is None or isinstance(definition, dg.MultiPartitionsDefinition):
            return True
        if isinstance(definition, dg.DailyPartitionsDefinition):
            return partition in self._materialized(key)
        return bool(self._materialized(key))

    def _materialized(self, key: AssetKey) -> Set[str]:
        if key not in self._done:
            self._done[key] = self._instance.get_materialized_partitions(key)
        return self._done[key]
