"""``empire forecast``: what a day may and should cost, and the owner's word that it may."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from affiliate_empire.cli.console import JsonFlag, business_clock, open_grants, open_ledger, out, read_day
from affiliate_empire.kernel.money import dollars
from affiliate_empire.settings import Mode, Settings


def forecast(
    day: Annotated[str | None, typer.Option("--date", help="Which day; today by default.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Let live days cost this from now on.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Say what a day may cost at most and what it should cost; in live mode nothing is spent before you confirm it."""
    from affiliate_empire.kernel.clock import SystemClock
    from affiliate_empire.operations.forecast_day import confirm_forecast, forecast_day, why_not_confirmed
    from affiliate_empire.operations.list_accounts import connected_platforms

    settings = Settings()
    ledger = open_ledger(settings)
    try:
        found = forecast_day(
            read_day(day) or settings.calendar.day_of(business_clock(settings).now()),
            ledger=ledger,
            policy=settings.policy,
            slate=settings.slate,
            caps=settings.caps,
            clips=settings.clips_per_video,
            clip_providers=settings.clip_providers,
            closed=settings.closed_platforms(connected_platforms(open_grants(settings, ledger), ledger=ledger)),
        )
        sha256 = None
        if confirm:
            # The owner acts by the wall's clock, not by the world's.
            sha256 = confirm_forecast(found, ledger=ledger, slate=settings.slate, at=SystemClock().now())
        waiting = why_not_confirmed(ledger=ledger, caps=settings.caps, slate=settings.slate)
    finally:
        ledger.dispose()
    if as_json:
        print(json.dumps(_as_json(settings, found) | {"confirmed": waiting is None, "sha256": sha256}, indent=2))
        return
    _show(settings, found)
    if sha256:
        out.print(f"Confirmed: {sha256[:12]}. A raised cap, or a slate larger by more than a quarter, asks again.")
    elif settings.mode is Mode.LIVE and waiting:
        out.print(waiting, soft_wrap=True, highlight=False)


def _show(settings: Settings, found: Any) -> None:
    pieces = " and ".join(f"{number} {kind}{'s' if number != 1 else ''}" for kind, number in found.pieces.items())
    title = f"{found.day}: {pieces or 'no piece'} · {settings.label}"
    table = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("part", "vendor", "at most", "should cost", "original plan, a day"):
        is_name = heading in ("part", "vendor")
        table.add_column(heading, justify="left" if is_name else "right", no_wrap=not is_name, overflow="fold")
    for line in found.lines:
        table.add_row(
            line.part,
            line.vendor,
            dollars(line.max_micros),
            dollars(line.usual_micros),
            dollars(line.plan_micros) if line.plan_micros else "",
        )
    table.add_row("all", "", dollars(found.max_micros), dollars(found.usual_micros), "")
    out.print(table)
    room = found.room
    held = [f"day {dollars(room.day_micros)}", f"month {dollars(room.month_micros)}"]
    held += [f"{name} {dollars(left)}" for name, left in (*room.vendor_micros.items(), *room.niche_micros.items())]
    out.print(f"Left of the caps: {', '.join(held)}. Nothing is charged beyond them.", highlight=False)
    for note in found.notes:
        out.print(note, highlight=False)


def _as_json(settings: Settings, found: Any) -> dict[str, Any]:
    return {
        "label": settings.label,
        "day": found.day.isoformat(),
        "pieces": dict(found.pieces),
        "max_micros": found.max_micros,
        "usual_micros": found.usual_micros,
        "lines": [vars(line) for line in found.lines],
        "notes": list(found.notes),
    }
