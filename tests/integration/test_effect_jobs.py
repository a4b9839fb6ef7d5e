"""Effects whose act is a job at a vendor: begun once, asked until it ends, whatever dies in between."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from affiliate_empire.effects import (
    Accepted,
    EffectKind,
    EffectParked,
    EffectRefused,
    Failed,
    Intent,
    Receipt,
    State,
    StillUnknown,
    Verdict,
)
from affiliate_empire.effects.report import imbalances
from affiliate_empire.effects.resolve import Finding, resolve_effect
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Budget, Effect
from affiliate_empire.vendors.errors import ReplyLost, VendorRefused, VendorUnavailable
from tests.factories.effects import DAY, NOON, WIDE, Killed, MortalLedger, raising, workers

BOUND, PRICE = 250_000, 200_000


@dataclass
class Studio:
    """A vendor of jobs. ``at`` maps a moment (``before_submit``, ``after_submit``, ``before_answer``) to what happens
    then, once; ``ends`` says what a job comes to."""

    at: dict[str, Callable[[], object]] = field(default_factory=dict)
    failure: VendorRefused | None = None
    jobs: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def moment(self, name: str) -> None:
        self.at.pop(name, lambda: None)()

    def prepare(self) -> dict[str, Any]:
        return {}

    def commit(self, handle: dict[str, Any]) -> Accepted:
        self.moment("before_submit")
        self.jobs.append(f"job-{len(self.jobs)}")
        self.moment("after_submit")
        return Accepted(self.jobs[-1])

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        self.asked.append(handle)
        self.moment("before_answer")
        if not handle:
            return StillUnknown("the studio's list of jobs")
        if self.failure:
            return Failed(self.failure)
        assert handle["job_id"] in self.jobs
        return Receipt(handle["job_id"], PRICE, {"sha256": "ab"})


INTENT = Intent(
    key="clip:pc_1:0",
    kind=EffectKind.AT_MOST_ONCE,
    vendor="fal",
    operation="film",
    fingerprint="first",
    day=DAY,
    max_cost_micros=BOUND,
)


def effect_of(ledger: Ledger) -> Effect:
    with ledger.begin() as session:
        assert imbalances(session) == []
        return session.scalars(select(Effect).where(Effect.key == INTENT.key)).one()


def spent(ledger: Ledger) -> tuple[int, int]:
    with ledger.begin() as session:
        budget = session.get_one(Budget, f"day:{DAY}")
        return budget.reserved_micros, budget.spent_micros


def test_a_job_is_begun_once_and_its_result_is_kept(ledger: Ledger) -> None:
    studio = Studio()
    first = workers(ledger).perform(INTENT, studio)
    assert workers(ledger).perform(INTENT, studio) == first
    assert (first.remote_id, first.cost_micros, first.result) == ("job-0", PRICE, {"sha256": "ab"})
    assert studio.jobs == ["job-0"]
    assert spent(ledger) == (0, PRICE)


def test_the_id_is_stored_before_the_first_question(ledger: Ledger) -> None:
    studio = Studio()
    stored: list[Any] = []
    studio.at["before_answer"] = lambda: stored.append(effect_of(ledger).handle)
    workers(ledger).perform(INTENT, studio)
    assert stored == studio.asked == [{"job_id": "job-0"}]


def test_a_job_that_cannot_be_asked_stays_open_and_is_asked_by_the_next_run(ledger: Ledger) -> None:
    studio = Studio(at={"before_answer": raising(ReplyLost("still at it", vendor="fal"))})
    with pytest.raises(ReplyLost):
        workers(ledger).perform(INTENT, studio)
    assert (effect_of(ledger).state, spent(ledger)) == (State.UNKNOWN, (BOUND, 0))
    workers(ledger).perform(INTENT, studio)
    assert (studio.jobs, spent(ledger)) == (["job-0"], (0, PRICE))


@pytest.mark.parametrize("charged", [0, 90_000])
def test_a_failed_job_ends_as_refused_at_what_it_was_charged(ledger: Ledger, charged: int) -> None:
    failure = VendorRefused("bad picture", vendor="fal", cost_micros=charged, request_id="job-0")
    studio = Studio(failure=failure)
    with pytest.raises(VendorRefused, match="bad picture"):
        workers(ledger).perform(INTENT, studio)
    effect = effect_of(ledger)
    assert (effect.state, effect.cost_micros, effect.remote_id) == (State.REFUSED, charged, "job-0")
    assert spent(ledger) == (0, charged)
    if charged:  # exactly this would be charged and refused again
        with pytest.raises(EffectRefused, match="charged for it"):
            workers(ledger).perform(INTENT, studio)
        assert studio.jobs == ["job-0"]


def test_a_lost_reply_parks_and_is_never_sent_again(ledger: Ledger) -> None:
    studio = Studio(at={"after_submit": raising(ReplyLost("gone", vendor="fal"))})
    for _ in range(3):
        with pytest.raises(EffectParked, match="the studio's list of jobs"):
            workers(ledger).perform(INTENT, studio)
    assert (studio.jobs, effect_of(ledger).state, spent(ledger)) == (["job-0"], State.UNKNOWN, (BOUND, 0))


def test_with_the_id_that_the_owner_found_it_is_asked(ledger: Ledger) -> None:
    studio = Studio(at={"after_submit": raising(ReplyLost("gone", vendor="fal"))})
    with pytest.raises(EffectParked):
        workers(ledger).perform(INTENT, studio)
    found: dict[str, Any] = {"ledger": ledger, "clock": FixedClock(NOON), "caps": WIDE}
    assert resolve_effect(INTENT.key, Finding.HAPPENED, remote_id="job-0", **found) is State.UNKNOWN
    assert workers(ledger).perform(INTENT, studio).result == {"sha256": "ab"}
    assert (studio.jobs, spent(ledger)) == (["job-0"], (0, PRICE))


def test_what_the_owner_did_not_find_is_begun_anew(ledger: Ledger) -> None:
    studio = Studio(at={"before_submit": raising(ReplyLost("gone", vendor="fal"))})
    with pytest.raises(EffectParked):
        workers(ledger).perform(INTENT, studio)
    resolve_effect(INTENT.key, Finding.DID_NOT_HAPPEN, ledger=ledger, clock=FixedClock(NOON), caps=WIDE)
    workers(ledger).perform(INTENT, studio)
    assert (studio.jobs, spent(ledger)) == (["job-0"], (0, PRICE))


@pytest.mark.parametrize("error", [VendorUnavailable("busy", vendor="fal"), VendorRefused("no balance", vendor="fal")])
def test_what_was_not_begun_may_be_begun_by_a_later_run(ledger: Ledger, error: Exception) -> None:
    studio = Studio(at={"before_submit": raising(error)})
    with pytest.raises(type(error)):
        workers(ledger).perform(INTENT, studio)
    assert spent(ledger) == (0, 0)  # another vendor may be paid with it meanwhile
    workers(ledger).reconcile_open(lambda effect: None)
    workers(ledger).perform(INTENT, studio)
    assert (studio.jobs, studio.asked) == (["job-0"], [{"job_id": "job-0"}])
    assert spent(ledger) == (0, PRICE)


@pytest.mark.parametrize(("transaction", "committed"), list(itertools.product(range(1, 6), [False, True])))
def test_a_death_around_any_transaction_never_begins_a_second_job(
    ledger: Ledger, transaction: int, committed: bool
) -> None:
    studio = Studio()
    with pytest.raises(Killed):
        workers(MortalLedger(ledger, transaction, committed=committed)).perform(INTENT, studio)
    begun = len(studio.jobs)
    id_was_stored = bool(effects := _handles(ledger)) and bool(effects[0])
    if begun and not id_was_stored:
        with pytest.raises(EffectParked):
            workers(ledger).perform(INTENT, studio)
        assert spent(ledger) == (BOUND, 0)
    elif not begun and (transaction, committed) == (3, True):
        # The last transaction before the first byte: whether a byte left, nobody can say.
        with pytest.raises(EffectParked):
            workers(ledger).perform(INTENT, studio)
    else:
        workers(ledger).perform(INTENT, studio)
        assert spent(ledger) == (0, PRICE)
    assert len(studio.jobs) <= 1


def _handles(ledger: Ledger) -> list[dict[str, Any] | None]:
    with ledger.begin() as session:
        return list(session.scalars(select(Effect.handle)))


def test_a_job_that_its_vendor_forgot_is_booked_when_its_owner_says_that_it_happened(ledger: Ledger) -> None:
    class Forgetful(Studio):
        def reconcile(self, handle: dict[str, Any]) -> Verdict:
            return StillUnknown("the studio's list of jobs")

    with pytest.raises(EffectParked):
        workers(ledger).perform(INTENT, Forgetful())
    told = {"ledger": ledger, "clock": FixedClock(NOON), "caps": WIDE}
    # Another job than the one that was asked about is asked about first.
    assert resolve_effect(INTENT.key, Finding.HAPPENED, remote_id="job-7", **told) is State.UNKNOWN
    with pytest.raises(EffectParked):
        workers(ledger).perform(INTENT, Forgetful())
    assert resolve_effect(INTENT.key, Finding.HAPPENED, remote_id="job-7", **told) is State.SETTLED
    assert (effect_of(ledger).cost_micros, spent(ledger)) == (BOUND, (0, BOUND))
    with ledger.begin() as session:
        assert imbalances(session) == []
