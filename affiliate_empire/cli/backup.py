"""``empire backup`` and ``empire restore``: the ledger in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from affiliate_empire.cli.console import business_clock, open_ledger, out
from affiliate_empire.settings import Settings


def backup(file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")]) -> None:
    """Write the whole ledger to a file, while the business runs. Keep it where only you can read it."""
    from affiliate_empire.ledger.backup import save_backup

    settings = Settings()
    ledger = open_ledger(settings)
    try:
        size = save_backup(ledger, file.expanduser().resolve())
    finally:
        ledger.dispose()
    out.print(f"{file}: the ledger as it is now, {size / 1e6:,.1f} MB · {settings.label}", soft_wrap=True)
    out.print("The master key (vault.key in the home, or EMPIRE_MASTER_KEY) and the media store are not in it.")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `empire backup` wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take a backup back. What was posted and paid for since stays known; what is open waits for your word."""
    from affiliate_empire.cli.services import alone_in
    from affiliate_empire.kernel.clock import SystemClock
    from affiliate_empire.operations.restore_ledger import restore_ledger
    from affiliate_empire.vault.keys import open_master_keys

    settings = Settings()
    if not yes:
        typer.confirm(f"Put {file} in the place of this home's ledger ({settings.home_path})?", abort=True)
    wall = SystemClock().now()
    has_key = settings.master_key is not None or (settings.home_path / "vault.key").exists()
    secret = settings.master_key.get_secret_value() if settings.master_key else None
    with alone_in(settings.home_path, "empire restore"):
        ledger = open_ledger(settings)
        try:
            restored = restore_ledger(
                file.expanduser().resolve(),
                ledger=ledger,
                calendar=settings.calendar,
                # A home without its world yet has no other time than the wall's.
                now=business_clock(settings).now() if settings.service_url("world") or not settings.simulated else wall,
                at=wall,
                key_ids=open_master_keys(settings.home_path, secret).ids if has_key else [],
            )
        finally:
            ledger.dispose()
    out.print(f"Restored, epoch {restored.epoch}. The former ledger is kept as the database {restored.kept_as}.")
    if restored.parked:
        out.print(f"{restored.parked} effects wait for your word: list them with `empire effects`.")
    if not restored.since:
        out.print("Everything is paused: look at your platforms first, then lift it with `empire resume all`.")
