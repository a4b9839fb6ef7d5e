"""What is left to do for a video that YouTube accepted: hear what it made of it, and give it its cover.

An accepted upload is not a published one: processing may fail, and YouTube may reject the video as a duplicate or for
its content. The cover can be set only when processing is complete. Each cover is an effect of its own, so that it can
neither fail nor repeat the post it belongs to; setting the same picture twice changes nothing, so its handle is always
safe to commit again. Where the account requires approval, only the cover that was approved with the video is set.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from affiliate_empire.effects import EffectKind, Effects, Intent, NotApproved, NotDone, Receipt, State, Verdict
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact, Effect, Publication
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.approvals import consent_to_cover
from affiliate_empire.operations.patience import read
from affiliate_empire.operations.sync_metrics import tell_of_fallen
from affiliate_empire.vendors.errors import CredentialsRejected, QuotaExhausted, VendorRefused
from affiliate_empire.vendors.youtube import YouTubeClient

OPERATION = "cover"
_WATCHED = timedelta(days=2)  # processing takes minutes; a full quota opens again within a day
_PUBLIC_WITHIN = timedelta(hours=1)  # of its time: a scheduled video that is still private then stays so
_ENDED = (State.SETTLED, State.UNKNOWN)


def finish_youtube_videos(
    account_id: str, *, ledger: Ledger, effects: Effects, youtube: YouTubeClient, media: MediaStore, clock: Clock
) -> int:
    """Look at an account's videos of the last two days, those that are not public yet included.

    Returns how many got a cover.

    A video that failed in processing, was rejected, or is still private after its time raises an alert, once. A cover
    that YouTube refuses is told once and not tried again; one that is not approved is told once and set if it is made
    again as it was approved; what else keeps one back is tried by the next call.

    Raises:
        VendorUnavailable, VendorRefused: YouTube could not be asked how the videos stand.
    """
    now = clock.now()
    with ledger.begin() as session:
        videos = session.scalars(
            select(Publication)
            .where(
                Publication.account_id == account_id,
                Publication.published_at > now - _WATCHED,
                Publication.takedown_reason.is_(None),
            )
            .order_by(Publication.published_at, Publication.publication_id)
        ).all()
        thumbnails = select(Artifact).where(
            Artifact.piece_id.in_([video.piece_id for video in videos]), Artifact.step == "thumbnail"
        )
        covers = {thumbnail.piece_id: thumbnail.sha256 for thumbnail in session.scalars(thumbnails)}
        acts = {
            effect.key: effect
            for effect in session.scalars(
                select(Effect).where(Effect.key.in_([_key(video) for video in videos]), Effect.operation == OPERATION)
            )
        }
    states = read(youtube.fetch_status, [video.remote_id for video in videos]) if videos else {}
    done = 0
    for video in videos:
        state = states.get(video.remote_id)
        if state is None:
            continue  # listed late, or gone: which of them is found out once it should be public
        if state.upload_status not in ("uploaded", "processed"):
            what = f"was rejected ({state.upload_status}: {state.reason or 'no reason given'})"
            tell_of_fallen(video, what, now, ledger)
            continue
        if state.privacy_status == "private" and now > video.published_at + _PUBLIC_WITHIN:
            tell_of_fallen(video, "is still private after its time", now, ledger)
        cover, act = covers.get(video.piece_id), acts.get(_key(video))
        if state.upload_status != "processed" or cover is None or effects.read_only or _is_over(act):
            continue
        try:
            effects.perform(_intent(video, cover), _Cover(youtube, media, video.remote_id, cover))
            done += 1
        except (QuotaExhausted, CredentialsRejected):
            break  # every other one would hear the same
        except (VendorRefused, NotApproved) as refusal:
            raise_alert(
                "cover", video.publication_id, severity="low", subject="youtube: a video has no cover of ours",
                message=f"{video.url} keeps the frame that YouTube chose ({str(refusal).rstrip('.')}): set its cover "
                "in YouTube Studio.",
                at=now, ledger=ledger,
            )  # fmt: skip
        except EmpireError:
            continue  # nothing of the post hangs on it: the next call tries again
    return done


class _Cover:
    """Setting one video's cover."""

    def __init__(self, youtube: YouTubeClient, media: MediaStore, video_id: str, sha256: str) -> None:
        self._youtube = youtube
        self._media = media
        self._video_id = video_id
        self._sha256 = sha256

    def prepare(self) -> dict[str, Any]:
        return {"video_id": self._video_id, "sha256": self._sha256}

    def commit(self, handle: dict[str, Any]) -> Receipt:
        self._youtube.set_thumbnail(handle["video_id"], self._media.path(handle["sha256"]))
        return Receipt(remote_id=handle["video_id"])

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        return NotDone()  # whether it was set or not, setting it again is the same


def _key(video: Publication) -> str:
    return f"cover:{video.piece_id}:{video.account_id}"


def _intent(video: Publication, cover: str) -> Intent:
    return Intent(
        key=_key(video),
        kind=EffectKind.AT_MOST_ONCE,
        vendor="youtube",
        operation=OPERATION,
        fingerprint=cover,
        day=video.day,
        piece_id=video.piece_id,
        account_id=video.account_id,
        consent=consent_to_cover(video.piece_id, cover),
    )


def _is_over(act: Effect | None) -> bool:
    """Set already, refused for good, or a person's turn; a full quota is no word on the cover."""
    if act is None:
        return False
    return act.state in _ENDED or (act.state == State.REFUSED and (act.result or {}).get("refused") != "quota")
