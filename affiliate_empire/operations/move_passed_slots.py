"""What a stopped process, an outage, a full window or a late approval has missed: other slots of the same day, or none.

Nothing is posted late and nothing in a burst: a piece whose slot has passed takes the next slot of its account that is
free by the timetable and by what the platform says, within its day's window; where there is none it expires, with the
reason. It never moves to another account. What was begun at the platform is left to its effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from affiliate_empire.effects import State
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Artifact, Effect, Piece, Publication
from affiliate_empire.operations.account_limits import limits_in_force, live_limits, waiting_of
from affiliate_empire.operations.account_posts import AccountPosts, load_posts
from affiliate_empire.operations.approvals import APPROVED, REQUIRED, asked_about
from affiliate_empire.operations.publish_piece import BEGUN, last_moment, live_key, restored_at, was_refused
from affiliate_empire.planning import LiveLimit, choose_slots
from affiliate_empire.planning.turns import in_order
from affiliate_empire.policy import Policy


def move_passed_slots(*, ledger: Ledger, clock: Clock, policy: Policy, calendar: BusinessCalendar) -> list[str]:
    """Give the pieces whose slots have passed other ones; returns what was done, a sentence each.

    Where several have missed theirs, those that should earn most, aged by how long they wait, choose first
    (``planning.turns``); what is not finished or not approved chooses after those. A day whose posting window has
    closed has no slots left: its pieces expire.
    """
    now, said = clock.now(), []
    with ledger.begin() as session:
        missed = _missed(session, now, policy, calendar)
        if not missed:
            return []
        accounts = session.scalars(
            select(Account)
            .where(Account.account_id.in_({piece.account_id for piece in missed}))
            .order_by(Account.account_id)
            # Two runs at once move one after the other; NO KEY leaves the foreign keys of other inserts alone.
            .with_for_update(key_share=True)
        ).all()
        missed = _missed(session, now, policy, calendar)  # as the locks left it
        live = live_limits(limits_in_force(session, now))
        for account in accounts:
            mine = [piece for piece in missed if piece.account_id == account.account_id]
            said += _move(session, account, mine, now, policy, calendar, live)
    return said


def _missed(session: Session, now: datetime, policy: Policy, calendar: BusinessCalendar) -> list[Piece]:
    """Planned pieces that are neither posted nor begun, and too late for their slots."""
    begun = select(Effect.effect_id).where(Effect.key == live_key(), Effect.state.in_((*BEGUN, State.SETTLED)))
    posted = select(Publication.piece_id).where(Publication.piece_id == Piece.piece_id)
    found = session.scalars(
        select(Piece)
        .where(Piece.status == "planned", Piece.slot_at < now, ~begun.exists(), ~posted.exists())
        .order_by(Piece.slot_at, Piece.piece_id)
        .execution_options(populate_existing=True)
    )
    restored = restored_at(session)
    return [piece for piece in found if now >= last_moment(piece, policy, calendar, restored)]


def _move(
    session: Session,
    account: Account,
    missed: list[Piece],
    now: datetime,
    policy: Policy,
    calendar: BusinessCalendar,
    live: Mapping[str, list[LiveLimit]],
) -> list[str]:
    rule = policy.posting(account.platform)
    known = load_posts(session, now - rule.window, besides=[piece.piece_id for piece in missed])
    posts = known.get(account.account_id, AccountPosts())
    ready, over = _ready(session, account, missed), _over(session, missed)
    by_id = {piece.piece_id: piece for piece in missed}
    order = [by_id[each.piece_id] for each in in_order([waiting_of(piece) for piece in missed], now)]
    said = []
    for piece in sorted(order, key=lambda piece: piece.piece_id not in ready):
        closes = calendar.posting_window(piece.day)[1]
        was = f"its slot at {_local(piece.slot_at, calendar)} passed without a post"
        free: tuple[datetime, ...] = ()
        if piece.piece_id not in over and now < closes:
            free = choose_slots(
                rule,
                day=piece.day,
                calendar=calendar,
                wanted=len(rule.slots),
                past=list(posts.past.values()),
                ahead=list(posts.ahead.values()),
                not_before=now,
                live=live.get(account.account_id, ()),
            ).slots
        if free:
            piece.planned_slot_at = piece.planned_slot_at or piece.slot_at
            piece.slot_at = min(free)
            piece.reason = f"{was}: moved to {_local(piece.slot_at, calendar)}"
            posts.ahead[piece.piece_id] = piece.slot_at
        else:
            why = over.get(piece.piece_id) or f"no free slot is left before {_local(closes, calendar)}"
            piece.status, piece.reason = "expired", f"{was}, and {why}"
        session.flush()
        said.append(f"{piece.piece_id}: {piece.reason}.")
    return said


def _ready(session: Session, account: Account, pieces: list[Piece]) -> set[str]:
    """The pieces that may go out as they are: finished, and approved where their account requires it."""
    ids = [piece.piece_id for piece in pieces]
    finished = select(Artifact.piece_id).where(
        Artifact.piece_id.in_(ids), Artifact.step.in_(("video", "post")), Artifact.name == ""
    )
    ready = set(session.scalars(finished))
    if account.approval == REQUIRED:
        ready &= {piece_id for piece_id, one in asked_about(session, ids).items() if one.verdict == APPROVED}
    return ready


def _over(session: Session, pieces: list[Piece]) -> dict[str, str]:
    """The pieces that get no other slot, with the reason: it might be a second post, or was refused for what it is."""
    effects = session.scalars(
        select(Effect)
        .join(Piece, Effect.key == live_key())
        .where(Piece.piece_id.in_([piece.piece_id for piece in pieces]))
    )
    over = {}
    for effect in effects:
        if was_refused(effect):
            over[str(effect.piece_id)] = f"it was refused ({(effect.error or effect.vendor).rstrip('.')})"
        elif effect.sent_at is not None:
            # To its platform or to the person who posts it: what nobody confirmed may still arrive.
            over[str(effect.piece_id)] = "it was handed over before and may still go out"
    return over


def _local(instant: datetime, calendar: BusinessCalendar) -> str:
    return f"{instant.astimezone(calendar.zone):%a %H:%M}"
