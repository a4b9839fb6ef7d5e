"""The merchant's product feed, at a path or a URL."""

import dagster as dg

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.product_feed import ProductFeedClient


class ProductFeedResource(dg.ConfigurableResource[ProductFeedClient]):
    """A Google Merchant feed. In the sandbox the world's merchant serves one when none is set."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> ProductFeedClient:
        location = self.settings.product_feed
        if location is None and self.settings.simulated:
            location = f"{self.settings.world_url}/merchant/feed.tsv"
        if location is None:
            raise Misconfigured("EMPIRE_PRODUCT_FEED is not set: give the path or URL of a Google Merchant feed.")
        return ProductFeedClient(location)
