"""What the platforms' clients sign in with: an account's grant beside our app's own credentials."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.vault.grants import Grants
from affiliate_empire.vault.longlived import ExtendedToken
from affiliate_empire.vendors.google import GoogleCredentials
from affiliate_empire.vendors.instagram import InstagramCredentials, InstagramOAuth


def youtube_sign_in(
    account_id: str, grants: Grants, *, secret: Callable[[str], str]
) -> Callable[[], GoogleCredentials]:
    """What a channel's clients sign in with, read anew for each sign-in.

    Args:
        secret: our app's credentials, by name.

    Raises:
        NotConnected: the account has no grant.
    """
    grants.refuse_unconnected(account_id)

    def credentials() -> GoogleCredentials:
        grant = grants.of(account_id)
        return GoogleCredentials(
            client_id=secret("youtube_client_id"),
            client_secret=secret("youtube_client_secret"),
            refresh_token=grant["refresh_token"],
            ended=partial(grants.end, account_id, grant),
        )

    return credentials


def instagram_sign_in(
    account_id: str, grants: Grants, *, oauth: InstagramOAuth | None, clock: Clock
) -> Callable[[], InstagramCredentials]:
    """What an account's client signs in with, extended in time.

    Args:
        oauth: extends tokens; None where our app's credentials are not there, and they end when they end.

    Raises:
        NotConnected: the account has no grant.
    """
    grants.refuse_unconnected(account_id)
    in_force = ExtendedToken(grants, account_id, extend=None if oauth is None else oauth.extend, clock=clock)

    def credentials() -> InstagramCredentials:
        grant = in_force()
        return InstagramCredentials(
            grant["user_id"], grant["access_token"], ended=partial(grants.end, account_id, grant)
        )

    return credentials
