"""Instagram: Reels and insights, by professional account, with tokens that are extended in the vault."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants, instagram_sign_in
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.instagram import InstagramClient, InstagramOAuth


class InstagramResource(dg.ConfigurableResource[PerAccount[InstagramClient]]):
    """The Graph API, a client for each account. Tokens are extended where the settings name the Meta app."""

    settings: dg.ResourceDependency[Settings]
    grants: dg.ResourceDependency[Grants]
    clock: dg.ResourceDependency[Clock]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[PerAccount[InstagramClient]]:
        settings = self.settings
        url, secret = settings.vendor_url("instagram"), settings.secret
        oauth = InstagramOAuth(url, app_id=lambda: secret("meta_app_id"), app_secret=lambda: secret("meta_app_secret"))

        def open_client(account_id: str) -> InstagramClient:
            return InstagramClient(
                url,
                settings.vendor_url("instagram_upload"),
                credentials=instagram_sign_in(
                    account_id, self.grants, oauth=oauth if settings.has_meta_app else None, clock=self.clock
                ),
                clock=self.clock,
                timeout=self.timeout_seconds,
            )

        clients = PerAccount(open_client, close=InstagramClient.close)
        try:
            yield clients
        finally:
            clients.close()
