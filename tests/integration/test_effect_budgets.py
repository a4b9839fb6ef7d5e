"""Paid calls and their caps: never paid twice, never beyond a cap, whoever asks and however many at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import func, select

from affiliate_empire.effects import (
    BudgetRefused,
    Caps,
    EffectInProgress,
    EffectParked,
    EffectRefused,
    Effects,
    ReadOnly,
    Receipt,
    State,
)
from affiliate_empire.effects.budgets import room
from affiliate_empire.effects.report import exceeded, imbalances
from affiliate_empire.effects.resolve import Finding, resolve_effect
from affiliate_empire.kernel.caps import Room
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.installation import bump_epoch
from affiliate_empire.ledger.tables import Alert, Budget, Effect
from affiliate_empire.vendors.errors import ReplyLost, VendorRefused, VendorUnavailable
from tests.factories.effects import DAY, NOON, WIDE, Killed, MortalLedger, workers

LOST = ReplyLost("no reply", vendor="openai")
UNAVAILABLE = VendorUnavailable("busy", vendor="openai")
FILTERED = VendorRefused("filtered", vendor="openai", cost_micros=30, request_id="req_9")
BAD_KEY = VendorRefused("bad key", vendor="openai")


class Vendor:
    """Answers calls by a script of errors, then with receipts; counts what it was asked and what it charged."""

    def __init__(self, *script: BaseException, cost: int = 40) -> None:
        self.script = list(script)
        self.cost = cost
        self.calls = 0
        self.charged = 0

    def __call__(self) -> Receipt:
        self.calls += 1
        if self.script:
            error = self.script.pop(0)
            self.charged += getattr(error, "cost_micros", 0)
            raise error
        self.charged += self.cost
        return Receipt(f"req_{self.calls}", self.cost, {"answer": self.calls})


def pay(effects: Effects, call: Callable[[], Receipt], step: str = "pc_1:script", **more: Any) -> Receipt:
    values: dict[str, Any] = {"vendor": "openai", "operation": "text", "fingerprint": "f", "day": DAY}
    return effects.perform_paid(step, call=call, **(values | {"max_cost_micros": 100, "niche": "gear"} | more))


def budget(ledger: Ledger, scope: str = f"day:{DAY}") -> tuple[int, int]:
    """What is reserved and spent in a scope."""
    with ledger.begin() as session:
        assert imbalances(session) == []
        assert exceeded(session) == []
        row = session.get(Budget, scope)
        return (0, 0) if row is None else (row.reserved_micros, row.spent_micros)


def attempts(ledger: Ledger) -> dict[str, str]:
    with ledger.begin() as session:
        return {key: state for key, state in session.execute(select(Effect.key, Effect.state))}


# ---------------------------------------------------------------- paid once
def test_a_step_is_paid_once(ledger: Ledger) -> None:
    vendor = Vendor()
    first = pay(workers(ledger), vendor)
    assert pay(workers(ledger), vendor) == first
    assert (vendor.calls, first.result, budget(ledger)) == (1, {"answer": 1}, (0, 40))


def test_other_inputs_are_paid_anew_and_the_old_ones_stay_paid(ledger: Ledger) -> None:
    vendor = Vendor()
    first = pay(workers(ledger), vendor)
    second = pay(workers(ledger), vendor, fingerprint="g")
    assert (first.remote_id, second.remote_id) == ("req_1", "req_2")
    assert pay(workers(ledger), vendor) == first
    assert (vendor.calls, budget(ledger)) == (2, (0, 80))


def test_a_step_whose_name_begins_like_anothers_is_another(ledger: Ledger) -> None:
    vendor = Vendor()
    for step in ("pc_1:still", "pc_1:still#1", "pc%1:still", "pc_1:still:0"):
        pay(workers(ledger), vendor, step)
    assert vendor.calls == 4


def test_a_lost_reply_is_booked_at_its_maximum_and_tried_once_more(ledger: Ledger) -> None:
    vendor = Vendor(LOST)
    assert pay(workers(ledger), vendor).remote_id == "req_2"
    assert attempts(ledger) == {"pc_1:script#1": State.LOST, "pc_1:script#2": State.SETTLED}
    assert budget(ledger) == (0, 140)


def test_two_lost_replies_are_enough(ledger: Ledger) -> None:
    vendor = Vendor(LOST, LOST, LOST)
    for _ in range(2):
        with pytest.raises(EffectParked, match="sent 2 times"):
            pay(workers(ledger), vendor)
    assert (vendor.calls, budget(ledger)) == (2, (0, 200))
    pay(workers(ledger), Vendor(), fingerprint="g")


def test_an_outage_costs_nothing_and_holds_nothing(ledger: Ledger) -> None:
    vendor = Vendor(UNAVAILABLE)
    with pytest.raises(VendorUnavailable, match="busy"):
        pay(workers(ledger), vendor)
    assert (budget(ledger), attempts(ledger)) == ((0, 0), {"pc_1:script#1": State.INTENDED})
    pay(workers(ledger), vendor)
    assert (budget(ledger), attempts(ledger)) == ((0, 40), {"pc_1:script#1": State.SETTLED})


def test_a_refusal_that_cost_nothing_may_be_tried_by_a_later_run(ledger: Ledger) -> None:
    vendor = Vendor(BAD_KEY)
    with pytest.raises(VendorRefused, match="bad key"):
        pay(workers(ledger), vendor)
    assert budget(ledger) == (0, 0)
    assert pay(workers(ledger), vendor).remote_id == "req_2"


def test_a_refusal_that_was_charged_is_booked_and_not_sent_again(ledger: Ledger) -> None:
    vendor = Vendor(FILTERED)
    with pytest.raises(VendorRefused):
        pay(workers(ledger), vendor)
    with pytest.raises(EffectRefused, match="filtered"):
        pay(workers(ledger), vendor)
    assert (vendor.calls, budget(ledger)) == (1, (0, 30))
    with ledger.begin() as session:
        assert session.scalars(select(Effect.remote_id)).all() == ["req_9"]
    pay(workers(ledger), vendor, fingerprint="g")
    assert budget(ledger) == (0, 70)


def test_a_truncated_answer_may_be_asked_for_twice_more(ledger: Ledger) -> None:
    vendor = Vendor(FILTERED, FILTERED, FILTERED)
    for _ in range(3):
        with pytest.raises(VendorRefused):
            pay(workers(ledger), vendor, retry_refused=True)
    with pytest.raises(EffectRefused):
        pay(workers(ledger), vendor, retry_refused=True)
    assert (vendor.calls, vendor.charged, budget(ledger)) == (3, 90, (0, 90))


def test_a_fault_inside_the_call_is_a_lost_reply(ledger: Ledger) -> None:
    vendor = Vendor(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        pay(workers(ledger), vendor)
    assert (budget(ledger), attempts(ledger)) == ((0, 100), {"pc_1:script#1": State.LOST})


def test_a_charge_above_its_bound_is_recorded_and_alerts(ledger: Ledger) -> None:
    pay(workers(ledger), Vendor(cost=130))
    assert budget(ledger) == (0, 130)
    with ledger.begin() as session:
        assert "upper bound" in session.scalars(select(Alert.message)).one()


def test_a_charge_that_was_not_expected_is_in_the_budget_all_the_same(ledger: Ledger) -> None:
    pay(workers(ledger), Vendor(cost=5), max_cost_micros=0)
    assert budget(ledger) == (0, 5)


def test_read_only_reads_what_was_paid_and_pays_nothing(ledger: Ledger) -> None:
    vendor = Vendor()
    reader = workers(ledger, read_only=True)
    with pytest.raises(ReadOnly):
        pay(reader, vendor)
    receipt = pay(workers(ledger), vendor)
    assert pay(reader, vendor) == receipt
    with pytest.raises(ReadOnly):
        pay(reader, vendor, fingerprint="g")
    assert vendor.calls == 1


# ---------------------------------------------------------------- workers that die
@pytest.mark.parametrize(
    ("transaction", "committed", "lost"),
    [(1, False, 0), (1, True, 1), (2, False, 1), (2, True, 0)],
)
def test_killed_around_any_transaction_a_call_is_paid_at_most_once_more(
    ledger: Ledger, transaction: int, committed: bool, lost: int
) -> None:
    vendor = Vendor()
    with pytest.raises(Killed):
        pay(workers(MortalLedger(ledger, transaction, committed=committed)), vendor)
    receipt = pay(workers(ledger), vendor)
    assert pay(workers(ledger), vendor) == receipt
    assert budget(ledger) == (0, 40 + 100 * lost)
    assert vendor.charged <= budget(ledger)[1]


def test_what_a_dead_worker_left_is_booked_when_a_run_begins(ledger: Ledger) -> None:
    with pytest.raises(Killed):
        pay(workers(MortalLedger(ledger, 1, committed=True)), Vendor())
    assert budget(ledger) == (100, 0)
    [lost] = workers(ledger).reconcile_open(lambda effect: None)
    assert (lost.after, budget(ledger)) == (State.LOST, (0, 100))


def test_a_call_under_way_is_left_alone(ledger: Ledger) -> None:
    inner: list[str] = []

    def call() -> Receipt:
        for fingerprint in ("f", "g"):
            with pytest.raises(EffectInProgress):
                pay(workers(ledger), Vendor(), fingerprint=fingerprint)
            inner.append(fingerprint)
        return Receipt("req", 40)

    pay(workers(ledger), call)
    assert (inner, budget(ledger)) == (["f", "g"], (0, 40))


# ---------------------------------------------------------------- copies of the ledger
def test_after_a_copy_an_unpaid_call_waits_for_the_owner(ledger: Ledger) -> None:
    vendor = Vendor(UNAVAILABLE)
    with pytest.raises(VendorUnavailable):
        pay(workers(ledger), vendor)
    with ledger.begin() as session:
        bump_epoch(session, "copied")
    with pytest.raises(EffectParked, match="restored or copied"):
        pay(workers(ledger), vendor)
    assert vendor.calls == 1
    key = "pc_1:script#1"
    resolve_effect(key, Finding.DID_NOT_HAPPEN, ledger=ledger, clock=FixedClock(NOON), caps=WIDE)
    assert pay(workers(ledger), vendor).remote_id == "req_2"


def test_after_a_copy_a_call_left_behind_is_booked_when_the_owner_says_that_it_happened(ledger: Ledger) -> None:
    with pytest.raises(Killed):
        pay(workers(MortalLedger(ledger, 1, committed=True)), Vendor())
    with ledger.begin() as session:
        bump_epoch(session, "restored")
    with pytest.raises(EffectParked):
        pay(workers(ledger), Vendor())
    key = "pc_1:script#1"
    assert resolve_effect(key, Finding.HAPPENED, ledger=ledger, clock=FixedClock(NOON), caps=WIDE) is State.LOST
    assert budget(ledger) == (0, 100)


# ---------------------------------------------------------------- caps
@pytest.mark.parametrize(
    ("caps", "scope", "resets", "setting"),
    [
        (Caps(150, 10**9, 10**9), "day:2026-11-20", "2026-11-21", "DAY"),
        (Caps(10**9, 150, 10**9), "month:2026-11", "2026-12-01", "MONTH"),
        (Caps(10**9, 10**9, 150), "run:r1", None, "RUN"),
        (Caps(10**9, 10**9, 10**9, {"openai": 150}), "vendor:openai:2026-11-20", "2026-11-21", "VENDOR_DAY"),
        (Caps(10**9, 10**9, 10**9, {}, {"gear": 150}), "niche:gear:2026-11-20", "2026-11-21", "NICHE_DAY"),
    ],
)
def test_a_cap_without_room_says_which_how_much_is_left_and_when_it_resets(
    ledger: Ledger, caps: Caps, scope: str, resets: str | None, setting: str
) -> None:
    effects = workers(ledger, caps=caps, run_id="r1")
    vendor = Vendor(cost=90)
    pay(effects, vendor)
    with pytest.raises(BudgetRefused) as caught:
        pay(effects, vendor, "pc_2:script")
    refusal = caught.value
    assert (refusal.scope, refusal.cap_micros, refusal.left_micros) == (scope, 150, 60)
    assert (refusal.resets_at and refusal.resets_at.isoformat()) == (resets and f"{resets}T00:00:00-05:00")
    when = f"it starts anew on {resets} at 00:00 America/New_York" if resets else "the next run starts anew"
    assert str(refusal) == (
        f"This would cost up to $0.0001, and the cap {scope} of $0.0002 has $0.0001 left: {when}, or raise "
        f"EMPIRE_BUDGET_{setting}_USD."
    )
    assert (vendor.calls, budget(ledger, scope)) == (1, (0, 90))
    assert attempts(ledger) == {"pc_1:script#1": State.SETTLED}


def test_other_days_vendors_and_niches_have_their_own_room(ledger: Ledger) -> None:
    caps = Caps(100, 10**9, 10**9, {"openai": 100}, {"gear": 100})
    pay(workers(ledger, caps=caps), Vendor(cost=100))
    pay(workers(ledger, caps=caps), Vendor(cost=100), "pc_2:script", day=date(2026, 11, 21), niche="home")
    assert budget(ledger, "month:2026-11") == (0, 200)


def test_raising_the_cap_lets_the_next_call_through(ledger: Ledger) -> None:
    with pytest.raises(BudgetRefused):
        pay(workers(ledger, caps=Caps(99, 10**9, 10**9)), Vendor())
    pay(workers(ledger, caps=Caps(100, 10**9, 10**9)), Vendor())
    assert budget(ledger) == (0, 40)


def test_a_cap_lowered_below_what_is_spent_and_set_aside_stops_everything_new(ledger: Ledger) -> None:
    pay(workers(ledger, caps=Caps(1_000, 10**9, 10**9)), Vendor(cost=100))
    inner: list[BudgetRefused] = []

    def meanwhile() -> Receipt:
        """A call under way, 100 set aside for it, while the owner lowers the cap below what is spent already."""
        with pytest.raises(BudgetRefused) as caught:
            pay(workers(ledger, caps=Caps(90, 10**9, 10**9)), Vendor(), "pc_3:script", max_cost_micros=1)
        inner.append(caught.value)
        return Receipt("req_2", 60)

    pay(workers(ledger, caps=Caps(1_000, 10**9, 10**9)), meanwhile, "pc_2:script")
    assert [(refusal.cap_micros, refusal.left_micros) for refusal in inner] == [(90, 0)]
    # What had been begun is booked in full; nothing more passes, and lowering a cap is no overrun.
    assert budget(ledger) == (0, 160)
    with pytest.raises(BudgetRefused, match=r"has \$0.00 left"):
        pay(workers(ledger, caps=Caps(160, 10**9, 10**9)), Vendor(), "pc_3:script", max_cost_micros=1)
    with ledger.begin() as session:
        assert room(session, DAY, Caps(90, 10**9, 10**9)) == Room(0, 10**9 - 160)


def test_the_months_cap_holds_across_its_days_and_the_next_month_has_its_own(ledger: Ledger) -> None:
    effects = workers(ledger, caps=Caps(100, 150, 10**9))
    pay(effects, Vendor(cost=100), "pc_1:script", day=date(2026, 11, 29))
    with pytest.raises(BudgetRefused, match="cap month:2026-11"):
        pay(effects, Vendor(), "pc_2:script", day=date(2026, 11, 30))
    pay(effects, Vendor(cost=50), "pc_3:script", day=date(2026, 11, 30), max_cost_micros=50)
    pay(effects, Vendor(cost=100), "pc_4:script", day=date(2026, 12, 1))
    assert (budget(ledger, "month:2026-11"), budget(ledger, "month:2026-12")) == ((0, 150), (0, 100))


def test_settled_at_is_business_time(ledger: Ledger) -> None:
    pay(workers(ledger), Vendor())
    with ledger.begin() as session:
        assert session.scalar(select(Effect.settled_at)) == NOON
        assert session.scalar(select(func.count()).where(Effect.lease_owner.is_not(None))) == 0


def test_no_cap_is_touched_by_what_costs_nothing(ledger: Ledger) -> None:
    pay(workers(ledger, caps=WIDE), Vendor(cost=0), max_cost_micros=0)
    with ledger.begin() as session:
        assert session.scalars(select(Budget)).all() == []
