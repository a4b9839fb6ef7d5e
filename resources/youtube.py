"""YouTube: uploads, statistics and watch reports, by channel."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants, youtube_sign_in
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.youtube import YouTubeClient
from affiliate_empire.vendors.youtube_analytics import YouTubeAnalyticsClient


class YouTubeResource(dg.ConfigurableResource[PerAccount[YouTubeClient]]):
    """YouTube's Data API, a client for each account's channel."""

    settings: dg.ResourceDependency[Settings]
    grants: dg.ResourceDependency[Grants]
    clock: dg.ResourceDependency[Clock]
    timeout_seconds: float = 60.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[PerAccount[YouTubeClient]]:
        def open_client(account_id: str) -> YouTubeClient:
            return YouTubeClient(
                self.settings.vendor_url("youtube"),
                self.settings.vendor_url("google_oauth"),
                credentials=youtube_sign_in(account_id, self.grants, secret=self.settings.secret),
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
    grants: dg.ResourceDependency[Grants]
    timeout_seconds: float = 60.0

    def create_resource(self, context: dg.InitResourceContext) -> PerAccount[YouTubeAnalyticsClient]:
        def open_client(account_id: str) -> YouTubeAnalyticsClient:
            return YouTubeAnalyticsClient(
                self.settings.vendor_url("youtube_analytics"),
                self.settings.vendor_url("google_oauth"),
                credentials=youtube_sign_in(account_id, self.grants, secret=self.settings.secret),
                timeout=self.timeout_seconds,
            )

        return PerAccount(open_client)
