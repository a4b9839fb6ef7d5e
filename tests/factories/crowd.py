"""A crowd at one cap: forked processes with threads in each, who all want a clip filmed at the same moment.

Run as a module it is the crowd; ``gather`` starts it and adds up what the workers were told. They speak to the sandbox
world through the product's own client, so that what was charged is the world's word.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from affiliate_empire.effects import (
    Accepted,
    BudgetRefused,
    EffectKind,
    Effects,
    Intent,
    Receipt,
    StillUnknown,
    Verdict,
)
from affiliate_empire.kernel.caps import Caps
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.fal import FalClient
from tests.factories.effects import NOON
from tests.factories.media import jpeg

ROOT = Path(__file__).parents[2]
POLICY = load_policy()
MODEL = POLICY.model("pika", NOON.date())
PRICE = POLICY.clip_cost_micros(MODEL)


def gather(
    ledger: Ledger, world_url: str, *, processes: int, threads: int, attempts: int, day: date, caps: Caps
) -> dict[str, Any]:
    """What the crowd was told: how many jobs were ``paid`` and ``refused``, its refusals, its seconds."""
    said = {
        "ledger": ledger.url,
        "world": world_url,
        "processes": processes,
        "threads": threads,
        "attempts": attempts,
        "day": day.isoformat(),
        "caps": {name: value for name, value in asdict(caps).items() if name != "calendar"},
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.factories.crowd"],
        input=json.dumps(said),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        timeout=240,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _main(said: Mapping[str, Any]) -> None:
    """Fork the workers, let them all begin at once, and print the sum of what they were told."""
    begin, go = os.pipe()
    readers = []
    for number in range(said["processes"]):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(go)
            os.read(begin, 1)  # nothing comes: it is closed when all are there
            with os.fdopen(writer, "w") as out:
                json.dump(_work(said, number), out)
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    started = time.perf_counter()
    os.close(go)
    outcomes: Counter[str] = Counter()
    refusals: list[list[Any]] = []
    for reader in readers:
        with os.fdopen(reader) as answer:
            told = json.load(answer)
        outcomes.update(told["outcomes"])
        refusals += told["refusals"]
    print(json.dumps({**outcomes, "refusals": refusals, "seconds": time.perf_counter() - started}))


@dataclass
class Filming:
    """The act of one clip, as ``operations.make_clips`` carries it out, without a piece around it."""

    client: FalClient

    def prepare(self) -> dict[str, Any]:
        return {}

    def commit(self, handle: dict[str, Any]) -> Accepted:
        seconds, resolution = POLICY.clip_format(MODEL)
        return Accepted(
            self.client.submit(model=MODEL, prompt="A grinder", picture=jpeg(7), seconds=seconds, resolution=resolution)
        )

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        if "job_id" not in handle:
            return StillUnknown("the vendor's page of jobs")
        while not self.client.fetch_status(handle["job_id"]).ended:
            time.sleep(0.1)
        return Receipt(handle["job_id"], self.client.fetch_clip(handle["job_id"], model=MODEL).cost_micros)


def _work(said: Mapping[str, Any], number: int) -> dict[str, Any]:
    """One process: its threads share its ledger and its client, as an asset's do."""
    effects = Effects(Ledger(said["ledger"]), FixedClock(NOON), caps=Caps(**said["caps"]), run_id=f"run-{number}")
    client = FalClient(f"{said['world']}/fal", lambda: SANDBOX_KEYS["fal"], timeout=120)
    outcomes: Counter[str] = Counter()
    refusals: list[list[Any]] = []

    def work(worker: int) -> None:
        for attempt in range(said["attempts"]):
            name = f"crowd-{number}-{worker}-{attempt}"
            intent = Intent(
                key=f"{name}:clip",
                kind=EffectKind.AT_MOST_ONCE,
                vendor="fal",
                operation="film",
                fingerprint=name,
                day=date.fromisoformat(said["day"]),
                max_cost_micros=PRICE,
                niche="gear",
            )
            try:
                effects.perform(intent, Filming(client))
            except BudgetRefused as refusal:
                outcomes["refused"] += 1
                refusals.append([refusal.scope, refusal.left_micros, str(refusal)])
            else:
                outcomes["paid"] += 1

    with ThreadPoolExecutor(said["threads"]) as pool:
        list(pool.map(work, range(said["threads"])))
    client.close()
    effects.ledger.dispose()
    return {"outcomes": outcomes, "refusals": refusals}


if __name__ == "__main__":
    _main(json.load(sys.stdin))
