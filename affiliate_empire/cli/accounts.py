"""The commands on accounts: those that the business posts on."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from affiliate_empire.cli import approvals
from affiliate_empire.cli.console import JsonFlag, open_grants, open_ledger, out
from affiliate_empire.publishing.flags import ROUTES
from affiliate_empire.settings import Settings

app = typer.Typer(help="The accounts that the business posts on.", no_args_is_help=True)
app.command("approval")(approvals.rule)


@app.callback()
def accounts() -> None:
    """The accounts that the business posts on."""


@app.command("list")
def show(as_json: JsonFlag = False) -> None:
    """List the accounts: what they are about, and whether they may post."""
    from affiliate_empire.operations.list_accounts import list_accounts

    settings = Settings()
    ledger = open_ledger(settings)
    rows = list_accounts(grants=open_grants(settings, ledger), ledger=ledger)
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("account", "name", "niche", "may post", "its platform said")
    for row in rows:
        table.add_row(row["account_id"], row["display_name"], row["niche"] or "any", _may_post(row), row["said"])
    first = "run `empire demo`" if settings.simulated else "sign one in with `empire connect`"
    out.print(table if rows else f"There is no account yet: {first}.")


@app.command("route")
def route(
    account: Annotated[str, typer.Argument(help="tiktok:HANDLE")],
    way: Annotated[str, typer.Argument(help=" or ".join(ROUTES), metavar="ROUTE")],
) -> None:
    """Choose how a TikTok account's posts get there: by the API, as drafts in the app, or as files to post by hand."""
    from affiliate_empire.operations.choose_route import choose_route

    choose_route(account, way, ledger=open_ledger(Settings()))
    out.print(f"{account} posts by the route {way} from now on.")


_BY_HAND = {"inbox": ", as drafts that you post", "package": ", as files that you post"}


def _may_post(account: dict[str, Any]) -> str:
    if not account["connected"]:
        return "not connected"
    if account["paused"]:
        return f"paused: {account['paused']}"
    if account["status"] != "active":
        return str(account["status"])
    asks = "when you approve" if account["approval"] == "required" else "yes"
    return asks + _BY_HAND.get(account["route"], "")
