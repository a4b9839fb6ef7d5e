"""What is seen at once about a hit: bot, HEAD, prefetch. Flags are stored beside the click and filtered in reports.

A hit is never dropped for its flags. The rules here are the cheap ones that may stand on the request path; the names of
real phones and in-app browsers (CUBOT, Instagram, TikTok, Pinterest) must not match.
"""

from __future__ import annotations

import re
from functools import lru_cache

BOT = "bot"
HEAD = "head"
PREFETCH = "prefetch"

_BOT_TOKENS = re.compile(
    r"(?<!cu)bot(?![a-z]*phone)|crawl|spider|slurp|scrap(?:er|y)|headless|phantomjs|lighthouse|facebookexternalhit|"
    r"facebookcatalog|whatsapp/|vkshare|embedly|preview|monitor|uptime|pingdom|validator|archiver|feedfetcher|mediapartners|"
    r"bingpreview|google-read-aloud|google-inspectiontool|bytespider|chatgpt-user|oai-search|claude-web|"
    r"^(?:curl|wget|python|go-http|java|okhttp|apache-httpclient|axios|node|libwww|ruby|php|guzzle|postman|httpie|"
    r"undici|aiohttp|scrapy|perl|lwp|winhttp|httpunit|restsharp)\b|python-requests|python-urllib|python-httpx|aiohttp",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def is_bot(user_agent: str) -> bool:
    """Whether a user agent is empty or names itself as a program."""
    return not user_agent.strip() or _BOT_TOKENS.search(user_agent) is not None
