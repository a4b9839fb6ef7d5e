"""YouTube: uploads, statistics and watch reports, by channel."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.google import GoogleCredentials
from affiliate_empire.vendors.youtube import YouTubeClient
from affiliate_empire.vendors.youtube_analytics import YouTubeAnalyticsClient
from resources.accounts import refuse_unconnected


class YouTubeResource(dg.ConfigurableResource[PerAccount[YouTubeClient]]):
    """YouTube's Data API, a client for each account's channel."""

    settings: dg.ResourceDependency[Settings]
    ledger: dg.ResourceDependency[Ledger]
    clock: dg.ResourceDependency[Clock]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[PerAccount[YouTubeClient]]:
        def open_client(account_id: str) -> YouTubeClient:
            refuse_unconnected(account_id, ledger=self.ledger)
            return YouTubeClient(
                self.settings.vendor_url("youtube"),
                self.settings.vendor_url("google_oauth"),
                credentials=partial(_credentials, self.settings),
                clock=self.clock,
                timeout=self.timeout_seconds,
            )

        clients = PerAccount(open_client, close=YouTubeClient.close)
        try:
            yield clients
        finally:
            clients.close()


class YouTubeAnalyticsResource(dg.ConfigurableResource[PerAccount[YouTubeAnalyticsClient]]):
    """YouTube's Analytics API for the same channels."""

    settings: dg.ResourceDependency[Settings]
    ledger: dg.ResourceDependency[Ledger]
    clock: dg.ResourceDependency[Clock]
    timeout_seconds: float = 60.0

    def create_resource(self, context: dg.InitResourceContext) -> PerAccount[YouTubeAnalyticsClient]:
        def open_client(account_id: str) -> YouTubeAnalyticsClient:
            refuse_unconnected(account_id, ledger=self.ledger)
            return YouTubeAnalyticsClient(
                self.settings.vendor_url("youtube_analytics"),
                self.settings.vendor_url("google_oauth"),
                credentials=partial(_credentials, self.settings),
                timeout=self.timeout_seconds,
            )

        return PerAccount(open_client)


def _credentials(settings: Settings) -> GoogleCredentials:
    return GoogleCredentials(
        client_id=settings.secret("youtube_client_id"),
        client_secret=settings.secret("youtube_client_secret"),
        refresh_token=settings.secret("youtube_refresh_token"),
    )
