"""The commands and their flags. What a command does is in the operations, in ``demo`` or in ``services``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from affiliate_empire.cli import accounts, approvals, handoff, secrets, visits
from affiliate_empire.cli.alerts import alerts
from affiliate_empire.cli.backup import backup, restore
from affiliate_empire.cli.connect import connect
from affiliate_empire.cli.console import JsonFlag, business_clock, open_ledger, out, read_day
from affiliate_empire.cli.forecast import forecast
from affiliate_empire.cli.takedown import takedown
from affiliate_empire.kernel.errors import BadInput, EmpireError, Misconfigured
from affiliate_empire.kernel.files import is_full, out_of_space
from affiliate_empire.settings import Mode, Settings, explain

Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port; a free one is remembered by the home.")]

app = typer.Typer(
    help="AI Affiliate Empire: an affiliate content business as a Dagster asset graph.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(help="The ledger's database.", no_args_is_help=True)
effects_app = typer.Typer(help="Outside effects: what is open, what is parked.", invoke_without_command=True)
app.add_typer(accounts.app, name="accounts")
app.add_typer(secrets.app, name="secrets")
app.add_typer(approvals.app, name="approvals")
app.add_typer(db_app, name="db")
app.add_typer(effects_app, name="effects")
app.add_typer(handoff.app, name="handoff")
app.add_typer(visits.app, name="visits")
app.command()(alerts)
app.command()(connect)
app.command()(forecast)
app.command()(takedown)
app.command()(backup)
app.command()(restore)


def main() -> None:
    """Entry point: errors meant for a person become one sentence and exit code 1."""
    try:
        app()
    except EmpireError as error:
        _fail(str(error))
    except OSError as error:
        if is_full(error):
            _fail(str(out_of_space(error.filename or "the home")))
        home = str(Settings().home_path)
        if not str(error.filename or "").startswith(home):
            raise
        _fail(f"{error.filename}: {error.strerror}. Give EMPIRE_HOME a folder that you may write to.")
    except KeyboardInterrupt:
        sys.exit(130)
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise  # a defect of ours, not a setting
        _fail(explain(error))


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True).print(sentence, style="red", markup=False, soft_wrap=True, highlight=False)
    sys.exit(1)


@app.command()
def demo(
    day: Annotated[str | None, typer.Option("--date", help="A day whose posting window has closed.")] = None,
    feed: Annotated[str | None, typer.Option(help="A Google Merchant product feed: path or URL.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the world.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The whole plan of 50 pieces, as far as caps and budget allow.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary to this file.")] = None,
) -> None:
    """Live one whole day in the sandbox world and verify it against the world's witness."""
    from affiliate_empire.cli.demo import DemoInputs, run_demo

    settings = Settings()
    inputs = DemoInputs(feed, settings.seed if seed is None else seed, full)
    run_demo(settings, inputs, read_day(day), json_file, out)


@app.command()
def dev(port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000) -> None:
    """Everything at once: database, world (in the sandbox), tracking service and the Dagster UI. Ctrl-C stops it."""
    from affiliate_empire.cli.demo import (
        PROJECT,
        DemoInputs,
        dagster_environment,
        set_world_clock,
        start_services,
    )
    from affiliate_empire.cli.services import Services, alone_in, end_tree, require_free_port
    from affiliate_empire.kernel.clock import SystemClock

    settings = Settings()
    services = Services(settings)
    with alone_in(settings.home_path, "empire dev"):
        if services.dagster_processes():
            raise Misconfigured("This home's Dagster UI runs already: stop it with `empire stop`.")
        require_free_port(port, "--port")
        open_ledger(settings).dispose()
        now = SystemClock().now()
        services.note_pid("dev", os.getpid())
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended in order, whoever ends it
        mine: list[str] = []
        try:
            if settings.simulated:
                inputs = DemoInputs(settings.product_feed, settings.seed)
                mine = start_services(settings, services, inputs, settings.calendar.day_of(now))
                set_world_clock(settings, to=now.isoformat())
                set_world_clock(settings, rate=1)
            else:
                mine = ["track"] if services.start("track") else []
            environment = os.environ | dagster_environment(settings)
            mode = f"{settings.label}, read-only" if settings.mode is Mode.LIVE_READONLY else settings.label
            out.print(f"Dagster UI: http://127.0.0.1:{port} · {mode} · home {settings.home_path}")
            for platform, reason in settings.closed_platforms().items():
                out.print(f"  {platform}: nothing is posted, {reason}", markup=False, highlight=False)
            command = [sys.executable, "-m", "dagster", "dev", "-w", str(PROJECT / "workspace.yaml"), "-p", str(port)]
            with subprocess.Popen(command, env=environment, cwd=PROJECT) as process:
                try:
                    process.wait()
                except KeyboardInterrupt:
                    end_tree(process.pid)
        finally:
            services.forget("dev")
            for name in mine:
                services.stop(name)


@app.command()
def world(
    port: Port = None,
    seed: Annotated[int | None, typer.Option(help="Seed of a world that does not exist yet.")] = None,
    feed: Annotated[str | None, typer.Option(help="The merchant's product feed, a path.")] = None,
) -> None:
    """The sandbox world: local servers that speak the vendors' protocols, and the audience behind them."""
    settings = Settings()
    if not settings.simulated:
        raise Misconfigured(
            f"EMPIRE_MODE is {settings.mode}: the world is the sandbox's; unset EMPIRE_MODE and give it another home."
        )
    flags = ["--seed", str(settings.seed if seed is None else seed)] + (["--feed", feed] if feed else [])
    _run_service(settings, "world", port, flags)


@app.command()
def track(port: Port = None) -> None:
    """The tracking service: redirects, hub pages, postbacks."""
    _run_service(Settings(), "track", port, [])


@app.command()
def stop() -> None:
    """Stop every service of this home: the Dagster UI, world, tracking, and the embedded database."""
    from affiliate_empire.cli.services import Services
    from affiliate_empire.ledger.postgres import EmbeddedPostgres

    settings = Settings()
    homes = [settings.home_path, *sorted(p for p in settings.home_path.glob("demo-*") if p.is_dir())]
    stopped: list[str] = []
    for home in homes:
        services = Services(settings.model_copy(update={"home": home}))
        stopped += ["dev"] if services.stop("dev") else []
        stopped += ["dagster"] if services.stop_dagster() else []
        stopped += [name for name in ("track", "world") if services.stop(name)]
        postgres = EmbeddedPostgres(home)
        if postgres.running():
            postgres.stop()
            stopped.append("database")
    out.print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")


@app.command()
def lineage(
    conversion: Annotated[str | None, typer.Option(help="The network's transaction id.")] = None,
    prompt: Annotated[str | None, typer.Option(help="A prompt version.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Follow a dollar back to the prompt version that earned it, or a prompt version forward to its dollars."""
    from affiliate_empire.operations.trace_lineage import render_trace, trace_conversion, trace_prompt

    if (conversion is None) == (prompt is None):
        raise BadInput("Say one of --conversion ID or --prompt VERSION.")
    settings = Settings()
    ledger = open_ledger(settings)
    trace: dict[str, Any]
    if conversion is not None:
        trace = trace_conversion(conversion, ledger=ledger)
    else:
        trace = trace_prompt(str(prompt), ledger=ledger)
    if as_json:
        print(json.dumps({"label": settings.label} | trace, indent=2, default=str))
    else:
        out.print(render_trace(trace, label=settings.label), markup=False, highlight=False, soft_wrap=True)


@app.command()
def quality(file: Path, as_json: JsonFlag = False) -> None:
    """Judge a video file as the publisher would: exit 0 accepts it, 1 rejects it with the reasons."""
    from affiliate_empire.media.quality import inspect
    from affiliate_empire.policy import load_policy

    report = inspect(file, disclosure=load_policy().disclosure("picture"))
    if as_json:
        print(
            json.dumps({"accepted": report.accepted, "reasons": report.reasons, "measures": report.measures}, indent=2)
        )
    else:
        out.print(f"{file}: {'accepted' if report.accepted else 'rejected'}", highlight=False, soft_wrap=True)
        for reason in report.reasons:
            out.print(f"- {reason}", highlight=False, soft_wrap=True)
    if not report.accepted:
        raise typer.Exit(1)


@app.command()
def pause(
    scope: Annotated[str, typer.Argument(help="all, vendor:NAME or account:ID")], reason: str = "by hand"
) -> None:
    """Stop spending and posting in a scope: the next claim refuses. What is under way finishes."""
    from affiliate_empire.effects.switches import pause_scope

    pause_scope(scope, reason, ledger=open_ledger(Settings()))
    out.print(f"Paused {scope}. Take it back with: empire resume {scope}")


@app.command()
def resume(
    scope: Annotated[str, typer.Argument(help="A paused scope.")],
    restricted: Annotated[
        bool, typer.Option("--restricted", help="Its platform, which restricted the account, lets it post again.")
    ] = False,
) -> None:
    """Lift a pause; that of an account which its platform restricted only with --restricted."""
    from affiliate_empire.effects.switches import pauses_in_words, resume_scope

    ledger = open_ledger(Settings())
    resume_scope(scope, ledger=ledger, restricted=restricted)
    out.print(f"Resumed {scope}.")
    for sentence in pauses_in_words(ledger=ledger):
        out.print(f"Still {sentence[0].lower()}{sentence[1:]}", markup=False, soft_wrap=True)


@effects_app.callback()
def effects(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the effects that are open, unknown or parked."""
    if context.invoked_subcommand is not None:
        return
    from affiliate_empire.effects.report import open_effects
    from affiliate_empire.effects.resolve import unconfirmed
    from affiliate_empire.effects.switches import pauses_in_words

    ledger = open_ledger(Settings())
    rows = open_effects(ledger=ledger)
    for sentence in [*unconfirmed(ledger=ledger), *pauses_in_words(ledger=ledger)]:
        Console(stderr=True).print(sentence, markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps(rows, indent=2, default=str))
        return
    for row in rows:
        # Not a table: what is to be copied must stand whole, however narrow the terminal is.
        out.print(f"{row['key']} is {row['state']} since {row['updated_at']:%Y-%m-%d %H:%M} UTC", soft_wrap=True)
        out.print(f"  {row['remedy']}", markup=False, soft_wrap=True)
    if not rows:
        out.print("No effect is open.")


@effects_app.command("resolve")
def resolve(
    effect: Annotated[str, typer.Argument(help="The effect's id or key, as `empire effects` lists it.")],
    happened: Annotated[bool, typer.Option("--happened", help="You saw it at the vendor.")] = False,
    did_not_happen: Annotated[bool, typer.Option("--did-not-happen", help="You looked, and it is not there.")] = False,
    remote_id: Annotated[str | None, typer.Option(help="The post's id at the vendor, when it happened.")] = None,
) -> None:
    """Tell what became of an effect that nobody else can judge."""
    from affiliate_empire.effects.resolve import Finding, resolve_effect

    if happened == did_not_happen:
        raise BadInput("Say one of --happened and --did-not-happen: what you saw at the vendor.")
    settings = Settings()
    clock = business_clock(settings)
    finding = Finding.HAPPENED if happened else Finding.DID_NOT_HAPPEN
    ledger = open_ledger(settings)
    state = resolve_effect(effect, finding, ledger=ledger, clock=clock, caps=settings.caps, remote_id=remote_id)
    out.print(f"{effect} is {state} now.")


@effects_app.command("confirm")
def confirm() -> None:
    """After a restore or a copy: say that no other installation works on this ledger's accounts."""
    from affiliate_empire.effects.resolve import confirm_ledger

    epoch = confirm_ledger(ledger=open_ledger(Settings()))
    out.print(
        f"Confirmed (epoch {epoch}): posts that may have gone out before are looked for on their platforms first, and "
        "what was open then still waits for your word; see `empire effects`."
    )


@db_app.command("url")
def db_url() -> None:
    """Start the embedded server if need be and print the ledger's URL."""
    from affiliate_empire.ledger.postgres import EmbeddedPostgres

    settings = Settings()
    if settings.database_url is not None:
        print(settings.database_url.get_secret_value())
        return
    open_ledger(settings).dispose()
    print(EmbeddedPostgres(settings.home_path).url())


@app.command()
def report(day: Annotated[str | None, typer.Option("--date", help="Which day; the newest by default.")] = None) -> None:
    """Print where the owner's report of a day lies."""
    from affiliate_empire.cli.demo import report_path

    settings = Settings()
    wanted = read_day(day)
    reports = sorted((settings.home_path / "reports").glob("*.html"))
    path = report_path(settings, wanted) if wanted else (reports[-1] if reports else None)
    if path is None or not path.exists():
        raise BadInput("There is no report yet: run `empire demo`, or materialize daily_report in the Dagster UI.")
    out.print(str(path), soft_wrap=True, highlight=False)


def _run_service(settings: Settings, name: str, port: int | None, flags: list[str]) -> None:
    """Run a service in the foreground on its port, so that other commands of this home find it."""
    from affiliate_empire.cli.services import Services, require_free_port

    services = Services(settings)
    if services.running(name):
        raise Misconfigured(
            f"This home's {name} runs already on port {services.port(name)}: stop it with `empire stop`."
        )
    if port is not None:
        require_free_port(port, "--port")
        services.remember(name, port)
        settings = settings.model_copy(update={f"{name}_port": port})
        services = Services(settings)
    chosen = services.port(name)
    require_free_port(chosen, f"EMPIRE_{name.upper()}_PORT")
    settings.home_path.mkdir(parents=True, exist_ok=True)
    out.print(f"{name}: http://127.0.0.1:{chosen} · {settings.label} · home {settings.home_path}")
    services.note_pid(name, os.getpid())
    command = services.command(name, chosen, *flags)
    os.execve(sys.executable, command, os.environ | {"EMPIRE_HOME": str(settings.home_path)})  # noqa: S606
