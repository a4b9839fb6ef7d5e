"""Business time: the machine's, or in the sandbox the world's."""

import dagster as dg

from affiliate_empire.kernel.clock import Clock, SystemClock
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.world_clock import WorldClock


class ClockResource(dg.ConfigurableResource[Clock]):
    """The clock that every verb is handed."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> Clock:
        return WorldClock(self.settings.world_url) if self.settings.simulated else SystemClock()
