"""Google Trends: how much is searched for a few terms, and what is searched for most right now.

Interest comes from the Explore page's private endpoints, through pytrends (no longer maintained) and, when that gets no
answer, trendspyg, each with one attempt; trendspyg's browser engine is never used. Trending searches come from the
public RSS feed. Only reading happens here, so a lost reply may simply be asked for again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from affiliate_empire.vendors.errors import VendorError, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.http import is_loopback, open_http, retry_after, transport_failure

_VENDOR = "google_trends"
MOST_KEYWORDS = 5
_FEED_NAMESPACE = "{https://trends.google.com/trending/rss}"
_LARGEST_FEED = 4 * 1024 * 1024
_REFUSED = frozenset((400, 401, 403, 404, 405, 410))

# The libraries keep their addresses, and trendspyg its session, as state of the process: one call at a time.
_ONE_AT_A_TIME = threading.Lock()
_PYTRENDS_PATHS = {
    "GENERAL_URL": "/api/explore",
    "INTEREST_OVER_TIME_URL": "/api/widgetdata/multiline",
    "MULTIRANGE_INTEREST_OVER_TIME_URL": "/api/widgetdata/multirange",
    "INTEREST_BY_REGION_URL": "/api/widgetdata/comparedgeo",
    "RELATED_QUERIES_URL": "/api/widgetdata/relatedsearches",
    "TRENDING_SEARCHES_URL": "/hottrends/visualize/internal/data",
    "TOP_CHARTS_URL": "/api/topcharts",
    "SUGGESTIONS_URL": "/api/autocomplete/",
    "CATEGORIES_URL": "/api/explore/pickers/category",
    "TODAY_SEARCHES_URL": "/api/dailytrends",
    "REALTIME_TRENDING_SEARCHES_URL": "/api/realtimetrends",
}

# A proxy from the environment must not be asked for an address of this machine.
_NO_PROXIES = {"http": "", "https": "", "all": ""}


@dataclass(frozen=True)
class InterestPoint:
    """Searches on a day (of a week: its first), 0 to 100 of the highest point asked for; partial while it lasts."""

    day: date
    value: int
    partial: bool


@dataclass(frozen=True)
class Interest:
    """What one source answered: points by keyword, oldest first; none where too few search for any of the terms."""

    source: str  # pytrends | trendspyg
    points: dict[str, list[InterestPoint]]


@dataclass(frozen=True)
class TrendingTopic:
    """A trending search; ``traffic`` is the least number of searches that Google states."""

    title: str
    traffic: int
    published_at: datetime


class GoogleTrendsClient:
    """Safe to share between threads; calls wait for each other.

    Args:
        base_url: ``https://trends.google.com``, without a slash at the end.
        timeout: seconds without an answer after which an attempt has failed.
    """

    def __init__(self, base_url: str, *, timeout: float = 20.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        # Asked in this order; a source that failed goes to the end, so that the next call begins with the other.
        self._sources: list[tuple[str, Callable[..., dict[str, list[InterestPoint]]]]] = [
            ("pytrends", self._ask_pytrends),
            ("trendspyg", self._ask_trendspyg),
        ]

    def fetch_interest(self, keywords: Sequence[str], timeframe: str, *, geo: str = "US") -> Interest:
        """How much was searched for up to five terms, on one scale.

        Args:
            keywords: distinct, without commas.
            timeframe: as Google writes it: ``today 3-m``, or two ISO days.
            geo: a country's code; empty for the world.

        Raises:
            VendorUnavailable: neither source got an answer.
            VendorRefused: both were refused for good.
        """
        terms = [term.strip() for term in keywords]
        if not 1 <= len(terms) <= MOST_KEYWORDS or len({term.casefold() for term in terms}) != len(terms):
            raise ValueError(f"one to {MOST_KEYWORDS} different keywords, not {terms}")
        if not all(terms) or any("," in term for term in terms):
            raise ValueError(f"keywords are words without commas, not {terms}")
        failures: list[VendorError] = []
        with _ONE_AT_A_TIME:
            for source in list(self._sources):
                name, ask = source
                try:
                    return Interest(name, _sound(ask(terms, timeframe, geo), terms, name))
                except VendorError as error:
                    failures.append(error)
                    self._sources.remove(source)
                    self._sources.append(source)
        raise _both(failures)

    def fetch_trending(self, geo: str = "US") -> list[TrendingTopic]:
        """What is searched for most right now, in Google's order.

        Raises:
            VendorUnavailable: not reachable, or no readable feed came.
            VendorRefused: Google has no such feed.
        """
        try:
            with open_http(self._base_url, timeout=self._timeout) as http:
                response = http.get(f"{self._base_url}/trending/rss", params={"geo": geo})
        except httpx.TransportError as error:
            raise transport_failure(error, vendor=_VENDOR, name="Google Trends") from error
        if response.status_code != 200:
            raise _failure("The trending feed", response.status_code, wait=retry_after(response))
        if len(response.content) > _LARGEST_FEED:
            raise _unreadable("The trending feed")
        return _topics(response.content)

    # ------------------------------------------------------------ the two sources
    def _ask_pytrends(self, keywords: list[str], timeframe: str, geo: str) -> dict[str, list[InterestPoint]]:
        import requests
        from pytrends import exceptions, request

        base = f"{self._base_url}/trends"
        if base != request.BASE_TRENDS_URL:
            request.BASE_TRENDS_URL = base
            for name, path in _PYTRENDS_PATHS.items():
                setattr(request.TrendReq, name, base + path)
        requests_args: dict[str, Any] = {"proxies": _NO_PROXIES} if is_loopback(base) else {}
        timeout = self._timeout

        class OneAttempt(request.TrendReq):
            def GetGoogleCookie(self) -> dict[str, str]:
                # pytrends' own asks for ever where proxies are named and the page cannot be had.
                reply = requests.get(f"{base}/explore/?geo={self.hl[-2:]}", timeout=timeout, **requests_args)
                return {name: str(value) for name, value in reply.cookies.items() if name == "NID"}

        try:
            # retries stays 0: pytrends names an argument that urllib3 no longer has.
            asked = OneAttempt(hl="en-US", tz=0, timeout=timeout, requests_args=requests_args)
            asked.build_payload(keywords, timeframe=timeframe, geo=geo)
            frame = asked.interest_over_time()
            return {
                keyword: [
                    InterestPoint(moment.date(), int(value), bool(partial))
                    for moment, value, partial in zip(frame.index, frame[keyword], frame["isPartial"], strict=True)
                ]
                for keyword in (keywords if len(frame) else ())
            }
        except exceptions.ResponseError as error:
            raise _failure("pytrends", error.response.status_code, wait=_wait(error.response.headers)) from error
        except requests.RequestException as error:
            raise _unreachable("pytrends", error) from error
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:  # it trusts what it is sent
            raise _unreadable("pytrends") from error

    def _ask_trendspyg(self, keywords: list[str], timeframe: str, geo: str) -> dict[str, list[InterestPoint]]:
        import requests
        from trendspyg import exceptions
        from trendspyg.explore import (
            _http,
            download_google_trends_comparison,
            download_google_trends_interest_over_time,
        )

        home = f"{self._base_url}/"
        if home != _http._HOME_URL:
            _http._HOME_URL = home
            _http._EXPLORE_URL = f"{home}trends/api/explore"
            _http._WIDGET_URL = f"{home}trends/api/widgetdata/"
            # Session and pause belong to the address that was asked before.
            _http._session, _http._paused_until = None, 0.0
        _http._TIMEOUT = (self._timeout, self._timeout)
        try:
            if _http._session is None and is_loopback(home):
                # trendspyg's own would ask the environment's proxy even for an address of this machine.
                session = requests.Session()
                session.trust_env = False
                session.get(home, timeout=self._timeout)
                _http._session = session
            told: Any
            if len(keywords) == 1:
                told = download_google_trends_interest_over_time(
                    keywords[0], geo=geo, timeframe=timeframe, engine="http"
                )
            else:
                told = download_google_trends_comparison(
                    keywords, geo=geo, timeframe=timeframe, include_geo=False, engine="http"
                )
                told = told["interest_over_time"]
            return {
                keyword: [
                    InterestPoint(
                        datetime.fromisoformat(row["date"]).astimezone(UTC).date(),
                        int(row["values"][keyword] if "values" in row else row["value"]),
                        bool(row["is_partial"]),
                    )
                    for row in told
                ]
                for keyword in (keywords if told else ())
            }
        except exceptions.RateLimitError as error:
            raise _failure("trendspyg", 429) from error
        except requests.RequestException as error:
            raise _unreachable("trendspyg", error) from error
        except exceptions.DownloadError as error:
            if isinstance(error.__cause__, requests.RequestException):
                raise _unreachable("trendspyg", error.__cause__) from error
            status = re.search(r"HTTP (\d{3})", str(error))
            raise (_failure("trendspyg", int(status[1])) if status else _unreadable("trendspyg")) from error
        except exceptions.InvalidParameterError as error:
            raise VendorRefused(
                f"trendspyg does not accept the terms {', '.join(keywords)}: {error}", vendor=_VENDOR, code="invalid"
            ) from error
        except (exceptions.TrendspygException, KeyError, ValueError, TypeError) as error:
            raise _unreadable("trendspyg") from error


def _sound(
    points: dict[str, list[InterestPoint]], keywords: Sequence[str], source: str
) -> dict[str, list[InterestPoint]]:
    """The points, one list per keyword and oldest first, if they can be what Google tells."""
    values = [point.value for of in points.values() for point in of]
    if any(not 0 <= value <= 100 for value in values):
        raise _unreadable(source)
    return {keyword: sorted(points.get(keyword, []), key=lambda point: point.day) for keyword in keywords}


def _topics(feed: bytes) -> list[TrendingTopic]:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(feed)
    except (ParseError, DefusedXmlException) as error:
        raise _unreadable("The trending feed") from error
    if root.tag != "rss":
        raise _unreadable("The trending feed")
    topics = []
    for item in root.iter("item"):
        title = (item.findtext("title") or "").strip()
        traffic = re.sub(r"\D", "", item.findtext(f"{_FEED_NAMESPACE}approx_traffic") or "")
        try:
            published = parsedate_to_datetime(item.findtext("pubDate") or "").astimezone(UTC)
        except ValueError:
            continue  # without its instant nobody can say whether it still trends
        if title:
            topics.append(TrendingTopic(title, int(traffic or 0), published))
    return topics


def _both(failures: Sequence[VendorError]) -> VendorError:
    """One error of the sources' two: tried again if either may be."""
    said = " ".join(str(failure) for failure in failures)
    may_be_tried = [failure for failure in failures if isinstance(failure, VendorUnavailable)]
    if not may_be_tried:
        return VendorRefused(said, vendor=_VENDOR, code=failures[0].code)
    waits = [failure.retry_after for failure in may_be_tried if failure.retry_after is not None]
    return VendorUnavailable(said, vendor=_VENDOR, code=may_be_tried[0].code, retry_after=max(waits, default=None))


def _failure(who: str, status: int, *, wait: float | None = None) -> VendorError:
    """The error for a status. Google says 429 to who asks too much, and gives no time to wait."""
    if status in _REFUSED:
        return VendorRefused(
            f"{who} was refused by Google Trends ({status}): its private endpoints may have changed; "
            "look for a newer release.",
            vendor=_VENDOR,
            code=str(status),
        )
    when = f"in {wait:.0f} s" if wait is not None else "later"
    return VendorUnavailable(
        f"{who} got no answer of Google Trends ({status}); it may be tried again {when}.",
        vendor=_VENDOR,
        code=str(status),
        retry_after=wait,
    )


def _unreachable(who: str, error: Exception) -> VendorUnavailable:
    code = type(error).__name__
    return VendorUnavailable(
        f"{who} could not reach Google Trends ({code}); check the network and run again.", vendor=_VENDOR, code=code
    )


def _unreadable(who: str) -> VendorUnavailable:
    return VendorUnavailable(
        f"{who} got an answer of Google Trends that cannot be read; it may be tried again later.",
        vendor=_VENDOR,
        code="unreadable",
    )


def _wait(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isdigit() else None
