"""The command that lists alerts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from affiliate_empire.cli.console import JsonFlag, open_ledger, out
from affiliate_empire.settings import Settings


def alerts(
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the alerts that are open, newest first."""
    from affiliate_empire.operations.alerts import list_alerts

    rows = list_alerts(open_only=not every, ledger=open_ledger(Settings()))
    if as_json:
        print(json.dumps(rows, indent=2, default=str))
        return
    for row in rows:
        # Not a table: what is to be copied must stand whole, however narrow the terminal is.
        over = f", over since {row['resolved_at']:%Y-%m-%d %H:%M} UTC" if row["resolved_at"] else ""
        said = f"{row['severity']} · {row['raised_at']:%Y-%m-%d %H:%M} UTC · {row['subject']}{over}"
        out.print(said, markup=False, soft_wrap=True)
        out.print(f"  {row['message']}", markup=False, soft_wrap=True)
    if not rows:
        out.print("No alert was raised." if every else "No alert is open.")
