"""A vendor of the world: its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from affiliate_empire.sandbox.world import World


def routes(world: World) -> list[BaseRoute]:
    return []
