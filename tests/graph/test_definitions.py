"""The graph loads anywhere, quickly and without a trace, and is the one that was agreed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.partitions import DAY_OF_PLATFORM, FIRST_DAY, SINCE, UNTIL, day, day_and_platform
from definitions import ASSETS, JOBS, labelled
from tests.graph.graph import SNAPSHOT, definitions, described

REPOSITORY = Path(__file__).parents[2]
HEAVY = ("openai", "anthropic", "sklearn", "dbt", "googleapiclient", "elevenlabs", "duckdb", "plotly", "PIL", "scipy")
_PROBE = f"""
import json, sys
import definitions
heavy = [name for name in {HEAVY!r} if name in sys.modules]
loaded = definitions.defs()
import affiliate_empire, assets, resources, schedules, sensors
ours = (affiliate_empire, assets, resources, schedules, sensors, definitions)
print(json.dumps({{
    "heavy": heavy,
    "heavy_after_load": [name for name in {HEAVY!r} if name in sys.modules],
    "packages": {{m.__name__: m.__file__ for m in ours}},
    "assets": len(loaded.resolve_asset_graph().get_all_asset_keys()),
}}))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a fresh process with an empty environment finds after it loaded the definitions."""
    folder = tmp_path_factory.mktemp("elsewhere")
    before = _files(REPOSITORY)
    done = subprocess.run(
        [sys.executable, "-c", _PROBE],
        cwd=folder,
        env={"PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = [str(path) for path in folder.rglob("*")] + sorted(_files(REPOSITORY) - before)
    return json.loads(done.stdout) | {"written": written}


def _files(root: Path) -> set[str]:
    """The repository's own files; other tests and tools keep theirs in folders that begin with a dot."""
    found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in ("__pycache__", "tests")]
        found |= {os.path.join(folder, name) for name in names}
    return found


def test_definitions_load_in_an_empty_environment(loaded: dict[str, object]) -> None:
    assert loaded["assets"] == len(json.loads(SNAPSHOT.read_text("utf-8"))["assets"])


def test_nothing_is_written_at_load(loaded: dict[str, object]) -> None:
    assert loaded["written"] == []


def test_nothing_heavy_is_imported_before_it_is_needed(loaded: dict[str, object]) -> None:
    assert loaded["heavy"] == []
    assert loaded["heavy_after_load"] == []


def test_the_packages_are_those_of_this_repository(loaded: dict[str, object]) -> None:
    packages = loaded["packages"]
    assert isinstance(packages, dict)
    assert {name for name, file in packages.items() if REPOSITORY not in Path(file).resolve().parents} == set()
    assert not (REPOSITORY / "tests" / "assets").exists()  # pytest would find it first


def test_the_graph_is_the_agreed_one() -> None:
    """After a deliberate change: ``python -m tests.graph.graph``."""
    assert described(definitions()) == json.loads(SNAPSHOT.read_text("utf-8"))


def test_the_graph_has_no_circle() -> None:
    defs = definitions()
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    # ``validate_loadable`` passes a circle through specs' deps; sorting does not.
    sorted_keys = [key for level in graph.toposorted_asset_keys_by_level for key in level]
    assert set(sorted_keys) == set(graph.get_all_asset_keys())
    assert len(sorted_keys) == len(set(sorted_keys))


def test_every_asset_is_worth_looking_at() -> None:
    graph = definitions().resolve_asset_graph()
    poor = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        lacks = [name for name in ("description", "owners", "kinds", "group_name") if not getattr(node, name)]
        if node.group_name == "default":
            lacks.append("group")
        if (
            node.partitions_def
            and key.to_user_string() not in ("daily_report", "weekly_report")
            and _schema(node, key) is None
        ):
            lacks.append("table schema")
        lacks += [f"description of {name}" for name in _undescribed(node, key)]
        if node.tags.get("world") != "SIMULATED":
            lacks.append("world")
        if lacks:
            poor[key.to_user_string()] = lacks
    assert poor == {}


def _schema(node: object, key: dg.AssetKey) -> dg.TableSchema | None:
    (owner,) = [each for each in ASSETS if key in each.keys]
    metadata = [node.metadata, *(output.dagster_type.metadata for output in owner.op.output_defs)]  # type: ignore[attr-defined]
    found = [each["dagster/column_schema"] for each in metadata if "dagster/column_schema" in each]
    return getattr(found[0], "value", found[0]) if found else None


def _undescribed(node: object, key: dg.AssetKey) -> list[str]:
    schema = _schema(node, key)
    return [column.name for column in schema.columns if not column.description] if schema else []


@pytest.mark.parametrize("label", ["SIMULATED", "LIVE"])
def test_every_asset_says_which_world_its_numbers_are_of(label: str) -> None:
    assets = labelled(ASSETS, label)
    assert {spec.tags["world"] for asset in assets for spec in asset.specs} == {label}


def test_whatever_runs_says_what_it_does() -> None:
    repository = definitions().get_repository_def()
    jobs = [repository.get_job(name) for name in JOBS]
    named: list[Any] = [*jobs, *repository.schedule_defs, *repository.sensor_defs]
    assert [each.name for each in named if len(each.description or "") < 40] == []


def test_a_group_is_a_module_of_assets() -> None:
    groups = {asset["group"] for asset in json.loads(SNAPSHOT.read_text("utf-8"))["assets"].values()}
    assert {group for group in groups if not (REPOSITORY / "assets" / f"{group}.py").exists()} == set()


def _upstream(mapping: dg.PartitionMapping, key: str, upstream: dg.PartitionsDefinition) -> list[str]:
    subset = day.subset_with_partition_keys([key])
    mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(subset, day, upstream)
    return sorted(mapped.partitions_subset.get_partition_keys())


def test_a_cohort_reads_its_money_for_sixty_days_and_the_calendar_looks_back() -> None:
    today, old = day.get_last_partition_key(), "2024-06-01"
    assert today is not None
    assert _upstream(SINCE, today, day) == [today]
    restated = _upstream(SINCE, old, day)
    assert (restated[0], restated[-1], len(restated)) == (old, "2024-07-31", 61)
    looked_back = _upstream(UNTIL, old, day)
    assert (looked_back[0], looked_back[-1], len(looked_back)) == ("2024-04-02", old, 61)
    assert _upstream(UNTIL, str(FIRST_DAY), day) == [str(FIRST_DAY)]


def test_a_days_posts_are_those_of_all_platforms_and_stem_from_its_videos() -> None:
    assert _upstream(DAY_OF_PLATFORM, "2024-06-01", day_and_platform) == [
        f"2024-06-01|{platform}" for platform in ("blog", "instagram", "tiktok", "youtube")
    ]
    subset = day_and_platform.subset_with_partition_keys(
        [dg.MultiPartitionKey({"day": "2024-06-01", "platform": "blog"})]
    )
    mapped = DAY_OF_PLATFORM.get_upstream_mapped_partitions_result_for_partitions(subset, day_and_platform, day)
    assert list(mapped.partitions_subset.get_partition_keys()) == ["2024-06-01"]


def test_days_are_counted_in_the_owners_timezone_and_from_the_owners_first_day() -> None:
    from datetime import date

    from affiliate_empire.settings import Settings
    from definitions import build_defs

    settings = Settings(_env_file=None, timezone="Europe/Berlin", first_day=date(2026, 3, 1))  # type: ignore[call-arg]
    graph = build_defs(settings).resolve_asset_graph()
    for key in ("products", "roi", "daily_report"):
        partitions = graph.get(dg.AssetKey(key)).partitions_def
        assert isinstance(partitions, dg.TimeWindowPartitionsDefinition)
        assert (partitions.timezone, partitions.get_first_partition_key()) == ("Europe/Berlin", "2026-03-01")
    posts = graph.get(dg.AssetKey("publications")).partitions_def
    assert isinstance(posts, dg.MultiPartitionsDefinition)
    assert posts.get_partitions_def_for_dimension("day").get_first_partition_key() == "2026-03-01"
