"""Effects under deaths, lost replies and a crowd: double and lost posts, cents beyond a cap, an intent's cost.

Prints the figures and writes them as the section "Effects" of ``benchmarks/results.md``. Deaths are simulated in one
process by a ledger that stops answering its worker around a random transaction (``tests/factories/effects.py``), which
leaves what ``kill -9`` leaves; real kills are in the tests. Run it with ``.venv/bin/python benchmarks/effects.py``.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from affiliate_empire.effects import BudgetRefused, Caps, EffectError, Receipt  # noqa: E402
from affiliate_empire.effects.report import exceeded, imbalances  # noqa: E402
from affiliate_empire.ledger import EmbeddedPostgres, Ledger, open_ledger  # noqa: E402
from affiliate_empire.ledger.tables import Budget, Effect  # noqa: E402
from affiliate_empire.vendors.errors import ReplyLost, VendorError  # noqa: E402
from benchmarks.report import conditions, write_section  # noqa: E402
from tests.factories.effects import (  # noqa: E402
    DAY,
    WIDE,
    Killed,
    MortalLedger,
    Platform,
    open_account,
    post_intent,
    raising,
    workers,
)

MOMENTS = ("before_prepare", "after_prepare", "before_commit", "after_commit", "before_reconcile")
LOST = ReplyLost("no reply", vendor="v")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--intents", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=7)
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="empire-effects-"))
    folder.chmod(0o755)  # root's PostgreSQL runs as another user
    server = EmbeddedPostgres(folder / "home")
    started = time.perf_counter()
    server.start()
    first_start = time.perf_counter() - started
    server.stop()
    started = time.perf_counter()
    server.start()
    later_start = time.perf_counter() - started
    ledger = open_ledger(folder / "home", None, "sandbox")
    try:
        open_account(ledger)
        figures = {
            "first start of the server, s": first_start,
            "later start, s": later_start,
            **_pace(ledger),
            **_crowd(ledger),
            **_faults(ledger, chosen.intents, random.Random(chosen.seed), folder),  # noqa: S311 - seeded on purpose
        }
        with ledger.begin() as session:
            unbalanced = len(imbalances(session)) + len(exceeded(session))
    finally:
        ledger.dispose()
        server.stop()
        shutil.rmtree(folder)
    _report(figures | {"figures that do not balance": unbalanced})


def _pay(effects: object, step: str, bound: int, cost: int) -> None:
    effects.perform_paid(  # type: ignore[attr-defined]
        step,
        vendor="openai",
        operation="text",
        fingerprint="f",
        day=DAY,
        max_cost_micros=bound,
        call=lambda: Receipt(step, cost, {"answer": "yes"}),
    )


def _pace(ledger: Ledger, calls: int = 500) -> dict[str, float]:
    """Paid calls to a vendor that answers at once, by one worker and by sixteen threads of one process."""
    effects = workers(ledger, run_id="pace")
    pace = {}
    for threads in (1, 16):
        wall, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda n, t=threads: _pay(effects, f"pace-{t}-{n}", 100, 50), range(calls)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        pace[f"paid intents/s, {threads} thread{'s' if threads > 1 else ''}"] = calls / wall
        pace[f"our CPU ms per intent, {threads} thread{'s' if threads > 1 else ''}"] = cpu / calls * 1000
    return pace


def _crowd(ledger: Ledger) -> dict[str, float]:
    """A hundred workers, each wanting up to 3 cents ten times, against a dollar of a day of its own."""
    day = DAY + timedelta(days=1)
    effects = workers(ledger, caps=Caps(1_000_000, WIDE.month_micros, WIDE.run_micros))

    def work(worker: int) -> int:
        refused = 0
        for number in range(10):
            try:
                effects.perform_paid(
                    f"crowd-{worker}-{number}",
                    vendor="openai",
                    operation="text",
                    fingerprint="f",
                    day=day,
                    max_cost_micros=30_000,
                    call=lambda: Receipt("r", 20_000),
                )
            except BudgetRefused:
                refused += 1
        return refused

    wall = time.perf_counter()
    with ThreadPoolExecutor(100) as pool:
        refused = sum(pool.map(work, range(100)))
    wall = time.perf_counter() - wall
    with ledger.begin() as session:
        budget = session.get_one(Budget, f"day:{day}")
        return {
            "attempts/s of 100 workers on one cap": 1000 / wall,
            "of 1,000 attempts refused": refused,
            "cents spent of 100": budget.spent_micros / 10_000,
            "cents beyond the cap": max(0, budget.spent_micros + budget.reserved_micros - 1_000_000) / 10_000,
        }


def _faults(ledger: Ledger, intents: int, rng: random.Random, folder: Path) -> dict[str, float]:
    """Posts whose worker dies or whose reply is lost at a random point, three times in a row, and then a clean run."""
    double = missing = killed = lost = 0
    wall = time.perf_counter()
    for number in range(intents):
        piece = f"pc_{number}"
        platform_folder = Platform(folder / "platform")
        intent = post_intent(piece, max_cost_micros=10)
        for _ in range(3):
            fault = rng.random()
            mortal = ledger
            if fault < 0.5:
                mortal = MortalLedger(ledger, rng.randint(1, 5), committed=rng.random() < 0.5)
            if fault > 0.3:
                platform_folder.at = {rng.choice(MOMENTS): raising(LOST)}
            try:
                workers(mortal).perform(intent, platform_folder.act(piece))
            except Killed:
                killed += 1
            except VendorError:
                lost += 1
            except EffectError:
                pass
        platform_folder.at = {}
        with suppress(EffectError):
            workers(ledger).perform(intent, platform_folder.act(piece))
        posts = len(platform_folder.posts)
        double += posts > 1
        missing += posts == 0
        shutil.rmtree(platform_folder.root)
    with ledger.begin() as session:
        settled = session.scalar(select(func.count()).where(Effect.operation == "post", Effect.state == "settled"))
    return {
        "posts under faults": intents,
        "simulated deaths": killed,
        "replies lost": lost,
        "posted twice": double,
        "never posted": missing,
        "settled in the ledger": settled or 0,
        "posts/s under faults (up to 4 runs each)": intents / (time.perf_counter() - wall),
    }


def _report(figures: dict[str, float]) -> None:
    rows = [
        f"| {name} | {value:,.2f} |" if value % 1 else f"| {name} | {value:,.0f} |" for name, value in figures.items()
    ]
    write_section("Effects", [conditions("effects.py"), "", "| | |", "|---|---|", *rows])


if __name__ == "__main__":
    main()
