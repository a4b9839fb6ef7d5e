"""Read how the publications fare: what their platforms count, and whether they let them stand.

Every reading is a snapshot that stays, with the definition of the count in force. Engagement and watch time on YouTube
come from another API, days late: a snapshot holds what was known when it was taken. The blog has no counter of its own;
its outcome is clicks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import ColumnElement, select
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import EmpireError, Misconfigured
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import MetricSnapshot, Publication
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.hold_account import hold_account
from affiliate_empire.operations.patience import read
from affiliate_empire.planning.timetable import RESTATED_DAYS
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.counts import PostCounts, PostState
from affiliate_empire.vendors.errors import (
    AccountRestricted,
    CredentialsRejected,
    GrantEnded,
    RouteClosed,
    VendorError,
    VendorRefused,
)
from affiliate_empire.vendors.youtube_analytics import YouTubeAnalyticsClient

_STANDING = ("public", "processing")
_APP = {"youtube": "YouTube Studio", "tiktok": "the TikTok app", "instagram": "the Instagram app"}


class MetricsReader(Protocol):
    """What every platform's client offers; posts that are gone are missing from the counts."""

    def fetch_counts(self, ids: Sequence[str], /) -> dict[str, PostCounts]: ...

    def fetch_states(self, ids: Sequence[str], /) -> dict[str, PostState]: ...


@dataclass
class MetricsSync:
    """How many snapshots were kept, and what is wrong with publications or platforms, a sentence each."""

    snapshots: int = 0
    problems: list[str] = field(default_factory=list)


def sync_metrics(
    *,
    ledger: Ledger,
    readers: Mapping[str, PerAccount[MetricsReader]],
    analytics: PerAccount[YouTubeAnalyticsClient],
    clock: Clock,
    policy: Policy,
    before: Mapping[str, Callable[[str], object]] | None = None,
) -> MetricsSync:
    """Keep a snapshot of each post that is public and was published in the last 60 days.

    A post that its platform took down, rejected or no longer knows raises an alert, once. An account that cannot
    be read is a problem of its own and leaves the others their snapshots; one without publications is never asked. One
    whose access is rejected is held until it is connected again, one that is restricted until its owner's word.

    Args:
        readers: by platform; a platform without one has no counters.
        analytics: engagement of YouTube's videos.
        before: by platform, what is to be found out about an account's publications before they are read.

    Raises:
        VendorUnavailable, VendorRefused, Misconfigured: no account at all could be read.
    """
    now, done = clock.now(), MetricsSync()
    failures: list[EmpireError] = []
    asked = 0
    for platform, account_id in _accounts(readers, now, ledger):
        asked += 1
        try:
            reader = readers[platform].of(account_id)
            if before and platform in before:
                before[platform](account_id)
            publications = _watched(account_id, now, ledger)
            ids = [publication.remote_id for publication in publications]
            counts, states = read(reader.fetch_counts, ids), read(reader.fetch_states, ids)
        except (VendorError, Misconfigured) as error:
            failures.append(error)
            done.problems.append(_unread(account_id, account_id, error, now, ledger))
            continue
        if platform == "youtube":
            try:
                counts = _with_engagement(counts, publications, analytics.of(account_id), now)
            except (VendorError, Misconfigured) as error:
                done.problems.append(_unread(f"YouTube Analytics of {account_id}", account_id, error, now, ledger))
        _keep(publications, counts, policy.metric_definition(platform, now.date()), now, ledger)
        done.snapshots += sum(publication.remote_id in counts for publication in publications)
        done.problems += _fallen(publications, states, now, ledger)
    if failures and len(failures) == asked:
        raise failures[0]
    return done


def _accounts(platforms: Collection[str], now: datetime, ledger: Ledger) -> list[tuple[str, str]]:
    """Platform and id of the accounts that have publications to look at."""
    query = (
        select(Publication.platform, Publication.account_id)
        .where(Publication.platform.in_(platforms), *_recent(now))
        .distinct()
        .order_by(Publication.platform, Publication.account_id)
    )
    with ledger.begin() as session:
        return [(row.platform, row.account_id) for row in session.execute(query)]


def _watched(account_id: str, now: datetime, ledger: Ledger) -> list[Publication]:
    """The publications of an account to look at, oldest first."""
    query = (
        select(Publication)
        .where(Publication.account_id == account_id, *_recent(now))
        .order_by(Publication.published_at, Publication.publication_id)
    )
    with ledger.begin() as session:
        return list(session.scalars(query))


def _recent(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Publication.published_at <= now,
        Publication.published_at > now - timedelta(days=RESTATED_DAYS),
        Publication.takedown_reason.is_(None),  # what shall go is not ours any more
    )


def _with_engagement(
    counts: dict[str, PostCounts], publications: list[Publication], analytics: YouTubeAnalyticsClient, now: datetime
) -> dict[str, PostCounts]:
    """The counts with what Analytics knows of them by now; its days begin some hours after those of UTC."""
    first = min(publication.published_at for publication in publications) - timedelta(days=1)
    engagement = read(analytics.fetch_engagement, list(counts), since=first.date(), until=now.date())
    return counts | {
        video_id: replace(
            counts[video_id],
            shares=seen.shares,
            engaged_views=seen.engaged_views,
            watch_seconds=seen.watch_seconds,
            raw=counts[video_id].raw | {"analytics": seen.raw},
        )
        for video_id, seen in engagement.items()
    }


def _keep(
    publications: list[Publication], counts: Mapping[str, PostCounts], definition: str, now: datetime, ledger: Ledger
) -> None:
    snapshots = [
        {
            "publication_id": publication.publication_id,
            "observed_at": now,
            "definition": definition,
            "views": seen.views,
            "likes": seen.likes,
            "comments": seen.comments,
            "shares": seen.shares,
            "engaged_views": seen.engaged_views,
            "watch_seconds": seen.watch_seconds,
            "raw": seen.raw,
        }
        for publication in publications
        if (seen := counts.get(publication.remote_id)) is not None
    ]
    if snapshots:
        with ledger.begin() as session:
            session.execute(insert(MetricSnapshot).values(snapshots).on_conflict_do_nothing())


def _fallen(
    publications: list[Publication], states: Mapping[str, PostState], now: datetime, ledger: Ledger
) -> list[str]:
    """Posts that do not stand: a sentence and an alert each."""
    problems = []
    for publication in publications:
        state = states.get(publication.remote_id, PostState("gone"))
        if state.standing in _STANDING:
            continue
        what = "is gone" if state.standing == "gone" else f"was rejected ({state.reason or 'no reason given'})"
        problems.append(tell_of_fallen(publication, what, now, ledger))
    return problems


def tell_of_fallen(publication: Publication, what: str, now: datetime, ledger: Ledger) -> str:
    """Tell the owner, once, that a post does not stand; returns the sentence."""
    where = _APP.get(publication.platform, publication.platform)
    problem = f"The post {publication.url} of {publication.account_id} {what}: look at it in {where}."
    raise_alert(
        publication.publication_id,
        what,
        severity="high",
        subject="a published post does not stand",
        message=problem,
        at=now,
        ledger=ledger,
    )
    return problem


def _unread(source: str, account_id: str, error: EmpireError, now: datetime, ledger: Ledger) -> str:
    """An account that could not be read; what will not mend by itself is an alert, once a day.

    One whose access was rejected, or that its platform restricts, could not post either: it is held, which is told
    once. A scope that only reading needs holds up no posts.
    """
    problem = f"{source} was not read: {error}"
    if isinstance(error, AccountRestricted | GrantEnded) or (
        source == account_id and isinstance(error, CredentialsRejected) and not isinstance(error, RouteClosed)
    ):
        hold_account(account_id, error, ledger=ledger, at=now)
    elif isinstance(error, VendorRefused | Misconfigured):
        raise_alert(
            "metrics", source, now.date(), severity="high", subject=f"{source}: metrics are not read",
            message=problem, at=now, ledger=ledger,
        )  # fmt: skip
    return problem
