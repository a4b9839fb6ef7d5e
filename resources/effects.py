"""Effects: the only way to spend or post. Its caps are the owner's settings."""

import dagster as dg

from affiliate_empire.effects import Effects
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.settings import Mode, Settings


class EffectsResource(dg.ConfigurableResource[Effects]):
    """Exactly-once effects within budget, booked on the Dagster run that asks for them."""

    settings: dg.ResourceDependency[Settings]
    ledger: dg.ResourceDependency[Ledger]
    clock: dg.ResourceDependency[Clock]

    def create_resource(self, context: dg.InitResourceContext) -> Effects:
        return Effects(
            self.ledger,
            self.clock,
            caps=self.settings.caps,
            run_id=context.run_id,
            read_only=self.settings.mode is Mode.LIVE_READONLY,
            pieces_a_day=sum(self.settings.slate.values()) if self.settings.mode is Mode.LIVE else None,
        )
