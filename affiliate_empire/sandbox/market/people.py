"""People on their way: from the post to the link, over our tracking service, to the shop.

They do it over real HTTP with the user agents of phones and of apps' own browsers, from many addresses where the system
has more than one on loopback. They find links as people do: by the hub's address in the post's text or the account's
profile; on a page, by the entry that names what they came for. Crawlers and link previews go the same ways.
What they were answered is written down before they go on.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from html.parser import HTMLParser
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urljoin, urlsplit, urlunsplit

import httpx

from affiliate_empire.sandbox.catalog import words
from affiliate_empire.sandbox.market.audiences import PLATFORMS, RngOf

if TYPE_CHECKING:
    from affiliate_empire.sandbox.catalog import Item

# Where networks carry a publisher's click id.
SUB_ID_PARAMETERS = ("subid1", "clickref", "sid", "u1", "customid", "tid", "xcust", "cuid", "subid")
_ADDRESS = re.compile(r"https?://[^\s<>\"')\]]+|\b[\w-]+(?:\.[\w-]+)*(?::\d+)?/(?:h|r)/[\w.~-]+", re.IGNORECASE)
_TIMEOUT = httpx.Timeout(20.0)
_PHONES = ("SM-S918B", "SM-S921U", "SM-A546E", "Pixel 8", "Pixel 9 Pro", "CPH2581", "2312DRA50G", "XQ-DQ54", "moto g84")
_CRAWLERS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "python-requests/2.32.3",
)
# Whoever sends a link to a friend has it fetched by the messenger, for its little picture.
_PREVIEWS = (
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; TikTokSpider; ttspider-feedback@tiktok.com)",
    "WhatsApp/2.25.28.74 A",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Twitterbot/1.0",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
)
_APPS = {"tiktok": "https://www.tiktok.com/", "instagram": "https://l.instagram.com/"}
_IN_APP = 0.6  # of those who come from an app with a browser of its own; the others type into theirs
_GIVE_UP = 0.7  # of those who would have to type a link's code instead of a name


@dataclass(frozen=True)
class Manner:
    """How somebody comes: with what, how they ask, and what they say of where they come from."""

    user_agent: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()


def manner(rng: RngOf, visit_id: str, platform: str, *, bot: bool) -> Manner:
    """Phones and desktops, in-app browsers; or crawlers, link previews, HEAD questions and prefetches. Always the same
    for the same visit; thousands of combinations.
    """
    draw = rng("agent", visit_id)
    if not bot:
        in_app = platform in _APPS and draw.random() < _IN_APP
        referrer = (("referer", _APPS[platform]),) if in_app else ()
        return Manner(_browser(draw, platform if in_app else None), headers=referrer)
    kind = draw.random()
    if kind < 0.40:
        return Manner(draw.choice(_CRAWLERS))
    if kind < 0.80:
        return Manner(draw.choice(_PREVIEWS))
    # What has a browser's name and is nobody: a network that asks for headers, a browser that guesses the next tap.
    if kind < 0.92:
        return Manner(_browser(draw, None), method="HEAD")
    return Manner(_browser(draw, None), headers=(("sec-purpose", "prefetch;prerender"),))


def _browser(draw: random.Random, app: str | None) -> str:
    """A user agent as seen in the wild; of an app's own browser when one is named."""
    kind = draw.random() * (0.85 if app else 1.0)  # apps are on phones
    if kind < 0.42:
        system = f"{draw.randint(16, 26)}_{draw.randint(0, 6)}"
        version, build = system.replace("_", "."), f"15E{draw.randint(100, 199)}"
        tail = f"Version/{version} Mobile/{build} Safari/604.1"
        if app == "instagram":
            numbers = f"{draw.randint(330, 410)}.0.0.{draw.randint(10, 40)}.{draw.randint(60, 99)}"
            tail = f"Mobile/{build} Instagram {numbers} (iPhone15,3; iOS {system}; en_US; en; scale=3.00; 1290x2796)"
        elif app == "tiktok":
            tail = (
                f"Mobile/{build} musical_ly_{draw.randint(34, 42)}.{draw.randint(0, 9)}.0 JsSdk/2.0 NetType/WIFI "
                f"Channel/App Store ByteLocale/en Region/US BytedanceWebview/d8a21c{draw.randint(1, 9)}"
            )
        phone = f"iPhone; CPU iPhone OS {system} like Mac OS X"
        return f"Mozilla/5.0 ({phone}) AppleWebKit/605.1.15 (KHTML, like Gecko) {tail}"
    chrome = f"Chrome/{draw.randint(128, 146)}.0.{draw.randint(6600, 7600)}.{draw.randint(40, 199)}"
    if kind < 0.85:
        phone = f"Linux; Android {draw.randint(12, 16)}; {draw.choice(_PHONES)}"
        tail = ""
        if app == "instagram":
            phone += "; wv"
            tail = f" Instagram {draw.randint(330, 410)}.0.0.{draw.randint(10, 40)}.{draw.randint(60, 99)} Android"
        elif app == "tiktok":
            phone += "; wv"
            tail = f" trill_{draw.randint(340, 420)}0{draw.randint(1, 9)} BytedanceWebview/d8a21c{draw.randint(1, 9)}"
        return f"Mozilla/5.0 ({phone}) AppleWebKit/537.36 (KHTML, like Gecko) {chrome} Mobile Safari/537.36{tail}"
    system = draw.choice(("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"))
    return f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) {chrome} Safari/537.36"


def hub_address(text: str) -> str | None:
    """The address of a hub page in a text: what stands in the account's profile too."""
    return next((url for url in map(_typed, _ADDRESS.findall(text)) if "/h/" in urlsplit(url).path), None)


def first_address(text: str) -> str | None:
    """The first web address in a text, as a person would type it from the screen."""
    found = _ADDRESS.search(text)
    return None if found is None else _typed(found[0])


def _typed(address: str) -> str:
    url = address.rstrip(".,;:!?*_")
    return url if url.lower().startswith("http") else f"http://{url}"


def click_id_in(location: str) -> str | None:
    """The publisher's click id in a network's link."""
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(location).query)}
    return next((query[name] for name in SUB_ID_PARAMETERS if name in query), None)


class _Entries(HTMLParser):
    """The tracking links of a page, each with the words from it up to the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[list[str]] = []  # [href, text]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href") if tag == "a" else None
        if href and "/r/" in urlsplit(href).path:
            self.entries.append([href, ""])

    def handle_data(self, data: str) -> None:
        if self.entries:
            self.entries[-1][1] += f" {data}"


@lru_cache(maxsize=256)
def choose_link(page: str, page_url: str, title: str, product: str) -> str | None:
    """The tracking link of a page that somebody takes who comes from a post called ``title`` about ``product``."""
    parser = _Entries()
    parser.feed(page)
    wanted_title, wanted_product = set(words(title)), set(words(product))

    def fit(entry: list[str]) -> float:
        there = set(words(entry[1]))
        by_title = len(wanted_title & there) / len(wanted_title) if wanted_title else 0.0
        by_product = len(wanted_product & there) / len(wanted_product) if wanted_product else 0.0
        return by_title + by_product

    # `max` keeps the first of equals: the one nearest the top.
    best = max(parser.entries, key=fit, default=None)
    return None if best is None else urljoin(page_url, best[0])


@dataclass(frozen=True)
class Unreached:
    """The visit ended before the tracking link was answered with a redirect."""

    state: str  # failed:… | gave up


class Crowd:
    """The connections of one step's visitors.

    Args:
        hosts: where a public ``host[:port]`` is really reached; people open nothing else, so nothing else is contacted.
    """

    def __init__(self, hosts: Mapping[str, str], rng: RngOf) -> None:
        self._hosts = hosts
        self._rng = rng
        self._clients: dict[str | None, httpx.AsyncClient] = {}
        self._places = asyncio.Semaphore(20)

    async def __aenter__(self) -> Crowd:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.aclose()

    @property
    def places(self) -> asyncio.Semaphore:
        """Bounds how many are on their way at once."""
        return self._places

    def reached(self, url: str) -> str | None:
        """The URL with the address where its host is really served; None when it is none of this world's."""
        parts = urlsplit(url)
        real = self._hosts.get(parts.netloc.lower())
        if real is None or parts.scheme not in ("http", "https"):
            return None
        scheme, _, netloc = real.partition("://")
        return urlunsplit((scheme, netloc, parts.path or "/", parts.query, ""))

    async def get(self, url: str, visit_id: str, how: Manner, *, referrer: str = "") -> httpx.Response:
        """Open a page; redirects are shown, not followed.

        Raises:
            httpx.HTTPError: no answer.
        """
        headers = {
            "user-agent": how.user_agent,
            "accept": "text/html,application/xhtml+xml,*/*;q=0.8",
            "accept-language": "en-US,en;q=0.9",
            **dict(how.headers),
        }
        if referrer:
            headers["referer"] = referrer
        address = self._address(visit_id)
        client = self._clients.get(address)
        if client is None:
            client = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(local_address=address, verify=_tls(), trust_env=False),
                timeout=_TIMEOUT,
                trust_env=False,
            )
            self._clients[address] = client
        return await client.request(how.method, url, headers=headers)

    def _address(self, visit_id: str) -> str | None:
        if not _many_addresses():
            return None
        draw = self._rng("address", visit_id)
        return f"127.{draw.randint(16, 17)}.{draw.randint(1, 24)}.{draw.choice((11, 12))}"


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()  # made once: loading the certificates for each client would cost 20 ms


@lru_cache(maxsize=1)
def _many_addresses() -> bool:
    """Linux answers on all of 127.0.0.0/8; elsewhere everybody comes from one address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.16.1.11", 0))
        except OSError:
            return False
    return True


async def find_redirect(
    crowd: Crowd,
    visit_id: str,
    how: Manner,
    *,
    platform: str,
    text: str,
    profile: str | None,
    page_url: str,
    title: str,
    item: Item | None,
    rng: RngOf,
) -> tuple[str, str] | Unreached:
    """Walk from a post to its tracking link, without opening that.

    From a blog's page one follows a link. Elsewhere addresses in a text are not links: one types the hub's short name
    from it, or goes to the account's profile, which has it too; few type a link's code.

    Args:
        profile: the hub address in the account's profile, if it has one.

    Returns:
        The link as published, and the page it was found on (``""`` when typed from the screen).
    """
    if PLATFORMS[platform].caption_links:
        start: str | None = page_url
    else:
        start = hub_address(text) or profile
        if start is None:
            start = first_address(text)
            if start is not None and rng("typing", visit_id).random() < _GIVE_UP:
                return Unreached("gave up")
    if start is None:
        return Unreached("failed:no link")
    if "/r/" in urlsplit(start).path:
        return start, ""
    at = crowd.reached(start)
    if at is None:
        return Unreached("failed:elsewhere")
    try:
        # Whoever asks for headers only has read the page before: a network's second look at what was shared.
        page = await crowd.get(at, visit_id, replace(how, method="GET"))
    except httpx.HTTPError as error:
        return Unreached(f"failed:{type(error).__name__}")
    if page.status_code != 200:
        return Unreached(f"failed:{page.status_code}")
    link = choose_link(page.text, start, title, item.title if item else "")
    return (link, start) if link else Unreached("failed:no link")
