"""Anthropic: blog posts."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.anthropic import AnthropicClient


class AnthropicResource(dg.ConfigurableResource[AnthropicClient]):
    """Anthropic's Messages API."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 120.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[AnthropicClient]:
        key = partial(self.settings.secret, "anthropic")
        client = AnthropicClient(self.settings.vendor_url("anthropic"), key, timeout=self.timeout_seconds)
        try:
            yield client
        finally:
            client.close()
