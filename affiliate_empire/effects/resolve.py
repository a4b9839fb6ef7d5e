"""The owner's word on an effect that nobody else can judge: unknown, or open when its ledger was copied."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from affiliate_empire.effects import budgets, quotas
from affiliate_empire.effects.model import HOLDING, Accepted, EffectKind, State, ended
from affiliate_empire.kernel.caps import Caps
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.installation import confirm_epoch
from affiliate_empire.ledger.tables import Effect, Installation, Publication


class Finding(StrEnum):
    """What the owner saw at the vendor."""

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did_not_happen"
    GIVEN_UP = "given_up"  # it did not happen, and it shall not


def resolve_effect(
    name: str,
    finding: Finding,
    *,
    ledger: Ledger,
    clock: Clock,
    caps: Caps,
    remote_id: str | None = None,
    result: dict[str, Any] | None = None,
) -> State:
    """Record what the owner found; returns the state the effect is in now.

    What happened is settled (what was paid for at its upper bound, since its bill is not known), but a job whose id the
    owner found: it is asked by the next run. What did not happen is free to be tried again, with its reservation and
    quota given back. A post that was sent and expired without a word of it may turn out to have happened, too.

    Args:
        name: the effect's id or its key.
        remote_id: the vendor's id of the post or job; needed for one that happened. Said again, it corrects a wrong
            one while the post is not recorded.
        result: what it came to, where more is known than its handle says.

    Raises:
        BadInput: there is no such open effect, or the id is missing.
    """
    with ledger.begin() as session:
        epoch = session.scalars(select(Installation.epoch)).one()
        effect = session.scalars(
            select(Effect).where(or_(Effect.effect_id == name, Effect.key == name)).with_for_update()
        ).one_or_none()
        if finding is Finding.HAPPENED and remote_id and effect is not None and _may_be_corrected(session, effect):
            effect.remote_id = remote_id
            return State.SETTLED
        late = finding is Finding.HAPPENED and effect is not None and _expired_after_it_was_sent(effect)
        if effect is None or (effect.state not in (*HOLDING, State.INTENDED) and not late):
            raise BadInput(f"There is no open effect {name!r}: list them with `empire effects`.")
        if effect.state != State.UNKNOWN and effect.epoch == epoch and not late:
            raise BadInput(
                f"{effect.key} is {effect.state}, which needs nobody's word: materialize its asset again and it is "
                "read from the vendor."
            )
        if finding is Finding.HAPPENED and effect.kind == EffectKind.AT_MOST_ONCE and not remote_id:
            raise BadInput(f"Say what {effect.key} became: give its id at {effect.vendor} with --remote-id.")
        # A worker that still sleeps on its old claim must not write over the owner's word.
        effect.claims += 1
        effect.lease_owner = None
        effect.lease_until = None
        effect.epoch = epoch
        effect.error = None
        if finding is Finding.DID_NOT_HAPPEN:
            quotas.free(session, effect)
            budgets.release(session, effect)
            effect.handle, effect.sent_at = None, None
            effect.state = State.INTENDED
        elif finding is Finding.GIVEN_UP:
            effect.handle = ended(effect.handle)
            quotas.free(session, effect)
            budgets.release(session, effect)
            effect.state = State.REFUSED
            effect.error = f"{effect.key} was given up by hand."
            effect.result = {"refused": "content"}
            effect.settled_at = clock.now()
        elif remote_id and _is_another_job(effect, remote_id):
            effect.handle = Accepted(remote_id).handle
            effect.state = State.UNKNOWN
        else:
            lost = effect.kind == EffectKind.BOUNDED_REPEAT
            effect.handle = ended(effect.handle)
            effect.state = State.LOST if lost else State.SETTLED
            effect.remote_id = remote_id
            effect.result = result
            effect.cost_micros = effect.max_cost_micros
            effect.settled_at = clock.now()
            session.flush()
            budgets.book(session, effect, effect.cost_micros, caps)
        return State(effect.state)


def _may_be_corrected(session: Session, effect: Effect) -> bool:
    """Whether a post was settled by its owner's word, with an id that nobody has found at its vendor yet."""
    recorded = select(Publication.publication_id).where(Publication.effect_id == effect.effect_id)
    told = effect.state == State.SETTLED and effect.kind == EffectKind.AT_MOST_ONCE and not effect.result
    return told and not effect.max_cost_micros and session.scalars(recorded).first() is None


def _expired_after_it_was_sent(effect: Effect) -> bool:
    return effect.state == State.EXPIRED and effect.sent_at is not None and effect.handle is not None


def _is_another_job(effect: Effect, job_id: str) -> bool:
    """Whether the owner found a job of which nobody has asked its vendor yet; a post costs nothing."""
    paid = effect.kind == EffectKind.AT_MOST_ONCE and effect.max_cost_micros
    return bool(paid) and (effect.handle or {}).get("job_id") != job_id


def unconfirmed(*, ledger: Ledger) -> list[str]:
    """The sentence that says what stands still until ``confirm_ledger``; empty where nothing does."""
    with ledger.begin() as session:
        installation = session.scalars(select(Installation)).one()
        if installation.confirmed_epoch == installation.epoch:
            return []
    return [
        "This ledger was restored or copied: nothing new is spent or posted until you have said with `empire effects "
        "confirm` that no other installation works on its accounts."
    ]


def confirm_ledger(*, ledger: Ledger) -> int:
    """The owner's word after a restore or a copy: no other installation works on this ledger's accounts.

    Returns:
        The epoch that is confirmed now.
    """
    with ledger.begin() as session:
        return confirm_epoch(session)
