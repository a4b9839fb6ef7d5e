"""ElevenLabs: the voice, with its timings."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient


class ElevenLabsResource(dg.ConfigurableResource[ElevenLabsClient]):
    """ElevenLabs' speech with timestamps."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 120.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[ElevenLabsClient]:
        url, key = self.settings.vendor_url("elevenlabs"), self.settings.secret("elevenlabs")
        client = ElevenLabsClient(url, key, timeout=self.timeout_seconds)
        try:
            yield client
        finally:
            client.close()
