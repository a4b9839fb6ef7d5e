"""``empire takedown``: take a published post down, and say that one was taken down by hand."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from affiliate_empire.cli.console import JsonFlag, business_clock, open_ledger, out
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger.tables import Publication
from affiliate_empire.settings import Mode, Settings


def takedown(
    post: Annotated[
        str | None,
        typer.Argument(help="The publication's id, its piece's, or its address. `done` before it: see below."),
    ] = None,
    of: Annotated[str | None, typer.Argument(metavar="[POST]", help="After `done`: the post.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the post.")] = "",
    unlist: Annotated[bool, typer.Option("--unlist", help="YouTube: leave it to those who have its address.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Take a post down on its platform, for good: it is never posted again. Without a post: list what shall still go.

    `empire takedown done POST` says that you took one down by hand, where the platform lets nobody else.
    """
    if post is None:
        _list(as_json)
        return
    if post == "done":
        if of is None or reason or unlist:
            raise BadInput("Say which post is gone: empire takedown done POST.")
    elif of is not None:
        raise BadInput("Take one post down at a time: empire takedown POST --reason …")
    from affiliate_empire.cli.clients import open_removers
    from affiliate_empire.effects import Effects
    from affiliate_empire.operations.take_down import (
        DELETE,
        UNLIST,
        find_publication,
        refuse_takedown,
        take_down,
        tell_taken_down,
    )

    settings = Settings()
    ledger, clock = open_ledger(settings), business_clock(settings)
    effects = Effects(ledger, clock, caps=settings.caps, read_only=settings.mode is Mode.LIVE_READONLY)
    publication = find_publication(of or post, ledger=ledger)
    way = UNLIST if unlist else DELETE
    if of is None:
        if not reason.strip():
            raise BadInput("Say why with --reason: it is kept with the post.")
        refuse_takedown(publication, way, effects=effects)
        if not yes:
            _ask(publication, unlist, settings)
    with open_removers(settings, ledger, clock) as removers:
        if of is not None:
            gone = tell_taken_down(
                publication, ledger=ledger, effects=effects, removers=removers, clock=clock, calendar=settings.calendar
            )
        else:
            gone = take_down(
                publication, reason=reason, way=way, ledger=ledger, effects=effects, removers=removers, clock=clock,
                calendar=settings.calendar,
            )  # fmt: skip
    if as_json:
        what = {"publication_id": gone.publication_id, "url": gone.url, "way": way, "taken_down_at": gone.taken_down_at}
        print(json.dumps({"label": settings.label} | what, indent=2, default=str))
        return
    how = "is unlisted" if unlist else "is gone"
    out.print(
        f"{gone.url} {how}, and its link leads nowhere. What it earned stays its piece's.", soft_wrap=True,
        highlight=False, markup=False,
    )  # fmt: skip


def _list(as_json: bool) -> None:
    from affiliate_empire.operations.take_down import outstanding

    rows = outstanding(ledger=open_ledger(Settings()))
    if as_json:
        print(json.dumps(rows, indent=2, default=str))
        return
    for row in rows:
        out.print(
            f"{row['publication_id']}  {row['account_id']}  {row['title']}\n  why      {row['reason']}\n"
            f"  by hand  {row['by_hand']}",
            soft_wrap=True, highlight=False, markup=False,
        )  # fmt: skip
    out.print(
        "Try again with `empire takedown POST --reason …`." if rows else "Nothing waits to be taken down.",
        soft_wrap=True,
    )


def _ask(publication: Publication, unlist: bool, settings: Settings) -> None:
    """Show what it is, and go on only with the owner's yes."""
    at = publication.published_at.astimezone(settings.calendar.zone)
    out.print(
        f"{publication.title}\n  {publication.publication_id} · {publication.account_id} · {at:%Y-%m-%d %H:%M} · "
        f"{publication.url} · {settings.label}",
        soft_wrap=True, highlight=False, markup=False,
    )  # fmt: skip
    typer.confirm(f"{'Unlist' if unlist else 'Delete'} it for good? It is never posted again", abort=True)
