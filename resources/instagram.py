"""Instagram: Reels and insights, by professional account, with tokens that are extended in the vault."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.settings import Settings
from affiliate_empire.vault import ExtendedToken, Grants
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.instagram import InstagramClient, InstagramCredentials, InstagramOAuth


class InstagramResource(dg.ConfigurableResource[PerAccount[InstagramClient]]):
    """The Graph API, a client for each account. Tokens are extended where the settings name the Meta app."""

    settings: dg.ResourceDependency[Settings]
    grants: dg.ResourceDependency[Grants]
    clock: dg.ResourceDependency[Clock]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[PerAccount[InstagramClient]]:
        settings, grants = self.settings, self.grants
        url, secret = settings.vendor_url("instagram"), settings.secret
        oauth = InstagramOAuth(url, app_id=lambda: secret("meta_app_id"), app_secret=lambda: secret("meta_app_secret"))
        extend = oauth.extend if settings.has_meta_app else None

        def open_client(account_id: str) -> InstagramClient:
            grants.refuse_unconnected(account_id)
            in_force = ExtendedToken(grants, account_id, extend=extend, clock=self.clock)

            def credentials() -> InstagramCredentials:
                grant = in_force()
                return InstagramCredentials(
                    grant["user_id"], grant["access_token"], ended=partial(grants.end, account_id, grant)
                )

            return InstagramClient(
                url,
                settings.vendor_url("instagram_upload"),
                credentials=credentials,
                clock=self.clock,
                timeout=self.timeout_seconds,
            )

        clients = PerAccount(open_client, close=InstagramClient.close)
        try:
            yield clients
        finally:
            clients.close()
