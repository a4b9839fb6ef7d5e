"""Find the posts that TikTok made of what it was sent: their ids, addresses and times come minutes to hours later.

Until then a publication bears its publish id. A draft has no post before a person has posted it in the app: the owner
gets an alert with what to do there. A publish that failed in TikTok's processing was never out: its publication is
marked as taken down, and what the failure says of the account is heeded as a refusal before the post would be. One that
TikTok knows no more may be out: the owner gets an alert, which is also the memory that it need not be asked again.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Alert, Publication
from affiliate_empire.operations.account_limits import keep_refusal
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.hold_account import hold_account
from affiliate_empire.operations.patience import read
from affiliate_empire.operations.take_down import mark_unpublished
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.errors import (
    AccountRestricted,
    CredentialsRejected,
    QuotaExhausted,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.tiktok import PublicVideo, TikTokClient, is_publish_id

_SOUGHT = timedelta(days=60)  # as long as a publication's metrics are read
_HOLDS = timedelta(hours=24)  # TikTok's window of posts


def find_tiktok_posts(account_id: str, *, ledger: Ledger, tiktok: TikTokClient, clock: Clock, policy: Policy) -> int:
    """Give an account's publications that still bear a publish id their posts' ids, addresses and times.

    The newest are asked first, and no more than ``policy.tiktok_status_reads``; a publish that ended without a post is
    asked once. Returns how many got an id.

    Raises:
        VendorUnavailable: as the client's; what was found before stands.
        CredentialsRejected, AccountRestricted, QuotaExhausted: likewise; any other refusal is one publish's own.
    """
    with ledger.begin() as session:
        recent = (
            select(Publication)
            .where(
                Publication.account_id == account_id,
                Publication.published_at > clock.now() - _SOUGHT,
                Publication.takedown_reason.is_(None),
            )
            .order_by(Publication.published_at.desc(), Publication.publication_id)
        )
        sought = [one for one in session.scalars(recent) if is_publish_id(one.remote_id)]
        alerts = {derived_id("al", *_unknown(one)): one.publication_id for one in sought}
        unknown = {alerts[told] for told in session.scalars(select(Alert.alert_id).where(Alert.alert_id.in_(alerts)))}
    sought = [one for one in sought if one.publication_id not in unknown]
    found = 0
    for publication in sought[: policy.tiktok_status_reads]:
        try:
            status = read(tiktok.fetch_status, publication.remote_id)
        except (CredentialsRejected, AccountRestricted, QuotaExhausted):
            raise
        except VendorRefused as error:
            if error.code == "invalid_publish_id":
                _tell_of_end(
                    *_unknown(publication), ledger=ledger, publication=publication, clock=clock,
                    what="is not known to TikTok any more: look for it in the TikTok app",
                )  # fmt: skip
            continue
        if status.status == "FAILED" and status.post_id is None:
            reason = status.fail_reason or "no reason given"
            _heed(tiktok.failure(status.fail_reason), publication, ledger, clock, policy)
            _tell_of_end(
                "tiktok publish ended", publication.publication_id, ledger=ledger, publication=publication, clock=clock,
                what=f"was rejected after it was sent ({reason}): it is not out, and counts as taken down; look at the "
                "video before more of its kind are made",
            )  # fmt: skip
            # Last: a process that dies before is made up for by the next call.
            mark_unpublished(publication, f"TikTok did not publish it: {reason}", ledger=ledger, at=clock.now())
            continue
        if status.status == "SEND_TO_USER_INBOX":
            _tell_of_draft(ledger, publication, clock)
        if status.post_id is None:
            continue
        video = read(tiktok.fetch_public_videos, [status.post_id]).get(status.post_id)
        if video is not None:  # otherwise it was hidden meanwhile: it is looked for again
            _save(ledger, publication, status.post_id, video)
            found += 1
    return found


def _unknown(publication: Publication) -> tuple[str, str]:
    """The cause of the alert that TikTok knows a publish no more."""
    return "tiktok publish unknown", publication.publication_id


def _heed(
    failure: VendorRefused | VendorUnavailable, publication: Publication, ledger: Ledger, clock: Clock, policy: Policy
) -> None:
    """Keep what a failure says of the account, as if it had refused the post; what is a day old holds no more."""
    if clock.now() >= publication.published_at + _HOLDS:
        return
    if isinstance(failure, QuotaExhausted):
        keep_refusal(publication.account_id, failure, ledger=ledger, at=clock.now(), policy=policy)
    elif isinstance(failure, AccountRestricted):
        hold_account(publication.account_id, failure, ledger=ledger, at=clock.now())


def _tell_of_end(*cause: str, what: str, publication: Publication, ledger: Ledger, clock: Clock) -> None:
    raise_alert(
        *cause,
        severity="high",
        subject="a published post does not stand",
        message=f"The video {publication.title!r} of {publication.account_id} {what}.",
        at=clock.now(),
        ledger=ledger,
    )


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
