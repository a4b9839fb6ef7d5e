"""Which posts are due now: what the sensor ``publications_due`` asks. Posting is ``publish_piece``'s."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from affiliate_empire.effects import State
from affiliate_empire.effects.report import parked
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Artifact, Effect, Installation, Pause, Piece, Publication
from affiliate_empire.operations.account_limits import refused_by
from affiliate_empire.operations.approvals import APPROVED, REQUIRED, asked_about, is_shown
from affiliate_empire.operations.hold_account import ACCESS
from affiliate_empire.operations.publish_piece import BEGUN, is_due, last_moment, live_key, restored_at, was_refused
from affiliate_empire.policy import Policy

# A day's pieces are shown to their owner together; what is so near does not wait for the others.
_SHOWN_BEFORE = timedelta(hours=2)
# What nobody could tell for so long is left to `empire effects`, where it stays.
_ASKED_FOR = timedelta(days=7)
_FINISHED = {"video": "video", "post": "post"}  # by kind: the step whose artifact goes out


@dataclass(frozen=True)
class DuePosts:
    """The pieces of a day that are due on one platform, by id and in order: to be posted, or to be shown."""

    day: date
    platform: str
    pieces: tuple[str, ...]


def find_due_posts(*, ledger: Ledger, clock: Clock, policy: Policy, calendar: BusinessCalendar) -> list[DuePosts]:
    """What is due of the days whose posting window is open (today, and yesterday until 06:00), and what is left open.

    Due is a piece whose slot (less the platform's lead) has come and not passed, whose content is finished, that is not
    posted, and that neither a pause, nor a restriction of its account, nor its account's full window, nor a missing
    approval, nor the outcome of its post keeps back: refused for what it is, or a person's to judge. What the platform
    refused for want of room is due again when there is room. A post that was begun is due until it is known what became
    of it: whether it was sent is asked on any day, and of an account that is paused or restricted, too, which sends
    nothing. A piece that its owner was not shown yet is due for that, once all of its platform's are finished.
    """
    now = clock.now()
    today = calendar.day_of(now)
    days = [day for day in (today - timedelta(days=1), today) if now < calendar.posting_window(day)[1]]
    found: dict[tuple[date, str], list[str]] = {}
    with ledger.begin() as session:
        paused = set(session.scalars(select(Pause.scope)))
        if "all" in paused:
            days = []
        for piece in _left_open(session, now, calendar):
            found.setdefault((piece.day, piece.platform), []).append(piece.piece_id)
        rows = session.execute(
            select(Piece, Account.approval, Effect)
            .join(Account, Account.account_id == Piece.account_id)
            .outerjoin(Publication, Publication.piece_id == Piece.piece_id)
            .outerjoin(Effect, Effect.key == live_key())
            .where(
                Piece.day.in_(days),
                Piece.status == "planned",
                Account.status == "active",
                Publication.publication_id.is_(None),
            )
            .order_by(Piece.day, Piece.slot_at, Piece.piece_id)
        ).all()
        waiting = parked(
            session, [effect.effect_id for _, _, effect in rows if effect is not None and effect.state == State.UNKNOWN]
        )
        ids = [piece.piece_id for piece, _, _ in rows]
        made = {
            (piece_id, step): sha256
            for piece_id, step, sha256 in session.execute(
                select(Artifact.piece_id, Artifact.step, Artifact.sha256).where(
                    Artifact.piece_id.in_(ids), Artifact.step.in_(_FINISHED.values())
                )
            )
        }
        asked = asked_about(session, ids)
        unfinished = {(p.day, p.platform) for p, _, _ in rows if (p.piece_id, _FINISHED[p.kind]) not in made}
        for piece, approval, effect in rows:
            kept_back = {f"vendor:{piece.platform}", f"account:{piece.account_id}"} & paused
            finished = (piece.piece_id, _FINISHED[piece.kind])
            over = effect is not None and (was_refused(effect) or effect.effect_id in waiting)
            if finished not in made or kept_back or over:
                continue
            one = asked.get(piece.piece_id)
            if approval == REQUIRED and not is_shown(one, made[finished]):
                due = (piece.day, piece.platform) not in unfinished or piece.slot_at <= now + _SHOWN_BEFORE
            else:
                approved = approval != REQUIRED or (one is not None and one.verdict == APPROVED)
                begun = effect is not None and effect.state in BEGUN
                due = (
                    approved
                    and _open(piece.day, calendar, clock)
                    and is_due(piece, now, policy)
                    and (begun or _has_room(session, piece, now, policy, calendar))
                )
            if due:
                found.setdefault((piece.day, piece.platform), []).append(piece.piece_id)
    return [DuePosts(day, platform, tuple(dict.fromkeys(pieces))) for (day, platform), pieces in found.items()]


def _left_open(session: Session, now: datetime, calendar: BusinessCalendar) -> list[Piece]:
    """The pieces whose posts may be out without our knowing, or were begun on a day that has closed since.

    What is parked, or was begun before this ledger was restored, is a person's to judge; an account whose access was
    rejected cannot be asked before it is connected again. After a week nobody is asked any more.
    """
    silent = select(Pause.scope).where(Pause.cause == ACCESS, Pause.scope == func.concat("account:", Piece.account_id))
    rows = session.execute(
        select(Piece, Effect)
        .join(Effect, Effect.key == live_key())
        .where(
            Piece.day >= calendar.day_of(now - _ASKED_FOR),
            Effect.state.in_(BEGUN),
            Effect.epoch == select(Installation.epoch).scalar_subquery(),
            ~silent.exists(),
        )
        .order_by(Piece.day, Piece.slot_at, Piece.piece_id)
    ).all()
    waiting = parked(session, [effect.effect_id for _, effect in rows if effect.state == State.UNKNOWN])
    return [
        piece
        for piece, effect in rows
        if effect.effect_id not in waiting
        and (effect.state in (State.COMMITTING, State.UNKNOWN) or now >= calendar.posting_window(piece.day)[1])
    ]


def _has_room(session: Session, piece: Piece, now: datetime, policy: Policy, calendar: BusinessCalendar) -> bool:
    """Whether its slot is still its own, and its account may use it."""
    last = last_moment(piece, policy, calendar, restored_at(session))
    return now < last and refused_by(session, piece, now, policy=policy) is None


def _open(day: date, calendar: BusinessCalendar, clock: Clock) -> bool:
    opens, closes = calendar.posting_window(day)
    return opens <= clock.now() < closes
