"""``empire connect``: an account's owner signs in at the platform, and what is granted goes into the vault."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from affiliate_empire.cli.console import business_clock, open_ledger, open_vault, out
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants, RotatingTokens
from affiliate_empire.vendors.instagram import InstagramOAuth
from affiliate_empire.vendors.oauth import Authorization
from affiliate_empire.vendors.tiktok import TikTokOAuth
from affiliate_empire.vendors.youtube_oauth import YouTubeOAuth

PLATFORMS = ("youtube", "tiktok", "instagram")


def connect(
    platform: Annotated[str, typer.Argument(metavar="PLATFORM", help=" or ".join(PLATFORMS))],
    account: Annotated[
        str | None, typer.Option(help="The account that is meant; another one that signs in is refused.")
    ] = None,
    niche: Annotated[str | None, typer.Option(help="The only niche that the account posts about.")] = None,
    port: Annotated[int, typer.Option(help="Where the browser comes back to; 0 takes a free port.")] = 0,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the sign-in.")] = 300.0,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the address in the browser.")] = False,
) -> None:
    """Connect an account, or connect it again: sign in at the platform and allow what the business needs."""
    from affiliate_empire.operations.connect_account import connect_account

    if platform not in PLATFORMS:
        raise BadInput(f"{platform} has no sign-in: say {', '.join(PLATFORMS[:-1])} or {PLATFORMS[-1]}.")
    settings = Settings()
    settings.app_of(platform)
    clock = business_clock(settings)
    vault = open_vault(settings, open_ledger(settings))
    grants = Grants(vault, given=settings.grant_of, clock=clock)
    grants.adopt("tiktok", "tiktok")

    def show(address: str) -> None:
        label = " (SIMULATED)" if settings.simulated else ""
        out.print(f"Sign in here{label}, in a browser on this machine:")
        print(address, flush=True)
        if open_browser:
            webbrowser.open(address)

    authorization, who_is = _sign_in(platform, settings, grants, clock)
    done = connect_account(
        platform,
        authorization=authorization,
        show=show,
        who_is=who_is,
        vault=vault,
        grants=grants,
        clock=clock,
        account_id=account,
        niche=niche,
        port=port,
        patience=wait,
    )
    what = "new" if done.is_new else "connected again" if done.revived else "connected"
    whose = f"{done.profile.name} (@{done.profile.handle})"
    out.print(f"{done.account_id} is {what}: {whose}.", markup=False, highlight=False, soft_wrap=True)
    if done.known_niches:
        out.print(
            f"No product is of its niche yet, so nothing is planned for it; the products' niches are "
            f"{', '.join(done.known_niches)}: to choose one of them, connect it again with --niche.",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    if done.drafts_only:
        out.print(
            "Posting (video.publish) was not allowed, so its posts go out as drafts that you finish in the app: its "
            f"route is inbox now. To post directly, connect it again, allow that, then: empire accounts route "
            f"{done.account_id} direct",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    if done.is_new and not settings.simulated:
        out.print(f"Each of its posts waits for your word until: empire accounts approval {done.account_id} auto")


def _sign_in(
    platform: str, settings: Settings, grants: Grants, clock: Clock
) -> tuple[Authorization, Callable[[str], str]]:
    """How owners sign in at a platform, and how to find out who an account is that has a grant."""
    url, app = settings.vendor_url, partial(settings.app_of, platform)
    if platform == "youtube":
        google = YouTubeOAuth(url("google_accounts"), url("google_oauth"), url("youtube"), client=app)
        return google, lambda name: google.profiles(google.access(grants.of(name)["refresh_token"]))[0].id
    if platform == "tiktok":
        tiktok = TikTokOAuth(
            url("tiktok"),
            client_key=lambda: app()[0],
            client_secret=lambda: app()[1],
            sign_in_url=url("tiktok_login"),
        )

        def creator(name: str) -> str:
            tokens = RotatingTokens(grants, name, refresh=tiktok.refresh, clock=clock)
            return tiktok.profiles(tokens())[0].id

        return tiktok, creator
    instagram = InstagramOAuth(
        url("instagram"), app_id=lambda: app()[0], app_secret=lambda: app()[1], sign_in_url=url("facebook")
    )
    return instagram, lambda name: str(grants.of(name)["user_id"])
