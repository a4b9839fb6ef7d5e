"""Posting a video on YouTube: always private, with its slot as the time at which YouTube makes it public.

After its slot the time is now, which publishes it as soon as it is accepted: a request never asks for "public", and a
flag that went missing can never mean it.

The handle is the upload session, which itself knows whether it was completed. What the video says is
``affiliate_empire.publishing``'s; that it goes up once is ``affiliate_empire.effects``'s.
"""

from __future__ import annotations

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
from affiliate_empire.publishing.flags import VideoFlags, affiliate_video_flags
from affiliate_empire.publishing.texts import VideoText, video_text
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.errors import ReplyLost
from affiliate_empire.vendors.youtube import Completed, Incomplete, UploadSessionGone, VideoMetadata, YouTubeClient

_CATEGORY = "26"  # YouTube's "Howto & Style"
_LANGUAGE = "en"
_EARLIEST = timedelta(days=2)  # before its slot: a post is not looked for in earlier uploads


class YouTubePoster:
    """Posts on the channel of the piece's account."""

    def __init__(self, youtube: PerAccount[YouTubeClient], *, clock: Clock, media: MediaStore, policy: Policy) -> None:
        self._youtube = youtube
        self._clock = clock
        self._media = media
        self._policy = policy

    def compose(self, material: Material) -> Composed:
        sha256 = material.video_sha256()
        text = video_text(material.script(), hub_url=material.hub_url, link_url=material.link_url, policy=self._policy)
        refuse_undisclosed(check_description(text.description, self._policy))
        upload = _Upload(text, affiliate_video_flags(), sha256, material.piece.slot_at, material.link)
        youtube = self._youtube.of(material.account.account_id)
        act = VideoAct(youtube, self._clock, self._media, upload)
        thumbnail = material.artifacts.get("thumbnail")
        # Beside what is sent: another cover makes no other video of one that may be out already. It is an act of its
        # own, which asks for approval itself (``operations.finish_youtube_videos``).
        cover = {"cover": None if thumbnail is None else thumbnail.sha256}
        return Composed(act, upload.looks(), upload.trace(), beside=cover)

    def asking(self, account_id: str) -> Act:
        return VideoAct(self._youtube.of(account_id), self._clock, None, None)

    def url(self, remote_id: str, account_id: str) -> str:
        return self._youtube.of(account_id).url(remote_id)

    def seen_limit(self, account: Account) -> SeenLimit | None:
        return None  # it says so only by refusing


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

    def trace(self) -> dict[str, Any]:
        """By what the post is known again."""
        return {
            "title": self.text.title,
            "description": self.text.description,
            "disclosures": self.flags.as_disclosures(),
            "publish_at": self.slot_at.isoformat(),
            "marker": f"/r/{self.link.code}",
            "prepared_at": (self.slot_at - _EARLIEST).isoformat(),
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
        publish_at = max(upload.slot_at, now)
        metadata = VideoMetadata(
            title=upload.text.title,
            description=upload.text.description,
            tags=upload.text.tags,
            category_id=_CATEGORY,
            language=_LANGUAGE,
            privacy_status=upload.flags.privacy_status,
            publish_at=publish_at,
            contains_synthetic_media=upload.flags.contains_synthetic_media,
            has_paid_product_placement=upload.flags.has_paid_product_placement,
            self_declared_made_for_kids=upload.flags.self_declared_made_for_kids,
            notify_subscribers=upload.flags.notify_subscribers,
        )
        return {
            **upload.trace(),
            "session_url": self._youtube.start_upload(metadata, size),
            "size": size,
            "sha256": upload.sha256,
            "publish_at": publish_at.isoformat(),
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
        if RESTORED not in handle:
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
