"""The warehouse: dbt on DuckDB under the home."""

from pathlib import Path

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.warehouse import Warehouse

PROJECT = Path(__file__).parents[1] / "dbt_models"


class WarehouseResource(dg.ConfigurableResource[Warehouse]):
    """The home's DuckDB file, built by the models in ``dbt_models/``."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> Warehouse:
        return Warehouse(self.settings.home_path / "warehouse", PROJECT)
