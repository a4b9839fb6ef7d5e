"""Posting a Reel on Instagram, at its slot: Instagram has no scheduling.

The handle is a container that holds the video and its labels and is seen by nobody; its own status says what became of
it. What the Reel says is ``affiliate_empire.publishing``'s; that it goes up once is ``affiliate_empire.effects``'s.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from affiliate_empire.compliance import check_description
from affiliate_empire.effects import RESTORED, Act, Gone, NotDone, Receipt, StillUnknown, Verdict
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger.tables import Account, Link
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.account_limits import SeenLimit
from affiliate_empire.operations.posting import Composed, Material, refuse_undisclosed
from affiliate_empire.policy import Policy
from affiliate_empire.publishing.flags import InstagramFlags, affiliate_reel_flags
from affiliate_empire.publishing.texts import CaptionText, caption_text
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.errors import ReplyLost, RouteClosed, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.instagram import (
    ContainerNotPublishable,
    ContainerStatus,
    InstagramClient,
    PublishedReel,
    Reel,
    could_not_fetch,
    failed_for_good,
)

_VENDOR = "instagram"
_COVER_FRAME_MS = 1000  # the hook is spoken and read by then; the very first frame has no caption yet
_EARLIEST = timedelta(days=2)  # before its slot: a Reel is not looked for among earlier ones
_LISTED_WITHIN = timedelta(hours=2)  # a published Reel that the listing does not show by then was taken away


class InstagramPoster:
    """Posts on the piece's account.

    Args:
        media_public_url: where the media store is reached from outside, for Instagram to fetch videos there; None
            has them uploaded.
    """

    def __init__(
        self,
        instagram: PerAccount[InstagramClient],
        *,
        clock: Clock,
        media: MediaStore,
        policy: Policy,
        media_public_url: str | None,
    ) -> None:
        self._instagram = instagram
        self._clock = clock
        self._media = media
        self._policy = policy
        self._media_public_url = media_public_url

    def compose(self, material: Material) -> Composed:
        sha256 = material.video_sha256()
        text = caption_text(
            material.script(), hub_url=material.hub_url, link_url=material.link_url, policy=self._policy
        )
        refuse_undisclosed(check_description(text.caption, self._policy))
        thumbnail = material.artifacts.get("thumbnail")
        # Instagram takes a picture only from an address; of what is uploaded it shows a frame.
        cover = None if thumbnail is None or self._media_public_url is None else thumbnail.sha256
        upload = _Upload(text, affiliate_reel_flags(), sha256, cover, material.piece.slot_at, material.link)
        instagram = self._instagram.of(material.account.account_id)
        act = ReelAct(instagram, self._clock, self._media, upload, self._media_public_url)
        return Composed(act, upload.looks(), upload.trace())

    def asking(self, account_id: str) -> Act:
        return ReelAct(self._instagram.of(account_id), self._clock, None, None, None)

    def url(self, remote_id: str, account_id: str) -> str:
        """Asks Instagram: an address cannot be made from an id."""
        return self._instagram.of(account_id).fetch_reel(remote_id).permalink

    def seen_limit(self, account: Account) -> SeenLimit | None:
        """The number of posts differs by account, and others may post there, too."""
        limit = self._instagram.of(account.account_id).publishing_limit()
        return SeenLimit("content_publishing_limit", limit.total, limit.used, limit.window)


@dataclass(frozen=True)
class _Upload:
    """A Reel as it goes out."""

    text: CaptionText
    flags: InstagramFlags
    sha256: str
    cover: str | None
    slot_at: datetime
    link: Link

    def looks(self) -> dict[str, Any]:
        """What the post looks like: what may not change once it may have happened."""
        return {
            "caption": self.text.caption,
            "flags": self.flags.as_disclosures(),
            "video": self.sha256,
            "cover": self.cover,
            "cover_frame_ms": _COVER_FRAME_MS if self.cover is None else None,
            "slot_at": self.slot_at.isoformat(),
        }

    def trace(self) -> dict[str, Any]:
        """By what the post is known again."""
        return {
            "title": self.text.title,
            "description": self.text.caption,
            "disclosures": self.flags.as_disclosures(),
            "marker": f"/r/{self.link.code}",
            "prepared_at": (self.slot_at - _EARLIEST).isoformat(),
        }


class ReelAct:
    """A Reel on Instagram. The handle is a container, which lives 24 hours and is published at most once.

    ``media`` and ``upload`` are None where the act is only asked (``reconcile``).
    """

    def __init__(
        self,
        instagram: InstagramClient,
        clock: Clock,
        media: MediaStore | None,
        upload: _Upload | None,
        media_public_url: str | None,
    ) -> None:
        self._instagram = instagram
        self._clock = clock
        self._media = media
        self._upload = upload
        self._media_public_url = media_public_url

    def prepare(self) -> dict[str, Any]:
        assert self._upload is not None and self._media is not None  # noqa: S101, PT018 - asked acts do not prepare
        upload, media = self._upload, self._media
        reel = Reel(
            caption=upload.text.caption,
            share_to_feed=upload.flags.share_to_feed,
            is_ai_generated=upload.flags.is_ai_generated,
            is_paid_partnership=upload.flags.is_paid_partnership,
            cover_url=self._public_url(upload.cover) if upload.cover is not None else None,
            thumb_offset_ms=_COVER_FRAME_MS,
        )
        prepared_at = self._clock.now()
        video_url = self._public_url(upload.sha256)
        container = self._instagram.create_container(reel, video_url=video_url)
        if video_url is None:
            self._instagram.upload(container, media.path(upload.sha256))
        # Waited for here, where nothing is visible yet: whether it is still in time, and still wanted, is asked after.
        with suppress(VendorUnavailable):
            self._instagram.wait_until_processed(container)
        return {
            **upload.trace(),
            "container_id": container,
            "sha256": upload.sha256,
            "prepared_at": prepared_at.isoformat(),
        }

    def _public_url(self, sha256: str) -> str | None:
        """Where Instagram can fetch a file of the media store; None where nobody outside can."""
        if self._media_public_url is None or self._media is None:
            return None
        where = self._media.path(sha256).relative_to(self._media.root).as_posix()
        return f"{self._media_public_url.rstrip('/')}/{where}"

    def commit(self, handle: dict[str, Any]) -> Receipt:
        container = handle["container_id"]
        status = self._instagram.container_status(container)
        if status.code == "IN_PROGRESS":
            raise VendorUnavailable(
                "Instagram is still processing the video; run again.", vendor=_VENDOR, code="IN_PROGRESS"
            )
        if status.code == "ERROR":
            if could_not_fetch(status):
                raise RouteClosed(
                    f"Instagram could not fetch the video ({status.detail}): let facebookexternalhit read all below "
                    "EMPIRE_MEDIA_PUBLIC_URL, its robots.txt included, or unset it to have videos uploaded.",
                    vendor=_VENDOR,
                    code="ERROR",
                )
            if failed_for_good(status):
                raise VendorRefused(
                    f"Instagram cannot use the video ({status.detail}): render it anew.", vendor=_VENDOR, code="ERROR"
                )
            # Asked next time, the container says that it is dead, and a new one is made.
            raise VendorUnavailable(
                f"Instagram could not process the video ({status.detail}); run again.", vendor=_VENDOR, code="ERROR"
            )
        if status.code != "FINISHED":
            raise ReplyLost(
                f"The container {container} is {status.code.lower()} already; run again.",
                vendor=_VENDOR,
                code=status.code,
            )
        try:
            media_id = self._instagram.publish(container)
        except ContainerNotPublishable as error:
            # Since it was seen finished it was published, or it expired: the container says which.
            raise ReplyLost(str(error), vendor=error.vendor, code=error.code) from error
        try:
            return self._receipt(handle, self._instagram.fetch_reel(media_id))
        except (VendorUnavailable, VendorRefused) as error:
            # It is public; where it is seen is read again when the container is asked.
            raise ReplyLost(str(error), vendor=error.vendor, code=error.code) from error

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        look_at = f"the Instagram account, for a Reel named {handle['title']!r}"
        status = None if RESTORED in handle else self._status(handle["container_id"])
        # A listing may prove that the Reel is there, never that it is not: a status that lags behind is overruled.
        prepared_at = datetime.fromisoformat(handle["prepared_at"])
        reel = self._instagram.find_by_caption(handle["marker"], since=prepared_at)
        if reel is not None:
            return self._receipt(handle, reel)
        if status is None:
            return StillUnknown(look_at)
        if status.code in ("ERROR", "EXPIRED"):
            return Gone()
        if status.code != "PUBLISHED":
            return NotDone()
        if self._clock.now() < prepared_at + _LISTED_WITHIN:
            raise VendorUnavailable(
                "Instagram published the Reel and does not list it yet; run again.", vendor=_VENDOR, code="PUBLISHED"
            )
        return StillUnknown(look_at)

    def _status(self, container: str) -> ContainerStatus:
        """A container's status; where it is to be published next, that is waited for, as in ``prepare``."""
        if self._upload is not None:
            with suppress(VendorUnavailable):
                return self._instagram.wait_until_processed(container)
        return self._instagram.container_status(container)

    def _receipt(self, handle: dict[str, Any], reel: PublishedReel) -> Receipt:
        return Receipt(
            remote_id=reel.media_id,
            result={
                "url": reel.permalink,
                "title": handle["title"],
                "description": handle["description"],
                "disclosures": handle["disclosures"],
                "published_at": reel.published_at.isoformat(),
            },
        )
