"""The owner's approval of what goes out: what waits, what was decided, and that nothing else goes out.

An account is ``auto`` or ``required``. A piece of a ``required`` one is posted only while the owner's latest word on
what is composed at that moment is yes: the claim asks, and the commit asks again. An approval is bound to the hash of
what was shown (``publishing.approval``); what looks different is shown anew. Composing a post is its poster's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from affiliate_empire.effects import NotApproved, State
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Account,
    ApprovalDecision,
    ApprovalRequest,
    Artifact,
    Effect,
    Piece,
    Product,
    Publication,
)
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.publishing.approval import approval_hash, changed_parts

AUTO, REQUIRED = "auto", "required"
APPROVED, REJECTED = "approved", "rejected"
_LOOK = 8  # characters of the hash by which a person names what was seen: PIECE@1a2b3c4d


@dataclass(frozen=True)
class Asked:
    """The latest request about a piece, the latest word on it (None while it waits); how many there were."""

    request: ApprovalRequest
    decision: ApprovalDecision | None
    requests: int

    @property
    def verdict(self) -> str | None:
        return None if self.decision is None else self.decision.verdict


# ---------------------------------------------------------------- which accounts
def set_approval(account_id: str, approval: str, *, ledger: Ledger) -> None:
    """Say whether a person looks at each piece of an account before it is posted.

    Raises:
        BadInput: there is no such account, or ``approval`` is neither ``auto`` nor ``required``.
    """
    if approval not in (AUTO, REQUIRED):
        raise BadInput(f"{approval!r} is no rule of approval: say {AUTO} or {REQUIRED}.")
    with ledger.begin() as session:
        account = session.get(Account, account_id)
        if account is None:
            known = ", ".join(session.scalars(select(Account.account_id).order_by(Account.account_id))) or "none yet"
            raise BadInput(f"There is no account {account_id!r}; the accounts are: {known}.")
        account.approval = approval


# ---------------------------------------------------------------- asking
def asked_about(session: Session, piece_ids: Collection[str]) -> dict[str, Asked]:
    """By piece, what its owner was asked last and said last; pieces that were never asked about are missing."""
    requests = session.scalars(
        select(ApprovalRequest).where(ApprovalRequest.piece_id.in_(piece_ids)).order_by(ApprovalRequest.request_id)
    ).all()
    numbers = Counter(request.piece_id for request in requests)
    latest = {request.piece_id: request for request in requests}
    decisions = {
        decision.request_id: decision
        for decision in session.scalars(
            select(ApprovalDecision)
            .where(ApprovalDecision.request_id.in_([request.request_id for request in latest.values()]))
            .order_by(ApprovalDecision.decision_id)
        )
    }
    return {
        piece_id: Asked(request, decisions.get(request.request_id), numbers[piece_id])
        for piece_id, request in latest.items()
    }


def show_to_owner(day: date, composed: Sequence[Mapping[str, Any]], *, ledger: Ledger, at: datetime) -> None:
    """Keep what would go out with pieces of a day, and tell the owner of all that is new in one alert.

    Args:
        day: the business day.
        composed: what was composed (``publishing.approval.shown``), piece by piece.
        ledger: keeps requests and alert.
        at: business time.
    """
    with ledger.begin() as session:
        news = [shows for shows in composed if _record_request(session, shows, at)]
        if not news:
            return
        void = [said for shows in news if (said := _void(session, shows)) is not None]
        asked = asked_about(session, [str(shows["piece"]) for shows in news])
        number, accounts = len(news), ", ".join(sorted({str(shows["account"]) for shows in news}))
        what = f"{number} {'piece' if number == 1 else 'pieces'} of {day} on {accounts}"
        # Before the requests are committed: a process that dies in between tells again, with the same cause.
        raise_alert(
            "approval",
            *sorted(f"{one.request.piece_id}:{one.requests}:{one.request.sha256}" for one in asked.values()),
            severity="medium",
            subject=f"{number} to approve",
            message=" ".join([f"{what} will not be posted before you approve: look with `empire approvals`.", *void]),
            at=at,
            ledger=ledger,
        )


def _record_request(session: Session, shows: Mapping[str, Any], at: datetime) -> bool:
    """Keep what would go out with a piece, unless that is what was shown last; returns whether it is news."""
    piece_id, sha256 = str(shows["piece"]), approval_hash(shows)
    # Two workers that compose the same piece record it once.
    session.scalars(select(Piece).where(Piece.piece_id == piece_id).with_for_update(key_share=True)).one()
    asked = asked_about(session, [piece_id]).get(piece_id)
    if asked is not None and asked.request.sha256 == sha256:
        return False
    session.add(ApprovalRequest(piece_id=piece_id, sha256=sha256, shows=dict(shows), requested_at=at))
    return True


def _void(session: Session, shows: Mapping[str, Any]) -> str | None:
    """A sentence when an approval of the piece is void because it looks different now."""
    approved = session.execute(
        select(ApprovalRequest.shows, ApprovalDecision.decided_by)
        .join(ApprovalDecision, ApprovalDecision.request_id == ApprovalRequest.request_id)
        .where(ApprovalRequest.piece_id == shows["piece"], ApprovalDecision.verdict == APPROVED)
        .order_by(ApprovalDecision.decision_id.desc())
        .limit(1)
    ).one_or_none()
    changed = changed_parts(approved.shows, shows) if approved is not None else []
    if approved is None or not changed:
        return None
    return f"{approved.decided_by}'s approval of {shows['piece']} is void, since this changed: {', '.join(changed)}."


def is_shown(asked: Asked | None, video_sha256: str | None) -> bool:
    """Whether the owner was shown a piece with this video; other changes are seen when it is composed."""
    return asked is not None and asked.request.shows["looks"].get("video") in (None, video_sha256)


# ---------------------------------------------------------------- whether it may go out
def consent_to(shows: Mapping[str, Any]) -> Callable[[Session], None]:
    """What a post's claim and its commit ask: whether exactly this may go out.

    The returned function raises ``NotApproved`` while it may not.
    """
    return partial(_consent, dict(shows))


def _consent(shows: Mapping[str, Any], session: Session) -> None:
    piece_id, sha256 = str(shows["piece"]), approval_hash(shows)
    approval = session.scalars(select(Account.approval).where(Account.account_id == shows["account"])).one()
    asked = asked_about(session, [piece_id]).get(piece_id)
    if asked is not None and asked.verdict == REJECTED:
        raise NotApproved(f"{piece_id} was rejected by {_word(asked.decision)}: it is not posted.")
    if approval == AUTO:
        return
    if asked is None or asked.request.sha256 != sha256 or approval_hash(asked.request.shows) != sha256:
        void = _void(session, shows)
        raise NotApproved(f"{void or f'{piece_id} was not shown to its owner yet.'} Look with `empire approvals`.")
    if asked.verdict != APPROVED:
        void = _void(session, shows)
        said = f"{void} " if void else ""
        raise NotApproved(f"{said}{piece_id} waits for approval: look with `empire approvals`.")


def consent_to_cover(piece_id: str, cover: str) -> Callable[[Session], None]:
    """What the setting of a posted video's cover asks: whether exactly this picture was approved with it.

    The returned function raises ``NotApproved`` where the account requires approval and it was not.
    """
    return partial(_consent_to_cover, piece_id, cover)


def _consent_to_cover(piece_id: str, cover: str, session: Session) -> None:
    of_account = select(Account.approval).join(Piece, Piece.account_id == Account.account_id)
    if session.scalars(of_account.where(Piece.piece_id == piece_id)).one() == AUTO:
        return
    asked = asked_about(session, [piece_id]).get(piece_id)
    if asked is None or asked.verdict != APPROVED or approval_hash(asked.request.shows) != asked.request.sha256:
        raise NotApproved(f"{piece_id} is not approved as it was shown last, and its cover with it.")
    if asked.request.shows["looks"].get("cover") != cover:
        raise NotApproved(f"The cover of {piece_id} is not approved: it is not the one that was shown.")


def _word(decision: ApprovalDecision | None) -> str:
    assert decision is not None  # noqa: S101 - asked about something decided
    return f"{decision.decided_by} ({decision.reason})" if decision.reason else decision.decided_by


# ---------------------------------------------------------------- what waits
def _undecided(calendar: BusinessCalendar, now: datetime) -> list[ColumnElement[bool]]:
    """What holds of a piece that needs its owner's word and is neither out nor over."""
    return [
        Piece.status == "planned",
        Account.approval == REQUIRED,
        Publication.publication_id.is_(None),
        Piece.day >= calendar.last_closed_day(now),
    ]


def not_asked_yet(*, ledger: Ledger, calendar: BusinessCalendar, now: datetime) -> list[Piece]:
    """Pieces of accounts that need approval about which nobody was asked so far, in the order of their slots."""
    query = (
        select(Piece)
        .join(Account, Account.account_id == Piece.account_id)
        .outerjoin(Publication, Publication.piece_id == Piece.piece_id)
        .where(Piece.piece_id.not_in(select(ApprovalRequest.piece_id)), *_undecided(calendar, now))
        .order_by(Piece.slot_at, Piece.piece_id)
    )
    with ledger.begin() as session:
        return [piece for piece in session.scalars(query) if now < calendar.posting_window(piece.day)[1]]


def waiting(*, ledger: Ledger, media: MediaStore, calendar: BusinessCalendar, now: datetime) -> list[dict[str, Any]]:
    """What waits for the owner's word, in the order of the slots; a day whose window has closed waits no more.

    Each row has everything that the decision is about: ``piece_id``, ``look``, ``account_id``, ``platform``, ``day``,
    ``slot_at``, ``expires_at``, ``product``, ``title``, ``text``, ``link``, ``leads_to``, ``labels``, ``file`` (to
    watch; None for a text), ``cover`` (the picture, or which frame is taken; None where the platform chooses),
    ``quality`` (what quality control measured), ``similarity`` (None where nothing measures it), ``requested_at``,
    ``changed``: what differs from the look that was approved before.
    """
    with ledger.begin() as session:
        pieces = session.execute(
            select(Piece, Product.title)
            .join(Account, Account.account_id == Piece.account_id)
            .join(Product, Product.product_id == Piece.product_id)
            .outerjoin(Publication, Publication.piece_id == Piece.piece_id)
            .where(Piece.piece_id.in_(select(ApprovalRequest.piece_id)), *_undecided(calendar, now))
            .order_by(Piece.slot_at, Piece.piece_id)
        ).all()
        asked = asked_about(session, [piece.piece_id for piece, _ in pieces])
        videos = _videos(session, [piece.piece_id for piece, _ in pieces])
        rows = []
        for piece, product in pieces:
            one = asked[piece.piece_id]
            expires_at = calendar.posting_window(piece.day)[1]
            if one.decision is None and now < expires_at:
                row = _row(one.request, videos.get(piece.piece_id), media)
                void = _void(session, one.request.shows)
                rows.append(
                    row
                    | {
                        "platform": piece.platform,
                        "slot_at": piece.slot_at,
                        "expires_at": expires_at,
                        "product": product,
                        "changed": void,
                    }
                )
    return rows


def as_line(row: Mapping[str, Any]) -> str:
    """A row of ``waiting`` as one line."""
    return (
        f"{row['piece_id']}@{row['look']} · {row['account_id']} · slot {row['slot_at']:%Y-%m-%d %H:%M} UTC · "
        f"{row['title'] or row['product']}"
    )


def _videos(session: Session, piece_ids: Collection[str]) -> dict[str, Artifact]:
    query = select(Artifact).where(Artifact.step == "video", Artifact.name == "", Artifact.piece_id.in_(piece_ids))
    return {video.piece_id: video for video in session.scalars(query)}


def _row(request: ApprovalRequest, video: Artifact | None, media: MediaStore) -> dict[str, Any]:
    """One request as it is listed."""
    shows, looks = request.shows, request.shows["looks"]
    sha256, cover = looks.get("video"), looks.get("cover")
    measured = video.content if video is not None and video.sha256 == sha256 else {}
    texts = [looks[name] for name in ("description", "caption", "mdx") if looks.get(name)]
    return {
        "piece_id": request.piece_id,
        "look": request.sha256[:_LOOK],
        "sha256": request.sha256,
        "account_id": shows["account"],
        "day": shows["day"],
        "title": looks.get("title", ""),
        "text": texts[0] if texts else "",
        "link": shows["link"],
        "leads_to": shows["leads_to"],
        "labels": looks.get("flags", {}),
        "file": None if sha256 is None else str(media.path(sha256)),
        "cover": _frame(looks.get("cover_frame_ms")) if cover is None else str(media.path(cover)),
        # Only what passed quality control is kept: what it measured stands with the file.
        "quality": {name: measured[name] for name in ("duration", "lufs", "true_peak", "size") if name in measured},
        "similarity": measured.get("similarity"),
        "requested_at": request.requested_at,
    }


def _frame(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return f"the frame at {at_ms / 1000:g} s of the video: no picture is sent (that needs EMPIRE_MEDIA_PUBLIC_URL)"


# ---------------------------------------------------------------- the owner's word
def approve(names: Sequence[str], *, by: str, ledger: Ledger) -> list[str]:
    """Approve what was shown of these pieces; returns their ids.

    Args:
        names: pieces as they are listed; ``PIECE@LOOK`` names exactly what was seen, and has to be said for a piece
            that changed after it was shown first.
        by: who.

    Raises:
        BadInput: one of them does not wait, or looks different by now; none is approved then.
    """
    return _decide(names, APPROVED, None, by, ledger)


def reject(names: Sequence[str], *, reason: str, by: str, ledger: Ledger) -> list[str]:
    """Reject pieces, approved ones too as long as they are not posted: they never go out, nor does their content.

    Raises:
        BadInput: as ``approve``.
    """
    if not reason.strip():
        raise BadInput("Say why with --reason: it is kept with the piece.")
    return _decide(names, REJECTED, reason.strip(), by, ledger)


def _decide(names: Sequence[str], verdict: str, reason: str | None, by: str, ledger: Ledger) -> list[str]:
    decided = []
    with ledger.begin() as session:
        for name in dict.fromkeys(names):
            piece_id, _, look = name.partition("@")
            piece = session.scalars(
                select(Piece).where(Piece.piece_id == piece_id).with_for_update(key_share=True)
            ).one_or_none()
            if piece is None:
                raise BadInput(f"There is no piece {piece_id}: list what waits with `empire approvals`.")
            asked = asked_about(session, [piece_id]).get(piece_id)
            _refuse_decided(session, piece, asked, verdict)
            assert asked is not None  # noqa: S101 - refused above
            _refuse_other_look(asked, look)
            session.add(
                ApprovalDecision(request_id=asked.request.request_id, verdict=verdict, reason=reason, decided_by=by)
            )
            if verdict == REJECTED:
                piece.status, piece.reason = "quarantined", f"rejected by {by}: {reason}"
            decided.append(piece_id)
    return decided


def _refuse_decided(session: Session, piece: Piece, asked: Asked | None, verdict: str) -> None:
    if session.scalars(select(Publication.piece_id).where(Publication.piece_id == piece.piece_id)).first():
        raise BadInput(f"{piece.piece_id} is posted: take it down with `empire takedown {piece.piece_id} --reason …`.")
    sent = select(Effect.state).where(Effect.key == f"post:{piece.piece_id}:{piece.account_id}").with_for_update()
    # What is only prepared asks for this word once more before it is sent.
    if verdict == REJECTED and session.scalar(sent) in (State.COMMITTING, State.UNKNOWN, State.SETTLED):
        raise BadInput(
            f"{piece.piece_id} may be out already: the next publishing run finds out; then take it down with `empire "
            f"takedown {piece.piece_id} --reason …`."
        )
    if piece.status != "planned":
        raise BadInput(f"{piece.piece_id} is {piece.status} ({piece.reason}): it is not posted any more.")
    if asked is None:
        raise BadInput(f"{piece.piece_id} does not wait for approval: list what waits with `empire approvals`.")
    if asked.verdict == verdict:
        raise BadInput(f"{piece.piece_id} is {verdict} already, by {_word(asked.decision)}.")


def _refuse_other_look(asked: Asked, look: str) -> None:
    request = asked.request
    if look and (len(look) < _LOOK or not request.sha256.startswith(look)):
        raise BadInput(
            f"{request.piece_id} looks different by now: see `empire approvals`, then say "
            f"{request.piece_id}@{request.sha256[:_LOOK]}."
        )
    if not look and asked.requests > 1:
        raise BadInput(
            f"{request.piece_id} changed at {request.requested_at:%Y-%m-%d %H:%M} UTC after it was shown first: see "
            f"`empire approvals`, then say {request.piece_id}@{request.sha256[:_LOOK]}."
        )


# ---------------------------------------------------------------- for the report
def approvals_of(day: date, *, ledger: Ledger, as_of: datetime) -> dict[str, str]:
    """By piece of a day that its owner was asked about: ``approved``, ``rejected`` or ``waiting``."""
    with ledger.begin() as session:
        pieces = session.scalars(select(Piece.piece_id).where(Piece.day == day, Piece.status != "superseded")).all()
        asked = asked_about(session, pieces)
    return {piece: one.verdict or "waiting" for piece, one in asked.items() if one.request.requested_at < as_of}
