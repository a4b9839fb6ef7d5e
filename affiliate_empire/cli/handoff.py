"""``empire handoff``: what waits to be posted by hand, and the word that it was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from affiliate_empire.cli.console import business_clock, open_ledger, out
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.settings import Settings

app = typer.Typer(help="Videos that a person posts by hand.", invoke_without_command=True)


@app.callback()
def handoff(context: typer.Context) -> None:
    """List what was handed over and not heard of since."""
    if context.invoked_subcommand is not None:
        return
    from affiliate_empire.operations.hand_over import waiting_packages

    packages = waiting_packages(ledger=open_ledger(Settings()))
    for handle in packages:
        out.print(
            f"{handle['piece_id']}  {handle['account_id']}  {handle['slot_at'][:16]}  {handle['package']}",
            soft_wrap=True,
        )
    if not packages:
        out.print("Nothing waits to be posted by hand.")


@app.command("done")
def done(
    piece: Annotated[str, typer.Argument(help="The piece, as its folder is named.")],
    url: Annotated[str | None, typer.Option(help="The address of the video that you posted.")] = None,
    at: Annotated[
        datetime | None, typer.Option(help="When you posted it, in the business's time; left out: just now.")
    ] = None,
    skipped: Annotated[bool, typer.Option("--skipped", help="It was not posted and shall not be.")] = False,
) -> None:
    """Tell that a video was posted by hand, and where; or that it will not be."""
    from affiliate_empire.operations.hand_over import settle_hand_over

    if skipped == (url is not None) or (skipped and at is not None):
        raise BadInput("Say one of --url ADDRESS (with --at TIME) or --skipped.")
    settings = Settings()
    state = settle_hand_over(
        piece,
        url,
        ledger=open_ledger(settings),
        clock=business_clock(settings),
        caps=settings.caps,
        posted_at=at and at.replace(tzinfo=ZoneInfo(settings.timezone)).astimezone(UTC),
    )
    out.print(f"The post of {piece} is {state} now.")
