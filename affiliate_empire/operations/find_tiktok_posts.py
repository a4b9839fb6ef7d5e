"""Find the posts that TikTok made of what it was sent: their ids, addresses and times come minutes to hours later.

Until then a publication bears its publish id. A draft has no post before a person has posted it in the app: the owner
gets an alert with what to do there. Posts that fail in TikTok's processing are ``operations.sync_metrics``'s to report.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Alert, Publication
from affiliate_empire.operations.patience import read
from affiliate_empire.vendors.tiktok import PublicVideo, TikTokClient, is_publish_id

_SOUGHT = timedelta(days=60)  # as long as a publication's metrics are read


def find_tiktok_posts(*, ledger: Ledger, tiktok: TikTokClient, clock: Clock) -> int:
    """Give every publication that still bears a publish id its post's id, address and time; returns how many got one.

    Raises:
        VendorUnavailable, VendorRefused: as the client's; what was found before stands.
    """
    with ledger.begin() as session:
        recent = select(Publication).where(
            Publication.platform == "tiktok", Publication.published_at > clock.now() - _SOUGHT
        )
        sought = [one for one in session.scalars(recent) if is_publish_id(one.remote_id)]
    found = 0
    for publication in sought:
        status = read(tiktok.fetch_status, publication.remote_id)
        if status.status == "SEND_TO_USER_INBOX":
            _tell_of_draft(ledger, publication, clock)
        if status.post_id is None:
            continue
        video = read(tiktok.fetch_public_videos, [status.post_id]).get(status.post_id)
        if video is not None:  # otherwise it was hidden meanwhile: it is looked for again
            _save(ledger, publication, status.post_id, video)
            found += 1
    return found


def _save(ledger: Ledger, publication: Publication, post_id: str, video: PublicVideo) -> None:
    unchanged = (
        Publication.publication_id == publication.publication_id,
        Publication.remote_id == publication.remote_id,
    )
    with ledger.begin() as session:
        session.execute(
            update(Publication).where(*unchanged).values(remote_id=post_id, url=video.url, published_at=video.posted_at)
        )


def _tell_of_draft(ledger: Ledger, publication: Publication, clock: Clock) -> None:
    alert = insert(Alert).values(
        alert_id=derived_id("al", "draft", publication.publication_id),
        severity="medium",
        subject="tiktok: a draft waits in the inbox",
        message=(
            f"The draft of {publication.title!r} waits in the TikTok inbox of {publication.account_id}: post it there "
            'with "AI-generated content" and "Branded content" switched on and this caption.\n\n'
            f"{publication.description}"
        ),
        raised_at=clock.now(),
    )
    with ledger.begin() as session:
        session.execute(alert.on_conflict_do_nothing())
