"""Effects against a real database: every way from intended to its end, and what stays behind on each."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from affiliate_empire.effects import (
    Caps,
    EffectInProgress,
    EffectParked,
    FingerprintConflict,
    Intent,
    Paused,
    QuotaRefused,
    ReadOnly,
    Receipt,
    State,
    WindowClosed,
)
from affiliate_empire.effects.report import exceeded, imbalances, open_effects, parked
from affiliate_empire.effects.resolve import Finding, resolve_effect
from affiliate_empire.effects.switches import pause_scope, resume_scope
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.fence import SleptTooLong
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.installation import bump_epoch
from affiliate_empire.ledger.tables import Alert, Effect, QuotaUse, Reservation
from affiliate_empire.vendors.errors import (
    CredentialsRejected,
    QuotaExhausted,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from tests.factories.effects import (
    ACCOUNT,
    NOON,
    WIDE,
    Killed,
    MortalLedger,
    Platform,
    open_account,
    post_intent,
    quota,
    raising,
    workers,
)

DAY_LONG = timedelta(hours=24)
UNAVAILABLE = VendorUnavailable("busy", vendor="youtube")
LOST = ReplyLost("no reply", vendor="youtube")
REFUSED = VendorRefused("bad title", vendor="youtube")


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path / "platform")


@pytest.fixture(autouse=True)
def _account(ledger: Ledger) -> None:
    open_account(ledger)


def only_effect(session: Session) -> Effect:
    return session.scalars(select(Effect)).one()


def state_of(ledger: Ledger) -> str:
    with ledger.begin() as session:
        return only_effect(session).state


def quota_uses(ledger: Ledger) -> int:
    with ledger.begin() as session:
        return session.scalar(select(func.count()).select_from(QuotaUse)) or 0


# ---------------------------------------------------------------- once
def test_a_post_is_made_once_and_its_receipt_is_kept(ledger: Ledger, platform: Platform) -> None:
    first = workers(ledger).perform(post_intent(), platform.act())
    again = workers(ledger).perform(post_intent(), platform.act())
    assert first == again
    assert first.effect_id
    assert [post["piece"] for post in platform.posts] == ["pc_1"]
    assert state_of(ledger) == State.SETTLED


def test_other_content_on_a_key_that_happened_is_refused(ledger: Ledger, platform: Platform) -> None:
    workers(ledger).perform(post_intent(), platform.act())
    with pytest.raises(FingerprintConflict, match="with other content"):
        workers(ledger).perform(post_intent(fingerprint="second"), platform.act(text="second"))
    assert [post["text"] for post in platform.posts] == ["first"]


@pytest.mark.parametrize("moment", ["before_prepare", "after_prepare"])
def test_other_content_replaces_what_is_proven_not_to_have_happened(
    ledger: Ledger, platform: Platform, moment: str
) -> None:
    platform.at[moment] = raising(UNAVAILABLE)
    with pytest.raises(VendorUnavailable):
        workers(ledger).perform(post_intent(), platform.act())
    workers(ledger).perform(post_intent(fingerprint="second"), platform.act(text="second"))
    assert [post["text"] for post in platform.posts] == ["second"]
    with ledger.begin() as session:
        states = session.scalars(select(Effect.state).order_by(Effect.key)).all()
    assert sorted(states) == [State.SETTLED, State.SUPERSEDED]


def test_other_content_on_a_key_that_may_have_happened_is_refused(ledger: Ledger, platform: Platform) -> None:
    platform.at["after_commit"] = raising(LOST)
    platform.answers = False
    with pytest.raises(EffectParked):
        workers(ledger).perform(post_intent(), platform.act())
    with pytest.raises(FingerprintConflict):
        workers(ledger).perform(post_intent(fingerprint="second"), platform.act(text="second"))
    assert [post["text"] for post in platform.posts] == ["first"]


# ---------------------------------------------------------------- lost, refused, unavailable
@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
def test_a_lost_reply_is_settled_by_the_handles_own_word(ledger: Ledger, platform: Platform, moment: str) -> None:
    platform.at[moment] = raising(LOST)
    receipt = workers(ledger).perform(post_intent(), platform.act())
    assert [path.name for path in platform.root.glob("post-*")] == [receipt.remote_id]


def test_replies_lost_twice_are_left_to_a_rerun_on_the_same_handle(ledger: Ledger, platform: Platform) -> None:
    def twice() -> None:
        platform.at["before_commit"] = raising(LOST)
        raise LOST

    platform.at["before_commit"] = twice
    with pytest.raises(ReplyLost):
        workers(ledger).perform(post_intent(), platform.act())
    assert state_of(ledger) == State.PREPARED
    workers(ledger).perform(post_intent(), platform.act())
    assert [post["session"] for post in platform.posts] == ["000"]


@pytest.mark.parametrize(
    "refusal",
    [CredentialsRejected("sign in", vendor="youtube"), QuotaExhausted("full", vendor="youtube"), REFUSED],
)
def test_what_is_refused_while_an_earlier_request_may_arrive_keeps_the_handle(
    ledger: Ledger, platform: Platform, refusal: VendorRefused
) -> None:
    def late() -> None:
        platform.at["before_commit"] = raising(refusal)
        raise LOST

    platform.at["before_commit"] = late
    with pytest.raises(type(refusal)):
        workers(ledger).perform(post_intent(), platform.act())
    assert state_of(ledger) == State.UNKNOWN
    platform.act().commit({"session": "000"})  # the first request arrives
    workers(ledger).perform(post_intent(), platform.act())
    assert [post["session"] for post in platform.posts] == ["000"]


@pytest.mark.parametrize("answer", [REFUSED, QuotaExhausted("full", vendor="youtube"), UNAVAILABLE])
def test_what_was_answered_was_not_sent(ledger: Ledger, platform: Platform, answer: VendorError) -> None:
    platform.at["before_commit"] = raising(answer)
    with pytest.raises(type(answer)):
        workers(ledger).perform(post_intent(), platform.act())
    with ledger.begin() as session:
        assert only_effect(session).sent_at is None


def test_a_question_that_is_refused_is_its_owners_to_answer(ledger: Ledger, platform: Platform) -> None:
    platform.at |= {"after_commit": raising(LOST), "before_reconcile": raising(REFUSED)}
    with pytest.raises(EffectParked, match=r"its vendor tells nothing \(bad title\)"):
        workers(ledger).perform(post_intent(), platform.act())
    with ledger.begin() as session:
        effect = only_effect(session)
        assert parked(session, [effect.effect_id]) == {effect.effect_id}


def test_what_was_answered_once_may_be_asked_again(ledger: Ledger, platform: Platform) -> None:
    """The owner's word ends what they were asked; parked a second time, they are told a second time."""
    platform.at["after_commit"] = raising(LOST)
    platform.answers = False
    with pytest.raises(EffectParked):
        workers(ledger).perform(post_intent(), platform.act())
    with ledger.begin() as session:
        name = only_effect(session).effect_id
    platform.drop_posts()
    resolve_effect(name, Finding.DID_NOT_HAPPEN, ledger=ledger, clock=FixedClock(NOON), caps=WIDE)
    with ledger.begin() as session:
        assert only_effect(session).sent_at is None

    platform.at |= {"after_commit": raising(LOST), "before_reconcile": raising(UNAVAILABLE)}
    with pytest.raises(VendorUnavailable):
        workers(ledger).perform(post_intent(), platform.act())
    with ledger.begin() as session:
        assert parked(session, [name]) == set()  # not asked about yet: it is looked for again
        (alert,) = session.scalars(select(Alert))
        assert alert.resolved_at == NOON
        alert.told_at = NOON

    with pytest.raises(EffectParked):
        workers(ledger).perform(post_intent(), platform.act())
    with ledger.begin() as session:
        assert parked(session, [name]) == {name}
        (alert,) = session.scalars(select(Alert))
        assert (alert.resolved_at, alert.told_at) == (None, None)  # the owner is told again


def test_other_content_waits_until_its_vendor_has_said_once_more_that_nothing_came(
    ledger: Ledger, platform: Platform
) -> None:
    def twice() -> None:
        platform.at["before_commit"] = raising(LOST)
        raise LOST

    soon = workers(ledger, lease=timedelta(milliseconds=500))
    platform.at["before_commit"] = twice
    with pytest.raises(ReplyLost):
        soon.perform(post_intent(), platform.act())
    time.sleep(0.6)
    platform.at["before_reconcile"] = raising(UNAVAILABLE)
    other = post_intent(fingerprint="second")
    soon.reconcile_open(lambda effect: platform.act())
    with pytest.raises(FingerprintConflict, match="is asked once more"):
        soon.perform(other, platform.act(text="second"))
    soon.reconcile_open(lambda effect: platform.act())
    soon.perform(other, platform.act(text="second"))
    assert [post["text"] for post in platform.posts] == ["second"]


def test_a_worker_that_wakes_after_other_content_was_posted_sends_nothing(ledger: Ledger, platform: Platform) -> None:
    short = timedelta(milliseconds=500)
    wake = threading.Event()
    platform.at["before_commit"] = lambda: wake.wait(20)
    told: list[BaseException] = []

    def sleep_in_the_middle() -> None:
        try:
            workers(ledger, lease=short).perform(post_intent(), platform.act())
        except EffectInProgress as error:
            told.append(error)

    sleeper = threading.Thread(target=sleep_in_the_middle)
    sleeper.start()
    while "before_commit" in platform.at:
        time.sleep(0.01)
    time.sleep(0.6)
    later = workers(ledger, lease=short)
    later.reconcile_open(lambda effect: platform.act())
    later.perform(post_intent(fingerprint="second"), platform.act(text="second"))
    wake.set()
    sleeper.join()
    assert [post["text"] for post in platform.posts] == ["second"]
    assert isinstance(told[0].__context__, SleptTooLong)


def test_a_dead_handle_that_published_nothing_is_replaced(ledger: Ledger, platform: Platform) -> None:
    def die() -> None:
        platform.drop_sessions()
        raise LOST

    platform.at["before_commit"] = die
    workers(ledger).perform(post_intent(), platform.act())
    assert len(platform.posts) == 1


def test_what_the_handle_cannot_say_is_parked_with_its_quota_until_it_can(ledger: Ledger, platform: Platform) -> None:
    platform.at["after_commit"] = raising(LOST)
    platform.answers = False
    intent = post_intent(quota=quota(1, DAY_LONG))
    for _ in range(2):
        with pytest.raises(EffectParked, match="the channel's list of videos"):
            workers(ledger).perform(intent, platform.act())
    assert (state_of(ledger), quota_uses(ledger)) == (State.UNKNOWN, 1)
    with ledger.begin() as session:
        assert session.scalar(select(func.count()).select_from(Alert)) == 1
    platform.answers = True
    workers(ledger).perform(intent, platform.act())
    assert len(platform.posts) == 1


def test_an_outage_while_asking_leaves_it_as_open_as_before(ledger: Ledger, platform: Platform) -> None:
    platform.at |= {"after_commit": raising(LOST), "before_reconcile": raising(UNAVAILABLE)}
    with pytest.raises(VendorUnavailable, match="busy"):
        workers(ledger).perform(post_intent(), platform.act())
    assert state_of(ledger) == State.UNKNOWN
    workers(ledger).perform(post_intent(), platform.act())
    assert len(platform.posts) == 1


@pytest.mark.parametrize("moment", ["before_prepare", "before_commit"])
@pytest.mark.parametrize("error", [REFUSED, QuotaExhausted("full", vendor="youtube")])
def test_a_refusal_frees_the_quota_and_a_later_run_may_try_anew(
    ledger: Ledger, platform: Platform, moment: str, error: VendorRefused
) -> None:
    platform.at[moment] = raising(error)
    intent = post_intent(quota=quota(1, DAY_LONG))
    with pytest.raises(VendorRefused):
        workers(ledger).perform(intent, platform.act())
    assert (state_of(ledger), quota_uses(ledger), platform.posts) == (State.REFUSED, 0, [])
    workers(ledger).perform(intent, platform.act())
    assert len(platform.posts) == 1


@pytest.mark.parametrize(
    ("moment", "state", "held"), [("before_prepare", State.INTENDED, 0), ("before_commit", State.PREPARED, 1)]
)
def test_an_outage_holds_only_what_is_under_way(
    ledger: Ledger, platform: Platform, moment: str, state: State, held: int
) -> None:
    platform.at[moment] = raising(UNAVAILABLE)
    intent = post_intent(quota=quota(1, DAY_LONG))
    with pytest.raises(VendorUnavailable):
        workers(ledger).perform(intent, platform.act())
    assert (state_of(ledger), quota_uses(ledger)) == (state, held)
    workers(ledger).perform(intent, platform.act())
    assert (len(platform.posts), quota_uses(ledger)) == (1, 1)


def test_an_interrupt_inside_the_commit_is_a_lost_reply(ledger: Ledger, platform: Platform) -> None:
    platform.at["after_commit"] = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        workers(ledger).perform(post_intent(), platform.act())
    assert state_of(ledger) == State.UNKNOWN
    workers(ledger).perform(post_intent(), platform.act())
    assert len(platform.posts) == 1


# ---------------------------------------------------------------- windows, pauses, quotas, modes
def test_a_closed_window_never_posts(ledger: Ledger, platform: Platform) -> None:
    intent = post_intent(deadline_at=NOON)
    with pytest.raises(WindowClosed, match="it never will"):
        workers(ledger).perform(intent, platform.act())
    assert platform.posts == []


def test_a_window_that_closes_while_it_is_prepared_expires_it(ledger: Ledger, platform: Platform) -> None:
    clock = FixedClock(NOON)
    intent = post_intent(deadline_at=NOON + timedelta(hours=1), quota=quota(1, DAY_LONG))

    def two_hours_pass() -> None:
        clock.at = NOON + timedelta(hours=2)

    platform.at["after_prepare"] = two_hours_pass
    for _ in range(2):
        with pytest.raises(WindowClosed):
            workers(ledger, clock=clock).perform(intent, platform.act())
    assert (state_of(ledger), quota_uses(ledger), platform.posts) == (State.EXPIRED, 0, [])


def test_after_its_window_a_lost_reply_is_still_read_but_nothing_is_sent(ledger: Ledger, platform: Platform) -> None:
    clock = FixedClock(NOON)
    deadline = NOON + timedelta(hours=1)
    platform.at |= {"after_commit": raising(LOST), "before_reconcile": raising(UNAVAILABLE)}
    other = Platform(platform.root.with_name("other"), {"before_commit": raising(UNAVAILABLE)})
    for where, piece in ((platform, "pc_1"), (other, "pc_2")):
        with pytest.raises(VendorUnavailable):
            workers(ledger, clock=clock).perform(post_intent(piece, deadline_at=deadline), where.act(piece))
    clock.at = deadline
    receipt = workers(ledger, clock=clock).perform(post_intent(deadline_at=deadline), platform.act())
    assert receipt.remote_id == "post-000"
    with pytest.raises(WindowClosed):
        workers(ledger, clock=clock).perform(post_intent("pc_2", deadline_at=deadline), other.act("pc_2"))
    assert other.posts == []


def _sent_as_its_window_closes(ledger: Ledger, platform: Platform, clock: FixedClock) -> Intent:
    deadline = clock.at + timedelta(minutes=45)
    intent = post_intent(deadline_at=deadline, quota=quota(1, DAY_LONG))

    def cut_as_the_window_closes() -> None:
        clock.at = deadline
        raise LOST

    platform.at["before_commit"] = cut_as_the_window_closes
    with pytest.raises(ReplyLost, match="may still arrive"):
        workers(ledger, clock=clock).perform(intent, platform.act())
    assert (state_of(ledger), quota_uses(ledger)) == (State.UNKNOWN, 1)
    return intent


@pytest.mark.parametrize("way", ["perform", "reconcile"])
def test_what_was_sent_as_its_window_closed_is_found_when_it_arrives(
    ledger: Ledger, platform: Platform, way: str
) -> None:
    clock = FixedClock(NOON)
    intent = _sent_as_its_window_closes(ledger, platform, clock)
    for _ in range(2):  # so far the platform says no
        [asked] = workers(ledger, clock=clock).reconcile_open(lambda _: platform.act())
        assert (asked.after, "may still arrive" in asked.detail) == (State.UNKNOWN, True)
    platform.act().commit({"session": "000"})  # it arrives
    if way == "perform":
        assert workers(ledger, clock=clock).perform(intent, platform.act()).remote_id == "post-000"
    else:
        workers(ledger, clock=clock).reconcile_open(lambda _: platform.act())
    assert (state_of(ledger), quota_uses(ledger), len(platform.posts)) == (State.SETTLED, 1, 1)


@pytest.mark.parametrize("way", ["perform", "reconcile"])
def test_what_was_sent_as_its_window_closed_expires_when_nothing_can_arrive_any_more(
    ledger: Ledger, platform: Platform, way: str
) -> None:
    clock = FixedClock(NOON)
    intent = _sent_as_its_window_closes(ledger, platform, clock)
    later = workers(ledger, clock=clock, lease=timedelta(0))  # as if half an hour had passed
    if way == "perform":
        with pytest.raises(WindowClosed):
            later.perform(intent, platform.act())
    else:
        [asked] = later.reconcile_open(lambda _: platform.act())
        assert asked.after == State.EXPIRED
    with pytest.raises(WindowClosed):  # and stays so
        later.perform(intent, platform.act())
    assert (state_of(ledger), quota_uses(ledger), platform.posts) == (State.EXPIRED, 1, [])
    # Its owner has the last word, should it be there all the same.
    told = {"ledger": ledger, "clock": clock, "caps": WIDE, "remote_id": "post-000"}
    with pytest.raises(BadInput, match="no open effect"):
        resolve_effect(intent.key, Finding.DID_NOT_HAPPEN, **told)
    assert resolve_effect(intent.key, Finding.HAPPENED, **told) is State.SETTLED
    assert workers(ledger, clock=clock).perform(intent, platform.act()).remote_id == "post-000"
    assert quota_uses(ledger) == 1


@pytest.mark.parametrize("scope", ["all", "vendor:youtube", f"account:{ACCOUNT}"])
def test_a_pause_is_honoured_until_it_is_lifted(ledger: Ledger, platform: Platform, scope: str) -> None:
    pause_scope(scope, "a complaint", ledger=ledger)
    with pytest.raises(Paused, match="a complaint"):
        workers(ledger).perform(post_intent(), platform.act())
    with ledger.begin() as session:
        assert session.scalars(select(Effect)).all() == []
    resume_scope(scope, ledger=ledger)
    workers(ledger).perform(post_intent(), platform.act())
    assert len(platform.posts) == 1


def test_a_pause_of_something_else_stops_nothing(ledger: Ledger, platform: Platform) -> None:
    pause_scope("vendor:openai", "outage", ledger=ledger)
    workers(ledger).perform(post_intent(), platform.act())
    assert len(platform.posts) == 1


def test_a_pause_while_it_is_prepared_stops_it_before_its_commit(ledger: Ledger, platform: Platform) -> None:
    platform.at["after_prepare"] = lambda: pause_scope("all", "stop!", ledger=ledger)
    with pytest.raises(Paused):
        workers(ledger).perform(post_intent(), platform.act())
    assert (state_of(ledger), platform.posts) == (State.PREPARED, [])
    resume_scope("all", ledger=ledger)
    workers(ledger).perform(post_intent(), platform.act())
    assert [post["session"] for post in platform.posts] == ["000"]


def test_what_was_paused_over_its_window_is_not_posted_late(ledger: Ledger, platform: Platform) -> None:
    clock, deadline = FixedClock(NOON), NOON + timedelta(hours=1)
    platform.at["after_prepare"] = lambda: pause_scope("vendor:youtube", "stop!", ledger=ledger)
    for piece in ("pc_1", "pc_2"):  # one is stopped before its commit, the other before its claim
        with pytest.raises(Paused):
            workers(ledger, clock=clock).perform(post_intent(piece, deadline_at=deadline), platform.act(piece))
    clock.at = deadline
    resume_scope("vendor:youtube", ledger=ledger)
    for piece in ("pc_1", "pc_2"):
        with pytest.raises(WindowClosed):
            workers(ledger, clock=clock).perform(post_intent(piece, deadline_at=deadline), platform.act(piece))
    assert platform.posts == []


@pytest.mark.parametrize("scope", ["", "openai", "vendor:", "vendor:pika", "account:youtube:nobody"])
def test_an_unknown_scope_is_not_paused(ledger: Ledger, scope: str) -> None:
    with pytest.raises(BadInput):
        pause_scope(scope, "typo", ledger=ledger)


def test_lifting_what_is_not_paused_says_what_is(ledger: Ledger) -> None:
    pause_scope("vendor:openai", "outage", ledger=ledger)
    with pytest.raises(BadInput, match="vendor:openai"):
        resume_scope("vendor:opanai", ledger=ledger)


def test_a_full_window_says_when_it_has_room(ledger: Ledger, platform: Platform) -> None:
    for number in range(2):
        at = NOON + timedelta(hours=number)
        intent = post_intent(f"pc_{number}", quota=quota(2, DAY_LONG, at))
        workers(ledger).perform(intent, platform.act(f"pc_{number}"))
    late = post_intent("pc_9", quota=quota(2, DAY_LONG, NOON + timedelta(hours=5)))
    with pytest.raises(QuotaRefused, match="2026-11-21 17:00 UTC") as caught:
        workers(ledger).perform(late, platform.act("pc_9"))
    assert caught.value.frees_at == NOON + DAY_LONG
    on_time = replace(late, quota=quota(2, DAY_LONG, caught.value.frees_at))
    workers(ledger).perform(on_time, platform.act("pc_9"))
    assert len(platform.posts) == 3


def test_many_at_once_do_not_pass_a_quota_together(ledger: Ledger, platform: Platform) -> None:
    effects = workers(ledger)
    platform.root.mkdir()

    def attempt(number: int) -> bool:
        mine = Platform(platform.root / str(number))
        try:
            effects.perform(post_intent(f"pc_{number}", quota=quota(5, DAY_LONG)), mine.act(f"pc_{number}"))
        except QuotaRefused:
            return False
        return len(mine.posts) == 1

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(attempt, range(20))) == 5


def test_read_only_returns_what_is_settled_and_sends_nothing(ledger: Ledger, platform: Platform) -> None:
    reader = workers(ledger, read_only=True)
    with pytest.raises(ReadOnly, match="neither spends nor posts"):
        reader.perform(post_intent(), platform.act())
    receipt = workers(ledger).perform(post_intent(), platform.act())
    assert reader.perform(post_intent(), platform.act()) == receipt
    assert len(platform.posts) == 1


# ---------------------------------------------------------------- epochs and the owner's word
def test_after_a_copy_every_open_effect_waits_for_the_owner(ledger: Ledger, platform: Platform) -> None:
    platform.at["before_commit"] = raising(UNAVAILABLE)
    with pytest.raises(VendorUnavailable):
        workers(ledger).perform(post_intent(), platform.act())
    with ledger.begin() as session:
        assert bump_epoch(session, "restored from a backup") == 2
    with pytest.raises(EffectParked, match="restored or copied"):
        workers(ledger).perform(post_intent(), platform.act())
    [parked] = workers(ledger).reconcile_open(lambda effect: platform.act())
    assert (parked.after, platform.posts) == (State.PREPARED, [])
    assert [row["state"] for row in open_effects(ledger=ledger)] == ["parked"]
    name = open_effects(ledger=ledger)[0]["effect_id"]
    resolve_effect(name, Finding.DID_NOT_HAPPEN, ledger=ledger, clock=FixedClock(NOON), caps=WIDE)
    workers(ledger).perform(post_intent(), platform.act())
    assert len(platform.posts) == 1


def test_a_copy_made_while_it_is_prepared_stops_it_before_its_commit(ledger: Ledger, platform: Platform) -> None:
    def copy() -> None:
        with ledger.begin() as session:
            bump_epoch(session, "copied")

    platform.at["after_prepare"] = copy
    with pytest.raises(EffectParked):
        workers(ledger).perform(post_intent(), platform.act())
    assert platform.posts == []


def test_what_is_settled_stays_settled_after_a_copy(ledger: Ledger, platform: Platform) -> None:
    receipt = workers(ledger).perform(post_intent(), platform.act())
    with ledger.begin() as session:
        bump_epoch(session, "copied")
    assert workers(ledger).perform(post_intent(), platform.act()) == receipt


def test_the_owner_says_that_it_happened(ledger: Ledger, platform: Platform) -> None:
    platform.at["after_commit"] = raising(LOST)
    platform.answers = False
    with pytest.raises(EffectParked):
        workers(ledger).perform(post_intent(), platform.act())
    found = {"ledger": ledger, "clock": FixedClock(NOON), "caps": WIDE}
    with pytest.raises(BadInput, match="--remote-id"):
        resolve_effect(post_intent().key, Finding.HAPPENED, **found)
    assert resolve_effect(post_intent().key, Finding.HAPPENED, remote_id="post-000", **found) is State.SETTLED
    assert workers(ledger).perform(post_intent(), platform.act()).remote_id == "post-000"
    with pytest.raises(BadInput, match="no open effect"):
        resolve_effect(post_intent().key, Finding.DID_NOT_HAPPEN, **found)
    assert len(platform.posts) == 1


def test_nobodys_word_is_taken_for_what_the_vendor_can_say(ledger: Ledger, platform: Platform) -> None:
    platform.at["before_commit"] = raising(UNAVAILABLE)
    with pytest.raises(VendorUnavailable):
        workers(ledger).perform(post_intent(), platform.act())
    with pytest.raises(BadInput, match="needs nobody's word"):
        resolve_effect(post_intent().key, Finding.DID_NOT_HAPPEN, ledger=ledger, clock=FixedClock(NOON), caps=WIDE)


# ---------------------------------------------------------------- reconciling at the start of a run
def test_reconciling_settles_what_happened_and_sends_nothing(ledger: Ledger, platform: Platform) -> None:
    other = Platform(platform.root.with_name("other"), {"before_commit": raising(UNAVAILABLE)})
    platform.at |= {"after_commit": raising(LOST), "before_reconcile": raising(UNAVAILABLE)}
    clock = FixedClock(NOON)
    deadline = NOON + timedelta(hours=1)
    for where, piece in ((platform, "pc_1"), (other, "pc_2")):
        with pytest.raises(VendorUnavailable):
            workers(ledger, clock=clock).perform(post_intent(piece, deadline_at=deadline), where.act(piece))
    acts = {"pc_1": platform.act("pc_1"), "pc_2": other.act("pc_2")}
    assert [one.detail for one in workers(ledger).reconcile_open(lambda effect: None)] == [
        "nobody here can ask its vendor"
    ] * 2
    found = {one.key: one.after for one in workers(ledger).reconcile_open(lambda effect: acts[str(effect.piece_id)])}
    assert found == {post_intent("pc_1").key: State.SETTLED, post_intent("pc_2").key: State.PREPARED}
    clock.at = deadline
    [expired] = workers(ledger, clock=clock).reconcile_open(lambda effect: acts[str(effect.piece_id)])
    assert (expired.after, other.posts) == (State.EXPIRED, [])
    assert workers(ledger).reconcile_open(lambda effect: None) == []


def test_reconciling_parks_what_nobody_can_say(ledger: Ledger, platform: Platform) -> None:
    platform.at |= {"after_commit": raising(LOST), "before_reconcile": raising(UNAVAILABLE)}
    with pytest.raises(VendorUnavailable):
        workers(ledger).perform(post_intent(), platform.act())
    platform.answers = False
    [parked] = workers(ledger).reconcile_open(lambda effect: platform.act())
    assert (parked.after, state_of(ledger)) == (State.UNKNOWN, State.UNKNOWN)
    assert "resolve" in parked.detail


# ---------------------------------------------------------------- workers that die or sleep
def process(ledger: Ledger, platform: Platform, moment: str) -> subprocess.Popen[str]:
    platform.root.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.factories.effects", ledger.url, str(platform.root), moment]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("moment", ["before_prepare", "after_prepare", "before_commit", "after_commit"])
def test_killed_at_any_moment_the_next_run_completes_it_at_once(
    ledger: Ledger, platform: Platform, moment: str
) -> None:
    with process(ledger, platform, moment) as worker:
        assert worker.wait(30) == -9
    workers(ledger).perform(post_intent(), platform.act())
    assert [post["piece"] for post in platform.posts] == ["pc_1"]


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("transaction", range(1, 5))
def test_killed_around_any_transaction_it_is_posted_once(
    ledger: Ledger, platform: Platform, transaction: int, committed: bool
) -> None:
    mortal = MortalLedger(ledger, transaction, committed=committed)
    intent = post_intent(quota=quota(1, DAY_LONG), max_cost_micros=500)
    with pytest.raises(Killed):
        workers(mortal).perform(intent, platform.act())
    workers(ledger).perform(intent, platform.act())
    assert (len(platform.posts), quota_uses(ledger)) == (1, 1)
    with ledger.begin() as session:
        assert imbalances(session) == []


def test_a_living_worker_in_another_process_is_left_alone(ledger: Ledger, platform: Platform) -> None:
    with process(ledger, platform, "wait:before_commit") as worker:
        assert worker.stdout is not None
        assert worker.stdin is not None
        assert worker.stdout.readline() == "waiting\n"
        with pytest.raises(EffectInProgress, match="another process"):
            workers(ledger).perform(post_intent(), platform.act())
        [seen] = workers(ledger).reconcile_open(lambda effect: platform.act())
        assert (seen.before, seen.after) == (State.COMMITTING, State.COMMITTING)
        worker.stdin.write("\n")
        worker.stdin.flush()
        assert worker.wait(30) == 0
    assert len(platform.posts) == 1


@pytest.mark.parametrize("moment", ["after_prepare", "before_commit", "after_commit"])
def test_a_worker_woken_after_its_lease_was_taken_writes_nothing_over_the_new_owner(
    ledger: Ledger, platform: Platform, moment: str
) -> None:
    asleep, wake = threading.Event(), threading.Event()

    def sleep() -> None:
        asleep.set()
        assert wake.wait(30)

    platform.at[moment] = sleep
    with ThreadPoolExecutor(1) as pool:
        sleeper = pool.submit(workers(ledger).perform, post_intent(), platform.act())
        assert asleep.wait(30)
        with pytest.raises(EffectInProgress):
            workers(ledger).perform(post_intent(), platform.act())
        with ledger.begin() as session:
            session.execute(update(Effect).values(lease_until=func.now() - text("interval '1 second'")))
        receipt = workers(ledger).perform(post_intent(), platform.act())
        with ledger.begin() as session:
            settled = (only_effect(session).remote_id, only_effect(session).claims, only_effect(session).updated_at)
        wake.set()
        with pytest.raises(EffectInProgress, match="taken over"):
            sleeper.result(30)
    assert [path.name for path in platform.root.glob("post-*")] == [receipt.remote_id]
    with ledger.begin() as session:
        effect = only_effect(session)
        assert (effect.remote_id, effect.claims, effect.updated_at) == settled


def test_two_that_start_at_once_post_once(ledger: Ledger, platform: Platform) -> None:
    effects = workers(ledger)

    def attempt(_: int) -> Receipt | None:
        try:
            return effects.perform(post_intent(), platform.act())
        except EffectInProgress:
            return None

    with ThreadPoolExecutor(8) as pool:
        receipts = [receipt for receipt in pool.map(attempt, range(8)) if receipt is not None]
    assert len({receipt.remote_id for receipt in receipts}) == 1
    assert len(platform.posts) == 1


def test_no_transaction_is_open_while_the_vendor_is_waited_for(ledger: Ledger, platform: Platform) -> None:
    open_ones: list[int] = []

    def count() -> None:
        with ledger.begin() as session:
            here = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
            open_ones.append((session.scalar(text(here)) or 0) - 1)

    platform.at |= dict.fromkeys(("before_prepare", "before_commit", "before_reconcile"), count)
    platform.at["after_commit"] = raising(LOST)
    workers(ledger).perform(post_intent(max_cost_micros=10), platform.act())
    assert open_ones == [0, 0, 0]


def test_the_open_ones_are_listed_with_what_to_do(ledger: Ledger, platform: Platform) -> None:
    platform.at["after_commit"] = raising(LOST)
    platform.answers = False
    with pytest.raises(EffectParked):
        workers(ledger).perform(post_intent(), platform.act())
    [row] = open_effects(ledger=ledger)
    assert (row["key"], row["state"]) == (post_intent().key, State.UNKNOWN)
    assert f"empire effects resolve {row['effect_id']}" in row["remedy"]


def test_an_imbalance_is_seen(ledger: Ledger, platform: Platform) -> None:
    workers(ledger, caps=Caps(1000, 1000, 1000)).perform(post_intent(max_cost_micros=600), platform.act())
    with ledger.begin() as session:
        assert imbalances(session) == []
        session.execute(update(Reservation).where(Reservation.scope.startswith("day:")).values(spent_micros=7))
        assert {found.subject for found in imbalances(session)} == {
            "day:2026-11-20 spent",
            f"{post_intent().key} in day:2026-11-20",
        }
        assert exceeded(session) == []
        session.rollback()
