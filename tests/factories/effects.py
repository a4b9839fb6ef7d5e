"""For tests of effects: a platform whose posts are files, workers that die at a chosen moment, intents and accounts.

Run as a module it is such a worker in a process of its own, which a test may really kill.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from affiliate_empire.effects import (
    Caps,
    EffectKind,
    Effects,
    Gone,
    Intent,
    NotDone,
    Quota,
    Receipt,
    StillUnknown,
    Verdict,
)
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.fence import still_in_time
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
ACCOUNT = "youtube:gearlab"
WIDE = Caps(day_micros=10**12, month_micros=10**12, run_micros=10**12)


def open_account(ledger: Ledger, account_id: str = ACCOUNT) -> None:
    with ledger.begin() as session:
        platform, handle = account_id.split(":")
        session.add(Account(account_id=account_id, platform=platform, handle=handle, display_name=handle))


def workers(ledger: Ledger, *, clock: FixedClock | None = None, caps: Caps = WIDE, **more: Any) -> Effects:
    return Effects(ledger, clock or FixedClock(NOON), caps=caps, **more)


def post_intent(piece: str = "pc_1", *, fingerprint: str = "first", **more: Any) -> Intent:
    values: dict[str, Any] = {
        "key": f"post:{piece}:{ACCOUNT}",
        "kind": EffectKind.AT_MOST_ONCE,
        "vendor": "youtube",
        "operation": "post",
        "fingerprint": fingerprint,
        "day": DAY,
        "piece_id": piece,
        "account_id": ACCOUNT,
    }
    return Intent(**(values | more))


def quota(limit: int, window: Any, at: datetime = NOON) -> Quota:
    return Quota("youtube.posts", limit, window, at)


class Killed(BaseException):
    """Ends a worker as abruptly as an exception can; with ``MortalLedger`` it cannot clean up behind itself either."""


@dataclass
class Platform:
    """A platform in a folder: an upload session is a file, and so is a post.

    ``at`` maps a moment (``before_prepare``, ``after_prepare``, ``before_commit``, ``after_commit``,
    ``before_reconcile``) to what happens then; after a moment has come once, it is gone from the map.
    """

    root: Path
    at: dict[str, Callable[[], object]] = field(default_factory=dict)
    answers: bool = True  # whether a session can say what became of it

    @property
    def posts(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.root.glob("post-*"))]

    def act(self, piece: str = "pc_1", text: str = "first") -> Upload:
        self.root.mkdir(exist_ok=True)
        return Upload(self, piece, text)

    def moment(self, name: str) -> None:
        if name in self.at:
            self.at.pop(name)()

    def drop_posts(self) -> None:
        for path in self.root.glob("post-*"):
            path.unlink()

    def drop_sessions(self) -> None:
        for path in self.root.glob("session-*"):
            path.unlink()


@dataclass
class Upload:
    """The act of posting a text to the platform through an upload session."""

    platform: Platform
    piece: str
    text: str

    def prepare(self) -> dict[str, Any]:
        self.platform.moment("before_prepare")
        name = f"{len(list(self.platform.root.iterdir())):03}"
        (self.platform.root / f"session-{name}").write_text(self.text)
        self.platform.moment("after_prepare")
        return {"session": name}

    def commit(self, handle: dict[str, Any]) -> Receipt:
        self.platform.moment("before_commit")
        session, post = self._paths(handle)
        still_in_time()  # as every client asks before a request
        # Like a resumable upload: a finished session answers with the post that it became, and never makes another.
        post.write_text(json.dumps({"piece": self.piece, "text": session.read_text(), "session": handle["session"]}))
        self.platform.moment("after_commit")
        return Receipt(remote_id=post.name, result={"url": f"https://platform.example/{post.name}"})

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        self.platform.moment("before_reconcile")
        session, post = self._paths(handle)
        if not self.platform.answers:
            return StillUnknown("the channel's list of videos")
        if post.exists():
            return Receipt(remote_id=post.name, result={"url": f"https://platform.example/{post.name}"})
        return NotDone() if session.exists() else Gone()

    def _paths(self, handle: dict[str, Any]) -> tuple[Path, Path]:
        root = self.platform.root
        return root / f"session-{handle['session']}", root / f"post-{handle['session']}"


def raising(error: BaseException) -> Callable[[], object]:
    def moment() -> object:
        raise error

    return moment


class MortalLedger(Ledger):
    """A ledger whose worker dies before or after the commit of its n-th transaction, and can write nothing any more."""

    def __init__(self, ledger: Ledger, transaction: int, *, committed: bool) -> None:
        self.inner = ledger
        self.left = transaction
        self.committed = committed

    @property
    def url(self) -> str:
        return self.inner.url

    @contextmanager
    def begin(self) -> Iterator[Session]:
        if self.left <= 0:
            raise Killed
        self.left -= 1
        with self.inner.begin() as session:
            yield session
            if self.left == 0 and not self.committed:
                raise Killed
        if self.left == 0:
            raise Killed


def _main(url: str, root: str, moment: str) -> None:
    """Post ``pc_1`` and be killed at a moment, or wait in it for a line on stdin (``wait:before_commit``)."""
    ledger = Ledger(url)
    platform = Platform(Path(root))
    if moment.startswith("wait:"):

        def wait() -> None:
            print("waiting", flush=True)
            sys.stdin.readline()

        platform.at[moment.removeprefix("wait:")] = wait
    elif moment.startswith("transaction:"):
        _, number, when = moment.split(":")
        inner, ledger = ledger, MortalLedger(ledger, int(number), committed=when == "committed")
        assert inner.url == ledger.url
    else:
        platform.at[moment] = lambda: os.kill(os.getpid(), signal.SIGKILL)
    try:
        workers(ledger).perform(post_intent(), platform.act())
    except Killed:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _main(*sys.argv[1:])
