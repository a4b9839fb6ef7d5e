"""Which hits on a link are people: what each is flagged as, from what was stored of it.

Nothing is dropped: reports count all hits, those of people, and people's first ones side by side. The judgement needs a
visitor's hits of a whole day (a visitor's hash lives for one), so it comes out the same in whatever order they arrived,
and is made after the redirect, never on its path. Known programs are those of the list ``crawler-user-agents`` and of a
few words that no browser says; real phones and the browsers inside apps (CUBOT, Instagram, TikTok) are none.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache

import crawleruseragents

BOT = "bot"  # it says of itself that it is a program, or says nothing
HEAD = "head"  # asked for the address only, as previews do
PREFETCH = "prefetch"  # fetched in advance, perhaps never looked at
FLOOD = "flood"  # beyond what a person can click
DUPLICATE = "duplicate"  # the same visitor on the same link again
GPC = "gpc"  # asked not to be tracked (Sec-GPC): what tells visitors apart is forgotten when its day is over
IN_APP = "in_app"  # the browser inside an app: a person

NOT_HUMAN = (BOT, HEAD, PREFETCH, FLOOD)
SEEN_AT_ONCE = (GPC, HEAD, PREFETCH)
"""What the redirect itself stores, because only the request shows it."""

JUDGED_BY = 1
"""The version of these rules, kept with each hit."""

_AGAIN = timedelta(hours=1)
_FLOOD_WITHIN, _FLOOD_BEYOND = timedelta(minutes=1), 30

# Patterns of the list that ordinary browsers match as well, by a build's number or an app's or phone's name.
_BROWSERS_TOO = frozenset(
    ["AP3A\\.240617\\.008", "Sogou", "Sonic", "Viber", "Butterfly", "Expanse", "Podimo", "Fever", "008\\/"]
)
_PROGRAM = re.compile(
    r"(?<!cu)bot\b|crawl|spider|slurp|scrap(?:er|y)|headless|phantomjs|lighthouse|facebookexternalhit|"
    r"whatsapp/|preview|monitor|uptime|pingdom|validator|archiver|feedfetcher|"
    r"^(?:curl|wget|python|go-http|java|okhttp|apache-httpclient|axios|node|libwww|ruby|php|guzzle|postman|httpie|"
    r"undici|aiohttp|scrapy|perl|lwp|winhttp|httpunit|restsharp)\b",
    re.IGNORECASE,
)
_APP = re.compile(
    r"\b(?:Instagram|FBA[NV]|FB_IAB|BytedanceWebview|musical_ly|TikTok|trill_|Pinterest|Snapchat|LinkedInApp|Line/|"
    r"MicroMessenger|TwitterAndroid|Twitter for|GSA/|YTAndroid)|; wv\)",
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A hit as it was stored. ``flags`` are those that the redirect saw, and those of an earlier judgement."""

    click_id: str
    code: str
    clicked_at: datetime
    user_agent: str
    flags: tuple[str, ...]


@lru_cache(maxsize=16384)  # the list is 1,500 patterns long and takes a millisecond or two; browsers repeat themselves
def is_bot(user_agent: str) -> bool:
    """Whether a user agent is empty or names itself as a program."""
    if not user_agent.strip() or _PROGRAM.search(user_agent) is not None:
        return True
    return any(known.search(user_agent) for known in _known(in_a_browser="AppleWebKit/" in user_agent))


@cache
def _known(*, in_a_browser: bool) -> list[re.Pattern[str]]:
    """The list, in handfuls: one pattern of all of them is slower."""
    patterns = [str(one["pattern"]) for one in crawleruseragents.CRAWLER_USER_AGENTS_DATA]
    if in_a_browser:
        patterns = [pattern for pattern in patterns if pattern not in _BROWSERS_TOO]
    return [re.compile("|".join(patterns[start : start + 25])) for start in range(0, len(patterns), 25)]


def is_in_app(user_agent: str) -> bool:
    """Whether it is the browser inside an app, where most clicks on a Short, Reel or TikTok come from."""
    return _APP.search(user_agent) is not None


def judge(hits: Iterable[Hit]) -> dict[str, tuple[str, ...]]:
    """The flags of one visitor's hits of a day, by click id.

    A hit is a flood beyond ``30`` within a minute, and a duplicate within an hour of the last one on the same link that
    was none; only hits that may be a person's make others duplicates.

    Args:
        hits: all of the visitor's hits of the day, in any order.
    """
    found: dict[str, tuple[str, ...]] = {}
    within: deque[datetime] = deque()
    counted: dict[str, datetime] = {}
    for hit in sorted(hits, key=lambda hit: (hit.clicked_at, hit.click_id)):
        flags = [flag for flag in SEEN_AT_ONCE if flag in hit.flags]
        if is_bot(hit.user_agent):
            flags.append(BOT)
        elif is_in_app(hit.user_agent):
            flags.append(IN_APP)
        while within and within[0] <= hit.clicked_at - _FLOOD_WITHIN:
            within.popleft()
        within.append(hit.clicked_at)
        if len(within) > _FLOOD_BEYOND:
            flags.append(FLOOD)
        if is_human(flags):
            last = counted.get(hit.code)
            if last is not None and hit.clicked_at < last + _AGAIN:
                flags.append(DUPLICATE)
            else:
                counted[hit.code] = hit.clicked_at
        found[hit.click_id] = tuple(sorted(flags))
    return found


def is_human(flags: Sequence[str]) -> bool:
    """Whether a hit with these flags may be a person's."""
    return not any(flag in NOT_HUMAN for flag in flags)
