"""The media store: content-addressed files under the home."""

import dagster as dg

from affiliate_empire.media.store import MediaStore
from affiliate_empire.settings import Settings


class MediaResource(dg.ConfigurableResource[MediaStore]):
    """Where stills, voices and videos are kept."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> MediaStore:
        return MediaStore(self.settings.home_path / "media")
