"""Google Trends: the private endpoints behind its Explore page, and the public feed of trending searches.

What people search for follows the market: a niche that is talked of more (``market.audiences.trend``) is searched for
more, and so are its products. On top lie the week's rhythm and the noise of Google's sampling; every figure hangs on
the seed and the day alone. As at Google, figures are shares of the highest point asked for (0 to 100), today is
partial, a visitor without the cookie ``NID`` is turned away, and so is one who asks too fast.
"""

from __future__ import annotations

import hashlib
import html
import json
import math
import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from affiliate_empire.sandbox.catalog import words

if TYPE_CHECKING:
    from affiliate_empire.sandbox.catalog import Item
    from affiliate_empire.sandbox.world import World

_PREFIX = "/google_trends"
_ASKED_PER_MINUTE = 60  # by the wall; one more is answered 429
_TIMEFRAMES = {"today 1-m": 30, "today 3-m": 90, "today 12-m": 365, "today 5-y": 1826}  # days
_RANGE = re.compile(r"(\d{4}-\d{2}-\d{2}) (\d{4}-\d{2}-\d{2})")
_DAILY_UP_TO = 269  # days; longer ranges are told by the week
_PROPERTIES = frozenset(("", "images", "news", "youtube", "froogle"))
_REGIONS = {"US-CA": "California", "US-TX": "Texas", "US-FL": "Florida", "US-NY": "New York", "US-WA": "Washington"}
_SMALL_WORDS = frozenset(("a", "and", "best", "for", "in", "of", "on", "set", "the", "to", "with"))
# Searches that no shop of this world has anything to do with.
_ELSEWHERE = (
    "playoff schedule", "senate vote", "season finale", "storm warning", "lottery numbers", "album release date",
    "quarterback injury", "tax deadline", "school closings", "movie trailer", "stock split", "transfer news",
)  # fmt: skip
_TRAFFIC = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)
_GOOGLE_ZONE = timezone(timedelta(hours=-8))

_REFUSED_PAGE = "<html><head><title>Error {0}</title></head><body><p><b>{0}.</b> That’s an error.</p></body></html>"
_ITEM = """<item><title>{title}</title><ht:approx_traffic>{traffic}+</ht:approx_traffic><description></description>
<link>https://trends.google.com/trending/rss?geo=US</link><pubDate>{published}</pubDate>
<ht:picture>https://news.example.com/{number}.jpg</ht:picture><ht:picture_source>Example News</ht:picture_source>
<ht:news_item><ht:news_item_title>{headline}</ht:news_item_title><ht:news_item_snippet></ht:news_item_snippet>
<ht:news_item_url>https://news.example.com/{number}</ht:news_item_url>
<ht:news_item_picture>https://news.example.com/{number}.jpg</ht:news_item_picture>
<ht:news_item_source>Example News</ht:news_item_source></ht:news_item></item>
"""
_FEED = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<rss xmlns:atom="http://www.w3.org/2005/Atom" xmlns:ht="https://trends.google.com/trending/rss" version="2.0">
<channel><title>Daily Search Trends</title><description>Recent searches</description>
<link>https://trends.google.com/trending?geo={geo}</link>
<atom:link href="https://trends.google.com/trending/rss?geo={geo}" rel="self" type="application/rss+xml"/>
{items}</channel></rss>
"""


class _Refused(Exception):
    """An HTML page with a status, as Google answers what it does not want."""

    def __init__(self, status: int) -> None:
        self.status = status


class Searches:
    """How much is searched for what, on every day."""

    def __init__(self, world: World) -> None:
        self._world = world
        niches = sorted({item.niche for item in world.catalog.items.values()})
        self._niches = {niche: frozenset(words(niche)) - _SMALL_WORDS for niche in niches}
        self.about = lru_cache(maxsize=4096)(self._about)

    def _about(self, keyword: str) -> tuple[str, float] | None:
        """The niche a term belongs to and the term's usual number of searches; None where nobody searches for it."""
        said = frozenset(words(keyword)) - _SMALL_WORDS
        volume = math.exp(self._world.rng("searches", " ".join(sorted(said))).gauss(0, 0.4))
        for niche, name in self._niches.items():
            if said and said == name:
                return niche, 900 * volume
        item, sure = self._world.catalog.spoken_of(keyword)
        if item is not None and sure >= 0.3:
            return item.niche, 120 * volume
        return None

    def on(self, keyword: str, day: date) -> float:
        """Searches for a term on a day."""
        known = self.about(keyword)
        if known is None:
            return 0.0
        niche, volume = known
        weekend = 1.08 if day.weekday() >= 5 else 1.0
        sampled = math.exp(self._world.rng("search", keyword.casefold(), day.isoformat()).gauss(0, 0.04))
        return volume * weekend * sampled * self._world.market.audiences.trend(niche, day)

    def trending(self, day: date) -> list[tuple[str, int, Item | None]]:
        """Trending searches of a day, most searched for first: title, searches at least, product that it is about."""
        found: list[tuple[str, int, Item | None]] = []
        for niche in self._niches:
            rng = self._world.rng("trending", niche, day.isoformat())
            above = self._world.market.audiences.trend(niche, day) - 1
            items = sorted(
                (item for item in self._world.catalog.items.values() if item.niche == niche), key=lambda i: i.item_id
            )
            topics = (1 + int(above * 4)) if above > 0.1 else int(rng.random() < 0.1)
            for item in rng.sample(items, min(topics, len(items))):
                if title := _searched_for(item.title):
                    found.append((title, _traffic(1500 * above * rng.uniform(0.5, 2)), item))
        rng = self._world.rng("trending", day.isoformat())
        found += [(title, _traffic(rng.lognormvariate(7.5, 1.2)), None) for title in rng.sample(_ELSEWHERE, 6)]
        return sorted({title: (title, traffic, item) for title, traffic, item in found}.values(), key=_most_searched)


def _most_searched(topic: tuple[str, int, Item | None]) -> tuple[int, str]:
    return -topic[1], topic[0]


def _searched_for(title: str) -> str:
    """What people type when they mean a product: its plain words."""
    plain = re.split(r",| with ", title)[0]
    return " ".join([word for word in re.findall(r"[a-z]{3,}", plain.lower()) if word not in _SMALL_WORDS][-3:])


def _traffic(searches: float) -> int:
    return max((step for step in _TRAFFIC if step <= searches), default=_TRAFFIC[0])


def routes(world: World) -> list[BaseRoute]:
    """``/google_trends/trends/…`` and ``/google_trends/trending/rss``."""
    searches = Searches(world)
    asked: deque[datetime] = deque()

    def today() -> date:
        return world.now().date()

    def admit(request: Request, *, cookie: bool = True) -> None:
        now = world.clock.wall()
        while asked and now - asked[0] > timedelta(minutes=1):
            asked.popleft()
        if (cookie and "NID" not in request.cookies) or len(asked) >= _ASKED_PER_MINUTE:
            raise _Refused(429)
        asked.append(now)

    async def page(request: Request) -> Response:
        reply = HTMLResponse("<!doctype html><html><head><title>Google Trends</title></head><body></body></html>")
        reply.set_cookie("NID", f"{world.seed}={_token('NID', str(world.now()))}", path="/", httponly=True)
        return reply

    async def explore(request: Request) -> Response:
        admit(request)
        if await request.body():
            raise _Refused(400)  # its parameters stand in the address
        wish = _json(request, "req")
        items = _comparison(wish, today())
        return _cut(")]}'\n", {"widgets": list(_widgets(wish, items, request.query_params))})

    def data(widget: str, request: Request) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The comparison's items and the whole request of a widget, if its token belongs to them."""
        admit(request)
        wish = _json(request, "req")
        try:
            items = _items_of(wish)
            told = request.query_params.get("token") == _token(widget, *map(json.dumps, items))
        except (KeyError, TypeError, IndexError) as error:
            raise _Refused(400) from error
        if not told:
            raise _Refused(401)
        return items, wish

    async def multiline(request: Request) -> Response:
        items, _ = data("TIMESERIES", request)
        return _cut(")]}',\n", {"default": _timeline(items, searches, today())})

    async def comparedgeo(request: Request) -> Response:
        items, _ = data("GEO_MAP", request)
        rows = []
        for code, name in _REGIONS.items():
            values = [_share(world, item["keyword"], code) if searches.about(item["keyword"]) else 0 for item in items]
            row = {"geoCode": code, "geoName": name, "value": values, "hasData": [value > 0 for value in values]}
            rows.append(row | {"formattedValue": [str(value) for value in values], "maxValueIndex": _highest(values)})
        return _cut(")]}',\n", {"default": {"geoMapData": rows}})

    async def relatedsearches(request: Request) -> Response:
        items, wish = data("RELATED_QUERIES", request)
        ranked = _related(world, searches, items[0]["keyword"]) if wish.get("keywordType") == "QUERY" else []
        return _cut(")]}',\n", {"default": {"rankedList": [{"rankedKeyword": ranked}, {"rankedKeyword": ranked[:3]}]}})

    async def autocomplete(request: Request) -> Response:
        admit(request)
        keyword = request.path_params["keyword"]
        known = searches.about(keyword)
        topics = [{"mid": f"/m/{_token(keyword)[:6]}", "title": keyword.title(), "type": "Topic"}] if known else []
        return _cut(")]}',\n", {"default": {"topics": topics}})

    async def rss(request: Request) -> Response:
        admit(request, cookie=False)
        geo = request.query_params.get("geo", "")
        if geo != "US":
            raise _Refused(404 if geo else 400)
        midnight = datetime.combine(today(), time(), tzinfo=UTC)
        items = "".join(
            _ITEM.format(
                title=html.escape(title),
                traffic=traffic,
                headline=html.escape(f"Why everybody looks for {title}"),
                number=number,
                published=format_datetime(midnight.astimezone(_GOOGLE_ZONE) - timedelta(minutes=40 * number)),
            )
            for number, (title, traffic, _) in enumerate(searches.trending(today()))
        )
        return Response(_FEED.format(geo=geo, items=items), media_type="application/rss+xml; charset=utf-8")

    def answering(endpoint: Any) -> Any:
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except _Refused as refused:
                return HTMLResponse(_REFUSED_PAGE.format(refused.status), status_code=refused.status)

        return answer

    api = f"{_PREFIX}/trends/api"
    return [
        Route(f"{_PREFIX}/", page),
        Route(f"{_PREFIX}/trends/explore/", page),
        Route(f"{_PREFIX}/trends/explore", page),
        Route(f"{api}/explore", answering(explore), methods=["POST"]),
        Route(f"{api}/widgetdata/multiline", answering(multiline)),
        Route(f"{api}/widgetdata/comparedgeo", answering(comparedgeo)),
        Route(f"{api}/widgetdata/relatedsearches", answering(relatedsearches)),
        Route(f"{api}/autocomplete/{{keyword}}", answering(autocomplete)),
        Route(f"{_PREFIX}/trending/rss", answering(rss)),
    ]


def _cut(garbage: str, content: dict[str, Any]) -> Response:
    """JSON behind the characters that keep other pages from running it as a script."""
    reply = JSONResponse(content)
    return Response(garbage.encode() + bytes(reply.body), media_type="application/json; charset=utf-8")


def _json(request: Request, name: str) -> dict[str, Any]:
    try:
        said = json.loads(request.query_params[name])
    except (KeyError, ValueError) as error:
        raise _Refused(400) from error
    if not isinstance(said, dict):
        raise _Refused(400)
    return said


def _comparison(wish: dict[str, Any], today: date) -> list[dict[str, Any]]:
    """What is compared, with its time as a range of days, if all of the request is sound."""
    items = wish.get("comparisonItem")
    if set(wish) != {"comparisonItem", "category", "property"} or wish["property"] not in _PROPERTIES:
        raise _Refused(400)
    if not isinstance(wish["category"], int) or not isinstance(items, list) or not 1 <= len(items) <= 5:
        raise _Refused(400)
    sound = []
    for item in items:
        if not isinstance(item, dict) or set(item) != {"keyword", "time", "geo"}:
            raise _Refused(400)
        keyword, span = item["keyword"], item["time"]
        if not isinstance(keyword, str) or not 1 <= len(keyword.strip()) <= 100 or item["geo"] not in ("", "US"):
            raise _Refused(400)
        sound.append({"keyword": keyword, "time": _days(span, today), "geo": item["geo"]})
    if len({item["time"] for item in sound}) != 1:
        raise _Refused(400)  # each its own time is another endpoint (multirange), which this world has not
    return sound


def _days(span: object, today: date) -> str:
    if isinstance(span, str) and span in _TIMEFRAMES:
        return f"{today - timedelta(days=_TIMEFRAMES[span])} {today}"
    match = _RANGE.fullmatch(span) if isinstance(span, str) else None
    try:
        first, last = (date.fromisoformat(match[1]), date.fromisoformat(match[2])) if match else (today, today)
    except ValueError as error:
        raise _Refused(400) from error
    if not first < last <= today:
        raise _Refused(400)
    return f"{first} {last}"


def _widgets(wish: dict[str, Any], items: list[dict[str, Any]], query: Any) -> Iterator[dict[str, Any]]:
    common = {"locale": query.get("hl", "en-US"), "requestOptions": {"property": wish["property"], "backend": "IZG"}}
    span = items[0]["time"]
    restricted = [{"geo": _geo(item), **_restriction(item)} for item in items]
    yield {
        "id": "TIMESERIES",
        "title": "Interest over time",
        "token": _token("TIMESERIES", *map(json.dumps, items)),
        "request": {"time": span, "resolution": _resolution(span), **common, "comparisonItem": restricted},
    }
    regions = {"geo": _geo(items[0]), "resolution": "REGION", "dataMode": "PERCENTAGES", **common}
    compared = [{"time": item["time"], "geo": _geo(item), **_restriction(item)} for item in items]
    yield {
        "id": "GEO_MAP",
        "title": "Interest by region",
        "token": _token("GEO_MAP", *map(json.dumps, items)),
        "request": regions | {"comparisonItem": compared},
    }
    for number, item in enumerate(items):
        for kind in ("TOPICS", "QUERIES"):
            restriction = {"geo": _geo(item), "time": span, **_restriction(item)}
            yield {
                "id": f"RELATED_{kind}_{number}" if len(items) > 1 else f"RELATED_{kind}",
                "title": f"Related {kind.lower()}",
                "token": _token("RELATED_QUERIES", json.dumps(item)),
                "request": {
                    "restriction": restriction,
                    "keywordType": "ENTITY" if kind == "TOPICS" else "QUERY",
                    "metric": ["TOP", "RISING"],
                    **common,
                },
            }


def _geo(item: dict[str, Any]) -> dict[str, str]:
    return {"country": item["geo"]} if item["geo"] else {}


def _restriction(item: dict[str, Any]) -> dict[str, Any]:
    return {"complexKeywordsRestriction": {"keyword": [{"type": "BROAD", "value": item["keyword"]}]}}


def _items_of(wish: dict[str, Any]) -> list[dict[str, Any]]:
    """The comparison's items out of a widget's request, in the form that its token was made of."""
    parts = [wish["restriction"]] if "restriction" in wish else wish["comparisonItem"]
    return [
        {
            "keyword": part["complexKeywordsRestriction"]["keyword"][0]["value"],
            "time": part.get("time") or wish["time"],
            "geo": part["geo"].get("country", ""),
        }
        for part in parts
    ]


def _token(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(("google_trends", *parts)).encode()).hexdigest()[:40]


def _resolution(span: str) -> str:
    first, last = map(date.fromisoformat, span.split())
    return "DAY" if (last - first).days <= _DAILY_UP_TO else "WEEK"


def _timeline(items: list[dict[str, Any]], searches: Searches, today: date) -> dict[str, Any]:
    first, last = map(date.fromisoformat, items[0]["time"].split())
    step = timedelta(days=1 if _resolution(items[0]["time"]) == "DAY" else 7)
    if step.days == 7:
        first -= timedelta(days=(first.weekday() + 1) % 7)  # weeks begin on a Sunday
    days = [first + step * number for number in range((last - first) // step + 1)]
    counts = [[searches.on(item["keyword"], min(day + step / 2, today)) for item in items] for day in days]
    highest = max(max(row) for row in counts)
    if highest == 0:
        return {"timelineData": [], "averages": []}  # "your search doesn't have enough data to show here"
    rows = []
    for day, row in zip(days, counts, strict=True):
        values = [round(100 * count / highest) for count in row]
        point: dict[str, Any] = {
            "time": str(int(datetime.combine(day, time(), tzinfo=UTC).timestamp())),
            "formattedTime": f"{day:%b} {day.day}, {day.year}",
            "formattedAxisTime": f"{day:%b} {day.day}",
            "value": values,
            "hasData": [value > 0 for value in values],
            "formattedValue": [str(value) for value in values],
        }
        rows.append(point | ({"isPartial": True} if day + step > today else {}))
    shares = [[100 * row[number] / highest for row in counts] for number in range(len(items))]
    return {
        "timelineData": rows,
        "averages": [round(sum(of) / len(of)) for of in shares] if len(items) > 1 else [],
    }


def _share(world: World, keyword: str, region: str) -> int:
    return world.rng("region", keyword.casefold(), region).randint(30, 100)


def _highest(values: list[int]) -> int:
    return values.index(max(values))


def _related(world: World, searches: Searches, keyword: str) -> list[dict[str, Any]]:
    known = searches.about(keyword)
    titles = sorted(
        _searched_for(item.title) for item in world.catalog.items.values() if known and item.niche == known[0]
    )
    chosen = [title for title in dict.fromkeys(titles) if title][:10]
    return [
        {
            "query": title,
            "value": 100 - 8 * place,
            "formattedValue": str(100 - 8 * place),
            "hasData": True,
            "link": f"/trends/explore?q={title.replace(' ', '+')}",
        }
        for place, title in enumerate(chosen)
    ]
