"""The European Central Bank's reference rates."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.ecb import ECBClient


class ECBResource(dg.ConfigurableResource[ECBClient]):
    """The euro reference rates; public, without a key."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 30.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[ECBClient]:
        client = ECBClient(self.settings.vendor_url("ecb"), timeout=self.timeout_seconds)
        try:
            yield client
        finally:
            client.close()
