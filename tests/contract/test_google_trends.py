"""Google Trends' client, and both libraries unmodified, over real HTTP against the sandbox world."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from affiliate_empire.vendors.errors import ReplyLost, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.google_trends import GoogleTrendsClient, Interest
from tests.factories.worlds import RunningWorld

NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)
NICHES = ["home & kitchen", "home office", "fitness", "outdoor", "pets"]
EXPLORE = "POST /google_trends/trends/api/explore"
FEED = "GET /google_trends/trending/rss"
WEEKS = "2026-08-01 2026-11-20"


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    # One for each test: it counts who asks too fast.
    world = RunningWorld(tmp_path_factory.mktemp("world"), now=NOW)
    yield world
    world.stop()


@pytest.fixture
def client(world: RunningWorld) -> GoogleTrendsClient:
    return GoogleTrendsClient(f"{world.url}/google_trends", timeout=10)


@pytest.fixture
def visitor(world: RunningWorld) -> Iterator[httpx.Client]:
    """A visitor with the cookie, who may send what no library sends."""
    with httpx.Client(base_url=f"{world.url}/google_trends", trust_env=False) as http:
        http.get("/trends/explore/?geo=US").raise_for_status()
        yield http


def asked(**changes: Any) -> dict[str, str]:
    item = {"keyword": "fitness", "time": "today 3-m", "geo": "US"}
    return {
        "hl": "en-US",
        "tz": "0",
        "req": json.dumps({"comparisonItem": [item], "category": 0, "property": ""} | changes),
    }


def second_source(client: GoogleTrendsClient, world: RunningWorld, keywords: list[str]) -> Interest:
    world.fault(EXPLORE, status=503)
    told = client.fetch_interest(keywords, WEEKS)
    world.clear_faults()
    return told


def test_both_sources_tell_the_same_interest_by_day(client: GoogleTrendsClient, world: RunningWorld) -> None:
    first = client.fetch_interest(NICHES, WEEKS)
    second = second_source(client, world, NICHES)
    assert (first.source, second.source) == ("pytrends", "trendspyg")
    assert first.points == second.points
    assert list(first.points) == NICHES
    days = [point.day for point in first.points["fitness"]]
    assert days == [date(2026, 8, 1) + timedelta(days=number) for number in range(112)]
    assert max(point.value for points in first.points.values() for point in points) == 100
    assert [point.day for point in first.points["fitness"] if point.partial] == [date(2026, 11, 20)]


def test_one_term_alone_is_its_own_scale(client: GoogleTrendsClient, world: RunningWorld) -> None:
    first = client.fetch_interest(["fitness"], WEEKS)
    assert first.points == second_source(client, world, ["fitness"]).points
    assert max(point.value for point in first.points["fitness"]) == 100


def test_what_is_talked_of_is_searched_for(client: GoogleTrendsClient, world: RunningWorld) -> None:
    days = [date(2026, 8, 1) + timedelta(days=number) for number in range(112)]
    levels = {niche: {day: world.trend(niche, day) for day in days} for niche in NICHES}
    moved = max(NICHES, key=lambda niche: max(levels[niche].values()) / min(levels[niche].values()))
    points = {point.day: point.value for point in client.fetch_interest([moved], WEEKS).points[moved]}
    high, low = (sorted(days, key=lambda day: levels[moved][day], reverse=up)[:14] for up in (True, False))
    ratio = sum(points[day] for day in high) / sum(points[day] for day in low)
    truth = sum(levels[moved][day] for day in high) / sum(levels[moved][day] for day in low)
    assert truth > 1.1, "no niche of this seed had a trend in these months: choose other months"
    assert ratio == pytest.approx(truth, rel=0.1)


def test_a_product_of_a_niche_follows_it_and_words_of_no_shop_have_no_data(client: GoogleTrendsClient) -> None:
    told = client.fetch_interest(["burr coffee grinder", "zzyzx quux"], "today 3-m").points
    assert max(point.value for point in told["burr coffee grinder"]) == 100
    assert {point.value for point in told["zzyzx quux"]} == {0}
    assert client.fetch_interest(["zzyzx quux"], "today 3-m").points == {"zzyzx quux": []}


def test_long_ranges_are_told_by_the_week(client: GoogleTrendsClient) -> None:
    points = client.fetch_interest(["fitness"], "today 12-m").points["fitness"]
    assert {(b.day - a.day).days for a, b in pairwise(points)} == {7}
    assert points[-1].partial


def test_a_world_of_the_same_seed_says_the_same(
    client: GoogleTrendsClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again = RunningWorld(tmp_path_factory.mktemp("again"), now=NOW)
    other = RunningWorld(tmp_path_factory.mktemp("other"), now=NOW, seed=8)
    try:
        same, different = (GoogleTrendsClient(f"{each.url}/google_trends") for each in (again, other))
        told = client.fetch_interest(NICHES, WEEKS)
        assert same.fetch_interest(NICHES, WEEKS) == told
        assert different.fetch_interest(NICHES, WEEKS) != told
        assert same.fetch_trending() == client.fetch_trending() != different.fetch_trending()
    finally:
        again.stop()
        other.stop()


def test_trending_searches(client: GoogleTrendsClient) -> None:
    topics = client.fetch_trending("US")
    assert len(topics) >= 6
    assert [topic.traffic for topic in topics] == sorted((topic.traffic for topic in topics), reverse=True)
    assert all(topic.title and NOW - timedelta(days=2) < topic.published_at < NOW for topic in topics)
    with pytest.raises(VendorRefused, match="404"):
        client.fetch_trending("XX")


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ({"status": 429, "headers": {"Retry-After": "30"}}, VendorUnavailable, "429"),
        ({"status": 503}, VendorUnavailable, "503"),
        ({"drop": True}, VendorUnavailable, "could not reach"),
        ({"status": 200, "body": "<html>Sign in</html>"}, VendorUnavailable, "cannot be read"),
        ({"status": 200, "body": {"no": "prefix"}}, VendorUnavailable, "cannot be read"),
        ({"status": 400}, VendorRefused, "refused"),
        ({"status": 404}, VendorRefused, "refused"),
    ],
)
def test_what_both_sources_meet_is_told_in_one_sentence_each(
    client: GoogleTrendsClient, world: RunningWorld, fault: dict[str, Any], kind: type[Exception], said: str
) -> None:
    world.fault(EXPLORE, times=2, **fault)
    with pytest.raises(kind, match=said) as caught:
        client.fetch_interest(NICHES, "today 3-m")
    assert type(caught.value) is kind
    assert "pytrends" in str(caught.value)
    assert "trendspyg" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert world.fault_hits() == 2, "one attempt each"


def test_the_source_that_answered_is_asked_first_the_next_time(client: GoogleTrendsClient, world: RunningWorld) -> None:
    world.fault(EXPLORE, status=429)
    assert client.fetch_interest(NICHES, "today 3-m").source == "trendspyg"
    assert client.fetch_interest(NICHES, "today 3-m").source == "trendspyg"
    assert world.fault_hits() == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 429}, VendorUnavailable),
        ({"status": 500}, VendorUnavailable),
        ({"drop": True}, ReplyLost),
        ({"status": 200, "body": "<html>"}, VendorUnavailable),
        ({"status": 200, "body": "<html/>"}, VendorUnavailable),
        ({"status": 200, "body": '<!DOCTYPE rss [<!ENTITY a "aa">]><rss>&a;</rss>'}, VendorUnavailable),
    ],
)
def test_a_trending_feed_that_cannot_be_had(
    client: GoogleTrendsClient, world: RunningWorld, fault: dict[str, Any], kind: type[Exception]
) -> None:
    world.fault(FEED, **fault)
    with pytest.raises(kind) as caught:
        client.fetch_trending()
    assert type(caught.value) is kind


def test_nobody_there() -> None:
    with pytest.raises(VendorUnavailable, match="could not reach"):
        GoogleTrendsClient("http://127.0.0.1:9", timeout=2).fetch_interest(["fitness"], "today 3-m")
    with pytest.raises(VendorUnavailable, match="could not be reached"):
        GoogleTrendsClient("http://127.0.0.1:9", timeout=2).fetch_trending()


@pytest.mark.parametrize("keywords", [[], ["a", "A"], ["a, b"], [" "], list("abcdef")])
def test_terms_that_google_cannot_compare_are_our_mistake(keywords: list[str]) -> None:
    with pytest.raises(ValueError, match="keywords"):
        GoogleTrendsClient("http://127.0.0.1:9").fetch_interest(keywords, "today 3-m")


# ---------------------------------------------------------------- the server is as strict as Google
def test_who_has_no_cookie_or_asks_too_fast_is_turned_away(world: RunningWorld, visitor: httpx.Client) -> None:
    with httpx.Client(base_url=visitor.base_url, trust_env=False) as stranger:
        assert stranger.post("/trends/api/explore", params=asked()).status_code == 429
    codes = [visitor.get("/trends/api/autocomplete/fitness").status_code for _ in range(70)]
    assert codes[0] == 200
    assert codes[-1] == 429


def test_a_request_that_google_would_not_understand(visitor: httpx.Client) -> None:
    sound = {"keyword": "a", "time": "today 3-m", "geo": ""}
    wrong: list[dict[str, Any]] = [
        {"comparisonItem": []},
        {"comparisonItem": [sound] * 6},
        {"comparisonItem": [sound | {"keyword": ""}]},
        {"comparisonItem": [sound | {"time": "last week"}]},
        {"comparisonItem": [sound | {"time": "2026-11-01 2027-01-01"}]},
        {"comparisonItem": [sound | {"time": "2026-99-01 2026-11-01"}]},
        {"comparisonItem": [{"keyword": "a", "time": "today 3-m"}]},
        {"category": "0"},
        {"property": "films"},
        {"unknown": 1},
    ]
    assert visitor.post("/trends/api/explore", params=asked()).status_code == 200
    codes = [visitor.post("/trends/api/explore", params=asked(**changes)).status_code for changes in wrong]
    assert codes == [400] * len(wrong)


def test_a_token_opens_its_own_request_only(visitor: httpx.Client) -> None:
    reply = visitor.post("/trends/api/explore", params=asked())
    assert reply.headers["content-type"].startswith("application/json")
    widgets = {each["id"]: each for each in json.loads(reply.text.removeprefix(")]}'"))["widgets"]}
    line, regions = widgets["TIMESERIES"], widgets["GEO_MAP"]

    def data(path: str, widget: dict[str, Any], **changes: Any) -> httpx.Response:
        params = {"req": json.dumps(widget["request"] | changes), "token": widget["token"], "tz": "0"}
        return visitor.get(f"/trends/api/widgetdata/{path}", params=params)

    good = data("multiline", line)
    assert good.text.startswith(")]}',")
    assert json.loads(good.text[5:])["default"]["timelineData"]
    assert data("multiline", line, time="2026-11-01 2026-11-19").status_code == 401
    assert data("comparedgeo", line).status_code == 401
    assert data("comparedgeo", regions, resolution="DMA").status_code == 200
    assert data("multiline", {"request": {}, "token": "x"}).status_code == 400


def test_regions_related_searches_and_suggestions_by_pytrends(client: GoogleTrendsClient) -> None:
    client.fetch_interest(["fitness"], "today 3-m")  # its addresses stand from here on
    from pytrends.request import TrendReq

    asked = TrendReq(retries=0)
    asked.build_payload(["fitness"], timeframe="today 3-m", geo="US")
    assert asked.interest_by_region()["fitness"].max() > 0
    related = asked.related_queries()["fitness"]
    assert len(related["top"]) >= len(related["rising"]) > 0
    assert asked.suggestions("fitness")[0]["title"] == "Fitness"
