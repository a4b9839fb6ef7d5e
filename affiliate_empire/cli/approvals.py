"""``empire approvals``: what waits for the owner's word, and saying it. What it means: ``operations.approvals``."""

from __future__ import annotations

import json
import os
import pwd
from typing import Annotated, Any

import typer

from affiliate_empire.cli.console import JsonFlag, business_clock, open_ledger, out, read_day
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.settings import Settings

app = typer.Typer(help="What waits for your approval before it is posted.", invoke_without_command=True)

Pieces = Annotated[list[str] | None, typer.Argument(help="Pieces as listed: PIECE, or PIECE@LOOK for what you saw.")]
AllOf = Annotated[str | None, typer.Option("--all-of", metavar="DAY", help="Everything of this day that waits.")]
By = Annotated[str | None, typer.Option(help="Who decides; the system's user by default.")]


@app.callback()
def approvals(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List what waits, with everything that the decision is about."""
    if context.invoked_subcommand is not None:
        return
    from affiliate_empire.operations.approvals import not_asked_yet

    settings = Settings()
    rows = _waiting(settings)
    if as_json:
        print(json.dumps(rows, indent=2, default=str))
        return
    ahead = not_asked_yet(ledger=open_ledger(settings), calendar=settings.calendar, now=business_clock(settings).now())
    for row in rows:
        _show(row, settings)
    for piece in ahead:
        slot = f"{piece.slot_at.astimezone(settings.calendar.zone):%a %H:%M}"
        out.print(f"{piece.piece_id}  {piece.account_id}  slot {slot}: not asked about yet", highlight=False)
    if ahead:
        out.print(
            "The next run of publish_pieces asks about what is made by then: by itself with EMPIRE_AUTOPILOT=1, "
            "otherwise start it in the Dagster UI.",
            soft_wrap=True,
        )
    if not rows:
        out.print("Nothing waits for your approval.")
        return
    out.print(
        "Say yes with `empire approvals approve PIECE…` (or --all-of DAY), no with `empire approvals reject PIECE… "
        "--reason …`.",
        soft_wrap=True,
    )


@app.command("approve")
def approve(pieces: Pieces = None, all_of: AllOf = None, by: By = None) -> None:
    """Let exactly what was shown go out. Any change of it voids the approval."""
    from affiliate_empire.operations.approvals import approve

    settings = Settings()
    decided = approve(_named(pieces, all_of, settings), by=by or _user(), ledger=open_ledger(settings))
    out.print(f"Approved: {', '.join(decided)}.", soft_wrap=True, highlight=False)


@app.command("reject")
def reject(
    reason: Annotated[str, typer.Option(help="Why; it is kept with the piece.")],
    pieces: Pieces = None,
    all_of: AllOf = None,
    by: By = None,
) -> None:
    """Keep pieces from ever going out. Their slots may be used by others."""
    from affiliate_empire.operations.approvals import reject

    settings = Settings()
    named = _named(pieces, all_of, settings)
    decided = reject(named, reason=reason, by=by or _user(), ledger=open_ledger(settings))
    out.print(f"Rejected: {', '.join(decided)}.", soft_wrap=True, highlight=False)


def rule(
    account: Annotated[str, typer.Argument(help="The account, such as youtube:gearlab.")],
    approval: Annotated[str, typer.Argument(help="auto or required")],
) -> None:
    """Say whether you look at each piece of an account before it is posted."""
    from affiliate_empire.operations.approvals import set_approval

    set_approval(account, approval, ledger=open_ledger(Settings()))
    out.print(f"Approval of {account} is {approval} now.", highlight=False)


def _waiting(settings: Settings) -> list[dict[str, Any]]:
    from affiliate_empire.media.store import MediaStore
    from affiliate_empire.operations.approvals import waiting

    media = MediaStore(settings.home_path / "media")
    return waiting(
        ledger=open_ledger(settings), media=media, calendar=settings.calendar, now=business_clock(settings).now()
    )


def _show(row: dict[str, Any], settings: Settings) -> None:
    zone = settings.calendar.zone
    quality = ", ".join(f"{name} {value}" for name, value in row["quality"].items())
    lines = [
        f"{row['piece_id']}@{row['look']}  {row['account_id']}  {row['product']}",
        f"  slot      {row['slot_at'].astimezone(zone):%a %H:%M}, until {row['expires_at'].astimezone(zone):%a %H:%M}",
        f"  watch     {row['file'] or 'a text, below'}",
        *([f"  cover     {row['cover']}"] if row["cover"] else []),
        f"  quality   {'accepted: ' + quality if quality else 'not measured'}",
        f"  similar   {'not measured' if row['similarity'] is None else row['similarity']}",
        f"  labels    {', '.join(f'{name}={value}' for name, value in row['labels'].items()) or 'in the text'}",
        f"  link      {row['link']} → {row['leads_to']}",
        *([f"  changed   {row['changed']}"] if row["changed"] else []),
        *(f"  │ {line}" for line in [row["title"], *row["text"].splitlines()] if line),
        "",
    ]
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def _named(pieces: list[str] | None, all_of: str | None, settings: Settings) -> list[str]:
    """The pieces meant: those named, or all of a day that wait, each with the look it has in the list."""
    if bool(pieces) == (all_of is not None):
        raise BadInput("Say which pieces, or --all-of DAY: list what waits with `empire approvals`.")
    if pieces:
        return pieces
    day = str(read_day(all_of))
    found = [f"{row['piece_id']}@{row['look']}" for row in _waiting(settings) if row["day"] == day]
    if not found:
        raise BadInput(f"Nothing of {day} waits for approval.")
    return found


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        return f"user {os.getuid()}"
