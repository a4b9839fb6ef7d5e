"""Trending topics: which of them a niche of the catalogue can speak to, and which niches go to test.

A topic belongs to the niche whose products carry its words in their names, if no word of the topic is left over and no
other niche carries them as often. So a storm or a playoff is nobody's, and neither is what several niches sell alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol

import pandas as pd

from affiliate_empire.catalog.niches import UNCATEGORISED
from affiliate_empire.policy import TopicRule
from affiliate_empire.ranking.frames import TOPIC_COLUMNS, TrendingTopics

_SMALL_WORDS = frozenset(("a", "an", "and", "at", "best", "buy", "deals", "for", "in", "of", "on", "the", "to", "with"))


class Topic(Protocol):
    """A trending search, with the least number of searches stated."""

    @property
    def title(self) -> str: ...
    @property
    def traffic(self) -> int: ...
    @property
    def published_at(self) -> datetime: ...


def niches_to_test(
    topics: Sequence[Topic],
    products: pd.DataFrame,
    last_published: Mapping[str, date],
    rule: TopicRule,
    *,
    as_of: date,
    observed_at: datetime,
) -> pd.DataFrame:
    """What trends, whose niche it is, and which niches go to test: those most searched for that have rested.

    Args:
        topics: as the feed told them; of two of one title the first counts.
        products: what can be sold now: ``title`` and ``niche``.
        last_published: the last day on which each niche was published, of niches that ever were.
        rule: how many niches, and how long they must have rested.
        as_of: the day of the decision.
        observed_at: when the feed was read.

    Returns:
        ``TrendingTopics``, most searched for first.
    """
    names = _words_by_niche(products)
    by_title = {topic.title.casefold(): topic for topic in reversed(topics)}
    rows: list[dict[str, Any]] = []
    for topic in sorted(by_title.values(), key=lambda topic: (-topic.traffic, topic.title)):
        niche, matched = _niche_of(topic.title, names)
        rows.append(
            {
                "topic": topic.title,
                "traffic": topic.traffic,
                "published_at": topic.published_at,
                "niche": niche,
                "matched": " ".join(matched),
                "observed_at": observed_at,
            }
        )
    rested = as_of - timedelta(days=rule.rested_days)
    searches: Counter[str] = Counter()
    for row in rows:
        if row["niche"] and last_published.get(row["niche"], date.min) < rested:
            searches[row["niche"]] += row["traffic"]
    chosen = sorted(searches, key=lambda niche: (-searches[niche], niche))[: rule.niches_on_test]
    for row in rows:
        row["on_test"] = row["niche"] in chosen
        row["reason"] = _reason(row["niche"], chosen, searches, last_published, rule)
    frame = pd.DataFrame(rows, columns=TOPIC_COLUMNS)
    for column in ("published_at", "observed_at"):
        frame[column] = pd.to_datetime(frame[column], utc=True)
    return TrendingTopics.validate(frame)


def _reason(
    niche: str,
    chosen: Sequence[str],
    searches: Mapping[str, int],
    last_published: Mapping[str, date],
    rule: TopicRule,
) -> str:
    if not niche:
        return "no niche of the catalogue sells it"
    if niche in chosen:
        return f"{niche} goes to test: {searches[niche]:,} searches, not published in {rule.rested_days} days"
    if niche not in searches:
        return f"{niche} was published on {last_published[niche]}, less than {rule.rested_days} days ago"
    return f"{' and '.join(chosen)} {'are' if len(chosen) > 1 else 'is'} searched for more than {niche}"


def _words_by_niche(products: pd.DataFrame) -> dict[str, Counter[str]]:
    """How many products of a niche carry a word in their names; the niche's own name counts as one."""
    names: dict[str, Counter[str]] = {}
    for niche, title in zip(products["niche"], products["title"], strict=True):
        if niche != UNCATEGORISED:
            names.setdefault(niche, Counter(_words(niche))).update(_words(title))
    return names


def _niche_of(topic: str, names: Mapping[str, Counter[str]]) -> tuple[str, list[str]]:
    words = sorted(_words(topic))
    carried = {niche: min(of[word] for word in words) for niche, of in names.items()} if words else {}
    # The rarest of its words decides; where that is equal, how often they are carried together.
    best = sorted(
        ((least, sum(names[niche][word] for word in words), niche) for niche, least in carried.items() if least),
        reverse=True,
    )
    if not best or (len(best) > 1 and best[0][:2] == best[1][:2]):
        return "", []
    return best[0][2], words


def _words(text: str) -> set[str]:
    """Its words, plural like singular."""
    words = {word for word in re.findall(r"[^\W\d_]+", text.lower()) if len(word) > 1} - _SMALL_WORDS
    return {word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word for word in words}
