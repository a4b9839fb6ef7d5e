"""What the commands share: where they print, the ledger that they open, the days and the time that they know."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import typer
from rich.console import Console

from affiliate_empire.kernel.clock import Clock, SystemClock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants, Vault

out = Console()
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def open_ledger(settings: Settings) -> Ledger:
    """The home's ledger, started and migrated."""
    from affiliate_empire.ledger.open import open_ledger

    url = settings.database_url.get_secret_value() if settings.database_url else None
    return open_ledger(settings.home_path, url, settings.mode)


def business_clock(settings: Settings) -> Clock:
    """The world's clock in the sandbox, the machine's otherwise."""
    from affiliate_empire.vendors.world_clock import WorldClock

    return WorldClock(settings.world_url) if settings.simulated else SystemClock()


def read_day(text: str | None) -> date | None:
    """A day as a person writes it.

    Raises:
        BadInput: it is none.
    """
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 (a business day has no zone)
    except ValueError:
        raise BadInput(f"{text} is not a date: write it as 2026-11-21.") from None


def open_vault(settings: Settings, ledger: Ledger) -> Vault:
    """The home's vault; its master key is opened when the first credential is needed."""
    from affiliate_empire.vault import open_master_keys

    given = settings.master_key.get_secret_value() if settings.master_key else None
    return Vault(ledger, lambda: open_master_keys(settings.home_path, given))


def open_grants(settings: Settings, ledger: Ledger) -> Grants:
    """The accounts' grants, to look at: whoever reads them needs no clock."""
    return Grants(open_vault(settings, ledger), given=settings.grant_of, clock=SystemClock())
