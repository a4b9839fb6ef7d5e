"""Workers under fire: real processes that do real work and die, sleep or starve at a chosen line or request.

A zygote imports the whole stack once and forks a worker for each job in milliseconds. A worker that is told to counts
the lines of the code under fire that it executes, and kills itself (SIGKILL) or stops itself (SIGSTOP) at the n-th: so
every line can be tried. What goes wrong at a vendor's request is the world's to do (``POST /_world/faults``), and at a
git push that of a hook (``break_next_push``). Run as a module it is the zygote.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from affiliate_empire.effects import Caps, Effects, Receipt
from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.ledger.tables import Piece
from affiliate_empire.operations.artifacts import load_brief, pay, pay_for_file, save_artifact
from affiliate_empire.operations.draw_picture import Picture, draw_picture
from affiliate_empire.operations.make_clips import make_clips
from affiliate_empire.operations.patience import Patience
from affiliate_empire.operations.post_to_instagram import InstagramPoster
from affiliate_empire.operations.publish_piece import HOLDING
from affiliate_empire.operations.work_pieces import PiecesWorked, work_pieces
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vendors.anthropic import AnthropicClient
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient
from affiliate_empire.vendors.fal import FalClient
from affiliate_empire.vendors.openai import OpenAIClient
from affiliate_empire.vendors.runway import RunwayClient
from tests.factories.media import jpeg
from tests.factories.publishing import Business, always

ROOT = Path(__file__).resolve().parent.parent.parent
Scope = Literal["machine", "clients"]
# What is under fire, by scope: the state machine, and everything between it and the wire.
_LINES: dict[Scope, tuple[str, ...]] = {
    "machine": (f"{ROOT}/affiliate_empire/effects/",),
    "clients": (f"{ROOT}/affiliate_empire/vendors/", f"{ROOT}/affiliate_empire/operations/"),
}
POSTS = ("youtube", "tiktok", "tiktok_inbox", "instagram", "instagram_url", "blog")
JOBS = ("fal", "runway")
CALLS = ("openai_text", "openai_image", "anthropic", "elevenlabs")
KINDS = (*POSTS, *JOBS, *CALLS)
_PLATFORM = {"tiktok_inbox": "tiktok", "instagram_url": "instagram"}
_AT_ONCE = Patience(wait=lambda seconds: None)
_ANSWER = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}


def platform_of(kind: str) -> str:
    """The platform of a kind of post."""
    return _PLATFORM.get(kind, kind)


@dataclass(frozen=True)
class Job:
    """One run of one piece, as the sensor or a person starts it.

    Attributes:
        line: the executed line of ``scope`` at which ``do`` happens, as a number, or the place
            ("affiliate_empire/effects/machine.py:12") at whose first execution it does; None for none.
        lease: seconds that the worker's claims hold; None for the product's own.
        reconcile: ask about the day's open posts first, as every publish run does.
        count: report how many lines of each scope were executed, and when each was executed first.
        day_cap: what the day may cost in this run, in micros; None for the stack's own.
    """

    kind: str
    piece: str
    line: int | str | None = None
    scope: Scope = "machine"
    do: Literal["kill", "stop"] = "kill"
    lease: float | None = None
    reconcile: bool = True
    count: bool = False
    day_cap: int | None = None


@dataclass
class Outcome:
    """What a worker told before its end. ``at`` is the line it died or stopped at; nothing is told by the dead.

    ``lines`` are executed lines by scope; ``firsts``, by line of the state machine ("effects/machine.py:12"), the
    number of its first execution.
    """

    ended: bool = False
    made: bool = False
    error: str = ""
    text: str = ""
    at: str = ""
    lines: dict[str, int] = dataclasses.field(default_factory=dict)
    firsts: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclass
class Stack(Business):
    """The business with the clients of everything that is paid for."""

    media_url: str = ""
    day_cap: int = 10**10
    month_cap: int = 10**12
    run_cap: int = 10**12
    vendor_day_caps: dict[str, int] = dataclasses.field(default_factory=dict)
    niche_day_caps: dict[str, int] = dataclasses.field(default_factory=dict)
    run_id: str | None = None  # of the run that all its workers are of

    def __post_init__(self) -> None:
        super().__post_init__()
        self.caps = Caps(
            self.day_cap,
            self.month_cap,
            self.run_cap,
            vendor_day_micros=self.vendor_day_caps,
            niche_day_micros=self.niche_day_caps,
        )
        self.policy = load_policy()
        url, timeout = self.world_url, self.timeout
        self.openai = OpenAIClient(f"{url}/openai/v1", lambda: SANDBOX_KEYS["openai"], timeout=timeout)
        self.anthropic = AnthropicClient(f"{url}/anthropic", lambda: SANDBOX_KEYS["anthropic"], timeout=timeout)
        self.elevenlabs = ElevenLabsClient(f"{url}/elevenlabs", lambda: SANDBOX_KEYS["elevenlabs"], timeout=timeout)
        self.fal = FalClient(f"{url}/fal", lambda: SANDBOX_KEYS["fal"], timeout=timeout)
        self.runway = RunwayClient(f"{url}/runway", lambda: SANDBOX_KEYS["runway"], timeout=timeout)

    def run(self, job: Job) -> PiecesWorked | None:
        """Do the job; what a worker of the product would do with the same piece."""
        lease = {} if job.lease is None else {"lease": timedelta(seconds=job.lease)}
        caps = self.caps if job.day_cap is None else dataclasses.replace(self.caps, day_micros=job.day_cap)
        self.effects = Effects(self.ledger, self.clock, caps=caps, run_id=self.run_id, **lease)
        if job.kind not in POSTS:
            self._pay(job)
            return None
        if job.kind == "instagram_url":
            self.posters["instagram"] = InstagramPoster(
                always(self.instagram),
                clock=self.clock,
                media=self.media,
                policy=self.policy,
                media_public_url=self.media_url,
            )
        # All our accounts are one user of the world's: what it counts of the others is no limit of this one's.
        self.posters["instagram"].seen_limit = lambda account: None  # type: ignore[method-assign]
        if job.reconcile:
            self.reconcile(platform=platform_of(job.kind))
        with self.ledger.begin() as session:
            piece = session.get_one(Piece, job.piece)
        return work_pieces(
            "publications", [piece], self.publish, ledger=self.ledger, at_once=1, patience=_AT_ONCE, holding=HOLDING
        )

    def _pay(self, job: Job) -> None:
        """The paid verbs, without what surrounds them; patience as in ``work_pieces``."""
        brief = load_brief(job.piece, self.ledger)
        effects, policy, media = self.effects, self.policy, self.media
        prompt = f"A grinder on a table, {job.piece}."

        def text(vendor: str, client: Any, model: str) -> None:
            def call() -> Receipt:
                answer = client.write_json(
                    model=model,
                    system="Answer with a title.",
                    user=prompt,
                    schema=_ANSWER,
                    schema_name="Title",
                    max_output_tokens=500,
                )
                return Receipt(answer.request_id, answer.cost_micros, {"document": answer.document})

            bound = policy.llm_max_cost_micros(model, input_chars=2000, max_output_tokens=500)
            pay(
                "script", brief, call, effects=effects, policy=policy, vendor=vendor, operation="write",
                inputs=[model, prompt], max_cost_micros=bound,
            )  # fmt: skip

        def voice() -> None:
            model, voice_id = policy.model("voice_model", brief.day), policy.model("voice", brief.day)

            def call(save: Callable[[bytes, str], str]) -> Receipt:
                speech = self.elevenlabs.speak(text="It grinds.", voice_id=voice_id, model=model, seed=7)
                return Receipt(speech.request_id, speech.cost_micros, {"sha256": save(speech.audio, speech.media_type)})

            pay_for_file(
                "voiceover", brief, call, media=media, effects=effects, policy=policy, vendor="elevenlabs",
                operation="speak", inputs=[job.piece], max_cost_micros=policy.speech_cost_micros(model, 10),
            )  # fmt: skip

        def draw() -> None:
            picture = Picture(policy.model("image", brief.day), prompt)
            draw_picture("thumbnail", brief, picture, effects=effects, openai=self.openai, media=media, policy=policy)

        def film() -> None:
            providers = {"pika": self.fal} if job.kind == "fal" else {"runway": self.runway}
            make_clips(
                job.piece, count=1, providers=providers, ledger=self.ledger, effects=effects, media=media,
                policy=policy, patience_seconds=10.0,
            )  # fmt: skip

        verbs: dict[str, Callable[[], None]] = {
            "openai_text": lambda: text("openai", self.openai, policy.model("script", brief.day)),
            "anthropic": lambda: text("anthropic", self.anthropic, policy.model("post", brief.day)),
            "openai_image": draw,
            "elevenlabs": voice,
            "fal": film,
            "runway": film,
        }
        _AT_ONCE.ask(verbs[job.kind], seed=job.piece)


def add_footage(business: Business, piece_id: str) -> None:
    """What a clip is filmed from: a script of one scene and its still, the same for every piece."""
    scene = {"narration": "It grinds.", "visual": "A grinder on a table", "fact_ids": ["F1"]}
    script = {"title": "t", "hook": "h", "scenes": [scene], "description": "d", "hashtags": []}
    save_artifact(business.ledger, piece_id=piece_id, step="script", inputs_sha256="x", content=script)
    save_artifact(
        business.ledger,
        piece_id=piece_id,
        step="still",
        name="0",
        inputs_sha256="x",
        content={},
        sha256=business.media.save(jpeg(0), "image/jpeg"),
    )


# ---------------------------------------------------------------- lines
@contextmanager
def _lines_watched(job: Job, tell: Callable[[Outcome], None]) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """Count executed lines per scope; at the chosen one, tell where it is and die or sleep.

    Yields the counts, and when each line of the state machine was executed first.
    """
    counted: dict[str, int] = dict.fromkeys(_LINES, 0)
    firsts: dict[str, int] = {}
    scope_of: dict[str, Scope | None] = {}
    placed = isinstance(job.line, str)

    def local_of(scope: Scope) -> Callable[[FrameType, str, Any], Any]:
        def local(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "line":
                counted[scope] += 1
                if job.count and scope == "machine":
                    firsts.setdefault(_line_of(frame), counted[scope])
                if scope == job.scope and job.line == (_line_of(frame) if placed else counted[scope]):
                    tell(Outcome(at=_line_of(frame)))
                    os.kill(os.getpid(), signal.SIGKILL if job.do == "kill" else signal.SIGSTOP)
            return local

        return local

    locals_ = {scope: local_of(scope) for scope in _LINES}

    def entered(frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if name not in scope_of:
            scope_of[name] = next((scope for scope, folders in _LINES.items() if name.startswith(folders)), None)
        scope = scope_of[name]
        return None if scope is None else locals_[scope]

    if job.line is None and not job.count:
        yield counted, firsts
        return
    # ``work_pieces`` works in a thread of its own.
    import threading

    threading.settrace(entered)
    sys.settrace(entered)
    try:
        yield counted, firsts
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]


def _line_of(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).relative_to(ROOT)}:{frame.f_lineno}"


def _work(stack: Stack, job: Job, report: int) -> None:
    def tell(outcome: Outcome) -> None:
        os.write(report, (json.dumps(asdict(outcome)) + "\n").encode())

    told = Outcome(ended=True)
    try:
        with _lines_watched(job, tell) as (lines, firsts):
            worked = stack.run(job)
        told.made = worked is None or bool(worked.made)
        if job.count:
            told.lines, told.firsts = lines, firsts
        if worked is not None and not told.made:
            reasons = worked.quarantined or worked.held or dict.fromkeys(worked.missed, "missed its window")
            told.error = "PieceRejected" if worked.quarantined else "held"
            told.text = " ".join(reasons.values())
    except EmpireError as error:
        told.error, told.text = type(error).__name__, str(error)
    except BaseException as error:  # noqa: BLE001 - a defect: the report must say so
        told.error, told.text = f"defect {type(error).__name__}", traceback.format_exc()[-1500:]
    tell(told)


# ---------------------------------------------------------------- processes
class Worker:
    """A forked worker: to be waited for, killed, stopped and woken."""

    def __init__(self, pid: int, report: int) -> None:
        self.pid = pid
        self._report = os.fdopen(report)
        self._told: list[Outcome] = []

    def is_over(self, within: float) -> bool:
        """Whether it came to its end within so many seconds."""
        return bool(select.select([self._report], [], [], within)[0])

    def stopped_at(self) -> str | None:
        """Wait until it has told where it stopped; None when it came to its end before."""
        line = self._report.readline()
        if not line:
            return None
        self._told.append(Outcome(**json.loads(line)))
        return self._told[-1].at or None

    def wait(self) -> Outcome:
        """Wait for its end, whichever it is: the pipe closes with the process."""
        self._told += [Outcome(**json.loads(line)) for line in self._report]
        self._report.close()
        return self._told[-1] if self._told else Outcome()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Zygote:
    """A process with everything imported, which forks a worker per job.

    Args:
        where: the stack's fields.
        pieces: by kind, what it works itself first, so that its forks find compiled what they need.
    """

    def __init__(self, where: dict[str, Any], pieces: dict[str, str]) -> None:
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.factories.under_fire",
                str(theirs.fileno()),
                json.dumps(where),
                json.dumps(pieces),
            ],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
        )
        theirs.close()
        self._socket = ours
        self._lines = ours.makefile("r")
        self._lines.readline()  # it is ready

    def start(self, job: Job) -> Worker:
        readable, writable = os.pipe()
        socket.send_fds(self._socket, [json.dumps(asdict(job)).encode()], [writable])
        os.close(writable)
        return Worker(int(self._lines.readline()), readable)

    def run(self, job: Job) -> Outcome:
        return self.start(job).wait()

    def close(self) -> None:
        self._socket.close()
        self._lines.close()
        self._process.kill()  # it keeps nothing that were worth an orderly end
        self._process.wait()


def _warmed(where: dict[str, Any], pieces: dict[str, str]) -> Stack:
    """A stack without a connection, in a process that has done each kind of work once: a fork has it all at hand."""
    used, fresh = Stack(**where), Stack(**where)
    for kind, piece in pieces.items():
        with contextlib.suppress(EmpireError):
            used.run(Job(kind, piece))
    used.ledger.engine.dispose()
    fresh.ledger.engine = used.ledger.engine  # it keeps the statements that it has compiled
    if pieces:
        for client in (fresh.openai, fresh.anthropic, fresh.elevenlabs):
            client._connected()
    return fresh


def _serve(connection: socket.socket, stack: Stack) -> None:
    """Fork a worker for each job that arrives, until the other side hangs up."""
    gc.freeze()  # a collection in a fork would copy every page that it looks at
    connection.sendall(b"ready\n")
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 1)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            with contextlib.suppress(BaseException):
                _work(stack, Job(**json.loads(message)), descriptors[0])
            os._exit(0)
        os.close(descriptors[0])
        connection.sendall(f"{pid}\n".encode())
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


# ---------------------------------------------------------------- git
def break_next_push(repository: Path, *, hook: Literal["pre-receive", "post-receive"], does: str) -> None:
    """Let a shell command happen at the next push to a bare repository, before the remote acts or after; once.

    ``kill -9 $PPID`` cuts the connection: the remote's end of the push dies.
    """
    path = repository / "hooks" / hook
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\nrm -f '{path}'\ntouch '{repository}/pushed'\n{does}\n")
    path.chmod(0o755)


def mend_pushes(repository: Path) -> bool:
    """Take back what did not happen; returns whether it happened."""
    for hook in ("pre-receive", "post-receive"):
        (repository / "hooks" / hook).unlink(missing_ok=True)
    mark = repository / "pushed"
    happened = mark.exists()
    mark.unlink(missing_ok=True)
    return happened


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), _warmed(json.loads(sys.argv[2]), json.loads(sys.argv[3])))
