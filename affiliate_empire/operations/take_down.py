"""Take a post down: delete it on its platform, or unlist it, with a word of why. It is never posted again.

What shall go stops at once to be ours: its link is retired, its metrics are read no more. Then the platform acts, as an
effect that no pause, approval, budget or quota of posts holds up, since it only takes back. It is found out by looking:
a post that is gone needs nothing more, one that stands may be deleted again. Where no API deletes (TikTok), or the
platform refuses us, the owner is told what to click and says when it is done. What it earned stays its piece's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, Protocol
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from affiliate_empire.effects import (
    RESTORED,
    Act,
    EffectKind,
    Effects,
    Gone,
    Intent,
    NotDone,
    ReadOnly,
    Receipt,
    State,
    StillUnknown,
    Verdict,
    quotas,
)
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.errors import BadInput, EmpireError, Misconfigured
from affiliate_empire.kernel.ids import fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Effect, Link, Piece, Publication
from affiliate_empire.operations.build_site import build_site
from affiliate_empire.operations.patience import read
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.blog import BlogClient
from affiliate_empire.vendors.errors import ReplyLost, VendorError, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.instagram import InstagramClient
from affiliate_empire.vendors.tiktok import is_publish_id
from affiliate_empire.vendors.youtube import VideoState, YouTubeClient

DELETE, UNLIST = "takedown", "unlist"
_SEEN = "seen"
_YOUNG = timedelta(days=1)  # from when it is public: by then a platform shows it
_NAMES = {"youtube": "YouTube", "tiktok": "TikTok", "instagram": "Instagram", "blog": "the blog"}
_CLICKS = {
    "youtube": "open YouTube Studio as {handle}, Content, the video {title!r} ({url}): Options, Delete forever",
    "tiktok": "open {url} in the TikTok app as {handle}: Share, Delete, and confirm",
    "instagram": "open {url} in the Instagram app as {handle}: the three dots, Delete, and confirm",
    "blog": "remove the page of {url} from the blog's repository",
}


class StillStands(EmpireError):
    """The platform refused us, and the post may stand; the message says how its owner takes it down."""


class Remover(Protocol):
    """How posts go on one platform: asked about and acted on by account and the platform's id of the post.

    ``lists_late`` says that a young post may stand without being shown.
    """

    lists_late: bool

    def stands(self, account_id: str, remote_id: str, way: str) -> bool:
        """Whether there is still something to take down, by the platform's own word."""

    def remove(self, account_id: str, remote_id: str, way: str) -> None:
        """Take it down; what is gone already stays gone."""


class YouTubeRemover:
    """Deletes videos, or unlists them; one that is not public yet stays private then."""

    lists_late = True

    def __init__(self, youtube: PerAccount[YouTubeClient]) -> None:
        self._youtube = youtube

    def stands(self, account_id: str, remote_id: str, way: str) -> bool:
        video = self._look(account_id, remote_id)
        if video is None or way == DELETE:
            return video is not None
        return video.privacy_status == "public" or video.publish_at is not None

    def remove(self, account_id: str, remote_id: str, way: str) -> None:
        if way == DELETE:
            self._youtube.of(account_id).delete(remote_id)
        elif (video := self._look(account_id, remote_id)) is not None:
            self._youtube.of(account_id).hide(video)

    def _look(self, account_id: str, remote_id: str) -> VideoState | None:
        return read(self._youtube.of(account_id).fetch_status, [remote_id]).get(remote_id)


class InstagramRemover:
    """Deletes Reels."""

    lists_late = False

    def __init__(self, instagram: PerAccount[InstagramClient]) -> None:
        self._instagram = instagram

    def stands(self, account_id: str, remote_id: str, way: str) -> bool:
        return read(self._instagram.of(account_id).fetch_states, [remote_id])[remote_id].standing != "gone"

    def remove(self, account_id: str, remote_id: str, way: str) -> None:
        self._instagram.of(account_id).delete(remote_id)


class BlogRemover:
    """Takes pages out of the repository, each in a commit of its own, and has the site built without them.

    ``warn`` is told when the host could not be told to build: the page is out of the repository all the same.
    """

    lists_late = False

    def __init__(self, blog: BlogClient, *, clock: Clock, warn: Callable[[str], object]) -> None:
        self._blog = blog
        self._clock = clock
        self._warn = warn

    def stands(self, account_id: str, remote_id: str, way: str) -> bool:
        return read(self._blog.stands, _path(remote_id))

    def remove(self, account_id: str, remote_id: str, way: str) -> None:
        at = self._clock.now().replace(microsecond=0)  # git keeps whole seconds
        taken_out = self._blog.remove(_path(remote_id), message=f"Take {remote_id} down", at=at)
        if taken_out is not None and (warning := build_site(self._blog.deploy_hook)) is not None:
            self._warn(warning)


# ---------------------------------------------------------------- which post
def find_publication(name: str, *, ledger: Ledger) -> Publication:
    """The publication that a person names by its id, its piece's id or its address.

    Raises:
        BadInput: there is none, it is not published yet, or several have that address.
    """
    name = name.strip()
    known = [Publication.publication_id == name, Publication.piece_id == name]
    if "://" in name:
        address = urlsplit(name)
        parts = [*address.path.split("/"), *(value for _, value in parse_qsl(address.query))]
        known += [
            func.rtrim(Publication.url, "/") == f"{address.scheme}://{address.netloc}{address.path}".rstrip("/"),
            Publication.remote_id.in_([part for part in parts if len(part) > 5]),
        ]
    with ledger.begin() as session:
        found = session.scalars(select(Publication).where(or_(*known)).order_by(Publication.publication_id)).all()
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(publication.publication_id for publication in found)
            raise BadInput(f"{name} may be any of {ids}: say one of these.")
        piece = session.get(Piece, name)
        if piece is None:
            raise BadInput(
                f"There is no publication {name}: give its id, its piece's id or its address, as the daily report and "
                "`empire lineage` show them."
            )
        posts = select(Effect.state).where(Effect.key == f"post:{piece.piece_id}:{piece.account_id}")
        if session.scalar(posts) in (State.PREPARED, State.COMMITTING, State.UNKNOWN, State.SETTLED):
            raise BadInput(
                f"{name} may be out already, and its publication is not recorded yet: materialize publications of "
                f"{piece.day} on {piece.platform}, then take it down."
            )
        raise BadInput(
            f"{name} is not published: keep it from going out with `empire approvals reject {name} --reason …` where "
            f"its account requires approval, or with `empire pause account:{piece.account_id}`."
        )


def refuse_takedown(publication: Publication, way: str, *, effects: Effects) -> None:
    """Raise where a takedown makes no sense: before anybody is asked to confirm it.

    Raises:
        ReadOnly: this mode changes nothing outside.
        BadInput: it is down already, or its platform knows no unlisting.
    """
    if effects.read_only:
        raise ReadOnly(
            f"{publication.url} was not taken down: EMPIRE_MODE=live-readonly changes nothing at a platform; use live "
            "mode."
        )
    if way == UNLIST and publication.platform != "youtube":
        raise BadInput(
            f"{_NAMES[publication.platform]} knows no unlisting: say it without --unlist to delete the post."
        )
    if publication.taken_down_at is None:
        return
    with effects.ledger.begin() as session:
        deleted = session.scalar(select(Effect.state).where(Effect.key == _key(publication, DELETE))) == State.SETTLED
    if deleted or way == UNLIST or is_unpublished(publication):
        raise BadInput(
            f"{publication.url} was taken down on {publication.taken_down_at:%Y-%m-%d at %H:%M} UTC already "
            f"({publication.takedown_reason})."
        )


def outstanding(*, ledger: Ledger) -> list[dict[str, Any]]:
    """What shall go and is not known to be gone, oldest first: ``publication_id``, ``account_id``, ``title``, ``url``,
    ``reason``, ``by_hand`` (what its owner may click)."""
    query = (
        select(Publication)
        .where(Publication.takedown_reason.is_not(None), Publication.taken_down_at.is_(None))
        .order_by(Publication.published_at, Publication.publication_id)
    )
    with ledger.begin() as session:
        return [
            {
                "publication_id": one.publication_id,
                "account_id": one.account_id,
                "title": one.title,
                "url": one.url,
                "reason": one.takedown_reason,
                "by_hand": _by_hand(one),
            }
            for one in session.scalars(query)
        ]


# ---------------------------------------------------------------- taking it down
def take_down(
    publication: Publication,
    *,
    reason: str,
    way: str = DELETE,
    ledger: Ledger,
    effects: Effects,
    removers: Mapping[str, Remover],
    clock: Clock,
    calendar: BusinessCalendar,
) -> Publication:
    """Take a post down, or find that it is; returns its publication, with when.

    Args:
        reason: the owner's, kept with the publication.
        way: ``takedown`` deletes it; ``unlist`` leaves it, on YouTube, to those who have its address.
        removers: by platform; on a platform without one its owner is asked to do it.

    Raises:
        BadInput, ReadOnly: as ``refuse_takedown``; or the reason is empty.
        EffectParked: its owner is asked to do it, and to say so with ``tell_taken_down``.
        EffectInProgress: another process is at it.
        StillStands: the platform refuses; the message says how its owner does it by hand.
        VendorUnavailable: it may be gone or not; the same call again finds out.
    """
    if not reason.strip():
        raise BadInput("Say why with --reason: it is kept with the post.")
    refuse_takedown(publication, way, effects=effects)
    with ledger.begin() as session:
        _disown(session, publication, reason.strip())
    remover = removers.get(publication.platform)
    act: Act = _ByHand(publication) if remover is None else _Removal(remover, publication, way, clock)
    try:
        effects.perform(_intent(publication, way, clock, calendar), act)
    except (VendorRefused, Misconfigured) as refusal:
        raise StillStands(f"{publication.url} may still stand: {refusal} Or {_by_hand(publication)}.") from refusal
    return _record(publication, ledger, clock)


def tell_taken_down(
    publication: Publication,
    *,
    ledger: Ledger,
    effects: Effects,
    removers: Mapping[str, Remover],
    clock: Clock,
    calendar: BusinessCalendar,
) -> Publication:
    """Record its owner's word that a post is gone; a platform that can be asked has to agree.

    Raises:
        BadInput: nobody asked for that, it is down already, or its platform still shows it.
        ReadOnly, EffectInProgress: as ``take_down``.
    """
    if publication.takedown_reason is None:
        raise BadInput(f"Say first why it shall go: empire takedown {publication.publication_id} --reason …")
    with ledger.begin() as session:
        keys = {_key(publication, way): way for way in (DELETE, UNLIST)}
        asked = session.scalars(select(Effect.key).where(Effect.key.in_(keys), Effect.state != State.SETTLED)).all()
    way = UNLIST if asked == [_key(publication, UNLIST)] else DELETE
    refuse_takedown(publication, way, effects=effects)
    remover = removers.get(publication.platform)
    try:
        stands = remover is not None and remover.stands(publication.account_id, publication.remote_id, way)
    except (VendorError, Misconfigured):
        stands = False  # who cannot look takes the owner's word
    if stands:
        raise BadInput(f"{_NAMES[publication.platform]} still shows {publication.url}: {_by_hand(publication)}.")
    effects.perform(_intent(publication, way, clock, calendar), _Told(publication))
    return _record(publication, ledger, clock)


def mark_unpublished(publication: Publication, reason: str, *, ledger: Ledger, at: datetime) -> None:
    """Mark a post as taken down that its platform says it never published, after it had every byte of it.

    It is proven not to have happened, so its place in the account's window is given back; its effect stays settled,
    and its piece is posted no more.

    Args:
        reason: the platform's.
        at: business time.
    """
    with ledger.begin() as session:
        # The effect first, as everywhere that locks one.
        effect = session.get_one(Effect, publication.effect_id, with_for_update=True)
        row = _disown(session, publication, reason)
        row.taken_down_at = row.taken_down_at or at
        quotas.free(session, effect)


def is_unpublished(publication: Publication) -> bool:
    """Whether a post on TikTok is down that never had an id of its own: nobody outside knows it as a post."""
    down = publication.platform == "tiktok" and publication.taken_down_at is not None
    return down and is_publish_id(publication.remote_id)


def _disown(session: Session, publication: Publication, reason: str) -> Publication:
    """From now on it is not ours: its link leads nowhere, its metrics are read no more."""
    row = session.get_one(Publication, publication.publication_id, with_for_update=True)
    row.takedown_reason = row.takedown_reason or reason
    session.execute(update(Link).where(Link.piece_id == row.piece_id).values(status="retired"))
    return row


@dataclass(frozen=True)
class _Removal:
    """A platform takes a post down. The handle names the post, which itself shows whether that happened."""

    remover: Remover
    publication: Publication
    way: str
    clock: Clock

    def prepare(self) -> dict[str, Any]:
        handle = _handle(self.publication)
        self._refuse_unseen(handle)
        return {**handle, _SEEN: True}

    def commit(self, handle: dict[str, Any]) -> Receipt:
        self.remover.remove(handle["account_id"], handle["remote_id"], self.way)
        return Receipt(remote_id=handle["remote_id"])

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        if self.remover.stands(handle["account_id"], handle["remote_id"], self.way):
            return Gone() if RESTORED in handle else NotDone()
        if _SEEN not in handle:
            self._refuse_unseen(handle)
        return Receipt(remote_id=handle["remote_id"])

    def _refuse_unseen(self, handle: dict[str, Any]) -> None:
        """That a young post is not shown proves nothing, unless it was shown before."""
        young = self.clock.now() < self.publication.published_at + _YOUNG
        if not (self.remover.lists_late and young):
            return
        if not self.remover.stands(handle["account_id"], handle["remote_id"], DELETE):
            raise VendorUnavailable(
                f"{_NAMES[self.publication.platform]} does not show {self.publication.url}, which proves nothing of a "
                f"young post: run again in some minutes, or tell with `empire takedown done "
                f"{self.publication.publication_id}` that it is gone.",
                vendor=self.publication.platform,
            )


@dataclass(frozen=True)
class _ByHand:
    """Its owner takes a post down: asked once, and open until they say so."""

    publication: Publication

    def prepare(self) -> dict[str, Any]:
        return _handle(self.publication)

    def commit(self, handle: dict[str, Any]) -> NoReturn:
        raise ReplyLost(f"{self.publication.url} was left to its owner; only they can say more.", vendor="tiktok")

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        name = _NAMES[self.publication.platform]
        return StillUnknown(request=f"{name} has no way for us to delete a post: {_by_hand(self.publication)}.")


@dataclass(frozen=True)
class _Told:
    """Its owner said that a post is gone."""

    publication: Publication

    def prepare(self) -> dict[str, Any]:
        return _handle(self.publication)

    def commit(self, handle: dict[str, Any]) -> Receipt:
        return Receipt(remote_id=handle["remote_id"], result={"told": "by its owner"})

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        return self.commit(handle)


def _intent(publication: Publication, way: str, clock: Clock, calendar: BusinessCalendar) -> Intent:
    return Intent(
        key=_key(publication, way),
        kind=EffectKind.AT_MOST_ONCE,
        vendor=publication.platform,
        operation=way,
        fingerprint=fingerprint({"publication": publication.publication_id, "way": way}),
        day=calendar.day_of(clock.now()),
        piece_id=publication.piece_id,
        account_id=publication.account_id,
        trace=_handle(publication),
        takes_back=True,
    )


def _key(publication: Publication, way: str) -> str:
    return f"{way}:{publication.publication_id}"


def _handle(publication: Publication) -> dict[str, Any]:
    return {"account_id": publication.account_id, "remote_id": publication.remote_id}


def _record(publication: Publication, ledger: Ledger, clock: Clock) -> Publication:
    with ledger.begin() as session:
        row = session.get_one(Publication, publication.publication_id, with_for_update=True)
        row.taken_down_at = row.taken_down_at or clock.now()
        return row


def _by_hand(publication: Publication) -> str:
    """What its owner clicks, and then says."""
    clicks = _CLICKS[publication.platform].format(
        url=publication.url, title=publication.title, handle=publication.account_id.partition(":")[2]
    )
    if publication.platform == "tiktok" and is_publish_id(publication.remote_id):
        clicks = (
            f"open the TikTok app as {publication.account_id.partition(':')[2]} and delete the video "
            f"{publication.title!r}, from the profile or, while it is a draft, from the inbox"
        )
    return f"{clicks}; then tell with `empire takedown done {publication.publication_id}`"


def _path(slug: str) -> str:
    """Where the blog keeps a post."""
    return f"content/posts/{slug}.mdx"
