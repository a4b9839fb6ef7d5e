"""fal: clips by Pika."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.fal import FalClient


class FalResource(dg.ConfigurableResource[FalClient]):
    """Pika's clips through fal's queue. The key comes from the settings, so that no configuration page shows it."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[FalClient]:
        key = partial(self.settings.secret, "fal")
        client = FalClient(self.settings.vendor_url("fal"), key, timeout=self.timeout_seconds)
        try:
            yield client
        finally:
            client.close()
