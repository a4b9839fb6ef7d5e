"""The words of effects: what is meant to happen, who carries it out, and what came of it.

Plain values and protocols. The state machine that uses them is ``affiliate_empire.effects.machine``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy.orm import Session

from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.vendors.errors import VendorRefused


class EffectKind(StrEnum):
    """What a lost reply means.

    ``at_most_once``: posts and video jobs; when the handle cannot say, the effect parks and a person looks.
    ``bounded_repeat``: text, images, speech; a lost reply is booked at its maximum cost and one new attempt is allowed.
    """

    AT_MOST_ONCE = "at_most_once"
    BOUNDED_REPEAT = "bounded_repeat"


class State(StrEnum):
    """How far an effect came.

    Open, and holding its reservation: claimed, prepared, committing, unknown. Everything else holds nothing.
    """

    INTENDED = "intended"  # wanted; nothing is under way
    CLAIMED = "claimed"  # a worker prepares; nothing visible has happened
    PREPARED = "prepared"  # the handle is stored; not a byte of the commit was sent
    COMMITTING = "committing"  # the commit may have been sent
    SETTLED = "settled"  # it happened, once
    LOST = "lost"  # bounded_repeat: the reply never came; booked at its maximum
    REFUSED = "refused"  # the vendor said no: it did not happen
    UNKNOWN = "unknown"  # at_most_once: only the handle, or a person, can say
    EXPIRED = "expired"  # its window closed before it happened
    SUPERSEDED = "superseded"  # proven not to have happened, and replaced under the same key


HOLDING = (State.CLAIMED, State.PREPARED, State.COMMITTING, State.UNKNOWN)


HANDED_OVER = "handed over"  # the subject of the alert about what its owner is asked to do
PARKED = "parked"  # the subject of the alert about an effect that only its owner can judge
RESTORED = "restored"  # the mark of a handle that is no more than a trace
# What of a handle lets whoever has it act: the addresses that take an upload's bytes. Kept only while it is open.
_CAPABILITIES = frozenset({"session_url", "upload_url"})


def ended(handle: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is kept of a handle when nothing is done with it any more."""
    return handle and {name: value for name, value in handle.items() if name not in _CAPABILITIES}


def may_have_been_done(day: date, restored_at: datetime) -> bool:
    """Whether what is due on a day may have been done after the backup that a ledger was restored from.

    A platform may take a post the day before its own. The wall is never behind the business clock.
    """
    return day <= (restored_at + timedelta(days=1)).date()


@dataclass(frozen=True)
class Quota:
    """One use of an account's rolling window: at most ``limit`` uses within any ``window``; this one is at ``at``.

    Attributes:
        asked_at: when the vendor is asked, by business time: before ``at`` where it takes a post in advance. What the
            vendor said of the account holds against this instant; None: against ``at``.
    """

    name: str
    limit: int
    window: timedelta
    at: datetime
    asked_at: datetime | None = None


@dataclass(frozen=True)
class Intent:
    """What is meant to happen.

    Attributes:
        key: what the effect is, not how it looks: ``post:{piece}:{account}``.
        fingerprint: how it looks: a hash of content, slot and caption, or of a paid call's inputs.
        day: the business day whose budgets pay.
        max_cost_micros: a true upper bound of what the vendor can charge, in micro-dollars.
        deadline_at: business time from which it must not happen any more.
        trace: how it would be found at its vendor without a handle, if another copy of this ledger carried it out.
        consent: raises an ``EffectError`` while somebody's consent is missing; asked in the transaction of the claim
            and again in that of the commit.
        takes_back: it takes something back from the public, so that no pause holds it up.
    """

    key: str
    kind: EffectKind
    vendor: str
    operation: str
    fingerprint: str
    day: date
    max_cost_micros: int = 0
    piece_id: str | None = None
    account_id: str | None = None
    niche: str | None = None
    deadline_at: datetime | None = None
    quota: Quota | None = None
    price_version: str | None = None
    consent: Callable[[Session], None] | None = field(default=None, compare=False)
    trace: Mapping[str, Any] = field(default_factory=dict)
    takes_back: bool = False

    @property
    def traced_handle(self) -> dict[str, Any]:
        """The handle of what may have been carried out before this ledger was restored: it is only looked for."""
        return {**self.trace, RESTORED: True}


@dataclass(frozen=True)
class Receipt:
    """What came back. ``remote_id`` is the vendor's id of the post or of the charge; ``result`` must be JSON."""

    remote_id: str | None = None
    cost_micros: int = 0
    result: dict[str, Any] = field(default_factory=dict)
    effect_id: str = ""

    def of(self, effect_id: str) -> Receipt:
        """The same receipt, saying whose it is."""
        return replace(self, effect_id=effect_id)


@dataclass(frozen=True)
class NotDone:
    """The handle itself says that it did not happen; committing the same handle again is safe."""


@dataclass(frozen=True)
class Gone:
    """The handle is dead and proven not published; a new one may be prepared."""


@dataclass(frozen=True)
class StillUnknown:
    """The handle cannot say (a listing never proves absence). ``look_at`` tells the owner where to look.

    ``request`` is what the owner is asked instead where it is the owner who carries it out: one sentence.
    """

    look_at: str = ""
    request: str = ""


@dataclass(frozen=True)
class Failed:
    """It was begun and ended without its result, for good: the error says why and what was charged all the same."""

    error: VendorRefused


Verdict = Receipt | NotDone | Gone | StillUnknown | Failed


@dataclass(frozen=True)
class Accepted:
    """The vendor took a job and works on it. From now on its id is the handle: ``{"job_id": …}``."""

    job_id: str

    @property
    def handle(self) -> dict[str, Any]:
        return {"job_id": self.job_id}


class Act(Protocol):
    """How one effect is carried out at its vendor. Raises the errors of ``affiliate_empire.vendors.errors``.

    A post prepares its handle and commits on it. A job has no handle before its commit: it prepares ``{}``, and its
    commit returns ``Accepted`` with the job's id; ``reconcile`` then waits for the job's end. Asked about ``{}``, when
    the reply with the id was lost, it can only say ``StillUnknown``; asked about a job, it never says ``NotDone``.
    Asked about a handle with ``RESTORED`` it looks for what the trace tells, and never says ``NotDone`` either: what
    its vendor proves absent is ``Gone``.
    """

    def prepare(self) -> dict[str, Any]:
        """Repeatable and invisible at the vendor; returns the handle (JSON)."""
        ...

    def commit(self, handle: dict[str, Any]) -> Receipt | Accepted:
        """The one visible act, only ever on the stored handle."""
        ...

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        """Read the handle's own status, for a bounded time. Sends nothing that could be seen."""
        ...


@dataclass(frozen=True)
class PaidCall:
    """The act of one paid call without a handle: ``bounded_repeat`` only."""

    call: Callable[[], Receipt]

    def prepare(self) -> dict[str, Any]:
        return {}

    def commit(self, handle: dict[str, Any]) -> Receipt:
        return self.call()

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        return StillUnknown("a paid call has no handle to ask")


@dataclass(frozen=True)
class OpenEffect:
    """An effect that is neither done nor dead, as handed to a resolver of its act and shown to the owner."""

    effect_id: str
    key: str
    kind: EffectKind
    vendor: str
    operation: str
    state: State
    day: date
    piece_id: str | None
    account_id: str | None
    handle: dict[str, Any] | None
    error: str | None
    epoch: int
    updated_at: datetime
    deadline_at: datetime | None


@dataclass(frozen=True)
class Reconciled:
    """What reading an open effect's handle came to."""

    effect_id: str
    key: str
    before: State
    after: State
    detail: str = ""


def alert_of(subject: str, effect_id: str) -> str:
    """The id of an effect's alert about something."""
    return derived_id("al", subject, effect_id)
