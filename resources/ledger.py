"""The ledger: PostgreSQL, embedded or at ``DATABASE_URL``."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.ledger import Ledger, open_ledger
from affiliate_empire.settings import Settings


class LedgerResource(dg.ConfigurableResource[Ledger]):
    """The home's ledger, opened and migrated for the length of a run."""

    settings: dg.ResourceDependency[Settings]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Ledger]:
        url = self.settings.database_url
        ledger = open_ledger(self.settings.home_path, url.get_secret_value() if url else None, self.settings.mode)
        try:
            yield ledger
        finally:
            ledger.dispose()
