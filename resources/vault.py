"""The vault: stored credentials, encrypted with the home's master key."""

import dagster as dg

from affiliate_empire.ledger import Ledger
from affiliate_empire.settings import Settings
from affiliate_empire.vault import MasterKeys, Vault, open_master_keys


class VaultResource(dg.ConfigurableResource[Vault]):
    """Credentials in the ledger. The master key is opened when the first one is needed."""

    settings: dg.ResourceDependency[Settings]
    ledger: dg.ResourceDependency[Ledger]

    def create_resource(self, context: dg.InitResourceContext) -> Vault:
        settings = self.settings

        def keys() -> MasterKeys:
            given = settings.master_key
            return open_master_keys(settings.home_path, given.get_secret_value() if given else None)

        return Vault(self.ledger, keys)
