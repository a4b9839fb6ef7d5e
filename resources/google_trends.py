"""Google Trends: interest in a few terms, and trending searches."""

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.google_trends import GoogleTrendsClient


class GoogleTrendsResource(dg.ConfigurableResource[GoogleTrendsClient]):
    """Google Trends by two libraries; needs no key."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 20.0

    def create_resource(self, context: dg.InitResourceContext) -> GoogleTrendsClient:
        return GoogleTrendsClient(self.settings.vendor_url("google_trends"), timeout=self.timeout_seconds)
