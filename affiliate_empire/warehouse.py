"""The warehouse: dbt on DuckDB over the lake's Parquet files, in this process.

A rebuildable derivative: each build reads the files it is given and leaves the models of the days asked for in one
DuckDB file under the home. dbt is imported when a build begins, never before; its parsed manifest is kept under the
home and made anew when a source of the project or dbt itself changes. What the models mean stands in ``dbt_models/``;
which of their rows become lake partitions is the assets' business.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.lake import Lake

_REF = re.compile(r"""\{\{\s*(ref|lake)\(\s*['"](\w+)['"]\s*\)\s*\}\}""")


class WarehouseBroken(EmpireError):
    """dbt could not parse or run the project."""


@dataclass(frozen=True)
class Model:
    """A dbt model as its files state it. ``columns`` maps a name to (type, description)."""

    name: str
    layer: str  # staging | intermediate | marts
    description: str
    columns: dict[str, tuple[str, str]]  # name → type and description
    models: tuple[str, ...]  # upstream models
    sources: tuple[str, ...]  # upstream lake assets
    partition_column: str | None
    owner: str | None


@dataclass(frozen=True)
class TestOutcome:
    """One dbt test, filed under the last model it reads."""

    name: str
    model: str
    passed: bool
    message: str


@dataclass
class BuildReport:
    """What a build did: seconds per model built, models skipped behind a failed test, all tests."""

    seconds: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    tests: list[TestOutcome] = field(default_factory=list)


def load_models(project: Path) -> list[Model]:
    """The project's models in build order, read from its ``.yml`` and ``.sql`` files without dbt.

    A test holds the result equal to dbt's own manifest.
    """
    import yaml

    found: dict[str, Model] = {}
    for sql in sorted(project.glob("models/**/*.sql")):
        (stated,) = yaml.safe_load(sql.with_suffix(".yml").read_text("utf-8"))["models"]
        meta = stated.get("config", {}).get("meta", {})
        calls = _REF.findall(sql.read_text("utf-8"))
        found[sql.stem] = Model(
            name=sql.stem,
            layer=sql.parent.name,
            description=" ".join(stated["description"].split()),
            columns={each["name"]: (each["data_type"], each["description"]) for each in stated["columns"]},
            models=tuple(sorted({name for call, name in calls if call == "ref"})),
            sources=tuple(sorted({name for call, name in calls if call == "lake"})),
            partition_column=meta.get("partition_column"),
            owner=meta.get("owner"),
        )
    ordered: dict[str, Model] = {}
    while len(ordered) < len(found):
        ready = [m for name, m in found.items() if name not in ordered and all(up in ordered for up in m.models)]
        if not ready:
            raise WarehouseBroken(
                f"The dbt models {sorted(found.keys() - ordered.keys())} depend on each other in a circle."
            )
        ordered |= {model.name: model for model in ready}
    return list(ordered.values())


class Warehouse:
    """One DuckDB file and dbt's state in ``folder``, built from the dbt project in ``project``."""

    def __init__(self, folder: Path, project: Path) -> None:
        self._folder = folder
        self._project = project

    @property
    def file(self) -> Path:
        return self._folder / "warehouse.duckdb"

    @cached_property
    def models(self) -> list[Model]:
        return load_models(self._project)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the DuckDB file for this process: DuckDB lets one process write, and fails the second at once."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "warehouse.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def build(
        self,
        models: Sequence[str],
        *,
        first_day: date,
        last_day: date,
        restated_days: int,
        lake: Mapping[str, Sequence[str]],
        empty: Mapping[str, pd.DataFrame],
    ) -> tuple[BuildReport, dict[str, pd.DataFrame]]:
        """Builds and tests models for a range of days.

        Args:
            models: names of the models to build; their upstream views are always defined anew.
            first_day: first day to restate.
            last_day: last day to restate.
            restated_days: how long a day's books are open: what happened later is of no cohort any more.
            lake: for each source the Parquet files to read; may be none.
            empty: for each source a frame without rows that has its columns, for a source without any file.

        Returns:
            The report, and the rows of the marts that were built.

        Raises:
            WarehouseBroken: a model does not run; the message is dbt's.
        """
        variables = {
            "first_day": first_day.isoformat(),
            "last_day": last_day.isoformat(),
            "restated_days": restated_days,
            "lake": {source: [self._empty(source, empty[source]), *paths] for source, paths in lake.items()},
        }
        # A test that reads more models than these has nothing to say about them: "cautious".
        scope = ["--exclude-resource-type", "unit_test", "--indirect-selection", "cautious"]
        with self.locked():
            try:
                results = self._dbt(["build", *scope, "--select", *(f"+{name}" for name in models)], variables)
            finally:
                _close_duckdb()
            report = self._report(results)
            built = [
                m.name for m in self.models if m.layer == "marts" and m.name in report.seconds and m.name in models
            ]
            return report, self._read(built)

    def run_unit_tests(self) -> dict[str, tuple[bool, str]]:
        """dbt's unit tests: name → (passed, message). They run on rows of their own, so no lake is needed."""
        with self.locked():
            try:
                results = self._dbt(["test", "--select", "test_type:unit"], {})
            finally:
                _close_duckdb()
        return {r.node.name: (str(r.status) == "pass", r.message or "") for r in results}

    def dependencies(self) -> dict[str, tuple[set[str], set[str]]]:
        """By dbt's own manifest: model → (upstream models, upstream sources)."""
        manifest = self._manifest()
        return {
            node.name: (
                {manifest.nodes[key].name for key in node.depends_on.nodes if key in manifest.nodes},
                {manifest.sources[key].name for key in node.depends_on.nodes if key in manifest.sources},
            )
            for node in manifest.nodes.values()
            if node.resource_type == "model"
        }

    def _empty(self, source: str, frame: pd.DataFrame) -> str:
        return str(Lake(self._folder / "empty").write(source, None, frame))

    # ------------------------------------------------------------------ dbt
    def _dbt(self, arguments: list[str], variables: Mapping[str, Any]) -> Any:
        from dbt.cli.main import dbtRunner

        return self._invoke(dbtRunner(manifest=self._manifest()), arguments, variables).results

    def _invoke(self, runner: Any, arguments: list[str], variables: Mapping[str, Any]) -> Any:
        options = [
            *("--project-dir", str(self._project), "--profiles-dir", str(self._project)),
            *("--target-path", str(self._folder / "target")),
            *("--vars", json.dumps({"warehouse": str(self.file), **variables})),
        ]
        quiet = [
            "--quiet",
            "--no-send-anonymous-usage-stats",
            "--log-path",
            str(self._folder / "logs"),
            "--log-level",
            "none",
        ]
        outcome = runner.invoke([*quiet, *arguments, *options])
        if outcome.exception is not None:
            raise WarehouseBroken(f"dbt {arguments[0]} failed: {outcome.exception}") from outcome.exception
        if outcome.result is None:
            raise WarehouseBroken(f"dbt {arguments[0]} failed; its log is in {self._folder / 'logs'}.")
        return outcome.result

    def _manifest(self) -> Any:
        """dbt's manifest: the kept one, or a fresh parse when the project or dbt changed since."""
        from dbt.cli.main import dbtRunner
        from dbt.contracts.graph.manifest import Manifest
        from dbt.parser.manifest import extended_mashumaro_encoder, extended_mashumuro_decoder

        kept = self._folder / "manifests" / f"{self._sources_sha256()}.msgpack"
        if kept.exists():
            return Manifest.from_msgpack(kept.read_bytes(), decoder=extended_mashumuro_decoder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        for stale in kept.parent.iterdir():
            stale.unlink()
        manifest = self._invoke(dbtRunner(), ["parse", "--no-partial-parse"], {})
        partial = kept.with_suffix(".partial")
        partial.write_bytes(manifest.to_msgpack(extended_mashumaro_encoder))
        partial.replace(kept)
        return manifest

    def _sources_sha256(self) -> str:
        digest = sha256(f"{version('dbt-core')} {version('dbt-duckdb')} {self._project}".encode())
        for path in sorted(self._project.rglob("*")):
            if path.suffix in (".sql", ".yml") and path.is_file():
                digest.update(str(path.relative_to(self._project)).encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def _report(self, results: Any) -> BuildReport:
        report = BuildReport()
        order = {model.name: position for position, model in enumerate(self.models)}
        for result in results:
            node, status = result.node, str(result.status)
            if node.resource_type == "model":
                if status == "success":
                    report.seconds[node.name] = result.execution_time
                elif status == "skipped":
                    report.skipped.append(node.name)
                else:
                    raise WarehouseBroken(f"dbt model {node.name} failed: {result.message}")
            elif node.resource_type == "test" and status != "skipped":
                if status == "error":
                    raise WarehouseBroken(f"dbt test {node.name} failed to run: {result.message}")
                read = [key.split(".")[-1] for key in node.depends_on.nodes if key.startswith("model.")]
                last = max(read, key=lambda name: order[name])
                report.tests.append(TestOutcome(node.name, last, status == "pass", result.message or ""))
        return report

    def _read(self, marts: Sequence[str]) -> dict[str, pd.DataFrame]:
        import duckdb

        with duckdb.connect(str(self.file)) as connection:
            connection.execute("set timezone = 'UTC'")
            tables = {mart: connection.table(f"build.{mart}").to_arrow_table() for mart in marts}
        # Days keep their type, which Python's dates lose in a frame without rows.
        days = {pa.date32(): pd.ArrowDtype(pa.date32())}
        return {mart: table.to_pandas(types_mapper=days.get) for mart, table in tables.items()}


def _close_duckdb() -> None:
    """dbt-duckdb keeps the file open after a build, and with it the lock that other processes wait for."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    environment = DuckDBConnectionManager._ENV
    DuckDBConnectionManager.close_all_connections()
    if environment is not None:
        environment.close()
