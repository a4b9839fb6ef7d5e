"""ElevenLabs: the voice, with its timings."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg

from affiliate_empire.settings import Settings
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient


class ElevenLabsResource(dg.ConfigurableResource[ElevenLabsClient]):
    """ElevenLabs' speech with timestamps."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 120.0

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[ElevenLabsClient]:
        key = partial(self.settings.secret, "elevenlabs")
        client = ElevenLabsClient(self.settings.vendor_url("elevenlabs"), key, timeout=self.timeout_seconds)
        try:
            yield client
        finally:
            client.close()
