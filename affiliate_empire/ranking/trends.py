"""Trends: what is asked for, what the answers say, and how far they move a score.

Pure. How interest is fetched is ``affiliate_empire.vendors.google_trends``'s. Google tells shares of the highest point
of one request, so figures of different requests cannot be compared; what counts is how each term rises against itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

import pandas as pd

from affiliate_empire.catalog.niches import UNCATEGORISED
from affiliate_empire.policy import TrendRule
from affiliate_empire.ranking.frames import TREND_COLUMNS, TrendSignals

# Points of interest that a term needs for its rise to weigh as much as the expectation that nothing has changed: small
# figures are whole numbers of a sample, and a rise from 1 to 2 says nothing.
_POINTS_OF_PRIOR = 10.0
# However loud a trend is, it orders products whose earnings are close; it never carries one that does not sell.
LOWEST, HIGHEST = 0.75, 1.5

_WORDS_OF_TERM = 5
_ADDITION = re.compile(r",|\(| with | for | - |:|\|", re.IGNORECASE)


class Point(Protocol):
    """Searches on a day, 0 to 100; partial while the day lasts."""

    @property
    def day(self) -> date: ...
    @property
    def value(self) -> int: ...
    @property
    def partial(self) -> bool: ...


@dataclass(frozen=True)
class Term:
    """What is asked for. ``subject`` is the niche or the product id that the answer speaks of."""

    keyword: str
    kind: str  # niche | product
    subject: str


def terms_to_ask(ranked: pd.DataFrame, rule: TrendRule) -> list[list[Term]]:
    """The requests of a refresh: the niches by their best product, then the best products; eligible ones only.

    Args:
        ranked: ``RankedProducts``, best first.
        rule: how many requests, and how many terms each.
    """
    eligible = ranked[ranked["eligible"]]
    niches = [niche for niche in eligible["niche"].unique() if niche != UNCATEGORISED]
    asked: set[str] = set()
    requests: list[list[Term]] = []
    for terms, number in (
        ((Term(niche.replace("-", " "), "niche", niche) for niche in niches), rule.niche_requests),
        (
            (
                Term(search_term(title), "product", product_id)
                for product_id, title in zip(eligible["product_id"], eligible["title"], strict=True)
            ),
            rule.product_requests,
        ),
    ):
        chosen = _different(terms, asked, number * rule.keywords_per_request)
        requests += [
            chosen[start : start + rule.keywords_per_request]
            for start in range(0, len(chosen), rule.keywords_per_request)
        ]
    return requests


def _different(terms: Iterable[Term], asked: set[str], most: int) -> list[Term]:
    chosen: list[Term] = []
    for term in terms:
        if len(chosen) == most:
            break
        if term.keyword and term.keyword not in asked:
            asked.add(term.keyword)
            chosen.append(term)
    return chosen


def search_term(title: str) -> str:
    """What people type who look for a product: its name without additions, sizes and numbers; may be empty.

    ``Burr Coffee Grinder, 18 Settings`` is ``burr coffee grinder``.
    """
    name = _ADDITION.split(title)[0].lower()
    words = [word for word in re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", name) if len(word) > 1]
    # What it is stands at the end of a name.
    return " ".join([word for word in words if not any(c.isdigit() for c in word)][-_WORDS_OF_TERM:])[:100].strip()


def signals_of(
    terms: Sequence[Term], points: Mapping[str, Sequence[Point]], rule: TrendRule, *, source: str, observed_at: datetime
) -> pd.DataFrame:
    """One request's answer as ``TrendSignals``, in the order of the terms. A day that still lasts does not count."""
    rows = []
    for term in terms:
        whole = [point for point in points.get(term.keyword, []) if not point.partial]
        last = max((point.day for point in whole), default=date.min)
        recently = [point.value for point in whole if last - point.day < timedelta(days=rule.recent_days)]
        before = [
            point.value
            for point in whole
            if timedelta(days=rule.recent_days)
            <= last - point.day
            < timedelta(days=rule.recent_days + rule.before_days)
        ]
        interest, earlier = _mean(recently), _mean(before)
        rows.append(
            {
                "keyword": term.keyword,
                "kind": term.kind,
                "subject": term.subject,
                "source": source,
                "interest": interest,
                "interest_before": earlier,
                "rise": interest / earlier - 1 if earlier else float("nan"),
                "observed_at": observed_at,
            }
        )
    frame = pd.DataFrame(rows, columns=TREND_COLUMNS)
    frame["observed_at"] = pd.to_datetime(frame["observed_at"], utc=True)
    return TrendSignals.validate(frame)


def no_trends() -> pd.DataFrame:
    """``TrendSignals`` without a row: nothing is known."""
    frame = pd.DataFrame(columns=TREND_COLUMNS)
    return TrendSignals.validate(frame.assign(observed_at=pd.to_datetime(frame["observed_at"], utc=True)))


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def trend_factors(products: pd.DataFrame, trends: pd.DataFrame) -> pd.DataFrame:
    """How far trends move each product's score: columns ``trend`` (a factor) and ``trend_as_of``, on the same index.

    ``niche = (interest + k) / (before + k)``, ``product = (interest + k × niche) / (before + k)``, within bounds: a
    product leans on its niche as far as it is searched for little itself, and a niche on 1. Where nothing was asked,
    the factor is 1 and there is no ``trend_as_of``.

    Args:
        products: with ``product_id`` and ``niche``.
        trends: ``TrendSignals``; may be empty.
    """
    k = _POINTS_OF_PRIOR

    def of(kind: str, subjects: pd.Series) -> pd.DataFrame:
        asked = trends[trends["kind"] == kind].drop_duplicates("subject").set_index("subject")
        return asked[["interest", "interest_before", "observed_at"]].reindex(subjects).set_axis(products.index)

    niche, product = of("niche", products["niche"]), of("product", products["product_id"])
    of_niche = ((niche["interest"] + k) / (niche["interest_before"] + k)).fillna(1.0)
    own = (product["interest"].fillna(0.0) + k * of_niche) / (product["interest_before"].fillna(0.0) + k)
    as_of = product["observed_at"].fillna(niche["observed_at"])
    return pd.DataFrame({"trend": own.clip(LOWEST, HIGHEST).astype("float64"), "trend_as_of": as_of})
