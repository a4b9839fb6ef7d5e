"""An owner with a browser: opens the address of a sign-in and lets the platform send it back to this machine."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.connect_account import Connected, connect_account
from affiliate_empire.settings import SANDBOX_KEYS
from affiliate_empire.vault import Grants, RotatingTokens
from affiliate_empire.vendors.instagram import InstagramOAuth
from affiliate_empire.vendors.oauth import Authorization
from affiliate_empire.vendors.tiktok import TikTokOAuth
from affiliate_empire.vendors.world_clock import WorldClock
from affiliate_empire.vendors.youtube_oauth import YouTubeOAuth
from tests.factories.worlds import RunningWorld

FIRST = {"youtube": "UCsandbox000000000000001", "tiktok": "-000SandboxCreator", "instagram": "17841400000000001"}
SECOND = {"youtube": "UCsandbox000000000000002", "tiktok": "-000SandboxKitchen", "instagram": "17841400000000002"}
THIRD = {"youtube": "UCsandbox000000000000003", "tiktok": "-000SandboxGarden", "instagram": "17841400000000003"}


def browse(address: str) -> None:
    """Open an address, follow where it leads, and never wait: as a browser beside the terminal does."""
    threading.Thread(target=_follow, args=(address,), daemon=True).start()


def _follow(address: str) -> None:
    # Not by httpx: a browser writes no line about it into our log.
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(urllib.error.HTTPError), browser.open(address, timeout=20) as reply:
        reply.read()


def authorization(world: RunningWorld, platform: str) -> Authorization:
    """A platform's sign-in in this world, with the sandbox's published app."""
    url = world.url
    if platform == "youtube":
        client = (SANDBOX_KEYS["youtube_client_id"], SANDBOX_KEYS["youtube_client_secret"])
        return YouTubeOAuth(
            f"{url}/google_accounts", f"{url}/google_oauth", f"{url}/youtube", client=lambda: client, timeout=5
        )
    if platform == "tiktok":
        return tiktok_oauth(world)
    return InstagramOAuth(
        f"{url}/instagram",
        app_id=lambda: SANDBOX_KEYS["meta_app_id"],
        app_secret=lambda: SANDBOX_KEYS["meta_app_secret"],
        sign_in_url=f"{url}/facebook",
        timeout=5,
    )


def tiktok_oauth(world: RunningWorld) -> TikTokOAuth:
    return TikTokOAuth(
        f"{world.url}/tiktok",
        client_key=lambda: SANDBOX_KEYS["tiktok_client_key"],
        client_secret=lambda: SANDBOX_KEYS["tiktok_client_secret"],
        sign_in_url=f"{world.url}/tiktok_login",
        timeout=5,
    )


def connect(world: RunningWorld, ledger: Ledger, grants: Grants, platform: str, **changes: Any) -> Connected:
    """Connect whoever is signed in."""
    clock = WorldClock(world.url, cache_seconds=0)
    try:
        return connect_account(
            platform,
            **{
                "authorization": authorization(world, platform),
                "show": browse,
                "who_is": who_is(world, grants, platform),
                "vault": grants._vault,
                "grants": grants,
                "clock": clock,
                "patience": 10.0,
            }
            | changes,
        )
    finally:
        clock.close()


def who_is(world: RunningWorld, grants: Grants, platform: str) -> Callable[[str], str]:
    """As ``empire connect`` finds out whose grant it has."""

    def ask(name: str) -> str:
        if platform == "instagram":
            return str(grants.of(name)["user_id"])
        signs = authorization(world, platform)
        if isinstance(signs, YouTubeOAuth):
            return signs.profiles(signs.access(grants.of(name)["refresh_token"]))[0].id
        assert isinstance(signs, TikTokOAuth)
        tokens = RotatingTokens(grants, name, refresh=signs.refresh, clock=FixedClock(world.now()))
        return signs.profiles(tokens())[0].id

    return ask
