"""The commands on stored credentials. None of them prints one, and none takes one as an argument."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.table import Table

from affiliate_empire.cli.console import business_clock, open_ledger, open_vault, out
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.settings import Settings

app = typer.Typer(help="Stored credentials. None is ever printed.", no_args_is_help=True)

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="As `empire accounts list` shows it.")]


@app.command("list")
def show() -> None:
    """List what is stored, and when it was last written."""
    settings = Settings()
    names = open_vault(settings, open_ledger(settings)).names()
    table = Table("credential", "written")
    for name, written in names.items():
        table.add_row(name, f"{written:%Y-%m-%d %H:%M}")
    out.print(table if names else "Nothing is stored.")


@app.command("set")
def put(
    account: AccountArgument,
    user_id: Annotated[str | None, typer.Option(help="Of Instagram: the professional account's id.")] = None,
) -> None:
    """Store the token of an account: asked for, or read from standard input. Instagram's needs --user-id."""
    from affiliate_empire.operations.keep_credentials import set_grant

    settings = Settings()
    ledger = open_ledger(settings)
    token = typer.prompt("Token", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    vault = open_vault(settings, ledger)
    set_grant(account, token.strip(), user_id=user_id, vault=vault, ledger=ledger, clock=business_clock(settings))
    out.print(f"Stored the token of {account}.")


@app.command()
def forget(name: Annotated[str, typer.Argument(help="A name of `empire secrets list`.")]) -> None:
    """Delete a stored credential."""
    settings = Settings()
    if not open_vault(settings, open_ledger(settings)).forget(name):
        raise BadInput(f"Nothing is stored under {name}: see `empire secrets list`.")
    out.print(f"Forgot {name}.")


@app.command()
def rotate(
    retire: Annotated[
        bool, typer.Option("--retire", help="Give up the old key: no process has only that one.")
    ] = False,
) -> None:
    """Replace the master key while everything runs; the old key goes on opening everything until --retire."""
    from affiliate_empire.operations.keep_credentials import rotate_master_key

    settings = Settings()
    vault = open_vault(settings, open_ledger(settings))
    given = settings.master_key.get_secret_value() if settings.master_key else None
    changed = rotate_master_key(vault=vault, home=settings.home_path, setting=given, retire=retire)
    if retire:
        out.print(f"Encrypted {changed} credentials for the new key alone; the old one opens nothing any more.")
    else:
        out.print(
            f"Encrypted {changed} credentials for the new key and the old one. When every process was started anew, "
            "run: empire secrets rotate --retire"
        )
