"""Publish a piece on its account, exactly once, and find out what became of posts that were left open.

``affiliate_empire.effects`` decides whether an act may go on; how a platform's act is prepared, done and asked about is
its poster's (``operations.post_to_youtube`` and its like). What a post says is ``affiliate_empire.publishing``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.effects import (
    Accepted,
    Act,
    EffectInProgress,
    EffectKind,
    EffectParked,
    Effects,
    FingerprintConflict,
    Intent,
    NotApproved,
    OpenEffect,
    Paused,
    QuotaRefused,
    ReadOnly,
    Receipt,
    State,
    Verdict,
    WindowClosed,
    may_have_been_done,
    switches,
)
from affiliate_empire.effects.errors import EffectError
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.files import OutOfSpace
from affiliate_empire.kernel.ids import derived_id, fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Artifact, Effect, Installation, Piece, Product, Publication
from affiliate_empire.media.errors import BadMedia
from affiliate_empire.operations.account_limits import keep_refusal, keep_seen, quota_of, refused_by
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.approvals import REQUIRED, consent_to, show_to_owner
from affiliate_empire.operations.check_offer import refuse_changed_offer
from affiliate_empire.operations.errors import NotDue, PartMissing, PieceRejected, SlotPassed
from affiliate_empire.operations.hold_account import hold_account
from affiliate_empire.operations.make_link import make_link
from affiliate_empire.operations.posting import Composed, Material, Poster
from affiliate_empire.operations.remedies import Remedy, remedy_of
from affiliate_empire.operations.strikes import refuse_struck_content
from affiliate_empire.policy import Policy
from affiliate_empire.publishing.approval import shown
from affiliate_empire.vault.store import RenewalStuck
from affiliate_empire.vendors.accounts import NotConnected
from affiliate_empire.vendors.errors import (
    AccountRestricted,
    CredentialsRejected,
    QuotaExhausted,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.impact import ImpactClient

OPERATION = "publish"
MAY_HAVE_HAPPENED = (State.PREPARED, State.COMMITTING, State.UNKNOWN)  # then its handle is asked, whatever the hour
BEGUN = (State.CLAIMED, *MAY_HAVE_HAPPENED)
# One account's trouble, or one post's: the others go on, and the step says so once instead of failing at every look.
HOLDING = (
    Paused,
    SlotPassed,
    PartMissing,
    NotApproved,
    NotConnected,
    AccountRestricted,
    CredentialsRejected,
    EffectInProgress,
    EffectParked,
    FingerprintConflict,
    QuotaRefused,
    QuotaExhausted,
    ReplyLost,  # the next run asks what became of it
)
# What may be one piece's (its file), one account's (its credential) or everybody's (an outage): that cannot be told, so
# the others are tried all the same, and the owner is told of it (``tell_of_unsent``).
FAILING = (VendorUnavailable, BadMedia, Misconfigured, RenewalStuck, OutOfSpace, OSError)
# What says nothing about the piece: the same may be sent when the account, its key or its window is in order again.
_OF_THE_ACCOUNT = (AccountRestricted, CredentialsRejected, QuotaExhausted)


def is_failing(error: Exception) -> bool:
    """Whether what holds a piece is nothing that it waits for, and that is told nowhere else."""
    return isinstance(error, FAILING) and not isinstance(error, HOLDING)


def is_due(piece: Piece, now: datetime, policy: Policy) -> bool:
    """Whether a piece may be handed to its platform: at its slot, or the platform's lead before it."""
    return now >= piece.slot_at - policy.posting(piece.platform).lead


def restored_at(session: Session) -> datetime | None:
    """When this ledger was restored from a backup or copied; None: never."""
    return session.scalars(select(Installation.restored_at)).one()


def last_moment(piece: Piece, policy: Policy, calendar: BusinessCalendar, restored: datetime | None) -> datetime:
    """When it is too late for a piece's slot: the platform's tolerance after it, or the close of its day's window.

    A piece that may have gone out after the backup that the ledger was ``restored`` from is looked for until the window
    closes, and takes no other slot before that.
    """
    closes = calendar.posting_window(piece.day)[1]
    if restored is not None and may_have_been_done(piece.day, restored):
        return closes
    return min(closes, piece.slot_at + policy.posting(piece.platform).tolerance)


def publish_piece(
    piece_id: str,
    *,
    ledger: Ledger,
    effects: Effects,
    clock: Clock,
    posters: Mapping[str, Poster],
    impact: ImpactClient,
    policy: Policy,
    calendar: BusinessCalendar,
    tracking_url: str,
) -> Publication:
    """Publish a piece, unless it is published; returns its publication.

    It goes out at its slot, or the platform's lead before it where the platform can hold it back until then. Later than
    the platform's tolerance after its slot, or after the day's posting window, nothing is sent.

    Args:
        posters: by platform.
        tracking_url: where the tracking service is reached from outside.

    Raises:
        NotDue: too early; come back at its slot.
        SlotPassed: too late for its slot; ``move_passed_slots`` gives it another one of its day, or none.
        WindowClosed: too late for its day; it is never made up for.
        PieceRejected: what would go out does not disclose, cites a price that is none any more, or its product cannot
            be bought; or its platform or network refused exactly this, now or earlier.
        PartMissing: its content is not made yet.
        AccountRestricted, CredentialsRejected: the platform does not let the account post; it is paused by now.
        QuotaExhausted: the platform takes no more posts of the account for now; until when is kept, and
        QuotaRefused: is raised until then, and when the account's window is full by our own count.
        NotApproved: its owner has not approved exactly what would go out; by now the owner was told.
        EffectError, VendorUnavailable: as ``Effects.perform``.
    """
    with ledger.begin() as session:
        piece = session.get_one(Piece, piece_id)
        account = session.get_one(Account, piece.account_id)
        product = session.get_one(Product, piece.product_id)
        stored = session.get(Publication, _publication_id(piece))
        earlier = session.scalars(select(Effect).where(Effect.key == _key(piece))).one_or_none()
        restored = restored_at(session)
    if stored is not None:
        return stored
    if earlier is not None and earlier.state == State.SETTLED:
        # Killed after the post was settled and before it was recorded.
        return _record(piece, earlier.effect_id, earlier.remote_id, _came_to(earlier, piece, posters), ledger)
    closes = last_moment(piece, policy, calendar, restored)
    begun = earlier is not None and earlier.state in MAY_HAVE_HAPPENED
    # What may have gone out before a restore is looked for, which takes no room and asks nothing of the account.
    looked_for = earlier is None and restored is not None and may_have_been_done(piece.day, restored)
    if not begun:
        refuse_outside_window(piece, clock.now(), policy, calendar, restored)
    if effects.read_only:
        raise ReadOnly(f"{piece_id} was not posted: EMPIRE_MODE=live-readonly neither spends nor posts; use live mode.")
    if not begun:
        # Before anything is asked of anybody: the claim checks again, when others may have come first.
        with ledger.begin() as session:
            switches.check(session, piece.platform, piece.account_id)
            refuse_struck_content(session, piece)
            full = None if looked_for else refused_by(session, piece, clock.now(), policy=policy)
            if full is not None:
                raise full
    refuse_changed_offer(piece, ledger=ledger)
    composed, shows = _compose(piece, account, product, closes, ledger, posters, impact, policy, tracking_url)
    if account.approval == REQUIRED:
        show_to_owner(piece.day, [shows], ledger=ledger, at=clock.now())
    intent = Intent(
        key=_key(piece),
        kind=EffectKind.AT_MOST_ONCE,
        vendor=piece.platform,
        operation=OPERATION,
        fingerprint=fingerprint(composed.looks),
        day=piece.day,
        piece_id=piece_id,
        account_id=piece.account_id,
        niche=piece.niche,
        deadline_at=closes,
        quota=quota_of(piece, clock.now(), policy),
        trace=composed.trace,
        consent=consent_to(shows),
    )
    if earlier is not None and was_refused(earlier) and earlier.fingerprint == intent.fingerprint:
        raise PieceRejected(earlier.error or f"{piece.platform} refused it before.")
    try:
        seen = None if begun or looked_for else posters[piece.platform].seen_limit(account)
        if seen is not None:
            keep_seen(piece.account_id, seen, ledger=ledger, at=clock.now(), policy=policy)
        receipt = effects.perform(intent, composed.act)
    except (VendorError, EffectError) as error:
        if isinstance(error, AccountRestricted | CredentialsRejected):
            hold_account(piece.account_id, error, ledger=ledger, at=clock.now())
        elif isinstance(error, QuotaExhausted):
            keep_refusal(piece.account_id, error, ledger=ledger, at=clock.now(), policy=policy)
        elif isinstance(error, FingerprintConflict):
            _tell_of_conflict(piece, error, ledger, clock.now())
        elif remedy_of(error) is Remedy.REJECT and not isinstance(error, WindowClosed):
            raise PieceRejected(str(error)) from error
        raise
    return _record(piece, receipt.effect_id, receipt.remote_id, receipt.result, ledger)


def ask_for_approvals(
    day: date,
    platform: str,
    *,
    ledger: Ledger,
    effects: Effects,
    clock: Clock,
    posters: Mapping[str, Poster],
    impact: ImpactClient,
    policy: Policy,
    calendar: BusinessCalendar,
    tracking_url: str,
) -> dict[str, Exception]:
    """Show the owner what would go out with each finished piece of a day whose account requires approval.

    What was shown already and still looks the same is not shown again; the owner is told once about all that is new.
    A piece that cannot be composed is left to ``publish_piece``, which says why. Of a day whose posting window has
    closed, nothing is asked; nor where nothing may leave a trace at a network (``live-readonly``).

    Returns:
        What kept the network, or a file, from showing a piece, by its id: it is shown by the next run that can.
    """
    if effects.read_only or clock.now() >= calendar.posting_window(day)[1]:
        return {}
    query = (
        select(Piece, Account, Product)
        .join(Account, Account.account_id == Piece.account_id)
        .join(Product, Product.product_id == Piece.product_id)
        .outerjoin(Publication, Publication.piece_id == Piece.piece_id)
        .where(
            Piece.day == day,
            Piece.platform == platform,
            Piece.status == "planned",
            Account.approval == REQUIRED,
            Publication.publication_id.is_(None),
        )
        .order_by(Piece.slot_at, Piece.piece_id)
    )
    with ledger.begin() as session:
        rows = session.execute(query).all()
        restored = restored_at(session)
    composed, unshown = [], dict[str, Exception]()
    for piece, account, product in rows:
        try:
            closes = last_moment(piece, policy, calendar, restored)
            composed.append(_compose(piece, account, product, closes, ledger, posters, impact, policy, tracking_url)[1])
        except (PartMissing, PieceRejected):
            continue
        except (*FAILING, *_OF_THE_ACCOUNT) as error:
            unshown[piece.piece_id] = error
    show_to_owner(day, composed, ledger=ledger, at=clock.now())
    return unshown


def tell_of_unsent(day: date, errors: Mapping[str, Exception], *, ledger: Ledger, at: datetime) -> None:
    """Tell the owner, once a day, of each account whose pieces something nobody waits for keeps from going out.

    Args:
        errors: by piece; what is told elsewhere (a pause, a full window, a parked post) is none of them.
        at: business time.
    """
    with ledger.begin() as session:
        pieces = session.scalars(select(Piece).where(Piece.piece_id.in_(errors)).order_by(Piece.piece_id)).all()
    by_cause: dict[tuple[str, str], list[str]] = {}
    for piece in pieces:
        kind = type(errors[piece.piece_id]).__name__
        by_cause.setdefault((piece.account_id, kind), []).append(piece.piece_id)
    for (account_id, kind), ids in by_cause.items():
        held = "1 piece is" if len(ids) == 1 else f"{len(ids)} pieces are"
        raise_alert(
            "unsent", day, account_id, kind, severity="high", subject=f"{account_id}: posts are held up",
            message=f"{held} held at the publishing of {day}, and tried again every half hour while there is a slot: "
            f"{errors[ids[0]]}",
            at=at, ledger=ledger,
        )  # fmt: skip


def _compose(
    piece: Piece,
    account: Account,
    product: Product,
    closes: datetime,
    ledger: Ledger,
    posters: Mapping[str, Poster],
    impact: ImpactClient,
    policy: Policy,
    tracking_url: str,
) -> tuple[Composed, dict[str, Any]]:
    """A piece's post as it would go out now, and what an owner is shown of it."""
    try:
        link = make_link(piece.piece_id, ledger=ledger, impact=impact, policy=policy)
    except _OF_THE_ACCOUNT:
        raise
    except VendorRefused as refusal:
        raise PieceRejected(str(refusal)) from refusal
    with ledger.begin() as session:
        made = session.scalars(select(Artifact).where(Artifact.piece_id == piece.piece_id, Artifact.name == "")).all()
    base = tracking_url.rstrip("/")
    link_url = f"{base}/r/{link.code}"
    composed = posters[piece.platform].compose(
        Material(
            piece=piece,
            account=account,
            product=product,
            link=link,
            hub_url=f"{base}/h/{account.handle}",
            link_url=link_url,
            closes_at=closes,
            artifacts={artifact.step: artifact for artifact in made},
        )
    )
    shows = shown(
        composed.looks | composed.beside,
        piece_id=piece.piece_id,
        account_id=piece.account_id,
        day=piece.day,
        link_url=link_url,
        leads_to=link.target_url,
    )
    return composed, shows


def reconcile_publications(
    day: date, *, ledger: Ledger, effects: Effects, posters: Mapping[str, Poster], platform: str | None = None
) -> list[Publication]:
    """Find out what became of a day's posts that were left open; sends nothing. Returns the day's publications.

    Args:
        posters: by platform.
        platform: only this one's; None for all.
    """

    def act_of(effect: OpenEffect) -> Act | None:
        if effect.operation != OPERATION or platform not in (None, effect.vendor) or effect.vendor not in posters:
            return None
        assert effect.account_id is not None  # noqa: S101 - every post is an account's
        try:
            return _Asked(posters[effect.vendor].asking(effect.account_id), effect.vendor)
        except (Misconfigured, RenewalStuck):  # its post stays open, and the other accounts' are asked about
            return None

    effects.reconcile_open(act_of, day)
    unrecorded = (
        select(Effect, Piece)
        .join(Piece, Piece.piece_id == Effect.piece_id)
        .outerjoin(Publication, Publication.effect_id == Effect.effect_id)
        .where(
            Effect.day == day,
            Effect.operation == OPERATION,
            Effect.state == State.SETTLED,
            Effect.vendor.in_(posters if platform is None else {platform} & set(posters)),
            Publication.publication_id.is_(None),
        )
    )
    with ledger.begin() as session:
        rows = session.execute(unrecorded).all()
    for effect, piece in rows:
        try:
            _record(piece, effect.effect_id, effect.remote_id, _came_to(effect, piece, posters), ledger)
        except (VendorError, Misconfigured, RenewalStuck, OSError) as error:  # one post's: the others go on
            if isinstance(error, VendorRefused):
                _tell_of_wrong_id(effect, error, ledger, effects.clock.now())
    published = select(Publication).where(Publication.day == day).order_by(Publication.slot_at, Publication.piece_id)
    if platform is not None:
        published = published.where(Publication.platform == platform)
    with ledger.begin() as session:
        return list(session.scalars(published))


@dataclass(frozen=True)
class _Asked:
    """An act that is only asked what became of it; an account that cannot be asked leaves open its own posts only."""

    act: Act
    vendor: str

    def prepare(self) -> dict[str, Any]:
        return self.act.prepare()

    def commit(self, handle: dict[str, Any]) -> Receipt | Accepted:
        return self.act.commit(handle)

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        try:
            return self.act.reconcile(handle)
        except (Misconfigured, RenewalStuck, OSError) as error:
            raise VendorUnavailable(str(error), vendor=self.vendor) from error


def live_key() -> ColumnElement[str]:
    """The key of a piece's post, in a query: rows that were retired from it bear another (``effects``)."""
    return func.concat("post:", Piece.piece_id, ":", Piece.account_id)


def _key(piece: Piece) -> str:
    return f"post:{piece.piece_id}:{piece.account_id}"


def _publication_id(piece: Piece) -> str:
    return derived_id("pb", piece.piece_id, piece.account_id)


def refuse_outside_window(
    piece: Piece, now: datetime, policy: Policy, calendar: BusinessCalendar, restored: datetime | None
) -> None:
    """Raise when a piece is out of its day, its slot is ahead or has passed, or its day's window has closed."""
    closes = calendar.posting_window(piece.day)[1]
    if now >= closes:
        raise WindowClosed(
            f"{piece.piece_id} was not posted: the posting window of {piece.day} closed at {closes:%Y-%m-%d %H:%M} UTC "
            "and is never made up for."
        )
    if piece.status != "planned":
        raise PieceRejected(f"The piece is {piece.status}: {piece.reason or 'no reason given'}")
    if now >= last_moment(piece, policy, calendar, restored):
        raise SlotPassed(
            f"{piece.piece_id} was not posted: its slot at {piece.slot_at:%Y-%m-%d %H:%M} UTC has passed; the next "
            "publishing run gives it a free slot of its day, or none."
        )
    if not is_due(piece, now, policy):
        raise NotDue(
            f"{piece.piece_id} is not due before its slot at {piece.slot_at:%Y-%m-%d %H:%M} UTC: run again then."
        )


def was_refused(effect: Effect) -> bool:
    """Whether the platform refused the post itself; a full window is no word on it."""
    return effect.state == State.REFUSED and (effect.result or {}).get("refused") != "quota"


def _tell_of_conflict(piece: Piece, error: FingerprintConflict, ledger: Ledger, at: datetime) -> None:
    """A person must look: what was made anew may be out already as it was before."""
    raise_alert(
        "conflict", piece.piece_id, severity="high", subject=f"{piece.platform}: made anew and perhaps posted",
        message=str(error), at=at, ledger=ledger,
    )  # fmt: skip


def _tell_of_wrong_id(effect: Effect, error: VendorRefused, ledger: Ledger, at: datetime) -> None:
    """Its owner said what a post became, and its platform does not know that."""
    raise_alert(
        "wrong id", effect.effect_id, effect.remote_id or "", severity="high",
        subject=f"{effect.vendor}: a post by that id is not found",
        message=f"{effect.key} was settled as {effect.remote_id}, and {effect.vendor} answers: {error} Give the right "
        f"id with `empire effects resolve {effect.effect_id} --happened --remote-id …`.",
        at=at, ledger=ledger,
    )  # fmt: skip


def _came_to(effect: Effect, piece: Piece, posters: Mapping[str, Poster]) -> dict[str, Any]:
    """What a settled post came to; one that the owner settled by hand is described by its handle."""
    if effect.result:
        return effect.result
    handle, remote_id = effect.handle or {}, effect.remote_id or ""
    return {
        "url": posters[effect.vendor].url(remote_id, piece.account_id),
        "title": handle.get("title", ""),
        "description": handle.get("description", ""),
        "disclosures": handle.get("disclosures", {}),
        "published_at": handle.get("publish_at") or handle.get("prepared_at") or str(effect.settled_at),
    }


def _record(piece: Piece, effect_id: str, remote_id: str | None, result: dict[str, Any], ledger: Ledger) -> Publication:
    """Keep the publication; a second call finds the first one's row."""
    row = insert(Publication).values(
        publication_id=_publication_id(piece),
        piece_id=piece.piece_id,
        account_id=piece.account_id,
        platform=piece.platform,
        day=piece.day,
        effect_id=effect_id,
        remote_id=remote_id,
        url=result["url"],
        title=result["title"],
        description=result["description"],
        disclosures=result["disclosures"],
        slot_at=piece.slot_at,
        published_at=datetime.fromisoformat(result["published_at"]),
    )
    with ledger.begin() as session:
        session.execute(row.on_conflict_do_nothing())
        return session.get_one(Publication, _publication_id(piece))
