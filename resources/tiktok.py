"""TikTok: posts and counters of one creator, with tokens that rotate in the vault."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.settings import Settings
from affiliate_empire.vault import RotatingTokens, Vault
from affiliate_empire.vendors.tiktok import TikTokClient, TikTokOAuth


class TikTokResource(dg.ConfigurableResource[TikTokClient]):
    """TikTok's Content Posting API for the creator whose first refresh token the settings hold."""

    settings: dg.ResourceDependency[Settings]
    vault: dg.ResourceDependency[Vault]
    clock: dg.ResourceDependency[Clock]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[TikTokClient]:
        url, secret = self.settings.vendor_url("tiktok"), self.settings.secret
        oauth = TikTokOAuth(
            url,
            client_key=lambda: secret("tiktok_client_key"),
            client_secret=lambda: secret("tiktok_client_secret"),
        )
        tokens = RotatingTokens(
            self.vault,
            "tiktok",
            first=lambda: secret("tiktok_refresh_token"),
            refresh=oauth.refresh,
            clock=self.clock,
        )
        client = TikTokClient(url, tokens=tokens, clock=self.clock, timeout=self.timeout_seconds)
        try:
            yield client
        finally:
            client.close()
