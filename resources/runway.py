"""Runway: clips, by the second provider."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.runway import RunwayClient


class RunwayResource(dg.ConfigurableResource[RunwayClient]):
    """Runway's clips. The key comes from the settings, so that no configuration page shows it."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[RunwayClient]:
        key = partial(self.settings.secret, "runway")
        client = RunwayClient(self.settings.vendor_url("runway"), key, timeout=self.timeout_seconds)
        try:
            yield client
        finally:
            client.close()
