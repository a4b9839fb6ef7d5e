"""``empire demo``: one whole day of the business in the sandbox world, verified against the world's witness.

Starts what the day needs (database, world, tracking service), lets ``runner.py`` drive the day through Dagster in a
process of its own, and shows what came of it. It decides nothing about the business.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import httpx
from rich import box
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from affiliate_empire.analytics.roi import roi_by
from affiliate_empire.catalog.feed import parse_feed
from affiliate_empire.cli.services import Services, alone_in
from affiliate_empire.cli.witness import Agreement, Witness, compare
from affiliate_empire.effects.switches import pauses_in_words
from affiliate_empire.kernel.clock import SystemClock
from affiliate_empire.kernel.errors import BadInput, EmpireError, Misconfigured
from affiliate_empire.kernel.files import save_whole
from affiliate_empire.kernel.money import dollars, to_cents
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.open import dagster_url, open_ledger
from affiliate_empire.ledger.tables import Piece
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.decide_strategy import load_decision
from affiliate_empire.operations.outcomes import load_outcomes
from affiliate_empire.operations.record_plan import load_plan_evidence
from affiliate_empire.operations.total_day import DayTotals, total_day
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import Mode, Settings
from affiliate_empire.vendors.product_feed import ProductFeedClient, shown_address

PROJECT = Path(__file__).parents[2]


class DayFailed(EmpireError):
    """The day did not complete, or what it left does not agree with the world's witness."""


@dataclass(frozen=True)
class DemoInputs:
    """What makes a demo: another feed, seed or slate is another world, and needs a home of its own."""

    feed: str | None
    seed: int
    full: bool = False

    @property
    def file(self) -> Path | None:
        """The feed's file, unless it is an address."""
        if not self.feed or self.feed.startswith(("http://", "https://")):
            return None
        return Path(self.feed).expanduser().resolve()

    @property
    def address(self) -> str | None:
        """The feed's absolute path or address."""
        return str(self.file) if self.file else self.feed

    @property
    def feed_name(self) -> str:
        """The feed's file name, or its address without what may be a password in it."""
        return self.file.name if self.file else shown_address(self.feed or "")

    @property
    def slug(self) -> str:
        name = self.feed_name.rpartition("/")[2].partition(".")[0].lower() if self.feed else "default"
        stem = re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "feed"
        return f"demo-{stem}-{self.seed}" + ("-full" if self.full else "")


def run_demo(settings: Settings, inputs: DemoInputs, day: date | None, json_file: Path | None, out: Console) -> None:
    """Live one day and verify it; prints the result and writes the summary.

    Raises:
        BadInput: the day's posting window has not closed yet, or the feed is not there.
        DayFailed: the day did not complete or does not agree with the witness.
    """
    started = time.monotonic()
    if settings.mode is not Mode.SANDBOX:
        raise Misconfigured("The demo lives in the sandbox: unset EMPIRE_MODE (or set it to sandbox).")
    if inputs.feed:
        check_feed(inputs, out)
    day = checked_day(settings, day)
    settings = settings.model_copy(update={"home": demo_home(settings, inputs), "seed": inputs.seed})
    if inputs.address:
        settings = settings.model_copy(update={"product_feed": inputs.address})
    if inputs.full:
        slate = load_policy().full_slate
        settings = settings.model_copy(update={f"slate_{platform}": asked for platform, asked in slate.items()})

    with alone_in(settings.home_path, "empire demo"):
        _live_and_verify(settings, inputs, day, json_file, out, started)


def _live_and_verify(
    settings: Settings, inputs: DemoInputs, day: date, json_file: Path | None, out: Console, started: float
) -> None:
    services = Services(settings)
    out.print(f"[bold]One day of the business: {day:%A %d %B %Y}[/] · {settings.label} · home {settings.home_path}")
    with out.status("Starting the database, the world and the tracking service …"):
        ledger = open_ledger(settings.home_path, _plain(settings.database_url), settings.mode)
        mine = start_services(settings, services, inputs, day)
    media = MediaStore(settings.home_path / "media")
    try:
        refuse_a_day_the_world_has_passed(settings, ledger, day)
        set_world_clock(settings, rate=0)
        before = totals_by_day(ledger, media)
        charges_before = sum(int(c["micros"]) for c in Witness.fetch(settings.world_url).charges)
        faults_before = world_weather(settings)["total"]
        stages, repeated = drive_day(settings, day, out)
        after = totals_by_day(ledger, media)
        witness = Witness.fetch(settings.world_url)
        totals = after.pop(day)
        agreement = compare(totals, list(after.values()), witness)
        new_posts = len(totals.posts) - len(before[day].posts if day in before else {})
        new_charges = sum(int(c["micros"]) for c in witness.charges) - charges_before
        summary = summarise(settings, totals, agreement, time.monotonic() - started, new_posts, new_charges)
        show(settings, totals, agreement, summary, out)
        show_returns(settings, day, ledger, out)
        show_files(settings, totals, agreement, summary, out)
        summary["stages"] = stages
        faults = world_weather(settings)["total"] - faults_before
        summary["weather"] = {"level": settings.weather, "faults": faults, "repeated_calls": repeated}
        out.print(
            f"Weather ({settings.weather}, {settings.label}): {faults} of the vendors' replies were spoilt or late; "
            f"{repeated} {'call was' if repeated == 1 else 'calls were'} made again."
        )
        if json_file:
            json_file.write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
        if agreement.problems:
            raise DayFailed("The ledger and the world disagree: " + " ".join(agreement.problems))
    except KeyboardInterrupt:
        out.print("Stopped. The same command again goes on from here; what is done is not done twice.")
        raise
    finally:
        ledger.dispose()
        for name in mine:
            services.stop(name)


def check_feed(inputs: DemoInputs, out: Console) -> None:
    """Read the feed before anything is started for it, so that one that cannot be used is refused at once."""
    feed = parse_feed(ProductFeedClient(inputs.address or "").fetch(), source="product_feed")
    put_aside = f"{len(feed.rejected):,} rows set aside, listed in the report"
    out.print(f"{inputs.feed_name}: {len(feed.products):,} products; {put_aside}", highlight=False)
    for row in feed.rejected.head(3).to_dict("records"):
        out.print(f"  row {row['row_number']}: {row['reason']}", highlight=False)


def feed_of_the_world(settings: Settings, inputs: DemoInputs) -> Path | None:
    """The feed's file, which tells the world what its shops sell; of an address a copy as it is now."""
    if inputs.file is not None or inputs.address is None:
        return inputs.file
    copy = settings.home_path / "world" / "feed"
    save_whole(copy, ProductFeedClient(inputs.address).fetch())
    return copy


def checked_day(settings: Settings, day: date | None) -> date:
    """The asked day if its posting window has closed by the wall's clock; the last closed day when none is asked."""
    last = settings.calendar.last_closed_day(SystemClock().now())
    if day is not None and day > last:
        raise BadInput(f"{day} is not over yet: the last day whose posting window has closed is {last}.")
    first = settings.first_partition(last)
    if day is not None and day < first:
        raise BadInput(
            f"{day} is before the first day of the business, {first}: set EMPIRE_FIRST_DAY to go further back."
        )
    return day or last


def start_services(settings: Settings, services: Services, inputs: DemoInputs, day: date) -> list[str]:
    """Start what does not run yet; returns the names of what this call started."""
    begins = settings.calendar.at(day, clock_time(0, 15))
    world_flags = ["--seed", str(inputs.seed), "--now", begins.isoformat()]
    feed = feed_of_the_world(settings, inputs)
    if feed is not None:
        world_flags += ["--feed", str(feed)]
    mine = [name for name, flags in (("world", world_flags), ("track", [])) if services.start(name, flags)]
    postback = f"{settings.tracking_url}/postbacks/impact/{settings.postback_tokens('impact')[0]}"
    reply = httpx.put(
        f"{settings.world_url}/_world/settings",
        json={"impact_postback_url": postback, "tracking_hosts": [settings.tracking_url.split("//")[1]]},
        timeout=30,
        trust_env=False,
    )
    reply.raise_for_status()
    world_weather(settings, level=settings.weather)
    return mine


def world_weather(settings: Settings, **wanted: str) -> dict[str, Any]:
    """The world's weather report, after setting its ``level`` if one is wanted."""
    method, body = ("PUT", wanted) if wanted else ("GET", None)
    url = f"{settings.world_url}/_world/weather"
    reply = httpx.request(method, url, json=body, timeout=30, trust_env=False).raise_for_status()
    report: dict[str, Any] = reply.json()
    return report


def set_world_clock(settings: Settings, **wanted: object) -> None:
    """Move the world (``to``: an instant) or let it run (``rate``: 0 stands, 1 goes at the wall's rate)."""
    reply = httpx.post(f"{settings.world_url}/_world/clock", json=wanted, timeout=600, trust_env=False)
    reply.raise_for_status()


def refuse_a_day_the_world_has_passed(settings: Settings, ledger: Ledger, day: date) -> None:
    """A day whose window closed by the world's clock never posts: say so before anything is spent on it."""
    reply = httpx.get(f"{settings.world_url}/_world/clock", timeout=30, trust_env=False).raise_for_status()
    now = datetime.fromisoformat(reply.json()["now"]).astimezone(UTC)
    with ledger.begin() as session:
        planned = session.scalar(select(Piece.piece_id).where(Piece.day == day).limit(1))
    if planned is None and now >= settings.calendar.posting_window(day)[0]:
        raise BadInput(
            f"This home's world has already lived to {now.astimezone(settings.calendar.zone):%Y-%m-%d %H:%M}, and time "
            f"does not run back: play {day} in a home of its own, EMPIRE_HOME=.empire-{day} empire demo --date {day}."
        )


def drive_day(settings: Settings, day: date, out: Console) -> tuple[list[dict[str, Any]], int]:
    """Run ``runner.py`` for a day and show its stages as they end; returns them, and how many calls were repeated."""
    stages: list[dict[str, Any]] = []
    repeated = 0
    environment = os.environ | dagster_environment(settings)
    command = [sys.executable, "-m", "runner", "day", "--date", day.isoformat(), "--progress"]
    log = settings.home_path / "logs" / "runner.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    problem = None
    with (
        log.open("ab") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True) as process,
        out.status("Loading the asset graph …") as status,
    ):
        for line in process.stdout or []:
            event: dict[str, Any] = json.loads(line)
            if event["event"] == "begin":
                status.update(f"{event['stage']} …")
            elif event["event"] == "stage":
                stages.append({name: event[name] for name in ("stage", "seconds", "steps")})
                counts = " · ".join(f"{value} {name}" for name, value in event.get("counts", {}).items())
                out.print(f"  {event['at'][11:16]}  {event['stage']:<28} {event['seconds']:6.1f} s   {counts}")
            elif event["event"] == "note":
                out.print(f"  {event['message']}", highlight=False, markup=False)
            elif event["event"] == "repeated":
                repeated = sum(event["calls"].values())
            elif event["event"] == "failed":
                problem = event["message"]
    if process.returncode != 0:
        raise DayFailed(problem or f"The day stopped before its end: see {log}.")
    return stages, repeated


def dagster_environment(settings: Settings) -> dict[str, str]:
    """Environment of a process that runs Dagster on this home's instance; makes the instance's folder."""
    home = settings.home_path / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text("utf-8"), "utf-8")
    variables = {
        "EMPIRE_HOME": str(settings.home_path),
        "EMPIRE_SEED": str(settings.seed),
        "DAGSTER_HOME": str(home),
        "DAGSTER_PG_URL": dagster_url(settings.home_path, _plain(settings.database_url)),
    }
    variables |= {f"EMPIRE_SLATE_{platform.upper()}": str(asked) for platform, asked in settings.slate.items()}
    if settings.product_feed:
        variables["EMPIRE_PRODUCT_FEED"] = settings.product_feed
    return variables


def totals_by_day(ledger: Ledger, media: MediaStore) -> dict[date, DayTotals]:
    """Totals of every day this home has lived."""
    with ledger.begin() as session:
        days = list(session.scalars(select(Piece.day).distinct()))
    return {day: total_day(day, ledger=ledger, media=media) for day in days}


def summarise(
    settings: Settings, totals: DayTotals, agreement: Agreement, seconds: float, new_posts: int, new_charges: int
) -> dict[str, Any]:
    """The summary that ``--json`` writes; money in whole cents."""
    platforms = sorted(set(totals.posts.values()))
    return {
        "label": settings.label,
        "day": totals.day.isoformat(),
        "home": str(settings.home_path),
        "pieces": totals.pieces,
        "quarantined": totals.quarantined,
        "posts": len(totals.posts),
        "posts_witnessed": agreement.posts,
        "posts_by_platform": {p: list(totals.posts.values()).count(p) for p in platforms},
        "cost_cents": to_cents(totals.cost_micros),
        "charges_witnessed_cents": to_cents(agreement.charges_micros),
        "lost_replies": len(totals.lost_micros),
        "views": totals.views,
        "clicks": len(totals.clicks),
        "clicks_witnessed": agreement.clicks,
        "conversions": len(totals.payouts),
        "revenue_cents": to_cents(totals.revenue_micros),
        "revenue_witnessed_cents": to_cents(agreement.revenue_micros),
        "videos": [str(path) for path in totals.videos],
        "report": str(report_path(settings, totals.day)),
        "seconds": round(seconds, 1),
        "new_posts": new_posts,
        "new_charges_cents": to_cents(new_charges),
    }


def report_path(settings: Settings, day: date) -> Path:
    """Where the owner's report of a day lies."""
    return settings.home_path / "reports" / f"{day}.html"


def show(
    settings: Settings,
    totals: DayTotals,
    agreement: Agreement,
    summary: dict[str, Any],
    out: Console,
) -> None:
    """Print what the day came to, each figure beside the witness's."""
    title = f"{totals.day} · every number is {settings.label}"
    table = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("", "ledger", "world's witness"):
        table.add_column(heading, justify="left" if not heading else "right")
    made = f"{totals.pieces - len(totals.quarantined)} of {totals.pieces}"
    table.add_row("pieces made", made, "")
    table.add_row("posts", str(summary["posts"]), str(agreement.posts))
    table.add_row("views", f"{totals.views:,}", "")
    table.add_row("clicks, bots included", f"{summary['clicks']:,}", f"{agreement.clicks:,}")
    table.add_row("conversions", str(summary["conversions"]), "")
    table.add_row("earned", dollars(totals.revenue_micros), dollars(agreement.revenue_micros))
    table.add_row("spent", dollars(totals.cost_micros), dollars(agreement.charges_micros))
    out.print(table)


def show_returns(settings: Settings, day: date, ledger: Ledger, out: Console) -> None:
    """Print what each platform and prompt version brought, what was decided, and which caps bound the plan."""
    far = datetime.max.replace(tzinfo=UTC)
    with ledger.begin() as session:
        outcomes = load_outcomes(session, as_of=far, first_day=day, last_day=day)
    for column, heading in (("platform", "platform"), ("prompt_version", "prompt version")):
        title = f"Return by {heading} · {settings.label}"
        table = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
        for name in (heading, "views", "people", "sales", "earned", "spent", "ROI"):
            # Where the terminal is narrow the name is folded, never a figure cut.
            is_name = name == heading
            table.add_column(name, justify="left" if is_name else "right", no_wrap=not is_name, overflow="fold")
        for row in roi_by(outcomes, column).to_dict("records"):
            table.add_row(
                row[column],
                f"{row['views']:,}",
                f"{row['clicks']:,}",
                str(row["conversions"]),
                dollars(int(row["commission_micros"])),
                dollars(int(row["cost_micros"])),
                f"{row['roi_percent']:+,.0f}%" if row["cost_micros"] else "–",
            )
        out.print(table)
    decision = load_decision(day, ledger=ledger)
    if decision is not None:
        known = f"{datetime.fromisoformat(decision.evidence['as_of']):%H:%M}"
        out.print(
            f"[bold]Decided for the next day[/] by what was known at {known} (strategy {decision.version}, "
            f"{settings.label})"
        )
        judged = decision.decisions
        moved = judged[judged["weight_after"] != judged["weight_before"]]
        for reason in moved["reason"]:
            out.print(f"  {reason}", highlight=False)
        out.print(f"  {len(judged) - len(moved)} other judgements change nothing; the report has all of them.")
    for sentence in pauses_in_words(ledger=ledger):
        out.print(sentence, highlight=False, soft_wrap=True)
    evidence = load_plan_evidence(day, ledger=ledger)
    for bound in evidence["bounds"]:
        out.print(f"Bound by a cap: {bound['reason']}", highlight=False)
    for sentence in evidence.get("piece_cost", []):
        out.print(sentence, highlight=False)


def show_files(
    settings: Settings, totals: DayTotals, agreement: Agreement, summary: dict[str, Any], out: Console
) -> None:
    """Print where the day's files lie and whether the witness agrees."""
    for piece, reason in totals.quarantined.items():
        out.print(f"Quarantined {piece}: {reason}")
    for piece, reason in totals.missed.items():
        out.print(f"Not posted {piece}: {reason}", markup=False, highlight=False)
    for path in totals.videos:
        out.print(f"video   {path}", soft_wrap=True, highlight=False)
    out.print(f"report  {summary['report']}", soft_wrap=True, highlight=False)
    elsewhere = "" if settings.home == Path(".empire") else f"EMPIRE_HOME={shlex.quote(str(settings.home_path))} "
    out.print(f"Look into it in the Dagster UI: {elsewhere}.venv/bin/empire dev", soft_wrap=True, highlight=False)
    if totals.lost_micros:
        replies = "1 paid reply" if len(totals.lost_micros) == 1 else f"{len(totals.lost_micros)} paid replies"
        out.print(
            f"Of what was spent, {dollars(sum(totals.lost_micros))} stand for {replies} that got lost: booked at the "
            "most that can have been charged, since nobody can be asked.",
            highlight=False,
        )
    if not agreement.problems:
        out.print("[green]Verified: posts, charges, clicks and payouts agree with the world's witness.[/]")


def demo_home(settings: Settings, inputs: DemoInputs) -> Path:
    """The home of these inputs: the configured one unless it already holds a world made from others."""
    marker = settings.home_path / "demo.json"
    wanted = {"feed": inputs.address, "seed": inputs.seed, "full": inputs.full}
    if not marker.exists():
        save_whole(marker, json.dumps(wanted).encode())
    if {"full": False} | json.loads(marker.read_text("utf-8")) == wanted:
        return settings.home
    return settings.home / inputs.slug


def _plain(secret: Any) -> str | None:
    return secret.get_secret_value() if secret is not None else None
