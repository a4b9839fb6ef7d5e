"""``python -m dbt_models.check``: dbt parses the project anew, and finds the graph that Dagster shows without dbt."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from affiliate_empire.warehouse import Warehouse, load_models

PROJECT = Path(__file__).parent


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        by_dbt = Warehouse(Path(folder), PROJECT).dependencies()
    read = {model.name: (set(model.models), set(model.sources)) for model in load_models(PROJECT)}
    for name in sorted(by_dbt.keys() | read.keys()):
        if by_dbt.get(name) != read.get(name):
            print(f"{name}: dbt depends on {by_dbt.get(name)}, the assets on {read.get(name)}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
