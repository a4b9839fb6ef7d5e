"""The commands on visits: what is kept of a visitor's click, and that it be forgotten."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from affiliate_empire.cli.console import open_ledger, out
from affiliate_empire.settings import Settings

app = typer.Typer(help="What is kept of a visitor who asks.", no_args_is_help=True)
ClickId = Annotated[str, typer.Argument(help="The click's id: our sub-id in the merchant's address.")]


@app.command("show")
def show(click: ClickId) -> None:
    """Print all that is kept of one click, as JSON."""
    from affiliate_empire.operations.forget_visitors import show_visit

    print(json.dumps(show_visit(click, ledger=open_ledger(Settings())), indent=2, default=str))


@app.command("forget")
def forget(click: ClickId) -> None:
    """Forget what could tell who made a click; the click and its sales stay."""
    from affiliate_empire.operations.forget_visitors import forget_visit

    settings = Settings()
    day = settings.calendar.day_of(forget_visit(click, ledger=open_ledger(settings)))
    out.print(f"Forgotten. Materialize clicks of {day} once more, so that its copy in the lake forgets it, too.")
