"""Instagram: Reels and insights, by professional account."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.instagram import InstagramClient, InstagramCredentials
from resources.accounts import refuse_unconnected


class InstagramResource(dg.ConfigurableResource[PerAccount[InstagramClient]]):
    """The Graph API, a client for each account."""

    settings: dg.ResourceDependency[Settings]
    ledger: dg.ResourceDependency[Ledger]
    clock: dg.ResourceDependency[Clock]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[PerAccount[InstagramClient]]:
        def open_client(account_id: str) -> InstagramClient:
            refuse_unconnected(account_id, ledger=self.ledger)
            return InstagramClient(
                self.settings.vendor_url("instagram"),
                self.settings.vendor_url("instagram_upload"),
                credentials=lambda: InstagramCredentials(
                    self.settings.secret("instagram_user_id"), self.settings.secret("instagram_access_token")
                ),
                clock=self.clock,
                timeout=self.timeout_seconds,
            )

        clients = PerAccount(open_client, close=InstagramClient.close)
        try:
            yield clients
        finally:
            clients.close()
