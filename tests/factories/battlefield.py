"""A business, its world and its database, with everything going wrong on demand; the world is the witness.

``Battlefield.attempt`` is one run of one piece under one fault. What a fault does stands in ``FAULTS``: at a vendor's
request the world does it, at a line of ours the worker does it to itself (``under_fire``), and what happens to workers
and databases is done from here.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from affiliate_empire.effects import State
from affiliate_empire.kernel.clock import BusinessCalendar, FixedClock
from affiliate_empire.ledger import EmbeddedPostgres, Ledger, open_ledger
from affiliate_empire.ledger.tables import Account, Artifact, Budget, Effect, Link, Piece, Publication
from affiliate_empire.operations.find_due_posts import find_due_posts
from affiliate_empire.policy import load_policy
from affiliate_empire.sandbox.clock import instant
from tests.factories.publishing import DAY, SLOT, add_post, add_video, open_business
from tests.factories.under_fire import (
    JOBS,
    KINDS,
    POSTS,
    Job,
    Outcome,
    Worker,
    Zygote,
    add_footage,
    break_next_push,
    mend_pushes,
    platform_of,
)
from tests.factories.worlds import RunningWorld, write_video

TIMEOUT = 3.0  # seconds after which a worker's client gives up
LATE = TIMEOUT + 1.5  # when a late request is carried out, or a late reply comes
_CALM_ATTEMPTS = 8
_PER_ACCOUNT = 10  # posts that any platform's policy lets an account make in a day
_LONG_AGO = 30.0

# What the world does to one request. Each of them is tried at every request that a piece's run makes.
REQUEST_FAULTS: dict[str, dict[str, Any]] = {
    "reply lost after it acted": {"when": "after", "drop": True},
    "connection reset": {"drop": True},
    "acts after the time-out": {"when": "before", "delay": LATE},
    "replies after the time-out": {"when": "after", "delay": LATE},
    "429, again in 1 s": {"kind": "busy"},
    "429, again in 15 min": {"kind": "busy", "headers": {"Retry-After": "900"}},
    "5xx, nothing done": {"kind": "down"},
    # A gateway's, which proves nothing: where a vendor explains a 5xx itself, its documents say that it did nothing.
    "5xx after it acted": {"when": "after", "status": 502, "body": "<html><h1>502 Bad Gateway</h1></html>"},
    "200 with an error inside": {"kind": "error_in_200"},
    "200 with an error after it acted": {"when": "after", "kind": "error_in_200"},
    "malformed JSON after it acted": {"when": "after", "kind": "malformed"},
    "a sign-in page with 200": {"kind": "html"},
    "token expires in the middle": {"kind": "expired"},
}
# The same at the blog's remote, which is git: a hook of its repository.
PUSH_FAULTS: dict[str, tuple[str, str]] = {
    "reply lost after it acted": ("post-receive", "kill -9 $PPID"),
    "connection reset": ("pre-receive", "kill -9 $PPID"),
    "acts after the time-out": ("pre-receive", f"sleep {LATE}"),
    "replies after the time-out": ("post-receive", f"sleep {LATE}"),
}
PUSH = -1  # in place of a request's number
# What leaves something to find out: each makes the machine take other lines, in its run or in the next.
_LEFT_OPEN = (
    "reply lost after it acted",
    "connection reset",
    "429, again in 15 min",
    "5xx after it acted",
    "200 with an error inside",
    "token expires in the middle",
)
KILLED_AT_A_LINE = "killed at a line of the state machine"
KILLED_IN_A_CLIENT = "killed at a line of a client"
KILLED_IN_A_REQUEST = "killed while a request is under way"
TWO_WORKERS = "two workers on one intent"
SLEPT = "slept before sending, woken after its lease was taken"
MOVED = "slot moved or video made anew while the first attempt is open"
RESTARTED = "database restarted"
FAULTS = (
    KILLED_AT_A_LINE,
    KILLED_IN_A_CLIENT,
    KILLED_IN_A_REQUEST,
    *REQUEST_FAULTS,
    TWO_WORKERS,
    SLEPT,
    MOVED,
    RESTARTED,
)


@dataclass(frozen=True)
class Hit:
    """What one run came to. ``struck`` says whether its fault happened; ``at`` where, ``left`` in which state."""

    fault: str
    struck: bool
    at: str
    left: str
    outcome: Outcome


class Battlefield:
    """One world, one ledger, one zygote; pieces are worked one after the other.

    Args:
        seed: of all chance.
        number: keeps the pieces of several fields apart.
        kinds: what will be worked here.
        caps: what the stack is told besides where everything is.
    """

    def __init__(self, seed: int, *, number: int = 0, kinds: tuple[str, ...] = KINDS, **caps: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="empire-fire-"))
        self.folder.chmod(0o755)  # root's PostgreSQL runs as another user
        self.number = number
        self.seed = seed
        self.server = EmbeddedPostgres(self.folder / "home")
        self.ledger: Ledger = open_ledger(self.folder / "home", None, "sandbox")
        self.now = SLOT
        self.world = RunningWorld(self.folder, now=SLOT)
        for platform in ("youtube", "tiktok", "instagram"):
            self.world.put_account(platform, posts_per_day=1_000_000)
        self.business = open_business(self.ledger, self.world.url, self.folder)
        serve = partial(_Quiet, directory=str(self.folder / "media"))
        self._files = ThreadingHTTPServer(("127.0.0.1", 0), serve)
        threading.Thread(target=self._files.serve_forever, daemon=True).start()
        self._base = write_video(
            self.folder / "base.mp4", size=(360, 640), rate=24, seconds=4, index_first=True
        ).read_bytes()
        self.where = {
            "ledger_url": self.ledger.url,
            "world_url": self.world.url,
            "home": str(self.folder),
            "timeout": TIMEOUT,
            "media_url": f"http://127.0.0.1:{self._files.server_port}",
            **caps,
        }
        self.videos: dict[str, list[str]] = {}  # by piece: the hashes that may go out for it
        self.began: dict[str, datetime] = {}  # by piece: the world's time at which it is worked
        self.requests: dict[str, int] = {}
        self.lines: dict[str, dict[str, int]] = {}
        self.firsts: dict[str, dict[str, int]] = {}  # by kind: each line of the state machine, and its first execution
        self._accounts: dict[str, int] = {}
        self._bounds: dict[str, int] = {}  # by kind of paid step: what one attempt may cost
        self._day_cap: int | None = None  # of the attempt under way
        self.micros_beyond_cap = 0  # what the world charged beyond it
        self._busy_until = 0.0
        self.zygote = Zygote(self.where, {kind: self.add(kind, f"pc_{number}_warm_{kind}") for kind in kinds})

    def close(self) -> None:
        self.zygote.close()
        self._files.shutdown()
        self._files.server_close()
        self.business.close()
        self.world.stop()
        self.ledger.dispose()
        self.server.stop()
        shutil.rmtree(self.folder)

    # ------------------------------------------------------------------ pieces
    def add(self, kind: str, piece: str) -> str:
        """A piece that is ready for its run, at a second of the world's that is its own."""
        self.tick(2)
        self.began[piece] = self.now
        if kind in POSTS:
            platform = platform_of(kind)
            slot_at = self.now + timedelta(minutes=10) if platform == "youtube" else self.now
            if kind == "blog":
                add_post(self.business, piece_id=piece, slot_at=slot_at)
            else:
                path = self.new_video(piece)
                add_video(self.business, path, piece_id=piece, slot_at=slot_at, platform=platform)
                path.unlink()
            self._move_to_account(piece, kind)
        else:
            add_post(self.business, piece_id=piece, slot_at=self.now)
            self._keep_from_posting(piece)
            if kind in JOBS:
                add_footage(self.business, piece)
        return piece

    def new_video(self, piece: str) -> Path:
        """Another video, which looks like all the others and is told apart by its hash."""
        import hashlib

        mark = f"{piece} {len(self.videos.get(piece, []))}".encode()
        path = self.folder / f"{piece}.mp4"
        path.write_bytes(self._base + (len(mark) + 8).to_bytes(4) + b"free" + mark)
        self.videos.setdefault(piece, []).append(hashlib.sha256(path.read_bytes()).hexdigest())
        return path

    def _move_to_account(self, piece: str, kind: str) -> None:
        used = self._accounts[kind] = self._accounts.get(kind, -1) + 1
        platform, route = platform_of(kind), "inbox" if kind == "tiktok_inbox" else "direct"
        account_id = f"{platform}:{kind.replace('_', '')}{used // _PER_ACCOUNT}"
        with self.ledger.begin() as session:
            if used % _PER_ACCOUNT == 0:
                handle = account_id.partition(":")[2]
                row = Account(account_id=account_id, platform=platform, handle=handle, display_name=handle, route=route)
                session.add(row)
                session.flush()
            session.execute(update(Piece).where(Piece.piece_id == piece).values(account_id=account_id))

    def _keep_from_posting(self, piece: str) -> None:
        """What is only paid for here waits for ever to be posted, and every search for what is due would find it."""
        with self.ledger.begin() as session:
            session.execute(update(Piece).where(Piece.piece_id == piece).values(status="quarantined"))

    def put_away(self, piece: str) -> None:
        """What is over, done or not, would be looked at by every later search for what is due or left open."""
        with self.ledger.begin() as session:
            session.execute(update(Piece).where(Piece.piece_id == piece).values(status="expired"))
            # Such an intent holds nothing, and was not sent: its window's end would do the same.
            never_sent = [Effect.piece_id == piece, Effect.state == State.INTENDED]
            session.execute(update(Effect).where(*never_sent).values(state=State.EXPIRED))

    def tick(self, seconds: float) -> None:
        """Let the world's time pass."""
        self.now += timedelta(seconds=seconds)
        self.world.move_to(self.now)

    # ------------------------------------------------------------------ runs
    def calibrate(self, kinds: tuple[str, ...] = KINDS) -> None:
        """Run a piece of each kind without a fault, counting its requests and lines."""
        for kind in kinds:
            for attempt in range(_CALM_ATTEMPTS):  # on a busy machine a calm run may still meet the time-out
                piece = self.add(kind, f"pc_{self.number}_calm_{kind}_{attempt}")
                self.world.fault("* /*", delay=1e-6, times=10**6)
                outcome = self.zygote.run(Job(kind, piece, count=True))
                self.requests[kind] = self.world.fault_hits()
                self.lines[kind], self.firsts[kind] = outcome.lines, outcome.firsts
                self.world.clear_faults()
                if outcome.made:
                    self._bounds[kind] = max(effect.max_cost_micros for effect in self.effects(piece))
                    break
            else:
                raise AssertionError(f"{kind} does not even work in calm weather: {outcome}")

    def recovery(self, kind: str) -> dict[str, tuple[str, int]]:
        """The lines of the state machine that only recovery runs through, each with a fault that leads there.

        Returns:
            By line, the fault and the request at which it strikes.
        """
        found: dict[str, tuple[str, int]] = {}
        places = [*range(self.requests[kind]), *([PUSH] if kind == "blog" else [])]
        for fault, at in product(_LEFT_OPEN, places):
            if at == PUSH and fault not in PUSH_FAULTS:
                continue
            piece = self.add(kind, f"pc_{self.number}_open_{kind}_{_LEFT_OPEN.index(fault)}_{at + 1}")
            hit = self.attempt(kind, piece, fault, random.Random(0), at, count=True)
            lines = set(hit.outcome.firsts)
            if hit.struck and self.is_wanted(kind, piece, hit.outcome):
                lines |= set(self.zygote.run(Job(kind, piece, count=True)).firsts)
            for line in lines - self.firsts[kind].keys():
                found.setdefault(line, (fault, at))
        return found

    def attempt(
        self,
        kind: str,
        piece: str,
        fault: str | None,
        rng: random.Random,
        at: int | str | None = None,
        **job: Any,
    ) -> Hit:
        """One run of a piece, under a fault or none.

        Args:
            at: the request or executed line that a fault strikes, from 0 and 1; None leaves it to chance.
            job: what else the worker is told, where a request is struck.
        """
        self.tick(1)
        self._day_cap = self._tight_cap(kind)
        if fault is None:
            hit = Hit("", False, "", "", self.zygote.run(self.job(kind, piece)))
        else:
            under = self._under(fault) if at is None else partial(self._under(fault), at=at, **job)
            struck, where, outcome = under(kind, piece, rng)
            hit = Hit(fault, struck, where, self.state(piece), outcome)
        if self._day_cap is not None:
            charged = sum(charge["micros"] for charge in self.world.witness("charges"))
            self.micros_beyond_cap = max(self.micros_beyond_cap, charged - self._day_cap)
        return hit

    def job(self, kind: str, piece: str, **more: Any) -> Job:
        """A run of a piece, under the cap that binds just now."""
        return Job(kind, piece, day_cap=self._day_cap, **more)

    def _tight_cap(self, kind: str) -> int | None:
        """A cap of the day that leaves room for one paid attempt and not for two: a repeat waits for the next run."""
        if kind in POSTS:
            return None
        held = select(func.sum(Budget.reserved_micros + Budget.spent_micros)).where(Budget.scope == f"day:{DAY}")
        with self.ledger.begin() as session:
            return int(session.scalar(held) or 0) + self._bounds[kind] * 3 // 2

    def _under(self, fault: str) -> Callable[[str, str, random.Random], tuple[bool, str, Outcome]]:
        if fault in REQUEST_FAULTS:
            return partial(self._at_request, fault)
        return {
            KILLED_AT_A_LINE: partial(self._at_line, "machine"),
            KILLED_IN_A_CLIENT: partial(self._at_line, "clients"),
            KILLED_IN_A_REQUEST: self._in_request,
            TWO_WORKERS: self._two_workers,
            SLEPT: self._asleep,
            MOVED: self._moved,
            RESTARTED: self._restarted,
        }[fault]

    def _at_request(
        self, fault: str, kind: str, piece: str, rng: random.Random, at: int | None = None, **job: Any
    ) -> tuple[bool, str, Outcome]:
        rule = REQUEST_FAULTS[fault]
        if kind == "blog" and fault in PUSH_FAULTS and (at == PUSH or (at is None and rng.random() < 0.7)):
            hook, does = PUSH_FAULTS[fault]
            break_next_push(self._repository, hook=hook, does=does)  # type: ignore[arg-type]
            started = time.monotonic()
            outcome = self.zygote.run(self.job(kind, piece, **job))
            if struck := mend_pushes(self._repository):
                self._busy_until = max(self._busy_until, started + LATE + 1.0 if "sleep" in does else 0.0)
            return struck, "git push", outcome
        skip = self._some_request(kind, fault, rng) if at is None else at
        self.world.fault("* /*", skip=skip, **rule)
        started = time.monotonic()
        outcome = self.zygote.run(self.job(kind, piece, **job))
        struck = self.world.fault_hits() > 0
        self.world.clear_faults()
        if struck and rule.get("delay"):
            self._busy_until = max(self._busy_until, time.monotonic() + LATE)
        return struck, f"request {skip + 1}", outcome

    def _some_request(self, kind: str, fault: str, rng: random.Random) -> int:
        known = self.requests[kind]
        if fault == "token expires in the middle":
            known = max(1, known - 2)  # neither the token's own request nor the network's takes that token
        return rng.randrange(known)

    def _at_line(
        self, scope: str, kind: str, piece: str, rng: random.Random, at: int | str | None = None
    ) -> tuple[bool, str, Outcome]:
        line = rng.randint(1, self.lines[kind][scope]) if at is None else at
        outcome = self.zygote.run(self.job(kind, piece, line=line, scope=scope))  # type: ignore[arg-type]
        return not outcome.ended, outcome.at, outcome

    def kill_at(self, kind: str, piece: str, line: int) -> Outcome:
        """Kill a run at the n-th executed line of the state machine."""
        return self.zygote.run(self.job(kind, piece, line=line))

    def _held(self, kind: str, piece: str, rng: random.Random) -> tuple[Worker, bool, str]:
        """A worker that is held in one of its requests, which the world carries out before or after that."""
        when, skip = rng.choice(("before", "after")), rng.randrange(self.requests[kind])
        if kind == "blog" and rng.random() < 0.7:
            hook = "pre-receive" if when == "before" else "post-receive"
            break_next_push(self._repository, hook=hook, does=f"sleep {TIMEOUT / 2}")  # type: ignore[arg-type]
            worker = self.zygote.start(self.job(kind, piece))
            while not (self._repository / "pushed").exists() and not worker.is_over(0.01):
                pass
            return worker, mend_pushes(self._repository), f"git push, {when}"
        self.world.fault("* /*", skip=skip, when=when, delay=TIMEOUT / 2)
        worker = self.zygote.start(self.job(kind, piece))
        while not (struck := self.world.fault_hits() > 0) and not worker.is_over(0.01):
            pass
        return worker, struck, f"request {skip + 1}, {when}"

    def _in_request(self, kind: str, piece: str, rng: random.Random) -> tuple[bool, str, Outcome]:
        worker, struck, at = self._held(kind, piece, rng)
        if struck and "after" in at:
            time.sleep(0.05)  # it has acted by now, and holds its reply back
        worker.signal(signal.SIGKILL)
        outcome = worker.wait()
        self.world.clear_faults()
        self._busy_until = max(self._busy_until, time.monotonic() + TIMEOUT)
        return struck, at, outcome

    def _two_workers(self, kind: str, piece: str, rng: random.Random) -> tuple[bool, str, Outcome]:
        first = self.zygote.start(self.job(kind, piece))
        if rng.random() < 0.5:
            time.sleep(rng.uniform(0.0, 0.15))
        second = self.zygote.run(self.job(kind, piece))
        ended = first.wait()
        return True, "", second if second.made else ended

    def _asleep(self, kind: str, piece: str, rng: random.Random) -> tuple[bool, str, Outcome]:
        scope = rng.choice(("machine", "clients"))
        line = rng.randint(1, self.lines[kind][scope])
        sleeper = self.zygote.start(self.job(kind, piece, line=line, scope=scope, do="stop", lease=0.2))  # type: ignore[arg-type]
        at = sleeper.stopped_at()
        if at is None:
            return False, "", sleeper.wait()
        time.sleep(0.25)
        other = self.zygote.start(self.job(kind, piece))
        other.is_over(1.5)  # inside a transaction the sleeper holds its row: then the other one waits for it
        sleeper.signal(signal.SIGCONT)
        slept, outcome = sleeper.wait(), other.wait()
        return True, at, outcome if outcome.made else slept

    def _moved(self, kind: str, piece: str, rng: random.Random) -> tuple[bool, str, Outcome]:
        """A first attempt that is left open, and then the post looks different."""
        if kind not in POSTS:
            return False, "", Outcome()
        how = rng.choice(
            ("reply lost after it acted", "acts after the time-out", KILLED_IN_A_REQUEST, KILLED_AT_A_LINE)
        )
        struck, at, outcome = self._under(how)(kind, piece, rng)
        if not struck:
            return False, at, outcome
        self.move(kind, piece, anew=kind != "blog" and rng.random() < 0.5)
        return True, f"{how}: {at}", self.zygote.run(self.job(kind, piece))

    def move(self, kind: str, piece: str, *, anew: bool) -> None:
        """Give a piece another slot, and ``anew`` another video."""
        with self.ledger.begin() as session:
            row = session.get_one(Piece, piece)
            away = timedelta(minutes=7)  # farther than an account's pieces are apart: no other piece's slot
            row.slot_at += away if platform_of(kind) == "youtube" else -away
            if anew:
                path = self.new_video(piece)
                sha256 = self.business.media.save(path, "video/mp4")
                path.unlink()
                session.get_one(Artifact, (piece, "video", "")).sha256 = sha256

    def _restarted(self, kind: str, piece: str, rng: random.Random) -> tuple[bool, str, Outcome]:
        worker, struck, at = self._held(kind, piece, rng)
        if struck:
            self.server.stop()
            self.server.start()
            self.ledger.engine.dispose()
        outcome = worker.wait()
        self.world.clear_faults()
        return struck, at, outcome

    @property
    def _repository(self) -> Path:
        return self.folder / "world" / "blog.git"

    def settle_down(self) -> None:
        """Wait until nothing that was sent is still on its way."""
        time.sleep(max(0.0, self._busy_until - time.monotonic()))

    # ------------------------------------------------------------------ what our ledger says
    def effects(self, piece: str) -> list[Effect]:
        with self.ledger.begin() as session:
            return list(session.scalars(select(Effect).where(Effect.piece_id == piece).order_by(Effect.key)))

    def booked(self) -> int:
        """What all paid steps so far are booked at, lost replies included, in micros."""
        with self.ledger.begin() as session:
            return int(session.scalar(select(func.sum(Effect.cost_micros))) or 0)

    def state(self, piece: str) -> str:
        """How far the piece's newest effect has come; "nothing" when there is none."""
        rows = self.effects(piece)
        current = [row for row in rows if "~" not in row.key]
        return max(current, key=lambda row: (row.created_at, row.key)).state if current else "nothing"

    def is_wanted(self, kind: str, piece: str, last: Outcome) -> bool:
        """Whether the product itself would run the piece again: by its sensor, or as a run's retry."""
        if kind in POSTS:
            due = find_due_posts(
                ledger=self.ledger, clock=FixedClock(self.now), policy=load_policy(), calendar=BusinessCalendar()
            )
            return any(piece in posts.pieces for posts in due)
        return not last.made and last.error not in ("PieceRejected", "EffectParked")

    def standing(self, kind: str, piece: str, last: Outcome) -> str:
        """What became of a piece, by our own books: done, parked, or why not."""
        rows = self.effects(piece)
        with self.ledger.begin() as session:
            published = session.scalars(select(Publication.piece_id).where(Publication.piece_id == piece)).first()
        if published is not None or (kind not in POSTS and last.made):
            return "done"
        if any(row.state == State.UNKNOWN for row in rows) or "parked" in last.error.lower():
            return "parked"
        if "lost" in last.text and "times and every reply" in last.text:
            return "parked"
        return f"open: {last.error} {last.text}"[:300]

    # ------------------------------------------------------------------ what the world saw
    def posts_seen(self) -> dict[str, int]:
        """Posts and drafts by piece, by their links and their videos' hashes; strangers under "?"."""
        with self.ledger.begin() as session:
            codes = {code: piece for code, piece in session.execute(select(Link.code, Link.piece_id)).all()}
        hashes = {sha256: piece for piece, all_of in self.videos.items() for sha256 in all_of}
        seen: dict[str, int] = {}
        for post in self.world.witness("posts"):
            linked = {piece for code, piece in codes.items() if f"/r/{code}" in post["text"]}
            piece = next(iter(linked), None) or hashes.get(post["flags"].get("sha256", ""), "?")
            seen[piece] = seen.get(piece, 0) + 1
        return seen

    def charges_seen(self) -> dict[str, list[dict[str, Any]]]:
        """Charges by piece, by when they were begun: every piece has a time of its own."""
        begun = sorted((at, piece) for piece, at in self.began.items())
        seen: dict[str, list[dict[str, Any]]] = {}
        for charge in self.world.witness("charges"):
            at = instant(charge["detail"].get("begun_at") or charge["at"])
            piece = max((one for one in begun if one[0] <= at), default=(at, "?"))[1]
            seen.setdefault(piece, []).append(charge)
        return seen


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass
