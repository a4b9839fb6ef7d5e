"""YouTube: uploads, statistics and watch reports of one channel."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.google import GoogleCredentials
from affiliate_empire.vendors.youtube import YouTubeClient
from affiliate_empire.vendors.youtube_analytics import YouTubeAnalyticsClient


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
            credentials=partial(_credentials, self.settings),
            clock=self.clock,
            timeout=self.timeout_seconds,
        )
        try:
            yield client
        finally:
            client.close()


class YouTubeAnalyticsResource(dg.ConfigurableResource[YouTubeAnalyticsClient]):
    """YouTube's Analytics API for the same channel."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 60.0

    def create_resource(self, context: dg.InitResourceContext) -> YouTubeAnalyticsClient:
        return YouTubeAnalyticsClient(
            self.settings.vendor_url("youtube_analytics"),
            self.settings.vendor_url("google_oauth"),
            credentials=partial(_credentials, self.settings),
            timeout=self.timeout_seconds,
        )


def _credentials(settings: Settings) -> GoogleCredentials:
    return GoogleCredentials(
        client_id=settings.secret("youtube_client_id"),
        client_secret=settings.secret("youtube_client_secret"),
        refresh_token=settings.secret("youtube_refresh_token"),
    )
