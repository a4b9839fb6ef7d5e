"""OpenAI: texts, pictures, moderation."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.openai import OpenAIClient


class OpenAIResource(dg.ConfigurableResource[OpenAIClient]):
    """OpenAI's Responses, Images and Moderations. The key comes from the settings: no configuration page shows it."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 120.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[OpenAIClient]:
        key = partial(self.settings.secret, "openai")
        client = OpenAIClient(self.settings.vendor_url("openai"), key, timeout=self.timeout_seconds)
        try:
            yield client
        finally:
            client.close()
