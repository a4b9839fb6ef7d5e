"""Posting a video on TikTok, at its slot, by the account's route: directly, or as a draft that a person finishes in
the app; what a person is to post by hand from beginning to end is ``operations.hand_over``'s.

The handle is a publish id and the address that takes the video's bytes; the publish id's own status says what became of
it. TikTok publishes once it has every byte, so that is when the post is settled: processing and moderation take from a
minute to hours, and the post's id comes after them (``operations.find_tiktok_posts``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from affiliate_empire.compliance import check_description
from affiliate_empire.effects import RESTORED, Act, Failed, Gone, NotDone, Receipt, StillUnknown, Verdict
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger.tables import Account
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.account_limits import SeenLimit
from affiliate_empire.operations.hand_over import HandOver, Package, package_standing
from affiliate_empire.operations.posting import Composed, Material, refuse_undisclosed
from affiliate_empire.policy import Policy
from affiliate_empire.publishing.flags import DRAFT_DISCLOSURES, TikTokFlags, affiliate_tiktok_flags
from affiliate_empire.publishing.texts import CaptionText, caption_text
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.errors import CredentialsRejected, ReplyLost, RouteClosed, VendorError, VendorRefused
from affiliate_empire.vendors.tiktok import (
    PUBLISH,
    UPLOAD,
    UPLOAD_LIFE,
    PostInfo,
    PublishStatus,
    TikTokClient,
    Upload,
    UploadGone,
)

_HOLDS = timedelta(hours=24)  # what creator_info answers is asked afresh before each post


class TikTokPoster:
    """Posts on the piece's account, by that account's route (``publishing.flags.ROUTES``).

    Args:
        handoff: where files for a person are laid.
    """

    def __init__(
        self, tiktok: PerAccount[TikTokClient], *, clock: Clock, media: MediaStore, policy: Policy, handoff: Path
    ) -> None:
        self._tiktok = tiktok
        self._clock = clock
        self._media = media
        self._policy = policy
        self._handoff = handoff

    def compose(self, material: Material) -> Composed:
        sha256 = material.video_sha256()
        text = caption_text(
            material.script(), hub_url=material.hub_url, link_url=material.link_url, policy=self._policy
        )
        refuse_undisclosed(check_description(text.caption, self._policy))
        if material.account.route == "package":
            package = Package.of(material, text.title, text.caption, sha256)
            act = HandOver(self._handoff, self._clock, self._media, package)
            # Beside what is handed over: a package that waits for its person must stay the one that it was.
            return Composed(act, package.looks(), package.trace(), beside={"flags": DRAFT_DISCLOSURES})
        seconds = float(material.artifacts["video"].content.get("duration", 0.0))
        post = _Post(material.account.route, text, affiliate_tiktok_flags(), sha256, seconds, material.piece.slot_at)
        tiktok = self._tiktok.of(material.account.account_id)
        return Composed(TikTokAct(tiktok, self._clock, self._media, post), post.looks(), post.trace())

    def asking(self, account_id: str) -> Act:
        return _Asking(lambda: self._tiktok.of(account_id), self._clock)

    def url(self, remote_id: str, account_id: str) -> str:
        return self._tiktok.of(account_id).url(remote_id)

    def seen_limit(self, account: Account) -> SeenLimit | None:
        """TikTok names no number: ``creator_info`` answers, or says that there is no room."""
        if account.route != "direct":
            return None
        try:
            creator = self._tiktok.of(account.account_id).fetch_creator_info()
        except CredentialsRejected as error:
            raise _of_route(error, account.route) from error
        return SeenLimit("creator_info", None, None, _HOLDS, creator.longest_seconds)


@dataclass(frozen=True)
class _Post:
    """A video as it goes out."""

    route: str
    text: CaptionText
    flags: TikTokFlags
    sha256: str
    seconds: float
    slot_at: datetime

    @property
    def disclosures(self) -> dict[str, bool]:
        return self.flags.as_disclosures() if self.route == "direct" else DRAFT_DISCLOSURES

    def looks(self) -> dict[str, Any]:
        """What the post looks like: what may not change once it may have happened."""
        return {
            "route": self.route,
            "caption": self.text.caption,
            "flags": asdict(self.flags) if self.route == "direct" else DRAFT_DISCLOSURES,
            "video": self.sha256,
            "slot_at": self.slot_at.isoformat(),
        }

    def trace(self) -> dict[str, Any]:
        """What is known of the post without its publish id."""
        return {
            "title": self.text.title,
            "description": self.text.caption,
            "disclosures": self.disclosures,
            "prepared_at": self.slot_at.isoformat(),
        }


class _Asking:
    """Asks a handle of either kind; what was handed to a person needs no client, and its account may have none."""

    def __init__(self, client: Callable[[], TikTokClient], clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def prepare(self) -> NoReturn:
        raise NotImplementedError("this act is only asked")

    def commit(self, handle: dict[str, Any]) -> NoReturn:
        raise NotImplementedError("this act is only asked")

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        if "package" in handle:
            return package_standing(handle, self._clock.now())
        return TikTokAct(self._client(), self._clock, None, None).reconcile(handle)


class TikTokAct:
    """A video on TikTok. The handle's publish id is published at most once, with its last byte.

    ``media`` and ``post`` are None where the act is only asked (``reconcile``).
    """

    def __init__(self, tiktok: TikTokClient, clock: Clock, media: MediaStore | None, post: _Post | None) -> None:
        self._tiktok = tiktok
        self._clock = clock
        self._media = media
        self._post = post
        self._received = 0  # bytes that TikTok said to hold when it was asked last
        self._asked: str | None = None  # the publish that was asked about: earlier bytes of it may have arrived
        self._dead: str | None = None  # the publish whose address takes no more bytes

    def prepare(self) -> dict[str, Any]:
        assert self._post is not None and self._media is not None  # noqa: S101, PT018 - asked acts do not prepare
        post, size = self._post, self._media.path(self._post.sha256).stat().st_size
        username = ""
        try:
            if post.route == "direct":
                info, username = self._post_info(post)
                upload = self._tiktok.start_post(info, size)
            else:
                upload = self._tiktok.start_draft(size)
        except CredentialsRejected as error:
            raise _of_route(error, post.route) from error
        self._received = 0
        return {
            "publish_id": upload.publish_id,
            "upload_url": upload.url,
            "size": upload.size,
            "chunk_size": upload.chunk_size,
            "chunks": upload.chunks,
            "username": username,
            "sha256": post.sha256,
            **post.trace(),
            "prepared_at": self._clock.now().isoformat(),
        }

    def _post_info(self, post: _Post) -> tuple[PostInfo, str]:
        """What to ask for, within what the creator may choose at this moment; and the creator's name."""
        creator, flags = self._tiktok.fetch_creator_info(), post.flags
        if flags.privacy_level not in creator.privacy_levels:
            raise RouteClosed(
                f"TikTok does not offer {creator.username} the audience {flags.privacy_level}: make the account public "
                "in TikTok's settings, or take another route.",
                vendor="tiktok",
                code="privacy_level_option_mismatch",
            )
        if post.seconds > creator.longest_seconds:
            raise VendorRefused(
                f"TikTok takes videos of {creator.username} up to {creator.longest_seconds:g} s and this one lasts "
                f"{post.seconds:.0f} s: make it shorter.",
                vendor="tiktok",
                code="duration_check_failed",
            )
        info = PostInfo(
            title=post.text.caption,
            privacy_level=flags.privacy_level,
            disable_comment=flags.disable_comment or creator.comment_disabled,
            disable_duet=flags.disable_duet or creator.duet_disabled,
            disable_stitch=flags.disable_stitch or creator.stitch_disabled,
            brand_content_toggle=flags.brand_content_toggle,
            brand_organic_toggle=flags.brand_organic_toggle,
            is_aigc=flags.is_aigc,
        )
        return info, creator.username

    def commit(self, handle: dict[str, Any]) -> Receipt:
        assert self._media is not None  # noqa: S101 - asked acts do not commit
        upload = Upload(
            handle["publish_id"], handle["upload_url"], handle["size"], handle["chunk_size"], handle["chunks"]
        )
        try:
            self._tiktok.upload(upload, self._media.path(handle["sha256"]), received=self._received)
        except UploadGone:
            self._dead = upload.publish_id
            raise
        except VendorRefused as error:
            if self._asked != upload.publish_id:
                raise
            # Sent before: TikTok may hold more than it said, even all of it, and refuse the chunk for that.
            raise ReplyLost(str(error), vendor=error.vendor, code=error.code) from error
        try:
            status = self._tiktok.fetch_status(upload.publish_id)
        except VendorError:
            return self._receipt(handle, None, self._clock.now())  # it has every byte, whatever it says of it
        if status.status == "FAILED":
            raise self._tiktok.failure(status.fail_reason)
        return self._receipt(handle, status, self._clock.now())

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        look_at = f"TikTok Studio and the app's inbox, for a video named {handle['title']!r}"
        if RESTORED in handle:
            return StillUnknown(look_at)
        self._asked = handle["publish_id"]
        try:
            status = self._tiktok.fetch_status(handle["publish_id"])
        except VendorRefused as error:
            if error.code != "invalid_publish_id":
                raise
            return StillUnknown(look_at)
        if status.status == "FAILED":
            failure = self._tiktok.failure(status.fail_reason)
            return Failed(failure) if isinstance(failure, VendorRefused) else Gone()
        if status.status == "PROCESSING_UPLOAD":
            if status.uploaded_bytes is None:
                return StillUnknown(look_at)
            if status.uploaded_bytes < handle["size"]:
                self._received = status.uploaded_bytes
                return Gone() if self._is_gone(handle) else NotDone()
        return self._receipt(handle, status, datetime.fromisoformat(handle["prepared_at"]))

    def _is_gone(self, handle: dict[str, Any]) -> bool:
        """Whether nothing can complete an upload whose status tells of missing bytes: that status may lag behind.

        Its address is dead by TikTok's word and by its age; a single dead answer may come of the video being complete.
        """
        ends = datetime.fromisoformat(handle["prepared_at"]) + UPLOAD_LIFE
        return handle["publish_id"] == self._dead and self._clock.now() >= ends

    def _receipt(self, handle: dict[str, Any], status: PublishStatus | None, at: datetime) -> Receipt:
        remote_id = (status and status.post_id) or handle["publish_id"]
        return Receipt(
            remote_id=remote_id,
            result={
                "url": self._tiktok.url(remote_id, handle["username"]),
                "title": handle["title"],
                "description": handle["description"],
                "disclosures": handle["disclosures"],
                "published_at": at.isoformat(),
            },
        )


def _of_route(error: CredentialsRejected, route: str) -> CredentialsRejected:
    """A missing scope closes the route that needs it, not the account."""
    if error.code != "scope_not_authorized":
        return error
    return RouteClosed(
        f"The account's grant lacks {PUBLISH if route == 'direct' else UPLOAD}, which the route {route} needs: connect "
        "it again with `empire connect tiktok` and allow that.",
        vendor=error.vendor,
        code=error.code,
    )
