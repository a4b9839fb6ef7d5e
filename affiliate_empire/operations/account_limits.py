"""What the platforms say of how often an account may post: kept with when it was seen and until when it holds.

A platform tells in two ways: asked (Instagram's ``content_publishing_limit``, TikTok's ``creator_info``), and by
refusing a post because a window is full. Either only lowers policy's cap. The plan, the claim of a post and the search
for what is due go by it, so that nothing is asked again before it can have changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.effects import Quota, QuotaRefused, State
from affiliate_empire.effects.quotas import load_window, refusal
from affiliate_empire.kernel.windows import frees_at
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, AccountLimit, Artifact, Effect, Piece, QuotaUse
from affiliate_empire.operations.approvals import APPROVED, REQUIRED, asked_about
from affiliate_empire.planning import LiveLimit
from affiliate_empire.planning.turns import Waiting, with_room
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.errors import QuotaExhausted


@dataclass(frozen=True)
class SeenLimit:
    """A platform's answer to how often an account may post.

    Attributes:
        signal: the platform's name of it.
        posts: how many it allows in ``window``; None where it does not say.
        used: how many of them it counts by now, whoever made them.
        longest_seconds: of a video, where it says.
    """

    signal: str
    posts: int | None
    used: int | None
    window: timedelta
    longest_seconds: float | None = None


def quota_of(piece: Piece, now: datetime, policy: Policy) -> Quota:
    """The use of its account's window that posting a piece takes."""
    rule = policy.posting(piece.platform)
    return Quota(rule.quota, rule.limit, rule.window, at=max(piece.slot_at, now), asked_at=now)


def refused_by(session: Session, piece: Piece, now: datetime, *, policy: Policy) -> QuotaRefused | None:
    """Why a piece may not be posted now for want of room; None when there is room, and its turn has come.

    Where its account has less room for the rest of the day than pieces that wait, those that should earn most go first
    (``planning.turns``).
    """
    rule, quota = policy.posting(piece.platform), quota_of(piece, now, policy)
    own = session.scalar(select(Effect.effect_id).where(Effect.key == f"post:{piece.piece_id}:{piece.account_id}"))
    if (full := refusal(session, piece.account_id, quota, own=own)) is not None:
        return full
    waiting = _waiting(session, piece, now, policy)
    if len(waiting) == 1:
        return None

    uses, said = load_window(session, piece.account_id, replace(quota, at=now), own=own)

    def room_from(at: datetime, beside: Sequence[datetime]) -> datetime:
        return frees_at([*uses, *beside], at, quota.limit, quota.window, said)

    going = with_room(waiting, now, tolerance=rule.tolerance, room_from=room_from)
    goes_at = going.get(piece.piece_id)
    if goes_at is not None:
        if goes_at <= quota.at:
            return None
        return QuotaRefused(
            f"{piece.account_id} has room for {piece.piece_id} at {goes_at:%Y-%m-%d %H:%M} UTC, after those whose "
            "slots are earlier.",
            quota=quota.name,
            account_id=piece.account_id,
            frees_at=goes_at,
        )
    last = piece.slot_at + rule.tolerance
    return QuotaRefused(
        f"{piece.account_id} has room for {len(going)} more of its {len(waiting)} pieces of {piece.day}, and "
        f"{piece.piece_id} lets those go first that should earn more ({', '.join(going)}): if there is no more room by "
        f"{last:%Y-%m-%d %H:%M} UTC, it takes a later slot of the day, or none.",
        quota=quota.name,
        account_id=piece.account_id,
        frees_at=last,
    )


def waiting_of(piece: Piece) -> Waiting:
    """A piece as turns are given to it."""
    since = piece.planned_slot_at or piece.slot_at
    return Waiting(piece.piece_id, piece.slot_at, since, piece.expected_profit_micros or 0)


def _waiting(session: Session, piece: Piece, now: datetime, policy: Policy) -> list[Waiting]:
    """The pieces of a piece's account and day that can still go out: it, and those that are finished or ahead.

    What waits for its owner's approval holds up nobody; its turn comes with the approval.
    """
    key = func.concat("post:", Piece.piece_id, ":", Piece.account_id)
    finished = select(Artifact.piece_id).where(
        Artifact.piece_id == Piece.piece_id, Artifact.step == Piece.kind, Artifact.name == ""
    )
    # What was handed over has its use already; what was refused for what it is, or is parked, is over.
    over = select(Effect.effect_id).where(
        Effect.key == key,
        Effect.state.not_in((State.INTENDED, State.EXPIRED, State.REFUSED))
        | ((Effect.state == State.REFUSED) & (Effect.result["refused"].astext != "quota")),
    )
    found = session.scalars(
        select(Piece).where(
            Piece.day == piece.day,
            Piece.account_id == piece.account_id,
            Piece.piece_id != piece.piece_id,
            Piece.status == "planned",
            Piece.slot_at >= now - policy.posting(piece.platform).tolerance,
            (Piece.slot_at > now) | finished.exists(),
            ~over.exists(),
        )
    ).all()
    if session.get_one(Account, piece.account_id).approval == REQUIRED:
        asked = asked_about(session, [each.piece_id for each in found])
        found = [each for each in found if (one := asked.get(each.piece_id)) and one.verdict == APPROVED]
    return [waiting_of(each) for each in (piece, *found)]


def keep_seen(account_id: str, seen: SeenLimit, *, ledger: Ledger, at: datetime, policy: Policy) -> None:
    """Keep what a platform answered; it replaces what it answered before.

    Posts that it counts and this ledger does not (by hand, by another tool) are uses of now, since nobody knows when
    they were made: they leave the window when the last of them must have left it.
    """
    with ledger.begin() as session:
        quota = policy.posting(session.get_one(Account, account_id).platform).quota
        ours = session.scalar(
            select(func.count())
            .select_from(QuotaUse)
            .join(Effect, Effect.effect_id == QuotaUse.effect_id)
            .where(
                QuotaUse.account_id == account_id,
                QuotaUse.quota == quota,
                # What is under way may be counted there or not: as if it were not ours, it counts twice for a moment.
                Effect.state == State.SETTLED,
                QuotaUse.at > at - seen.window,
                QuotaUse.at <= at,
            )
        )
        unseen = max(0, (seen.used or 0) - int(ours or 0))
        said = "" if seen.posts is None else f"{seen.used or 0} of {seen.posts} posts used, {unseen} of them not by us"
        longest = "" if seen.longest_seconds is None else f"videos up to {seen.longest_seconds:g} s"
        _keep(
            session,
            account_id,
            quota,
            seen.signal,
            posts=seen.posts,
            unseen=unseen,
            longest_seconds=seen.longest_seconds,
            reason=f"{seen.signal}: {said or longest}",
            observed_at=at,
            holds_until=at + seen.window,
        )


def keep_refusal(account_id: str, refused: QuotaExhausted, *, ledger: Ledger, at: datetime, policy: Policy) -> None:
    """Keep that a platform takes no more posts, and until when; of every account where all share the vendor's quota."""
    with ledger.begin() as session:
        platform = session.get_one(Account, account_id).platform
        rule = policy.posting(platform)
        shared = select(Account.account_id).where(Account.platform == platform).order_by(Account.account_id)
        for each in session.scalars(shared).all() if refused.of_client else [account_id]:
            _keep(
                session,
                each,
                rule.quota,
                refused.code or "full",
                posts=0,
                unseen=0,
                longest_seconds=None,
                reason=str(refused),
                observed_at=at,
                holds_until=refused.resets_at or at + rule.window,
            )


def _keep(session: Session, account_id: str, quota: str, signal: str, **said: Any) -> None:
    row = insert(AccountLimit).values(account_id=account_id, quota=quota, signal=signal, **said)
    session.execute(row.on_conflict_do_update(index_elements=["account_id", "quota", "signal"], set_=said))


def limits_in_force(session: Session, now: datetime) -> list[AccountLimit]:
    """What platforms said and still holds, by account."""
    said = select(AccountLimit).where(AccountLimit.holds_until > now)
    return list(session.scalars(said.order_by(AccountLimit.account_id, AccountLimit.quota, AccountLimit.signal)))


def described(limits: Iterable[AccountLimit]) -> list[str]:
    """The same as a person reads it, a line each."""
    return [
        f"{each.account_id}: {each.reason.rstrip('.')} (seen {each.observed_at:%Y-%m-%d %H:%M}, holds until "
        f"{each.holds_until:%Y-%m-%d %H:%M} UTC)"
        for each in limits
    ]


def live_limits(limits: Iterable[AccountLimit]) -> dict[str, list[LiveLimit]]:
    """The same as a plan goes by, by account."""
    found: dict[str, list[LiveLimit]] = {}
    for each in limits:
        live = LiveLimit(each.posts, each.unseen, each.observed_at, each.holds_until, each.reason)
        found.setdefault(each.account_id, []).append(live)
    return found
