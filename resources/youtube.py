"""YouTube: uploads and statistics of one channel."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.youtube import YouTubeClient


class YouTubeResource(dg.ConfigurableResource[YouTubeClient]):
    """YouTube's Data API for the channel whose refresh token the settings hold."""

    settings: dg.ResourceDependency[Settings]
    clock: dg.ResourceDependency[Clock]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[YouTubeClient]:
        client = YouTubeClient(
            self.settings.vendor_url("youtube"),
            self.settings.vendor_url("google_oauth"),
            client_id=self.settings.secret("youtube_client_id"),
            client_secret=self.settings.secret("youtube_client_secret"),
            refresh_token=self.settings.secret("youtube_refresh_token"),
            clock=self.clock,
            timeout=self.timeout_seconds,
        )
        try:
            yield client
        finally:
            client.close()
