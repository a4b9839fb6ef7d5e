"""OpenAI: texts and pictures."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.openai import OpenAIClient


class OpenAIResource(dg.ConfigurableResource[OpenAIClient]):
    """OpenAI's Responses and Images APIs. The key comes from the settings, so that no configuration page shows it."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 120.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[OpenAIClient]:
        url, key = self.settings.vendor_url("openai"), self.settings.secret("openai")
        client = OpenAIClient(url, key, timeout=self.timeout_seconds)
        try:
            yield client
        finally:
            client.close()
