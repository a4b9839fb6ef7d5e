"""The owner, as far as alerts reach them."""

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.owner import OwnerClient


class OwnerResource(dg.ConfigurableResource[OwnerClient]):
    """The addresses of EMPIRE_ALERT_URLS, which may be none; the same in the sandbox."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 5.0

    def create_resource(self, context: dg.InitResourceContext) -> OwnerClient:
        return OwnerClient(self.settings.alert_addresses, timeout=self.timeout_seconds)
