"""Publish a piece on its account, exactly once: the acts of posting to YouTube and to the blog.

``affiliate_empire.effects`` decides whether an act may go on; the acts here say how it is prepared, done, and asked
about. A post's handle holds all that is needed to ask and to record it later: the upload session, or the commit.
What a post says is ``affiliate_empire.publishing``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.compliance import check_description, check_page
from affiliate_empire.content.post import Post, render_mdx
from affiliate_empire.content.script import Script
from affiliate_empire.effects import (
    Act,
    EffectKind,
    Effects,
    Gone,
    Intent,
    NotDone,
    OpenEffect,
    Quota,
    ReadOnly,
    Receipt,
    State,
    StillUnknown,
    Verdict,
    WindowClosed,
)
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.kernel.ids import derived_id, fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Artifact, Effect, Link, Piece, Product, Publication
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.make_link import make_link
from affiliate_empire.policy import Policy
from affiliate_empire.publishing.flags import VideoFlags, affiliate_video_flags
from affiliate_empire.publishing.texts import PostText, VideoText, post_text, video_text
from affiliate_empire.vendors.blog import BlogClient, NotFastForward
from affiliate_empire.vendors.errors import ReplyLost
from affiliate_empire.vendors.impact import ImpactClient
from affiliate_empire.vendors.youtube import Completed, Incomplete, UploadSessionGone, VideoMetadata, YouTubeClient

OPERATION = "publish"
_MAY_HAVE_HAPPENED = (State.PREPARED, State.COMMITTING, State.UNKNOWN)  # then its handle is asked, whatever the hour
_CATEGORY = "26"  # YouTube's "Howto & Style"
_LANGUAGE = "en"


class NotDue(EmpireError):
    """The piece's slot is further ahead than its platform takes posts in advance."""


def is_due(piece: Piece, now: datetime, policy: Policy) -> bool:
    """Whether a piece may be handed to its platform: at its slot, or the platform's lead before it."""
    return now >= piece.slot_at - policy.posting(piece.platform).lead


def publish_piece(
    piece_id: str,
    *,
    ledger: Ledger,
    effects: Effects,
    clock: Clock,
    youtube: YouTubeClient,
    blog: BlogClient,
    impact: ImpactClient,
    media: MediaStore,
    policy: Policy,
    calendar: BusinessCalendar,
    tracking_url: str,
) -> Publication:
    """Publish a piece, unless it is published; returns its publication.

    A video goes up before its slot, private, with the slot as the time at which YouTube makes it public; after its
    slot it is public at once. A post is pushed at its slot. After the day's posting window nothing is sent.

    Args:
        tracking_url: where the tracking service is reached from outside.

    Raises:
        NotDue: too early; come back at its slot.
        WindowClosed: too late; it is never made up for.
        PieceRejected: what would go out does not disclose, or its content is missing.
        EffectError, VendorError: as ``Effects.perform``.
    """
    with ledger.begin() as session:
        piece = session.get_one(Piece, piece_id)
        account = session.get_one(Account, piece.account_id)
        product = session.get_one(Product, piece.product_id)
        stored = session.get(Publication, _publication_id(piece))
        earlier = session.scalars(select(Effect).where(Effect.key == _key(piece))).one_or_none()
        if stored is not None:
            return stored
        if earlier is not None and earlier.state == State.SETTLED:
            # Killed after the post was settled and before it was recorded.
            return _record(session, piece, earlier.effect_id, earlier.remote_id, _came_to(earlier, youtube, blog))
    _, closes = calendar.posting_window(piece.day)
    if earlier is None or earlier.state not in _MAY_HAVE_HAPPENED:
        _refuse_outside_window(piece, clock.now(), closes, policy)
    if effects.read_only:
        raise ReadOnly(f"{piece_id} was not posted: EMPIRE_MODE=live-readonly neither spends nor posts; use live mode.")
    link = make_link(piece_id, ledger=ledger, impact=impact, policy=policy)
    with ledger.begin() as session:
        video = _artifact(session, piece, "video")
        script = _artifact(session, piece, "script")
        post = _artifact(session, piece, "post")
    act: Act
    if piece.platform == "youtube":
        if script is None or video is None or video.sha256 is None:
            raise PieceRejected("There is no finished video to publish.")
        text = video_text(
            Script.model_validate({name: script.content[name] for name in Script.model_fields}),
            hub_url=f"{tracking_url.rstrip('/')}/h/{account.handle}",
            link_url=f"{tracking_url.rstrip('/')}/r/{link.code}",
            policy=policy,
        )
        _refuse_undisclosed(check_description(text.description, policy))
        upload = _Upload(text, affiliate_video_flags(), video.sha256, piece.slot_at, link)
        act = VideoAct(youtube, clock, media, upload)
        looks = fingerprint(upload.looks())
    elif piece.platform == "blog":
        if post is None:
            raise PieceRejected("There is no post to publish.")
        document = Post.model_validate({name: post.content[name] for name in Post.model_fields})
        mdx = render_mdx(
            document,
            piece_id=piece_id,
            published_on=piece.day,
            product=product.title,
            link_url=f"{tracking_url.rstrip('/')}/r/{link.code}",
            disclosure=policy.disclosure("post"),
            ai_statement=policy.disclosure("ai"),
            tags=[piece.niche],
        )
        _refuse_undisclosed(check_page(mdx, policy))
        page = _Page(post_text(document, piece_id=piece_id, policy=policy), mdx, piece.slot_at)
        act = PostAct(blog, clock, page)
        looks = fingerprint(page.looks())
    else:
        raise PieceRejected(f"Nothing can be published on {piece.platform} yet.")
    rule = policy.posting(piece.platform)
    intent = Intent(
        key=_key(piece),
        kind=EffectKind.AT_MOST_ONCE,
        vendor=piece.platform,
        operation=OPERATION,
        fingerprint=looks,
        day=piece.day,
        piece_id=piece_id,
        account_id=piece.account_id,
        niche=piece.niche,
        deadline_at=closes,
        quota=Quota(rule.quota, rule.limit, rule.window, max(piece.slot_at, clock.now())),
    )
    receipt = effects.perform(intent, act)
    with ledger.begin() as session:
        return _record(session, piece, receipt.effect_id, receipt.remote_id, receipt.result)


def reconcile_publications(
    day: date,
    *,
    ledger: Ledger,
    effects: Effects,
    clock: Clock,
    youtube: YouTubeClient,
    blog: BlogClient,
    platform: str | None = None,
) -> list[Publication]:
    """Find out what became of a day's posts that were left open; sends nothing. Returns the day's publications.

    Args:
        platform: only this one's; None for all.
    """

    def act_of(effect: OpenEffect) -> Act | None:
        if effect.operation != OPERATION or platform not in (None, effect.vendor):
            return None
        if effect.vendor == "youtube":
            return VideoAct(youtube, clock, None, None)
        return PostAct(blog, clock, None) if effect.vendor == "blog" else None

    effects.reconcile_open(act_of, day)
    with ledger.begin() as session:
        unrecorded = (
            select(Effect, Piece)
            .join(Piece, Piece.piece_id == Effect.piece_id)
            .outerjoin(Publication, Publication.effect_id == Effect.effect_id)
            .where(
                Effect.day == day,
                Effect.operation == OPERATION,
                Effect.state == State.SETTLED,
                Publication.publication_id.is_(None),
            )
        )
        for effect, piece in session.execute(unrecorded).all():
            _record(session, piece, effect.effect_id, effect.remote_id, _came_to(effect, youtube, blog))
        published = (
            select(Publication).where(Publication.day == day).order_by(Publication.slot_at, Publication.piece_id)
        )
        if platform is not None:
            published = published.where(Publication.platform == platform)
        return list(session.scalars(published))


# ---------------------------------------------------------------- YouTube
@dataclass(frozen=True)
class _Upload:
    """A video as it goes out."""

    text: VideoText
    flags: VideoFlags
    sha256: str
    slot_at: datetime
    link: Link

    def looks(self) -> dict[str, Any]:
        """What the post looks like: what may not change once it may have happened."""
        return {
            "title": self.text.title,
            "description": self.text.description,
            "tags": list(self.text.tags),
            "flags": self.flags.as_disclosures(),
            "video": self.sha256,
            "slot_at": self.slot_at.isoformat(),
        }


class VideoAct:
    """A video on YouTube. The handle is the upload session, which itself knows whether it was completed.

    ``upload`` and ``media`` are None where the act is only asked (``reconcile``).
    """

    def __init__(self, youtube: YouTubeClient, clock: Clock, media: MediaStore | None, upload: _Upload | None) -> None:
        self._youtube = youtube
        self._clock = clock
        self._media = media
        self._upload = upload
        self._proven_gone: str | None = None

    def prepare(self) -> dict[str, Any]:
        assert self._upload is not None and self._media is not None  # noqa: S101, PT018 - asked acts do not prepare
        upload, now = self._upload, self._clock.now()
        size = self._media.path(upload.sha256).stat().st_size
        publish_at = upload.slot_at if upload.slot_at > now else None
        metadata = VideoMetadata(
            title=upload.text.title,
            description=upload.text.description,
            tags=upload.text.tags,
            category_id=_CATEGORY,
            language=_LANGUAGE,
            privacy_status="public" if publish_at is None else "private",
            publish_at=publish_at,
            contains_synthetic_media=upload.flags.contains_synthetic_media,
            has_paid_product_placement=upload.flags.has_paid_product_placement,
            self_declared_made_for_kids=upload.flags.self_declared_made_for_kids,
            notify_subscribers=upload.flags.notify_subscribers,
        )
        return {
            "session_url": self._youtube.start_upload(metadata, size),
            "size": size,
            "sha256": upload.sha256,
            "title": upload.text.title,
            "description": upload.text.description,
            "disclosures": upload.flags.as_disclosures(),
            "publish_at": None if publish_at is None else publish_at.isoformat(),
            "marker": f"/r/{upload.link.code}",
            "prepared_at": now.isoformat(),
        }

    def commit(self, handle: dict[str, Any]) -> Receipt:
        assert self._media is not None  # noqa: S101 - asked acts do not commit
        try:
            video = self._youtube.upload(handle["session_url"], self._media.path(handle["sha256"]))
        except UploadSessionGone as error:
            # Seen by this very call, which had found the session incomplete: ``reconcile`` may say so.
            self._proven_gone = handle["session_url"]
            raise ReplyLost(str(error), vendor=error.vendor, code=error.code) from error
        return self._receipt(handle, video)

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        if handle["session_url"] == self._proven_gone:
            return Gone()
        status = self._youtube.session_status(handle["session_url"], handle["size"])
        if isinstance(status, Completed):
            return self._receipt(handle, status.video)
        if isinstance(status, Incomplete):
            return NotDone()
        # The session is forgotten. A listing may prove that the video is there, never that it is not.
        since = datetime.fromisoformat(handle["prepared_at"])
        video = self._youtube.find_by_description(handle["marker"], since=since)
        if video is not None:
            return self._receipt(handle, video)
        return StillUnknown(f"YouTube Studio, for a video named {handle['title']!r}")

    def _receipt(self, handle: dict[str, Any], video: dict[str, Any]) -> Receipt:
        uploaded_at = datetime.fromisoformat(video["snippet"]["publishedAt"])
        published_at = uploaded_at
        if handle["publish_at"] is not None:
            published_at = max(datetime.fromisoformat(handle["publish_at"]), uploaded_at)
        return Receipt(
            remote_id=video["id"],
            result={
                "url": self._youtube.url(video["id"]),
                "title": handle["title"],
                "description": handle["description"],
                "disclosures": handle["disclosures"],
                "published_at": published_at.isoformat(),
            },
        )


# ---------------------------------------------------------------- the blog
@dataclass(frozen=True)
class _Page:
    """A post as it goes out."""

    text: PostText
    mdx: str
    slot_at: datetime

    def looks(self) -> dict[str, Any]:
        """What the post looks like: what may not change once it may have happened."""
        return {"path": self.text.path, "mdx": self.mdx, "slot_at": self.slot_at.isoformat()}


class PostAct:
    """A post on the blog. The handle is the commit; ``main`` contains it, or can never contain it, or is its parent.

    ``page`` is None where the act is only asked (``reconcile``).
    """

    def __init__(self, blog: BlogClient, clock: Clock, page: _Page | None) -> None:
        self._blog = blog
        self._clock = clock
        self._page = page

    def prepare(self) -> dict[str, Any]:
        assert self._page is not None  # noqa: S101 - asked acts do not prepare
        now = self._clock.now().replace(microsecond=0)  # git keeps whole seconds
        text = self._page.text
        sha, parent = self._blog.prepare({text.path: self._page.mdx}, text.message, at=now)
        return {
            "sha": sha,
            "parent": parent,
            "slug": text.slug,
            "title": text.title,
            "description": text.description,
            "disclosures": {"banner": True, "sponsoredLinks": True},
            "prepared_at": now.isoformat(),
        }

    def commit(self, handle: dict[str, Any]) -> Receipt:
        try:
            self._blog.push(handle["sha"])
        except NotFastForward as error:
            # Refused for this commit for good; ``reconcile`` reads that off the branch and a new one is prepared.
            raise ReplyLost(str(error), vendor=error.vendor, code=error.code) from error
        return self._receipt(handle)

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        standing = self._blog.standing(handle["sha"], handle["parent"])
        if standing == "published":
            return self._receipt(handle)
        return NotDone() if standing == "open" else Gone()

    def _receipt(self, handle: dict[str, Any]) -> Receipt:
        return Receipt(
            remote_id=handle["slug"],
            result={
                "url": self._blog.url(handle["slug"]),
                "title": handle["title"],
                "description": handle["description"],
                "disclosures": handle["disclosures"],
                "published_at": handle["prepared_at"],
                "commit": handle["sha"],
            },
        )


# ---------------------------------------------------------------- the ledger
def _key(piece: Piece) -> str:
    return f"post:{piece.piece_id}:{piece.account_id}"


def _publication_id(piece: Piece) -> str:
    return derived_id("pb", piece.piece_id, piece.account_id)


def _refuse_outside_window(piece: Piece, now: datetime, closes: datetime, policy: Policy) -> None:
    if piece.status != "planned":
        raise PieceRejected(f"The piece is {piece.status}: {piece.reason or 'no reason given'}")
    if now >= closes:
        raise WindowClosed(
            f"{piece.piece_id} was not posted: the posting window of {piece.day} closed at {closes:%Y-%m-%d %H:%M} UTC "
            "and is never made up for."
        )
    if not is_due(piece, now, policy):
        raise NotDue(
            f"{piece.piece_id} is not due before its slot at {piece.slot_at:%Y-%m-%d %H:%M} UTC: run again then."
        )


def _refuse_undisclosed(reasons: list[str]) -> None:
    if reasons:
        raise PieceRejected(" ".join(reasons))


def _artifact(session: Session, piece: Piece, step: str) -> Artifact | None:
    return session.get(Artifact, (piece.piece_id, step, ""))


def _came_to(effect: Effect, youtube: YouTubeClient, blog: BlogClient) -> dict[str, Any]:
    """What a settled post came to; one that the owner settled by hand is described by its handle."""
    if effect.result:
        return effect.result
    handle, remote_id = effect.handle or {}, effect.remote_id or ""
    return {
        "url": youtube.url(remote_id) if effect.vendor == "youtube" else blog.url(remote_id),
        "title": handle.get("title", ""),
        "description": handle.get("description", ""),
        "disclosures": handle.get("disclosures", {}),
        "published_at": handle.get("publish_at") or handle.get("prepared_at") or str(effect.settled_at),
    }


def _record(
    session: Session, piece: Piece, effect_id: str, remote_id: str | None, result: dict[str, Any]
) -> Publication:
    """Keep the publication; a second call finds the first one's row."""
    session.execute(
        insert(Publication)
        .values(
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
        .on_conflict_do_nothing()
    )
    return session.get_one(Publication, _publication_id(piece))
