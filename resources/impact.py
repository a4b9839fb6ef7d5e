"""Impact: programmes, catalogue, tracking links, actions."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.impact import ImpactClient


class ImpactResource(dg.ConfigurableResource[ImpactClient]):
    """Impact's Partner API for the account the settings name."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 30.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[ImpactClient]:
        client = ImpactClient(
            self.settings.vendor_url("impact"),
            account_sid=self.settings.secret("impact_account_sid"),
            auth_token=self.settings.secret("impact_auth_token"),
            timeout=self.timeout_seconds,
        )
        try:
            yield client
        finally:
            client.close()
