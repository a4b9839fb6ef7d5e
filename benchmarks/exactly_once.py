"""Exactly once under fire: N publish and paid intents through the real clients, with everything going wrong at random.

Each intent is one piece of one kind (six ways to post, two vendors of video jobs, four paid calls), worked by real
processes against a sandbox world and an embedded PostgreSQL. Three in five meet a fault, some two in a row: killed at a
random line or inside a request, a request that goes wrong in one of thirteen ways, two workers, a worker that sleeps
through its lease, a slot that moves meanwhile, a database that restarts (``tests/factories/battlefield.py``). Then come
ordinary runs, as the sensor starts them, until it starts none; at most ``MOST_RUNS``.

The figures, all from the world's witness (``/_world/posts``, ``/_world/charges``) held against our books:

- ``double_posts``: posts and drafts beyond the first of each piece.
- ``lost_posts``: pieces that our books call published and the world does not have, or the other way round: the world
  has the post while our books hold it for not made (not published, and nothing open that would find it).
- ``double_charges``: charges of a paid step beyond one for each attempt that was sent, and attempts beyond one for each
  reply that was lost and one more.
- ``repeat_charges``: charges beyond the first of a paid step that its lost replies explain; they are booked.
- ``cents_beyond_cap``: what the world charged beyond the day's cap, which leaves room for one paid attempt at a time;
  caps of a run, a vendor, a niche and a month bind in a scenario.
- ``published_share``: intents that are done exactly once, posted or paid for, in the world and in our books ÷ N.
- ``self_healed_share``: intents done without a person ÷ intents that a fault struck.
- ``parked_share``: intents that wait for their owner's look ÷ N.

Beside ``--json`` each field keeps what it came to, so that the same command goes on where an earlier one was stopped;
of other code, or of other options, nothing is taken over. ``--docs`` also writes ``docs/publishing.md``'s tables and
the section "Exactly once" of ``benchmarks/results.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from affiliate_empire.effects.report import exceeded, imbalances  # noqa: E402
from affiliate_empire.kernel.errors import BadInput  # noqa: E402
from benchmarks.report import conditions, write_section  # noqa: E402
from tests.factories.battlefield import (  # noqa: E402
    FAULTS,
    KILLED_AT_A_LINE,
    PUSH,
    PUSH_FAULTS,
    REQUEST_FAULTS,
    RESTARTED,
    Battlefield,
)
from tests.factories.fire_scenarios import SCENARIOS, Finding  # noqa: E402
from tests.factories.under_fire import KINDS, POSTS  # noqa: E402

DOCS = ROOT / "docs" / "publishing.md"
MOST_RUNS = 8
_WEIGHTS = {
    "youtube": 16, "tiktok": 13, "tiktok_inbox": 6, "instagram": 11, "instagram_url": 9, "blog": 14,
    "fal": 6, "runway": 5, "openai_text": 7, "openai_image": 3, "anthropic": 5, "elevenlabs": 5,
}  # fmt: skip
_RARE = {RESTARTED: 0.1}  # it stops everything for a second
_STRUCK, _TWICE, _RERUN = 0.6, 0.25, 0.1


@dataclass
class Record:
    """What became of one intent. ``hits`` are (fault, the state it left), in order, of faults that struck."""

    piece: str
    kind: str
    hits: list[tuple[str, str]] = field(default_factory=list)
    killed_at: list[str] = field(default_factory=list)
    runs: int = 0
    standing: str = ""
    posts: int = 0
    charges: int = 0
    attempts: int = 0
    double: int = 0
    lost: int = 0
    double_charged: int = 0

    @property
    def is_post(self) -> bool:
        return self.kind in POSTS

    @property
    def done(self) -> bool:
        return self.standing == "done" and not (self.double or self.lost or self.double_charged)


def fight(battlefield: Battlefield, kind: str, piece: str, rng: random.Random, drill: Drill | None = None) -> Record:
    """Work one intent under a drill's fault or under random ones, then let it heal."""
    record = Record(battlefield.add(kind, piece), kind)
    planned: list[tuple[str, int | str | None, dict[str, Any]]] = []
    if drill is None:
        planned = [(name, None, {}) for chance in (_STRUCK, _TWICE) if rng.random() < chance for name in _drawn(rng)]
    else:
        if drill.after is not None:  # and it dies in this run if the line is there, or in the next
            planned.append((*drill.after, {"line": drill.at}))
        planned.append((drill.fault, drill.at, {}))
    outcome = None
    while record.runs < MOST_RUNS:
        if record.runs >= max(1, len(planned)) and not (outcome and battlefield.is_wanted(kind, piece, outcome)):
            break
        fault, at, job = planned[record.runs] if record.runs < len(planned) else (None, None, {})
        hit = battlefield.attempt(kind, piece, fault, rng, at, **job)
        outcome = hit.outcome
        record.runs += 1
        if hit.struck:
            record.hits.append((hit.fault, hit.left))
        if outcome.at and not outcome.ended:
            record.killed_at.append(outcome.at)
            if hit.fault in REQUEST_FAULTS:
                record.hits.append((KILLED_AT_A_LINE, hit.left))
    if outcome is not None and outcome.made and rng.random() < _RERUN:
        battlefield.zygote.run(battlefield.job(kind, piece))  # the same day, materialized again
    battlefield.settle_down()
    record.standing = battlefield.standing(kind, piece, outcome) if outcome is not None else "open: never run"
    battlefield.put_away(piece)
    return record


@dataclass(frozen=True)
class Drill:
    """One fault at one chosen place: ``at`` is a request from 0, an executed line from 1, or a line of a file.

    ``after`` is the fault, and its request, that leads to a line of recovery.
    """

    kind: str
    fault: str
    at: int | str
    after: tuple[str, int] | None = None


def sweep(battlefield: Battlefield) -> list[Drill]:
    """Every line of the state machine that a kind's run executes, and every fault at every request of its client."""
    lines = [Drill(kind, KILLED_AT_A_LINE, at) for kind, all_of in battlefield.firsts.items() for at in all_of.values()]
    requests = [
        Drill(kind, fault, at)
        for kind, number in battlefield.requests.items()
        for at in range(number)
        for fault in REQUEST_FAULTS
    ]
    pushes = [Drill("blog", fault, PUSH) for fault in PUSH_FAULTS]
    return lines + requests + pushes


def recovery_sweep(battlefield: Battlefield, kinds: Iterable[str]) -> list[Drill]:
    """Every line of the state machine that only recovery runs through, as far as one fault leads there."""
    return [
        Drill(kind, KILLED_AT_A_LINE, line, after)
        for kind in kinds
        for line, after in sorted(battlefield.recovery(kind).items())
    ]


def _drawn(rng: random.Random) -> list[str]:
    return rng.choices(FAULTS, [_RARE.get(name, 1.0) for name in FAULTS])


def judge(battlefield: Battlefield, records: Iterable[Record]) -> int:
    """Hold our books against the witness's; returns the number of posts of unknown origin."""
    posts, charges = battlefield.posts_seen(), battlefield.charges_seen()
    for record in records:
        rows = battlefield.effects(record.piece)
        if record.is_post:
            record.posts = posts.get(record.piece, 0)
            record.double = max(0, record.posts - 1)
            open_states = ("claimed", "prepared", "committing", "unknown")
            if record.standing == "done":
                record.lost = int(record.posts == 0)
            elif record.posts and not any(row.state in open_states for row in rows):
                record.lost = 1
            continue
        record.charges = len(charges.get(record.piece, []))
        lost = sum(row.state == "lost" for row in rows)
        sent = lost + sum(
            row.state in ("settled", "unknown") or bool(row.cost_micros) for row in rows if row.state != "lost"
        )
        record.attempts = sent
        record.double_charged = max(0, record.charges - sent) + max(0, sent - lost - 1)
    return posts.get("?", 0)


def run_field(number: int, fields: int, intents: int, seed: int, swept: bool, beside: Path | None) -> dict[str, Any]:
    """One field's share of the intents, in this process; what it came to is kept beside a file, if one is named."""
    asked = [_code(), number, fields, intents, seed, swept]
    kept = beside and beside.with_name(f"{beside.name}.{number}")
    if kept is not None and kept.exists() and (found := json.loads(kept.read_text("utf-8")))["asked"] == asked:
        return dict(found["told"])
    told = _work_field(number, fields, intents, seed, swept)
    if kept is not None:
        draft = kept.with_name(f"{kept.name}.draft")
        draft.write_text(json.dumps({"asked": asked, "told": told}), "utf-8")
        draft.replace(kept)
    return told


def _code() -> str:
    """Which code is under fire: the commit, and what was changed since."""
    said = [["git", "rev-parse", "HEAD"], ["git", "diff", "HEAD", "--", "affiliate_empire", "tests/factories"]]
    parts = [subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout for command in said]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _work_field(number: int, fields: int, intents: int, seed: int, swept: bool) -> dict[str, Any]:
    battlefield = Battlefield(seed, number=number)
    try:
        battlefield.calibrate()
        drills = sweep(battlefield)[number::fields] if swept else []
        if swept:  # what leads where takes a while to find: each kind on one field
            drills += recovery_sweep(battlefield, KINDS[number::fields])
        if len(drills) > intents:
            raise BadInput(
                f"A sweep takes {len(drills) * fields} intents: name more with --intents, or do without --sweep."
            )
        records = []
        for each in range(intents):
            rng = random.Random(f"{seed}-{number}-{each}")  # noqa: S311 - seeded on purpose
            drill = drills[each] if each < len(drills) else None
            kind = drill.kind if drill else rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            records.append(fight(battlefield, kind, f"pc_{number}_{each:05}", rng, drill))
        strangers = judge(battlefield, records)
        with battlefield.ledger.begin() as session:
            unbalanced = [str(one) for one in [*imbalances(session), *exceeded(session)]]
        return {
            "records": [asdict(record) for record in records],
            "micros_beyond_cap": battlefield.micros_beyond_cap,
            "strangers": strangers,
            "unbalanced": unbalanced,
            "lines": sorted(
                {line for lines in battlefield.firsts.values() for line in lines}
                | {str(drill.at) for drill in drills if drill.after is not None}
            ),
        }
    finally:
        battlefield.close()


def run_scenarios(seed: int) -> list[Finding]:
    """Each failure sequence that a peer is known for, on a field of its own."""
    battlefield = Battlefield(seed, number=99)
    try:
        battlefield.calibrate(("youtube",))
        return [scenario(battlefield) for scenario in SCENARIOS]
    finally:
        battlefield.close()


def run(
    intents: int, seed: int, fields: int, *, swept: bool = False, at_once: int | None = None, beside: Path | None = None
) -> dict[str, Any]:
    """All of it; returns the figures.

    Args:
        at_once: how many fields are worked side by side; None: all.
        beside: the file beside which each field keeps what it came to.

    Raises:
        BadInput: a sweep takes more intents.
    """
    started = time.monotonic()
    fields = max(1, min(fields, intents))
    shares = [intents // fields + (number < intents % fields) for number in range(fields)]
    told: list[dict[str, Any]] = []
    with ProcessPoolExecutor((at_once or fields) + 1, mp_context=get_context("spawn")) as pool:
        scenarios = pool.submit(run_scenarios, seed)
        futures = [
            pool.submit(run_field, number, fields, share, seed, swept, beside) for number, share in enumerate(shares)
        ]
        for future in as_completed(futures):
            told.append(future.result())
        findings = scenarios.result()
    records = [
        Record(**record | {"hits": [tuple(hit) for hit in record["hits"]]}) for one in told for record in one["records"]
    ]
    struck = [record for record in records if record.hits]
    parked = [record for record in records if record.standing == "parked"]
    beyond = sum(one["micros_beyond_cap"] for one in told) + sum(finding.micros_beyond_cap for finding in findings)
    killed_at = {at for record in records for at in record.killed_at}
    machine = {line for one in told for line in one["lines"]}
    return {
        "intents": len(records),
        "seed": seed,
        "double_posts": sum(record.double for record in records)
        + sum(one["strangers"] for one in told)
        + sum(finding.double_posts for finding in findings),
        "lost_posts": sum(record.lost for record in records) + sum(finding.lost_posts for finding in findings),
        "double_charges": sum(record.double_charged for record in records)
        + sum(finding.double_charges for finding in findings),
        "repeat_charges": sum(max(0, record.charges - 1) for record in records if not record.is_post)
        - sum(max(0, record.charges - record.attempts) for record in records if not record.is_post),
        "cents_beyond_cap": beyond / 10_000,
        "published_share": _share(sum(record.done for record in records), len(records)),
        "self_healed_share": _share(sum(record.done for record in struck), len(struck)),
        "parked_share": _share(len(parked), len(records)),
        "posts": sum(record.is_post for record in records),
        "struck": len(struck),
        "faults": dict(Counter(fault for record in records for fault, _ in record.hits)),
        "runs": sum(record.runs for record in records),
        "kills": sum(fault.startswith("killed") for record in records for fault, _ in record.hits),
        "distinct_lines_killed_at": len(killed_at),
        "machine_lines_executed": len(machine),
        "machine_lines_killed_at": len(machine & killed_at),
        "books_unbalanced": [line for one in told for line in one["unbalanced"]],
        "not_done": [
            {"piece": record.piece, "kind": record.kind, "hits": record.hits, "standing": record.standing}
            for record in records
            if not record.done
        ],
        "outcomes": _outcomes(records),
        "scenarios": [asdict(finding) for finding in findings],
        "seconds": round(time.monotonic() - started, 1),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 1.0


def _outcomes(records: Iterable[Record]) -> list[dict[str, Any]]:
    """By fault, what was struck (post, job or call) and the state it left: how many ended how. One fault alone."""
    counted: dict[tuple[str, str, str], Counter[str]] = {}
    for record in records:
        if len(record.hits) != 1:
            continue
        fault, left = record.hits[0]
        what = "post" if record.is_post else "job" if record.kind in ("fal", "runway") else "call"
        how = record.standing.partition(":")[0] if record.done or record.standing != "done" else "WRONG"
        if how == "done" and record.charges > 1:
            how = "repeated"
        counted.setdefault((fault, what, left), Counter())[how] += 1
    return [
        {"fault": fault, "what": what, "left": left, "ended": dict(ended)}
        for (fault, what, left), ended in sorted(counted.items(), key=lambda one: (FAULTS.index(one[0][0]), one[0]))
    ]


# ---------------------------------------------------------------- report
_STATES = ("nothing", "intended", "claimed", "prepared", "committing", "unknown", "settled", "lost")
_WORDS = {"done": "once", "repeated": "paid again, booked", "parked": "parked"}


def tables(figures: dict[str, Any]) -> str:
    """The tables of ``docs/publishing.md``, from a run's figures."""
    counted: dict[str, dict[str, Counter[str]]] = {}
    for row in figures["outcomes"]:
        cell = counted.setdefault(row["fault"], {}).setdefault(row["left"], Counter())
        cell.update(row["ended"])
    lines = [
        f"{figures['intents']:,} intents, seed {figures['seed']}: {figures['double_posts']} double posts, "
        f"{figures['lost_posts']} lost posts, {figures['double_charges']} double charges, "
        f"{figures['cents_beyond_cap']:g} cents beyond a cap; {figures['published_share']:.2%} done, "
        f"{figures['self_healed_share']:.2%} of the {figures['struck']:,} that were struck healed by themselves, "
        f"{figures['parked_share']:.2%} parked, {figures['repeat_charges']} charges repeated and booked.",
        "",
        "| fault \\ state it left | " + " | ".join(_STATES) + " |",
        "|---|" + "---|" * len(_STATES),
    ]
    for fault in FAULTS:
        cells = [_cell(counted.get(fault, {}).get(state, Counter())) for state in _STATES]
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
    lines += ["", "| failure sequence | seen at | came to |", "|---|---|---|"]
    lines += [f"| {one['sequence']} | {one['seen_at']} | {one['came_to']} |" for one in figures["scenarios"]]
    return "\n".join(lines)


def _cell(ended: Counter[str]) -> str:
    return "<br>".join(f"{number} {_WORDS.get(how, how)}" for how, number in sorted(ended.items())) or "–"


def write_docs(figures: dict[str, Any]) -> None:
    """Put the tables between the markers of ``docs/publishing.md``, and the figures into ``benchmarks/results.md``."""
    text = DOCS.read_text("utf-8")
    generated = f"<!-- begin exactly_once -->\n{tables(figures)}\n<!-- end exactly_once -->"
    marked = re.compile(r"<!-- begin exactly_once -->.*?<!-- end exactly_once -->", re.DOTALL)
    DOCS.write_text(marked.sub(lambda _: generated, text), "utf-8")
    shown = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    rows = [f"| {name} | {value:,} |" for name, value in shown.items()]
    write_section("Exactly once", [conditions("exactly_once.py"), "", "| | |", "|---|---|", *rows])


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--intents", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--json", type=Path)
    options.add_argument("--fields", type=int, default=20, help="worlds, each with its ledger, that share the intents")
    options.add_argument("--at-once", type=int, default=os.cpu_count(), help="of them, worked side by side")
    options.add_argument("--sweep", action="store_true", help="go through every line and request before chance does")
    options.add_argument("--docs", action="store_true", help="write the tables of docs/publishing.md")
    chosen = options.parse_args(arguments)
    figures = run(
        chosen.intents, chosen.seed, chosen.fields, swept=chosen.sweep, at_once=chosen.at_once, beside=chosen.json
    )
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=2, default=str), "utf-8")
    if chosen.docs:
        write_docs(figures)
    print(json.dumps({name: value for name, value in figures.items() if not isinstance(value, list)}, indent=2))
    return figures


if __name__ == "__main__":
    main()
