"""Ask Google Trends: the day's signals for niches and products, and the week's trending topics.

Every refresh of the signals is kept as a snapshot, and rankings use the newest that is not too old, so that an outage
of Google's is no outage of the day. Which niches a week tests is decided once, at its first call.
"""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
from sqlalchemy import func, select

from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.errors import BadInput, EmpireError
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Piece, Product, Publication
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.patience import read
from affiliate_empire.operations.snapshots import keep_snapshot, load_snapshot
from affiliate_empire.policy import TopicRule, TrendRule
from affiliate_empire.ranking import (
    TrendingTopics,
    TrendSignals,
    niches_to_test,
    no_trends,
    signals_of,
    terms_to_ask,
)
from affiliate_empire.vendors.google_trends import GoogleTrendsClient

SIGNALS, TOPICS = "trend_signals", "trending_topics"


class NeverObserved(EmpireError):
    """What trended on a day that has passed was asked for, and nobody asked Google then."""


def sync_trends(
    day: date,
    ranked: pd.DataFrame,
    *,
    google_trends: GoogleTrendsClient,
    ledger: Ledger,
    media: MediaStore,
    clock: Clock,
    rule: TrendRule,
) -> pd.DataFrame:
    """Ask how much the ranking's niches and best products are searched for, and keep the answer.

    All requests are answered or none is kept. ``TrendSignals``, niches first.

    Args:
        day: the business day, which is today.
        ranked: ``RankedProducts``; says what is worth asking for.

    Raises:
        VendorUnavailable, VendorRefused: neither source got an answer.
    """
    observed_at = clock.now()
    answers = []
    for terms in terms_to_ask(ranked, rule):
        keywords = [term.keyword for term in terms]
        told = read(google_trends.fetch_interest, keywords, rule.timeframe, geo=rule.geo)
        answers.append(signals_of(terms, told.points, rule, source=told.source, observed_at=observed_at))
    signals = pd.concat(answers, ignore_index=True) if answers else no_trends()
    keep_snapshot(SIGNALS, day, signals, ledger=ledger, media=media, at=observed_at)
    return signals


def load_trends(day: date, *, ledger: Ledger, media: MediaStore, rule: TrendRule) -> pd.DataFrame:
    """The newest ``TrendSignals`` of a day or of the few days before it; without rows where there are none."""
    found = load_snapshot(SIGNALS, day, ledger=ledger, media=media, or_days_before=rule.used_for_days)
    return no_trends() if found is None else TrendSignals.validate(found)


def load_day_s_trends(day: date, *, ledger: Ledger, media: MediaStore) -> pd.DataFrame:
    """The last ``TrendSignals`` observed on a day that has passed.

    Raises:
        NeverObserved: there are none; Google's figures of then are told on another scale today.
    """
    found = load_snapshot(SIGNALS, day, ledger=ledger, media=media)
    if found is None:
        raise NeverObserved(
            f"Nobody asked Google Trends on {day}, and it has no history of what it said then: "
            "rankings of that day go without; choose today."
        )
    return TrendSignals.validate(found)


def record_topics(
    monday: date,
    *,
    google_trends: GoogleTrendsClient,
    ledger: Ledger,
    media: MediaStore,
    clock: Clock,
    calendar: BusinessCalendar,
    rule: TopicRule,
) -> pd.DataFrame:
    """What trends and which niches go to test in a week: ``TrendingTopics``, decided and kept on the first call.

    Args:
        monday: the week.

    Raises:
        NeverObserved: the week has passed and was never decided.
        BadInput: there is no product to match topics with.
        VendorUnavailable, VendorRefused: Google's feed cannot be had.
    """
    recorded = load_snapshot(TOPICS, monday, ledger=ledger, media=media)
    if recorded is not None:
        return TrendingTopics.validate(recorded)
    now = clock.now()
    today = calendar.day_of(now)
    if today >= monday + timedelta(days=7):
        raise NeverObserved(
            f"The trending topics of the week of {monday} were never recorded, and Google's feed tells only today's: "
            "choose the week that runs."
        )
    products, last_published = _catalogue(ledger)
    if products.empty:
        raise BadInput("There is no product yet to match trending topics with: materialize products first.")
    topics = niches_to_test(
        read(google_trends.fetch_trending, rule.geo), products, last_published, rule, as_of=today, observed_at=now
    )
    keep_snapshot(TOPICS, monday, topics, ledger=ledger, media=media, at=now, once=True)
    kept = load_snapshot(TOPICS, monday, ledger=ledger, media=media)
    # Another process may have decided the same week first: its decision is the decision.
    return topics if kept is None else TrendingTopics.validate(kept)


def load_niches_on_test(day: date, *, ledger: Ledger, media: MediaStore) -> list[str]:
    """The niches that the day's week tests, most searched for first; empty when none was decided."""
    topics = load_snapshot(TOPICS, day - timedelta(days=day.weekday()), ledger=ledger, media=media)
    if topics is None:
        return []
    tested = topics[topics["on_test"]].groupby("niche")["traffic"].sum()
    return [str(niche) for niche in tested.sort_values(ascending=False, kind="stable").index]


def _catalogue(ledger: Ledger) -> tuple[pd.DataFrame, dict[str, date]]:
    """The products of the newest catalogue (``title``, ``niche``), and the last day that each niche was published."""
    with ledger.begin() as session:
        newest = select(func.max(Product.last_seen_day)).scalar_subquery()
        products = session.execute(
            select(Product.title, Product.niche).where(Product.last_seen_day == newest).order_by(Product.product_id)
        ).all()
        published = session.execute(
            select(Piece.niche, func.max(Publication.day))
            .join(Publication, Publication.piece_id == Piece.piece_id)
            .group_by(Piece.niche)
        ).all()
    return pd.DataFrame(products, columns=["title", "niche"]), {niche: day for niche, day in published}
