"""TikTok: posts and counters, by creator, with tokens that rotate in the vault."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants, RotatingTokens
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.tiktok import TikTokClient, TikTokOAuth


class TikTokResource(dg.ConfigurableResource[PerAccount[TikTokClient]]):
    """TikTok's Content Posting API, a client for each account's creator."""

    settings: dg.ResourceDependency[Settings]
    grants: dg.ResourceDependency[Grants]
    clock: dg.ResourceDependency[Clock]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[PerAccount[TikTokClient]]:
        url, secret = self.settings.vendor_url("tiktok"), self.settings.secret
        oauth = TikTokOAuth(
            url,
            client_key=lambda: secret("tiktok_client_key"),
            client_secret=lambda: secret("tiktok_client_secret"),
        )

        def open_client(account_id: str) -> TikTokClient:
            self.grants.refuse_unconnected(account_id)
            tokens = RotatingTokens(self.grants, account_id, refresh=oauth.refresh, clock=self.clock)
            return TikTokClient(url, tokens=tokens, clock=self.clock, timeout=self.timeout_seconds)

        clients = PerAccount(open_client, close=TikTokClient.close)
        try:
            yield clients
        finally:
            clients.close()
