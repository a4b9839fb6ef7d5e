"""Read how the publications fare: views, likes and comments, and whether the platform let them stand.

Every reading is a snapshot that stays. The blog has no counter of its own; its outcome is clicks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Alert, MetricSnapshot, Publication
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.youtube import YouTubeClient

_WATCHED = timedelta(days=60)  # as long as a cohort's results are restated
_STANDING = ("uploaded", "processed")


@dataclass(frozen=True)
class MetricsSync:
    """How many snapshots were kept, and what is wrong with publications, a sentence each."""

    snapshots: int
    problems: list[str]


def sync_metrics(*, ledger: Ledger, youtube: YouTubeClient, clock: Clock, policy: Policy) -> MetricsSync:
    """Keep a snapshot of each video that is public and was published in the last 60 days.

    A video that YouTube rejected, failed or no longer returns raises an alert, once.

    Raises:
        VendorUnavailable, VendorRefused: as the client's.
    """
    now = clock.now()
    with ledger.begin() as session:
        watched = session.scalars(
            select(Publication).where(
                Publication.platform == "youtube",
                Publication.published_at <= now,
                Publication.published_at > now - _WATCHED,
            )
        ).all()
    if not watched:
        return MetricsSync(0, [])
    ids = [publication.remote_id for publication in watched]
    statistics = youtube.fetch_statistics(ids)
    states = youtube.fetch_status(ids)
    definition = policy.metric_definition("youtube", now.date())
    snapshots, problems, alerts = [], [], []
    for publication in watched:
        state = states.get(publication.remote_id)
        if state is None or state.upload_status not in _STANDING:
            what = "is gone" if state is None else f"was {state.upload_status} ({state.reason or 'no reason given'})"
            problem = f"The video {publication.url} of {publication.account_id} {what}: look at it in YouTube Studio."
            problems.append(problem)
            alerts.append(
                {
                    "alert_id": derived_id("al", publication.publication_id, what),
                    "severity": "high",
                    "subject": "a published video does not stand",
                    "message": problem,
                    "raised_at": now,
                }
            )
        counts = statistics.get(publication.remote_id)
        if counts is not None:
            snapshots.append(
                {
                    "publication_id": publication.publication_id,
                    "observed_at": now,
                    "definition": definition,
                    "views": counts.views,
                    "likes": counts.likes,
                    "comments": counts.comments,
                    "raw": counts.raw,
                }
            )
    with ledger.begin() as session:
        if snapshots:
            session.execute(insert(MetricSnapshot).values(snapshots).on_conflict_do_nothing())
        if alerts:
            session.execute(insert(Alert).values(alerts).on_conflict_do_nothing())
    return MetricsSync(len(snapshots), problems)
