"""What an effect costs, and a crowd at one cap: intents a second, our CPU per intent, cents beyond the cap.

Prints the figures and writes them as the section "Effects" of ``benchmarks/results.md``. Effects under faults are
``benchmarks/exactly_once.py``'s. Run it with ``.venv/bin/python benchmarks/effects.py``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from affiliate_empire.effects import BudgetRefused, Caps, Receipt  # noqa: E402
from affiliate_empire.effects.report import exceeded, imbalances  # noqa: E402
from affiliate_empire.ledger import EmbeddedPostgres, Ledger, open_ledger  # noqa: E402
from affiliate_empire.ledger.tables import Budget  # noqa: E402
from benchmarks.report import conditions, write_section  # noqa: E402
from tests.factories.effects import DAY, WIDE, open_account, workers  # noqa: E402


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
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


def _report(figures: dict[str, float]) -> None:
    rows = [
        f"| {name} | {value:,.2f} |" if value % 1 else f"| {name} | {value:,.0f} |" for name, value in figures.items()
    ]
    write_section("Effects", [conditions("effects.py"), "", "| | |", "|---|---|", *rows])


if __name__ == "__main__":
    main()
