"""The platforms' clients as a command needs them. In the Dagster process they come from ``resources``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import typer

from affiliate_empire.cli.console import open_vault
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.take_down import BlogRemover, InstagramRemover, Remover, YouTubeRemover
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants, instagram_sign_in, youtube_sign_in
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.blog import BlogClient
from affiliate_empire.vendors.deploy_hook import DeployHook
from affiliate_empire.vendors.instagram import InstagramClient, InstagramOAuth
from affiliate_empire.vendors.youtube import YouTubeClient


@contextmanager
def open_removers(settings: Settings, ledger: Ledger, clock: Clock) -> Iterator[dict[str, Remover]]:
    """What takes posts down, by platform; TikTok has no API for it. Nothing is connected before it is needed."""
    grants = Grants(open_vault(settings, ledger), given=settings.grant_of, clock=clock)
    youtube = PerAccount(partial(_youtube, settings, grants, clock), close=YouTubeClient.close)
    instagram = PerAccount(partial(_instagram, settings, grants, clock), close=InstagramClient.close)
    removers: dict[str, Remover] = {"youtube": YouTubeRemover(youtube), "instagram": InstagramRemover(instagram)}
    if (blog := _blog(settings)) is not None:
        removers["blog"] = BlogRemover(blog, clock=clock, warn=_warn)
    try:
        yield removers
    finally:
        youtube.close()
        instagram.close()


def _warn(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _youtube(settings: Settings, grants: Grants, clock: Clock, account_id: str) -> YouTubeClient:
    urls = settings.vendor_url("youtube"), settings.vendor_url("google_oauth")
    return YouTubeClient(*urls, credentials=youtube_sign_in(account_id, grants, secret=settings.secret), clock=clock)


def _instagram(settings: Settings, grants: Grants, clock: Clock, account_id: str) -> InstagramClient:
    url, secret = settings.vendor_url("instagram"), settings.secret
    oauth = InstagramOAuth(url, app_id=lambda: secret("meta_app_id"), app_secret=lambda: secret("meta_app_secret"))
    return InstagramClient(
        url,
        settings.vendor_url("instagram_upload"),
        credentials=instagram_sign_in(account_id, grants, oauth=oauth if settings.has_meta_app else None, clock=clock),
        clock=clock,
    )


def _blog(settings: Settings) -> BlogClient | None:
    """The blog in a clone of this command's own: a publish run may be at work in the other."""
    if settings.blog is None:
        return None
    remote, base_url = settings.blog
    address = settings.blog_deploy_hook
    hook = DeployHook(address.get_secret_value()) if address else None
    return BlogClient(remote, settings.home_path / "takedown", base_url, deploy_hook=hook)
