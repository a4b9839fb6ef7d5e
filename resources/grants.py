"""What the owners of accounts granted: kept in the vault, or for the first account of a platform in the settings."""

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants, Vault


class GrantsResource(dg.ConfigurableResource[Grants]):
    """The grants of all accounts; the platforms' clients ask them."""

    settings: dg.ResourceDependency[Settings]
    vault: dg.ResourceDependency[Vault]
    clock: dg.ResourceDependency[Clock]

    def create_resource(self, context: dg.InitResourceContext) -> Grants:
        grants = Grants(self.vault, given=self.settings.grant_of, clock=self.clock)
        grants.adopt("tiktok", "tiktok")  # its name while a platform had one account
        return grants
