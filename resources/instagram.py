"""Instagram: Reels and insights of one professional account."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.instagram import InstagramClient, InstagramCredentials


class InstagramResource(dg.ConfigurableResource[InstagramClient]):
    """The Graph API for the account that the settings name."""

    settings: dg.ResourceDependency[Settings]
    clock: dg.ResourceDependency[Clock]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[InstagramClient]:
        client = InstagramClient(
            self.settings.vendor_url("instagram"),
            self.settings.vendor_url("instagram_upload"),
            credentials=lambda: InstagramCredentials(
                self.settings.secret("instagram_user_id"), self.settings.secret("instagram_access_token")
            ),
            clock=self.clock,
            timeout=self.timeout_seconds,
        )
        try:
            yield client
        finally:
            client.close()
