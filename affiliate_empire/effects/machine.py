"""The state machine that everything which spends or posts goes through.

::

    intended ─► claimed ─► prepared ─► committing ─► settled          at_most_once: a post, on a handle made before
        │                                   └─► its id is stored ─► asked until it ends ─► settled or refused: a job
        └─────────────────────────────► committing ─► settled          bounded_repeat (no handle to keep)
    a lost reply, a crash, an expired lease:  with a handle ─► its own status is read ─► settled, or the same handle
    again, or a new one when it is gone, or refused when the job failed, or unknown; a job whose id never came ─►
    unknown; a paid call ─► lost, booked at its upper bound

Every arrow is one short transaction that checks that the effect is still this worker's (``claims`` counts the owners);
none is open while a vendor is waited for. Leases run by the database's clock, windows by the business clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.effects import budgets, confirmation, quotas, switches
from affiliate_empire.effects.errors import (
    EffectError,
    EffectInProgress,
    EffectParked,
    EffectRefused,
    FingerprintConflict,
    ReadOnly,
    Unconfirmed,
    WindowClosed,
)
from affiliate_empire.effects.model import (
    HANDED_OVER,
    HOLDING,
    PARKED,
    Accepted,
    Act,
    EffectKind,
    Failed,
    Gone,
    Intent,
    OpenEffect,
    PaidCall,
    Quota,
    Receipt,
    Reconciled,
    State,
    StillUnknown,
    Verdict,
    alert_of,
    ended,
    may_have_been_done,
)
from affiliate_empire.kernel.caps import Caps
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.fence import sending_within, this_instant
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.kernel.money import dollars
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.leases import is_dead, this_process
from affiliate_empire.ledger.tables import Alert, Effect, Installation
from affiliate_empire.vendors.errors import (
    AccountRestricted,
    CredentialsRejected,
    QuotaExhausted,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)

# Longer than any client's hard time-out, a long upload included; a dead owner on this host is seen at once anyway.
LEASE = timedelta(minutes=30)

# One lost reply may be followed by one more commit of the same handle within a call; a second one is left to a rerun.
_COMMITS = 2
_FIRST = "{}#1"
_LOST_ATTEMPTS = 2
_REFUSED_ATTEMPTS = 3
# Refusals of who asks, or for now: no word on what was asked about.
_ASKED_LATER = (CredentialsRejected, AccountRestricted, QuotaExhausted)

# What this process is working on: (ledger, effect, claim). A lease of ours that is not among them was left behind by a
# call that failed between two transactions, and is as dead as a dead process.
_at_work: set[tuple[str, str, int]] = set()


@dataclass(frozen=True)
class _Claim:
    """One worker's hold on one effect. ``handle`` is what an earlier worker stored, and may have ``sent``."""

    effect_id: str
    key: str
    claims: int
    owner: str
    kind: EffectKind
    handle: dict[str, Any] | None
    sent: bool = False
    consent: Callable[[Session], None] | None = None
    takes_back: bool = False


_T = TypeVar("_T")


class Effects:
    """Carries out effects exactly once, within their budgets.

    Args:
        ledger: where intents, budgets and quotas are kept.
        clock: business time, for posting windows.
        caps: what may be spent; the latest caller's caps are in force.
        run_id: the run whose cap also counts, if any.
        read_only: refuse everything that is not settled already (``live-readonly``).
        pieces_a_day: what the slate asks for, where the owner must have confirmed what that may cost (``live``); None
            where nobody is asked.
        lease: how long a claim holds by the database's clock.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        caps: Caps,
        run_id: str | None = None,
        read_only: bool = False,
        pieces_a_day: int | None = None,
        lease: timedelta = LEASE,
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self.caps = caps
        self.run_id = run_id
        self.read_only = read_only
        self.pieces_a_day = pieces_a_day
        self.lease = lease

    # ------------------------------------------------------------------ what others call
    def perform(self, intent: Intent, act: Act) -> Receipt:
        """Make one effect happen, unless it has: a settled key with the same fingerprint returns its stored receipt.

        Raises:
            EffectError: it did not happen; the kind of error says why (``affiliate_empire.effects.errors``).
            VendorUnavailable: it did not happen and may be tried again, or (``ReplyLost``) nobody can say yet.
            VendorRefused: it did not happen and will not.
            Misconfigured: it did not happen, because a key is missing.
        """
        return self._perform(intent, act)

    def _perform(self, intent: Intent, act: Act, *, only_new: bool = False) -> Receipt:
        if self.read_only:
            return self._settled_before(intent, only_new=only_new)
        claim = self._claim(intent, only_new=only_new)
        if isinstance(claim, Receipt):
            return claim
        with self._working_on(claim):
            if claim.kind is EffectKind.BOUNDED_REPEAT:
                return self._call(claim, act)
            return self._post(claim, act)

    def perform_paid(
        self,
        step_key: str,
        *,
        vendor: str,
        operation: str,
        fingerprint: str,
        day: date,
        max_cost_micros: int,
        call: Callable[[], Receipt],
        piece_id: str | None = None,
        account_id: str | None = None,
        niche: str | None = None,
        price_version: str | None = None,
        deadline_at: datetime | None = None,
        quota: Quota | None = None,
        retry_refused: bool = False,
    ) -> Receipt:
        """Pay for one step of one piece, unless it was paid for: the inputs' hash decides reuse.

        A lost reply is booked at its upper bound and one new attempt follows; after a second loss the owner looks.

        Args:
            step_key: ``{piece}:script``; attempts are kept as ``{step_key}#1``, ``#2``…
            call: makes the call; its receipt's ``result`` is what a later run gets without calling.
            retry_refused: send again what was refused and charged (a truncated or invalid answer), at most twice.

        Raises:
            EffectRefused: exactly this was refused before, and charged.
            EffectParked: exactly this was lost twice.
            EffectError, VendorError: as ``perform``.
        """
        intent = Intent(
            key=step_key,
            kind=EffectKind.BOUNDED_REPEAT,
            vendor=vendor,
            operation=operation,
            fingerprint=fingerprint,
            day=day,
            max_cost_micros=max_cost_micros,
            piece_id=piece_id,
            account_id=account_id,
            niche=niche,
            deadline_at=deadline_at,
            quota=quota,
            price_version=price_version,
        )
        attempt: str | Receipt = _FIRST.format(step_key)
        first = True
        while True:
            if isinstance(attempt, Receipt):
                return attempt
            try:
                # Nearly every step is new: its first attempt is claimed without looking for others before.
                return self._perform(replace(intent, key=attempt), PaidCall(call), only_new=first)
            except (ReplyLost, _WasLost, _WasThere):
                # Booked as lost by now: the next round makes the one new attempt, or says that there was one.
                attempt, first = self._next_attempt(intent, retry_refused=retry_refused), False

    def reconcile_open(self, resolver: Callable[[OpenEffect], Act | None], day: date | None = None) -> list[Reconciled]:
        """Read what became of every effect that was left open; sends nothing. Called at the start of publish runs.

        Args:
            resolver: the act of an open effect, or None when it is not the caller's.
            day: only the effects of this business day.
        """
        with self.ledger.begin() as session:
            query = select(Effect).where(Effect.state.in_([*HOLDING, State.INTENDED]))
            if day is not None:
                query = query.where(Effect.day == day)
            effects = [open_effect(effect) for effect in session.scalars(query.order_by(Effect.created_at, Effect.key))]
        found = [self._reconcile_one(effect, resolver(effect)) for effect in effects]
        return [one for one in found if one is not None]

    # ------------------------------------------------------------------ claiming
    def _settled_before(self, intent: Intent, *, only_new: bool) -> Receipt:
        with self.ledger.begin() as session:
            effect = session.scalars(select(Effect).where(Effect.key == intent.key)).one_or_none()
        if effect is not None and effect.state == State.SETTLED and effect.fingerprint == intent.fingerprint:
            return _receipt(effect)
        if only_new and effect is not None:
            raise _WasThere
        raise ReadOnly(
            f"{intent.vendor} {intent.operation} was not sent: EMPIRE_MODE=live-readonly neither spends nor posts; "
            "use live mode to go on."
        )

    def _claim(self, intent: Intent, *, only_new: bool) -> _Claim | Receipt:
        """One transaction: intend, check, reserve, take. When it raises in there, nothing of it remains."""
        outcome = self._take_in_transaction(lambda session: self._decide(session, intent, only_new))
        if isinstance(outcome, EffectError):
            raise outcome
        return outcome

    def _take_in_transaction(self, decide: Callable[[Session], _T]) -> _T:
        """Run what may take an effect in one transaction; what it took is not ours unless that was committed."""
        outcome: _T | None = None
        try:
            with self.ledger.begin() as session:
                outcome = decide(session)
            return outcome
        except BaseException:  # even an interrupt: a claim that was not committed must not look like work under way
            if isinstance(outcome, _Claim):
                _at_work.discard(self._mark(outcome))
            raise

    def _decide(self, session: Session, intent: Intent, only_new: bool) -> _Claim | Receipt | EffectError:
        """Take the key's row, or say what stands instead. A returned error keeps its changes, a raised one does not."""
        installation, now = _installation_and_time(session)
        epoch = installation.epoch
        effect = self._insert(session, intent, 0, epoch)
        if effect is None:
            effect = session.scalars(select(Effect).where(Effect.key == intent.key).with_for_update()).one_or_none()
            if effect is None:
                raise EffectInProgress(f"{intent.key} is just being replaced by another process: run it again.")
            if effect.state == State.SETTLED and effect.fingerprint == intent.fingerprint:
                return _receipt(effect)
            if only_new:
                raise _WasThere
            self._refuse_if_busy(effect, now)
            _refuse_other_epoch(effect, epoch)
            if _is_abandoned_call(effect):
                return self._book_lost(session, effect)
            effect = self._reopen(session, effect, intent, epoch, now)
            if not _can_be_asked(effect) and self._closed(intent.deadline_at):
                if effect.state != State.EXPIRED:
                    self._free(session, effect)
                    _set(effect, State.EXPIRED)
                return _window_closed(effect.key, intent.deadline_at)
        return self._take(session, effect, intent, installation)

    def _insert(self, session: Session, intent: Intent, number: int, epoch: int) -> Effect | None:
        """A new row, which its transaction alone sees; None when the key is taken."""
        row = insert(Effect).values(
            effect_id=derived_id("ef", intent.key, number),
            key=intent.key,
            kind=intent.kind,
            vendor=intent.vendor,
            operation=intent.operation,
            fingerprint=intent.fingerprint,
            state=State.INTENDED,
            day=intent.day,
            piece_id=intent.piece_id,
            account_id=intent.account_id,
            niche=intent.niche,
            max_cost_micros=intent.max_cost_micros,
            claims=0,
            epoch=epoch,
        )
        return session.scalars(row.on_conflict_do_nothing().returning(Effect)).one_or_none()

    def _refuse_if_busy(self, effect: Effect, now: datetime) -> None:
        owner = effect.lease_owner
        if owner is None or effect.lease_until is None or effect.lease_until <= now:
            return
        ours = owner == this_process()
        if ours and (self.ledger.url, effect.effect_id, effect.claims) not in _at_work:
            return
        if not ours and is_dead(owner):
            return
        raise EffectInProgress(
            f"{effect.key} is being worked on by another process, until {effect.lease_until:%H:%M:%S} UTC at the "
            "latest: run it again when that is done."
        )

    def _reopen(self, session: Session, effect: Effect, intent: Intent, epoch: int, now: datetime) -> Effect:
        """What an earlier row of the key means for this intent: the row to take, or an error."""
        state = State(effect.state)
        if effect.fingerprint != intent.fingerprint:
            if state in (State.SETTLED, State.LOST, State.COMMITTING, State.UNKNOWN):
                raise FingerprintConflict(
                    f"{effect.key} is {state} with other content: it can only be replaced while it is proven not to "
                    "have happened. See `empire effects`; take a post down before making it anew."
                )
            if effect.handle and effect.sent_at is not None:
                # What its vendor says proves something once nothing can be on its way any more.
                arrived = effect.sent_at + self.lease
                if now < arrived or effect.error is not None or effect.updated_at < arrived:
                    raise FingerprintConflict(
                        f"{effect.key} was sent at {effect.sent_at:%H:%M:%S} UTC with other content, which may still "
                        f"arrive: run it again after {arrived:%H:%M} UTC, when {effect.vendor} is asked once more."
                    )
            return self._retire(session, effect, intent, epoch)
        if state is State.LOST:
            raise _was_lost(effect)
        if state is State.REFUSED and effect.cost_micros:
            raise EffectRefused(
                f"{effect.vendor} refused {effect.key} with exactly this input before, and charged for it "
                f"({effect.error}): change what is asked for."
            )
        if state is State.REFUSED or (state is State.EXPIRED and not self._closed(intent.deadline_at)):
            # Proven not to have happened. The old row keeps its story and its cost; a new one tries again.
            return self._retire(session, effect, intent, epoch)
        return effect

    def _retire(self, session: Session, effect: Effect, intent: Intent, epoch: int) -> Effect:
        """Move a row that is proven not to have happened out of its key's way, and start a new one."""
        self._free(session, effect)
        if effect.state not in (State.REFUSED, State.EXPIRED):
            _set(effect, State.SUPERSEDED)
        retired = select(func.count()).where(Effect.key.startswith(f"{intent.key}~", autoescape=True))
        number = 1 + (session.scalar(retired) or 0)
        effect.key = f"{intent.key}~{number}"
        session.flush()
        new = self._insert(session, intent, number, epoch)
        if new is None:
            raise EffectInProgress(f"{intent.key} is just being replaced by another process: run it again.")
        if effect.epoch == epoch:
            new.claims = effect.claims  # what was told of it in this epoch, by its vendor or its owner, stands
        return new

    def _take(self, session: Session, effect: Effect, intent: Intent, installation: Installation) -> _Claim:
        """Make a row this worker's; without a handle it starts afresh. Locks go from effect to account to budgets."""
        effect.deadline_at = intent.deadline_at
        asking = _can_be_asked(effect)
        if not asking:
            if self._closed(intent.deadline_at):
                raise _window_closed(intent.key, intent.deadline_at)
            if not intent.takes_back:
                switches.check(session, effect.vendor, effect.account_id)
            if self.pieces_a_day is not None and intent.max_cost_micros:
                confirmation.require_confirmed(session, confirmation.Terms(self.caps, self.pieces_a_day))
            if intent.consent is not None:
                intent.consent(session)
            if effect.claims > 0:
                self._free(session, effect)
            else:
                _refuse_unconfirmed(intent, installation)
                if _may_have_been_done(intent, installation):
                    effect.handle = intent.traced_handle
            effect.run_id = self.run_id
            effect.day = intent.day
            effect.max_cost_micros = intent.max_cost_micros
            effect.price_version = intent.price_version
            if intent.kind is EffectKind.BOUNDED_REPEAT:
                effect.state = State.COMMITTING
            else:
                effect.state = State.UNKNOWN if effect.handle else State.CLAIMED
        claim = self._lease(effect)
        session.flush()
        if not asking:
            if intent.quota is not None:
                quotas.use(session, effect, intent.quota)
                session.flush()
            # The day's cap is the row that all workers want: lock it last, so that it is held for one commit only.
            budgets.reserve(session, effect, self.caps)
        return replace(claim, consent=intent.consent, takes_back=intent.takes_back)

    def _lease(self, effect: Effect) -> _Claim:
        effect.claims += 1
        effect.lease_owner = this_process()
        effect.lease_until = func.clock_timestamp() + self.lease
        claim = _Claim(
            effect.effect_id,
            effect.key,
            effect.claims,
            effect.lease_owner,
            EffectKind(effect.kind),
            effect.handle,
            sent=bool(effect.handle) and effect.sent_at is not None,
        )
        # Before the commit shows the lease to the other threads of this process.
        _at_work.add(self._mark(claim))
        return claim

    def _mark(self, claim: _Claim) -> tuple[str, str, int]:
        return self.ledger.url, claim.effect_id, claim.claims

    @contextmanager
    def _working_on(self, claim: _Claim) -> Iterator[None]:
        try:
            yield
        finally:
            _at_work.discard(self._mark(claim))

    # ------------------------------------------------------------------ carrying out
    def _call(self, claim: _Claim, act: Act) -> Receipt:
        """A paid call: the claim's commit was its only preparation."""
        try:
            receipt = act.commit({})
            if isinstance(receipt, Accepted):
                raise TypeError(f"{claim.key} is a paid call and cannot wait for a job: make it at_most_once")
        except (VendorError, Misconfigured) as error:
            self._end_call(claim, error)
            raise
        except BaseException as error:
            # An interrupt or a fault of ours inside the call: it may have been sent, which is a lost reply.
            with self._still_ours(claim) as (session, effect):
                self._book_lost(session, effect, error)
            raise
        return self._settle(claim, receipt)

    def _end_call(self, claim: _Claim, error: VendorError | Misconfigured) -> None:
        """Without a key nothing was sent: that is as if the vendor had been out of reach."""
        with self._still_ours(claim) as (session, effect):
            if isinstance(error, ReplyLost):
                self._book_lost(session, effect, error)
            elif isinstance(error, VendorRefused):
                self._book_refused(session, effect, error)
            else:
                self._free(session, effect)
                _set(effect, State.INTENDED, error)

    def _post(self, claim: _Claim, act: Act) -> Receipt:
        """An act with a handle: never send while it is open whether it was sent."""
        handle = claim.handle
        ask, sent = handle is not None, claim.sent
        lost: ReplyLost | None = None
        commits = 0
        while True:
            if ask and handle is not None:
                verdict = self._ask(claim, act, handle)
                if isinstance(verdict, Receipt):
                    return self._settle(claim, verdict)
                if isinstance(verdict, Failed):
                    with self._still_ours(claim) as (session, effect):
                        self._book_refused(session, effect, verdict.error)
                    raise verdict.error
                if isinstance(verdict, Gone):
                    handle, sent = None, False
                    self._start_over(claim)
                elif lost is not None and commits == _COMMITS:
                    with self._still_ours(claim) as (_, effect):
                        _set(effect, State.PREPARED, lost)
                    raise lost
            if handle is None:
                handle = self._prepare(claim, act)
            decided_at = this_instant()
            self._enter_commit(claim)
            commits += 1
            try:
                # By the end of the lease it must have arrived, or others are told that nothing will.
                with sending_within(self.lease / 2, decided_at):
                    outcome = act.commit(handle)
            except ReplyLost as error:
                lost, ask, sent = error, True, True
                with self._still_ours(claim) as (_, effect):
                    _set(effect, State.UNKNOWN, error, keep_lease=True)
                continue
            except VendorRefused as error:
                with self._still_ours(claim) as (session, effect):
                    if sent:
                        # This request was refused; an earlier one of the same handle may still arrive.
                        _set(effect, State.UNKNOWN, error)
                    else:
                        effect.sent_at = None
                        self._book_refused(session, effect, error)
                raise
            except (VendorUnavailable, Misconfigured) as error:
                with self._still_ours(claim) as (session, effect):
                    if not sent:
                        effect.sent_at = None
                    if sent or handle:
                        _set(effect, State.PREPARED, error)
                    else:  # its vendor knows nothing of it yet: it must not hold what another could be paid with
                        self._free(session, effect)
                        _set(effect, State.INTENDED, error)
                raise
            except BaseException as error:
                # An interrupt or a fault of ours inside the commit: only the handle can say whether it was sent.
                with self._still_ours(claim) as (_, effect):
                    _set(effect, State.UNKNOWN, error)
                raise
            if isinstance(outcome, Receipt):
                return self._settle(claim, outcome)
            handle, ask = outcome.handle, True
            self._keep_handle(claim, handle, State.COMMITTING)

    def _prepare(self, claim: _Claim, act: Act) -> dict[str, Any]:
        try:
            handle = act.prepare()
        except VendorRefused as error:
            with self._still_ours(claim) as (session, effect):
                self._book_refused(session, effect, error)
            raise
        except BaseException as error:
            # Whatever it was, preparing shows nothing to anybody: the effect is free to be tried again.
            with self._still_ours(claim) as (session, effect):
                self._free(session, effect)
                _set(effect, State.INTENDED, error)
            raise
        self._keep_handle(claim, handle, State.PREPARED)
        return handle

    def _keep_handle(self, claim: _Claim, handle: dict[str, Any], state: State) -> None:
        """Committed on its own: from here on a later worker can ask."""
        with self._still_ours(claim) as (_, effect):
            effect.handle = handle
            _set(effect, state, keep_lease=True)
            effect.lease_until = func.clock_timestamp() + self.lease

    def _start_over(self, claim: _Claim) -> None:
        """The handle is dead: make a new one, if that is still wanted."""
        self._pass(claim, State.CLAIMED)

    def _enter_commit(self, claim: _Claim) -> None:
        """The last transaction before the first commit byte: still ours, still wanted, still in time."""
        self._pass(claim, State.COMMITTING)

    def _pass(self, claim: _Claim, state: State) -> None:
        """Enter a state, unless it was paused, parked, closed or forbidden meanwhile. So far it has not happened."""
        problem: EffectError | ReplyLost | None = None
        with self._still_ours(claim) as (session, effect):
            if state is State.CLAIMED:
                effect.handle, effect.sent_at = None, None  # what was sent on the dead handle is proven to be nothing
            try:
                _refuse_other_epoch(effect, _installation_and_time(session)[0].epoch)
                if not claim.takes_back:
                    switches.check(session, effect.vendor, effect.account_id)
                if claim.consent is not None:
                    claim.consent(session)
            except EffectError as error:
                problem = error
                if effect.handle is None:
                    self._free(session, effect)
                _set(effect, State.INTENDED if effect.handle is None else State.PREPARED, error)
            else:
                if self._closed(effect.deadline_at):
                    problem = self._expire(session, effect)
                else:
                    _set(effect, state, keep_lease=True)
                    effect.lease_until = func.clock_timestamp() + self.lease
                    if state is State.COMMITTING:
                        effect.sent_at = func.clock_timestamp()
                        _take_back_alerts(session, effect, self.clock.now())
        if problem is not None:
            raise problem

    def _ask(self, claim: _Claim, act: Act, handle: dict[str, Any]) -> Verdict:
        """The handle's own word on whether it happened; parks the effect when it has none."""
        try:
            verdict = act.reconcile(handle)
        except BaseException as error:
            # Whatever it was, an interrupt too, the effect must not stay leased; a vendor's "no" is an answer.
            is_answer = isinstance(error, VendorRefused) and not isinstance(error, _ASKED_LATER)
            if not is_answer:
                # Not even the question could be asked: as open as before.
                with self._still_ours(claim) as (_, effect):
                    _set(effect, State.PREPARED if effect.state == State.PREPARED else State.UNKNOWN, error)
                raise
            verdict = StillUnknown(f"{claim.key}, of which its vendor tells nothing ({error})")
        if isinstance(verdict, StillUnknown):
            with self._still_ours(claim) as (session, effect):
                message = self._park(session, effect, verdict)
            raise EffectParked(message)
        return verdict

    def _settle(self, claim: _Claim, receipt: Receipt) -> Receipt:
        result = json.loads(json.dumps(receipt.result))  # as a later reader will get it
        with self._still_ours(claim) as (session, effect):
            effect.remote_id = receipt.remote_id
            effect.cost_micros = receipt.cost_micros
            effect.result = result
            effect.settled_at = self.clock.now()
            effect.handle = ended(effect.handle)
            _set(effect, State.SETTLED)
            session.flush()
            if receipt.cost_micros > effect.max_cost_micros:
                _alert(
                    session,
                    effect,
                    "charged above its upper bound",
                    f"{effect.key} cost {dollars(receipt.cost_micros)}, above its upper bound of "
                    f"{dollars(effect.max_cost_micros)}: correct the price of {effect.vendor} {effect.operation}.",
                    self.clock.now(),
                )
            budgets.book(session, effect, receipt.cost_micros, self.caps)
        return replace(receipt, result=result, effect_id=claim.effect_id)

    @contextmanager
    def _still_ours(self, claim: _Claim) -> Iterator[tuple[Session, Effect]]:
        """A transaction on an effect that this worker holds.

        Raises:
            EffectInProgress: its lease was taken meanwhile; the new owner decides, and nothing is written over it.
        """
        with self.ledger.begin() as session:
            effect = session.scalars(select(Effect).where(Effect.effect_id == claim.effect_id).with_for_update()).one()
            if effect.claims != claim.claims or effect.lease_owner != claim.owner:
                raise EffectInProgress(
                    f"{claim.key} was taken over by another process while this one slept: that one finishes it."
                )
            yield session, effect

    # ------------------------------------------------------------------ ends
    def _free(self, session: Session, effect: Effect) -> None:
        """It is proven not to have happened: reservation and quota go back, the handle is forgotten."""
        quotas.free(session, effect)
        budgets.release(session, effect)
        effect.handle = None

    def _expire(self, session: Session, effect: Effect, *, dead: bool = False) -> WindowClosed | ReplyLost:
        """Its window closed before it happened; returns what to tell.

        What was sent shortly before may still arrive: it stays open, to be asked about once nothing can be on its way
        any more. When it expires then, its handle and its place in the account's window are kept, for its owner's word.

        Args:
            dead: nothing that was sent can arrive: its handle is gone.
        """
        if effect.handle is None or effect.sent_at is None:
            self._free(session, effect)
            _set(effect, State.EXPIRED)
            return _window_closed(effect.key, effect.deadline_at)
        arrived = effect.sent_at + self.lease
        if not dead and _installation_and_time(session)[1] < arrived:
            lost = ReplyLost(
                f"{effect.key} was sent at {effect.sent_at:%H:%M:%S} UTC, and its window has closed since: it may "
                f"still arrive, and {effect.vendor} is asked once more after {arrived:%H:%M} UTC.",
                vendor=effect.vendor,
            )
            _set(effect, State.UNKNOWN, lost)
            return lost
        budgets.release(session, effect)
        effect.handle = ended(effect.handle)
        _set(effect, State.EXPIRED)
        return _window_closed(effect.key, effect.deadline_at)

    def _book_refused(self, session: Session, effect: Effect, error: VendorRefused) -> None:
        if isinstance(error, CredentialsRejected | AccountRestricted) and not error.cost_micros:
            # Who asked was refused, not what was asked for: it did not happen, and it is still wanted.
            self._free(session, effect)
            _set(effect, State.INTENDED, error)
            return
        quotas.free(session, effect)
        effect.handle = ended(effect.handle)
        effect.cost_micros = error.cost_micros
        effect.remote_id = error.request_id
        effect.result = {"refused": "quota" if isinstance(error, QuotaExhausted) else "content"}
        effect.settled_at = self.clock.now()
        _set(effect, State.REFUSED, error)
        session.flush()
        budgets.book(session, effect, error.cost_micros, self.caps)

    def _book_lost(self, session: Session, effect: Effect, error: BaseException | None = None) -> EffectError:
        effect.cost_micros = effect.max_cost_micros
        effect.settled_at = self.clock.now()
        _set(effect, State.LOST, error or "the process ended before the reply")
        session.flush()
        budgets.book(session, effect, effect.max_cost_micros, self.caps)
        return _was_lost(effect)

    def _park(self, session: Session, effect: Effect, verdict: StillUnknown) -> str:
        where = verdict.look_at or f"{effect.vendor}, account {effect.account_id or '-'}"
        message = verdict.request or (
            f"Nobody can say whether {effect.key} happened: look at {where}, then tell with `empire effects resolve "
            f"{effect.effect_id}`."
        )
        _set(effect, State.UNKNOWN, message)
        _alert(session, effect, HANDED_OVER if verdict.request else PARKED, message, self.clock.now())
        return message

    def _closed(self, deadline_at: datetime | None) -> bool:
        return deadline_at is not None and self.clock.now() >= deadline_at

    # ------------------------------------------------------------------ paid attempts
    def _next_attempt(self, intent: Intent, *, retry_refused: bool) -> str | Receipt:
        """The receipt of an attempt with these inputs, or the key of the attempt to make.

        Raises:
            EffectRefused, EffectParked: these inputs have had their attempts.
        """
        step_key = intent.key
        with self.ledger.begin() as session:
            rows = session.scalars(select(Effect).where(Effect.key.startswith(f"{step_key}#", autoescape=True))).all()
        numbered = re.compile(re.escape(step_key) + r"#(\d+)")
        attempts = {int(match[1]): row for row in rows if (match := numbered.fullmatch(row.key))}
        if not attempts:
            return _FIRST.format(step_key)
        same = [row for row in attempts.values() if row.fingerprint == intent.fingerprint]
        for row in same:
            if row.state == State.SETTLED:
                return _receipt(row)
        if self.read_only:
            return _FIRST.format(step_key)  # which is refused
        newest = max(attempts)
        last = attempts[newest]
        free_of_charge = last.state == State.REFUSED and not last.cost_micros
        if free_of_charge or last.state in (State.INTENDED, State.EXPIRED):
            return last.key
        if last.state in HOLDING:
            # Under way, or left behind: claiming it says which. Other inputs wait for its end, too.
            self._end_left_behind(last.effect_id)
            return self._next_attempt(intent, retry_refused=retry_refused)
        lost = sum(row.state == State.LOST for row in same)
        if lost >= _LOST_ATTEMPTS:
            raise EffectParked(
                f"{step_key} was sent {lost} times and every reply was lost, each booked at its maximum cost: look at "
                f"{intent.vendor}'s status and usage page, then change the input or run `empire effects resolve`."
            )
        refused = [row for row in same if row.state == State.REFUSED and row.cost_micros]
        if refused and (not retry_refused or len(refused) >= _REFUSED_ATTEMPTS):
            raise EffectRefused(
                f"{intent.vendor} refused {step_key} with exactly this input before, and charged for it "
                f"({refused[-1].error}): change the prompt or the product's facts."
            )
        return f"{step_key}#{newest + 1}"

    def _end_left_behind(self, effect_id: str) -> None:
        """Book a call that was left behind as lost; raises while it is under way."""
        with self.ledger.begin() as session:
            installation, now = _installation_and_time(session)
            effect = session.scalars(select(Effect).where(Effect.effect_id == effect_id).with_for_update()).one()
            self._refuse_if_busy(effect, now)
            _refuse_other_epoch(effect, installation.epoch)
            if _is_abandoned_call(effect):
                self._book_lost(session, effect)

    # ------------------------------------------------------------------ reconciling
    def _reconcile_one(self, seen: OpenEffect, act: Act | None) -> Reconciled | None:
        outcome = self._take_in_transaction(lambda session: self._take_for_reading(session, seen, act))
        if not isinstance(outcome, _Claim) or act is None:
            return outcome if isinstance(outcome, Reconciled) else None
        with self._working_on(outcome):
            return self._read(outcome, act, seen.state)

    def _take_for_reading(self, session: Session, seen: OpenEffect, act: Act | None) -> _Claim | Reconciled | None:
        """Take an open effect whose handle can be asked; end here what needs no asking. None: nothing to say."""
        installation, now = _installation_and_time(session)
        effect = session.scalars(select(Effect).where(Effect.effect_id == seen.effect_id).with_for_update()).one()
        if effect.state != seen.state:
            return None  # somebody is at it
        found = partial(Reconciled, effect.effect_id, effect.key, seen.state)
        try:
            self._refuse_if_busy(effect, now)
            _refuse_other_epoch(effect, installation.epoch)
        except EffectError as error:
            return found(seen.state, str(error))
        if _is_abandoned_call(effect):
            self._book_lost(session, effect)
            return found(State.LOST, "booked at its maximum cost")
        if not _can_be_asked(effect):
            self._free(session, effect)
            # What it said last stays: why it is open, or why it was too late.
            _set(effect, State.EXPIRED if self._closed(effect.deadline_at) else State.INTENDED, effect.error)
            return None if effect.state == seen.state else found(State(effect.state))
        if act is None:
            return found(seen.state, "nobody here can ask its vendor")
        return self._lease(effect)

    def _read(self, claim: _Claim, act: Act, before: State) -> Reconciled:
        handle = claim.handle or {}
        try:
            verdict = self._ask(claim, act, handle)
        except EffectInProgress as error:
            return Reconciled(claim.effect_id, claim.key, before, before, str(error))
        except (EffectParked, VendorError) as error:
            after = State.PREPARED if before is State.PREPARED and isinstance(error, VendorError) else State.UNKNOWN
            return Reconciled(claim.effect_id, claim.key, before, after, str(error))
        if isinstance(verdict, Receipt):
            self._settle(claim, verdict)
            return Reconciled(claim.effect_id, claim.key, before, State.SETTLED)
        with self._still_ours(claim) as (session, effect):
            if isinstance(verdict, Failed):
                self._book_refused(session, effect, verdict.error)
                return Reconciled(claim.effect_id, claim.key, before, State.REFUSED, str(verdict.error))
            if self._closed(effect.deadline_at):
                ended_as = self._expire(session, effect, dead=isinstance(verdict, Gone))
                detail = str(ended_as) if isinstance(ended_as, ReplyLost) else ""
            elif isinstance(verdict, Gone):
                self._free(session, effect)
                effect.sent_at, detail = None, ""
                _set(effect, State.INTENDED)
            else:
                _set(effect, State.PREPARED)
                detail = ""
            return Reconciled(claim.effect_id, claim.key, before, State(effect.state), detail)


class _WasThere(EffectError):
    """The first attempt of a step exists already: which attempt is next must be looked up."""


class _WasLost(EffectError):
    """A paid attempt ended as lost; ``perform_paid`` goes on from here."""


def _was_lost(effect: Effect) -> _WasLost:
    return _WasLost(f"{effect.key} was sent and its reply was lost; it was booked at its maximum cost.")


def open_effect(effect: Effect) -> OpenEffect:
    """A row as others may see it."""
    return OpenEffect(
        effect_id=effect.effect_id,
        key=effect.key,
        kind=EffectKind(effect.kind),
        vendor=effect.vendor,
        operation=effect.operation,
        state=State(effect.state),
        day=effect.day,
        piece_id=effect.piece_id,
        account_id=effect.account_id,
        handle=effect.handle,
        error=effect.error,
        epoch=effect.epoch,
        updated_at=effect.updated_at,
        deadline_at=effect.deadline_at,
    )


def _receipt(effect: Effect) -> Receipt:
    return Receipt(effect.remote_id, effect.cost_micros or 0, effect.result or {}, effect.effect_id)


def _set(effect: Effect, state: State, error: BaseException | str | None = None, *, keep_lease: bool = False) -> None:
    effect.state = state
    effect.error = None if error is None else str(error) or type(error).__name__
    if not keep_lease:
        effect.lease_owner = None
        effect.lease_until = None


def _can_be_asked(effect: Effect) -> bool:
    """Whether an effect has a handle whose word is needed: an empty one has none while nothing was sent on it."""
    if effect.state == State.EXPIRED:
        return False
    return effect.handle is not None and bool(effect.handle or effect.state in (State.COMMITTING, State.UNKNOWN))


def _is_abandoned_call(effect: Effect) -> bool:
    return effect.kind == EffectKind.BOUNDED_REPEAT and effect.state == State.COMMITTING


def _installation_and_time(session: Session) -> tuple[Installation, datetime]:
    row = session.execute(select(Installation, func.clock_timestamp().label("now"))).one()
    return row.Installation, row.now


def _refuse_other_epoch(effect: Effect, epoch: int) -> None:
    if effect.epoch != epoch and effect.state in (*HOLDING, State.INTENDED):
        raise EffectParked(
            f"{effect.key} was open when this ledger was restored or copied, so it may have happened elsewhere: look, "
            f"then tell with `empire effects resolve {effect.effect_id}`."
        )


def _refuse_unconfirmed(intent: Intent, installation: Installation) -> None:
    if installation.confirmed_epoch != installation.epoch:
        raise Unconfirmed(
            f"{intent.key} waits: this ledger was restored or copied. Say with `empire effects confirm` that no other "
            "installation works on its accounts."
        )


def _may_have_been_done(intent: Intent, installation: Installation) -> bool:
    """Whether it may have been carried out after the backup that this ledger was restored from, unknown to it."""
    if intent.kind is EffectKind.BOUNDED_REPEAT or installation.restored_at is None:
        return False
    return may_have_been_done(intent.day, installation.restored_at)


def _window_closed(key: str, deadline_at: datetime | None) -> WindowClosed:
    return WindowClosed(
        f"{key} did not happen before its window closed at {deadline_at:%Y-%m-%d %H:%M} UTC: it never will."
    )


def _alert(session: Session, effect: Effect, subject: str, message: str, at: datetime) -> None:
    alert = insert(Alert).values(
        alert_id=alert_of(subject, effect.effect_id),
        severity="high",
        subject=f"{effect.vendor}: {subject}",
        message=message,
        raised_at=at,
    )
    # The same again is news only when the former was taken back.
    news = {name: getattr(alert.excluded, name) for name in ("severity", "subject", "message", "raised_at")}
    session.execute(
        alert.on_conflict_do_update(
            index_elements=[Alert.alert_id],
            set_={**news, "resolved_at": None, "told_at": None},
            where=Alert.resolved_at.is_not(None),
        )
    )


def _take_back_alerts(session: Session, effect: Effect, at: datetime) -> None:
    """It goes on: what its owner was asked about it is answered, and may be asked again."""
    asked = [alert_of(subject, effect.effect_id) for subject in (PARKED, HANDED_OVER)]
    session.execute(update(Alert).where(Alert.alert_id.in_(asked), Alert.resolved_at.is_(None)).values(resolved_at=at))
