"""The failure sequences that systems of this kind are known for, each acted out on a battlefield.

Each scenario returns a ``Finding``: what the world's witness saw. References are to public issue threads of the
projects named; none of their code is ours.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import select

from affiliate_empire.effects.resolve import confirm_ledger
from affiliate_empire.ledger import EmbeddedPostgres, Ledger, open_ledger
from affiliate_empire.ledger.tables import Effect
from tests.factories.battlefield import KILLED_IN_A_REQUEST, LATE, Battlefield
from tests.factories.publishing import NICHE
from tests.factories.under_fire import ROOT, Job, Zygote

_MACHINE = ROOT / "affiliate_empire/effects/machine.py"
_COMMIT = "outcome = act.commit(handle)"
_SHORT = 1.0  # seconds of a lease that is waited for


@dataclass(frozen=True)
class Finding:
    """What a sequence came to, by the world's witness."""

    sequence: str
    seen_at: str
    came_to: str
    double_posts: int = 0
    lost_posts: int = 0
    double_charges: int = 0
    micros_beyond_cap: int = 0


def _post(
    sequence: str,
    seen_at: str,
    kind: str,
    faults: list[list[tuple[str, dict[str, Any]]]],
    field: Battlefield,
    *,
    runs: int = 3,
) -> Finding:
    """A piece is run once under each set of faults, then ``runs`` times in calm weather."""
    piece = field.add(kind, f"pc_s_{len(field.began)}")
    for rules in faults:
        field.tick(1)
        for match, rule in rules:
            field.world.fault(match, **rule)
        field.zygote.run(Job(kind, piece))
        field.world.clear_faults()
    for _ in range(runs):
        field.tick(1)
        field.zygote.run(Job(kind, piece))
    return _seen(sequence, seen_at, kind, piece, field)


def _seen(sequence: str, seen_at: str, kind: str, piece: str, field: Battlefield) -> Finding:
    field.settle_down()
    posts = field.posts_seen().get(piece, 0)
    state = field.state(piece)
    return Finding(
        sequence, seen_at, f"{posts} post{'' if posts == 1 else 's'}, {state}",
        double_posts=max(0, posts - 1), lost_posts=int(state == "settled" and posts == 0),
    )  # fmt: skip


_LOST = {"when": "after", "drop": True}
_PUBLISH = "POST /instagram/*/media_publish"
_SESSION = "PUT /youtube/upload/*"
_BYTES = "PUT /tiktok/upload/*"
_STATUS = "POST /tiktok/v2/post/publish/status/fetch/"
_INIT = "POST /tiktok/v2/post/publish/video/init/"


def _killed_between(
    sequence: str, seen_at: str, kind: str, match: str, field: Battlefield, *, when: str = "after"
) -> Finding:
    """Killed while a request is under way, then run again."""
    piece = field.add(kind, f"pc_s_{len(field.began)}")
    field.world.fault(match, when=when, delay=1.5)
    worker = field.zygote.start(Job(kind, piece))
    while field.world.fault_hits() == 0 and not worker.is_over(0.02):
        pass
    time.sleep(0.2)
    worker.signal(signal.SIGKILL)
    worker.wait()
    field.world.clear_faults()
    time.sleep(1.5)
    for _ in range(2):
        field.tick(1)
        field.zygote.run(Job(kind, piece))
    return _seen(sequence, seen_at, kind, piece, field)


def _twice_at_once(sequence: str, seen_at: str, kind: str, field: Battlefield) -> Finding:
    piece = field.add(kind, f"pc_s_{len(field.began)}")
    workers = [field.zygote.start(Job(kind, piece)) for _ in range(3)]
    for worker in workers:
        worker.wait()
    field.tick(1)
    field.zygote.run(Job(kind, piece))
    return _seen(sequence, seen_at, kind, piece, field)


def _three_deaths(field: Battlefield) -> Finding:
    piece, rng = field.add("youtube", f"pc_s_{len(field.began)}"), random.Random(1)
    for _ in range(3):
        field.attempt("youtube", piece, KILLED_IN_A_REQUEST, rng)
        field.settle_down()
    field.zygote.run(Job("youtube", piece))
    return _seen(
        "a workflow's three attempts, each with a fresh row",
        "the original, publishing activity",
        "youtube",
        piece,
        field,
    )


def _paid(
    sequence: str, seen_at: str, kind: str, rules: list[tuple[str, dict[str, Any]]], field: Battlefield
) -> Finding:
    """A paid step under faults, then run three times more."""
    piece = field.add(kind, f"pc_s_{len(field.began)}")
    for match, rule in rules:
        field.world.fault(match, **rule)
    field.zygote.run(Job(kind, piece))
    field.world.clear_faults()
    for _ in range(3):
        field.tick(1)
        field.zygote.run(Job(kind, piece))
    charges = len(field.charges_seen().get(piece, []))
    rows = field.effects(piece)
    lost = sum(row.state == "lost" for row in rows)
    came_to = f"charges: {charges}, lost replies: {lost}"
    return Finding(sequence, seen_at, came_to, double_charges=max(0, charges - 1 - lost))


def _caps_under_lost_replies(field: Battlefield) -> Finding:
    """Each cap in its turn for a part of what is wanted, and every other reply lost: what the world charges fits it."""
    room, before, beyond, refused = 15_000, 0, 0, 0
    inner = Battlefield(field.seed, number=98, kinds=())
    try:
        for which in ("run", "vendor", "niche", "day", "month"):  # all that was charged before counts as well
            cap = room if which == "run" else inner.booked() + room
            names = {"vendor": {"vendor_day_caps": {"openai": cap}}, "niche": {"niche_day_caps": {NICHE: cap}}}
            told = names.get(which, {f"{which}_cap": cap})
            zygote = Zygote({**inner.where, **told, "run_id": f"run of {which}"}, {})
            try:
                for number in range(8):
                    piece = inner.add("openai_text", f"pc_cap_{which}_{number}")
                    if number % 2:
                        inner.world.fault("POST /*", **_LOST)
                    for _ in range(2):
                        refused += zygote.run(Job("openai_text", piece)).error == "BudgetRefused"
                    inner.world.clear_faults()
            finally:
                zygote.close()
            after = sum(charge["micros"] for charge in inner.world.witness("charges"))
            beyond += max(0, after - before - room)
            before = after
    finally:
        inner.close()
    return Finding(
        "retries and lost replies under caps that bind: of a run, a vendor, a niche, a day, a month",
        "strix#96, litellm#21907, scrollcraft#185",
        f"{refused} calls refused, {beyond / 10_000:g} cents beyond", micros_beyond_cap=beyond,
    )  # fmt: skip


def _sent_as_its_slot_ends(field: Battlefield) -> Finding:
    """The act is carried out when its client has given up, and its slot has passed by then."""
    inner = Battlefield(field.seed, number=96, kinds=())
    acts = {"youtube": _SESSION, "tiktok": _BYTES, "tiktok_inbox": _BYTES, "instagram": _PUBLISH}
    try:
        pieces = []
        for kind, act in acts.items():
            piece = inner.add(kind, f"pc_late_{kind}")
            pieces.append(piece)
            inner.world.fault(act, when="before", delay=LATE)
            worker = inner.zygote.start(Job(kind, piece))
            while inner.world.fault_hits() == 0 and not worker.is_over(0.02):
                pass
            inner.tick(60 * 60)
            worker.wait()
            inner.world.clear_faults()
        time.sleep(LATE)
        for _ in range(3):
            inner.tick(60)
            for kind, piece in zip(acts, pieces, strict=True):
                inner.zygote.run(Job(kind, piece))
        posts = [inner.posts_seen().get(piece, 0) for piece in pieces]
        states = [inner.state(piece) for piece in pieces]
    finally:
        inner.close()
    known = ("settled", "unknown", "prepared", "committing")  # or what will be
    lost = [(state not in known) if number else state == "settled" for number, state in zip(posts, states, strict=True)]
    return Finding(
        "sent as its slot ends, carried out after that", "any late queue",
        f"{sum(posts)} posts of {len(posts)} pieces, {states.count('settled')} settled",
        double_posts=sum(max(0, number - 1) for number in posts), lost_posts=sum(lost),
    )  # fmt: skip


def _woken_after_another_video(field: Battlefield) -> Finding:
    """A worker falls asleep before its first byte; its lease passes, the piece's new video goes out; then it wakes."""
    inner = Battlefield(field.seed, number=95, kinds=())
    commit = next(number for number, line in enumerate(_MACHINE.read_text("utf-8").splitlines(), 1) if _COMMIT in line)
    kinds = ("youtube", "tiktok", "instagram")
    try:
        posts, before = [], []
        for kind in kinds:
            piece = inner.add(kind, f"pc_woken_{kind}")
            place = f"{_MACHINE.relative_to(ROOT)}:{commit}"
            sleeper = inner.zygote.start(Job(kind, piece, line=place, do="stop", lease=_SHORT))
            if sleeper.stopped_at() is None:
                raise AssertionError(f"{kind} was posted without {place}: {sleeper.wait()}")
            inner.move(kind, piece, anew=True)
            for _ in range(5):
                time.sleep(_SHORT + 0.1)
                inner.tick(1)
                inner.zygote.run(Job(kind, piece, lease=_SHORT))
            before.append(inner.posts_seen().get(piece, 0))
            sleeper.signal(signal.SIGCONT)
            sleeper.wait()
            inner.settle_down()
            posts.append(inner.posts_seen().get(piece, 0))
    finally:
        inner.close()
    return Finding(
        "asleep before its first byte, woken after another video was posted", "suspended machines",
        f"{sum(posts)} posts of {len(posts)} pieces, {sum(before)} before it woke",
        double_posts=sum(max(0, number - 1) for number in posts), lost_posts=before.count(0),
    )  # fmt: skip


def _copied(sequence: str, *, confirmed: bool, field: Battlefield) -> Finding:
    """The ledger's disk of before the posts went out, set to work beside the one that posted them.

    Args:
        confirmed: the owner says that no other installation works on its accounts, as after a restore.
    """
    inner = Battlefield(field.seed, number=97, kinds=())
    home = inner.folder / "yesterday"
    server = EmbeddedPostgres(home)
    try:
        pieces = {kind: inner.add(kind, f"pc_copy_{kind}") for kind in ("youtube", "tiktok", "instagram", "blog")}
        inner.ledger.dispose()
        inner.server.stop()
        subprocess.run(["cp", "-a", inner.folder / "home", home], check=True)  # with its owner
        inner.server.start()
        for kind, piece in pieces.items():
            inner.zygote.run(Job(kind, piece))
        ledger = open_ledger(home, None, "sandbox")
        if confirmed:
            confirm_ledger(ledger=ledger)
        inner.tick(120)  # a listing comes late
        zygote = Zygote({**inner.where, "ledger_url": ledger.url}, {})
        try:
            for _ in range(2):
                inner.tick(1)
                for kind, piece in pieces.items():
                    zygote.run(Job(kind, piece))
        finally:
            zygote.close()
        posts = [inner.posts_seen().get(piece, 0) for piece in pieces.values()]
        states = _states(ledger)
        ledger.dispose()
    finally:
        server.stop()
        inner.close()
    there = ", ".join(f"{number} {state}" for state, number in sorted(states.items())) or "nothing was begun"
    return Finding(
        sequence, "restores and moves", f"{sum(posts)} posts of {len(pieces)} pieces; in the copy: {there}",
        double_posts=sum(max(0, number - 1) for number in posts), lost_posts=posts.count(0),
    )  # fmt: skip


def _states(ledger: Ledger) -> Counter[str]:
    with ledger.begin() as session:
        return Counter(session.scalars(select(Effect.state)))


Scenario = Callable[[Battlefield], Finding]
SCENARIOS: tuple[Scenario, ...] = (
    partial(_post, "a retry per time-out: five copies", "Postiz #1172, #1321", "youtube",
            [[(_SESSION, {**_LOST, "times": 2})]] * 5),
    partial(_post, "published behind a time-out, published again by the next run", "Postiz #1813, re-publish path",
            "instagram", [[(_PUBLISH, {"when": "before", "delay": 4.5})]]),
    partial(_post, "an error in answer to a publish that went on", "Postiz #1681, #1562", "instagram",
            [[(_PUBLISH, {"when": "after", "kind": "down"})]]),
    partial(_post, "Direct Post's reply lost, its status behind, retried", "AiToEarn #586", "tiktok",
            [[(_BYTES, _LOST), (_STATUS, {"body": {"data": {"status": "PROCESSING_UPLOAD", "uploaded_bytes": 0},
                                                   "error": {"code": "ok", "message": ""}}, "status": 200})]] * 2),
    partial(_post, "time-out after acceptance, classed as retriable", "BrightBean, publisher", "youtube",
            [[(_SESSION, {"when": "after", "delay": 4.5})]]),
    partial(_killed_between, "killed while PUBLISHING, stuck for good", "BrightBean; AiToEarn #98, #211", "instagram",
            _PUBLISH),
    partial(_killed_between, "publish_id lost before it was stored", "trypost #281", "tiktok", _INIT),
    partial(_post, "sent, connection lost, sent again in the background", "Tusky #2951", "tiktok",
            [[(_BYTES, _LOST)], [(_STATUS, {"drop": True})]]),
    partial(_twice_at_once, "the schedule fires twice", "imposting #59; n8n #31837, #38083", "youtube"),
    partial(_post, "endless tries against a vendor that is out of order", "mixpost, tries = 0", "instagram",
            [[("* /instagram/*", {"kind": "down", "times": 50})]] * 8),
    _three_deaths,
    partial(_post, "the same day run again", "the original, metrics collector", "blog", [], runs=5),
    partial(_paid, "a failed run starts over and pays again", "MoneyPrinterTurbo #386", "fal",
            [("GET /fal/*", {**_LOST, "times": 2})]),
    partial(_paid, "a lost reply, asked for again", "ShortGPT, short-video-maker #51", "openai_text",
            [("POST /openai/*", _LOST)]),
    _caps_under_lost_replies,
    _sent_as_its_slot_ends,
    _woken_after_another_video,
    lambda field: _copied("yesterday's ledger restored after its posts went out", confirmed=True, field=field),
    lambda field: _copied("an installation copied, both set to work", confirmed=False, field=field),
)  # fmt: skip
