"""How often the test of two prompt versions is wrong under daily peeking, and how soon it finds what is there.

Writes the section "Experiments" of ``benchmarks/results.md``; run it with
``.venv/bin/python benchmarks/experiments.py``.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.report import conditions, write_section
from tests.factories.experiments import A_DAY, DAYS, first_decision, replay

SAME: dict[str, dict[str, float]] = {
    "10 + 10 pieces a day": {},
    "18 + 2": {"share": 0.1},
    "pieces that do not differ of themselves": {"noise": 0.0},
    "b is seen half as much again": {"seen": math.log(1.5)},
}
BETTER: dict[str, dict[str, float]] = {
    "+20 % click-through, 10 + 10": {"lift": math.log(1.2)},
    "+50 %, 10 + 10": {"lift": math.log(1.5)},
    "+50 %, 18 + 2": {"lift": math.log(1.5), "share": 0.1},
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--replays", type=int, default=2000)
    replays = options.parse_args().replays
    lines = [
        conditions("experiments.py", f"{replays:,} replays of {DAYS} days, {A_DAY} pieces a day, looked at every day"),
        "",
        "| two equal versions | told apart | upper end (Wilson, 95 %) |",
        "|---|---|---|",
    ]
    for name, market in SAME.items():
        wrong = sum(decision != "continue" for _, decision in decided(replays, market))
        lines.append(f"| {name} | {wrong / replays:.1%} | {wilson_upper(wrong, replays):.1%} |")
    lines += ["", "| b is better | found | median day |", "|---|---|---|"]
    for name, market in BETTER.items():
        seen = decided(replays // 2, market)
        found = sum(decision == "b" for _, decision in seen) / len(seen)
        day = statistics.median(day if day is not None else DAYS + 1 for day, _ in seen)
        lines.append(f"| {name} | {found:.1%} | {f'> {DAYS}' if day > DAYS else f'{day:.0f}'} |")
    lines += ["", "Targets: told apart ≤ 5 % (upper end ≤ 6 %); +20 % found in ≥ 75 %, +50 % in ≥ 95 % by day 10."]
    write_section("Experiments", lines)


def decided(replays: int, market: dict[str, Any]) -> list[tuple[int | None, str]]:
    return [first_decision(replay(seed, **market)) for seed in range(replays)]


def wilson_upper(hits: int, of: int, z: float = 1.96) -> float:
    """Upper end of Wilson's interval of a share."""
    share = hits / of
    centre = share + z**2 / (2 * of)
    return (centre + z * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))) / (1 + z**2 / of)


if __name__ == "__main__":
    main()
