"""What the commands share: where they print, and the ledger that they open."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from affiliate_empire.ledger import Ledger
from affiliate_empire.settings import Settings

out = Console()
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def open_ledger(settings: Settings) -> Ledger:
    """The home's ledger, started and migrated."""
    from affiliate_empire.ledger.open import open_ledger

    url = settings.database_url.get_secret_value() if settings.database_url else None
    return open_ledger(settings.home_path, url, settings.mode)
