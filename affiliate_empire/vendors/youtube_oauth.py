"""Google's sign-in for a YouTube channel (OAuth for desktop apps: loopback redirect, PKCE with S256).

Google gives a refresh token only where it is asked for offline access, and to a user who consented before only where
consent is asked for again: so both are asked for every time.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

import httpx

from affiliate_empire.vendors.errors import CredentialsRejected, GrantEnded, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.http import open_http
from affiliate_empire.vendors.oauth import Granted, Profile, SignIn

_VENDOR = "youtube"
_AUTH = "https://www.googleapis.com/auth/"


class YouTubeOAuth:
    """The sign-in of a channel's owner at Google (``vendors.oauth.Authorization``).

    Args:
        accounts_url: ``https://accounts.google.com``, or the world's prefix.
        oauth_url: ``https://oauth2.googleapis.com``, or the world's prefix.
        api_url: ``https://youtube.googleapis.com``, or the world's prefix.
        client: gives our OAuth client's id and secret, and raises when there is none.
        timeout: seconds one exchange may be silent.
    """

    name = "YouTube"
    host = "127.0.0.1"
    scopes: ClassVar[Mapping[str, str]] = {
        f"{_AUTH}youtube.upload": "to upload videos and their covers",
        f"{_AUTH}youtube.readonly": "to see which channel it is and how its videos fare",
        f"{_AUTH}youtube.force-ssl": "to take videos down",
        f"{_AUTH}yt-analytics.readonly": "to read how long videos are watched",
    }
    any_of: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        accounts_url: str,
        oauth_url: str,
        api_url: str,
        *,
        client: Callable[[], tuple[str, str]],
        timeout: float = 30.0,
    ) -> None:
        self._page = f"{accounts_url.rstrip('/')}/o/oauth2/v2/auth"
        self._token = f"{oauth_url.rstrip('/')}/token"
        self._channels = f"{api_url.rstrip('/')}/youtube/v3/channels"
        self._client = client
        self._timeout = timeout

    def address(self, sign_in: SignIn) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(sign_in.verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "client_id": self._client()[0],
            "redirect_uri": sign_in.redirect_uri,
            "response_type": "code",
            "scope": " ".join(self.scopes),
            "state": sign_in.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "access_type": "offline",
            "prompt": "consent",
        }
        return f"{self._page}?{urlencode(asked)}"

    def exchange(self, code: str, sign_in: SignIn, *, now: datetime) -> Granted:
        answer = self._ask(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": sign_in.redirect_uri,
                "code_verifier": sign_in.verifier,
            }
        )
        if not answer.get("refresh_token"):
            raise CredentialsRejected(
                "Google gave no refresh token, so access would end within the hour: remove the app at "
                "https://myaccount.google.com/connections and run `empire connect youtube` again.",
                vendor=_VENDOR,
                code="no_refresh_token",
            )
        kept = {"refresh_token": str(answer["refresh_token"])}
        return Granted(str(answer["access_token"]), kept, frozenset(str(answer.get("scope", "")).split()))

    def access(self, refresh_token: str) -> str:
        """An access token of a grant that is there already.

        Raises:
            GrantEnded: it is dead.
        """
        return str(self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})["access_token"])

    def identify(self, granted: Granted) -> tuple[frozenset[str], list[Profile]]:
        return granted.scopes or frozenset(), self.profiles(granted.access_token)

    def profiles(self, access_token: str) -> list[Profile]:
        """The channel of a token.

        Raises:
            VendorRefused: the Google account has none.
        """
        headers = {"Authorization": f"Bearer {access_token}"}
        answer = self._exchange("GET", self._channels, params={"part": "snippet", "mine": "true"}, headers=headers)
        document = _document(answer)
        if answer.status_code != 200:
            reasons = [each.get("reason") for each in document.get("error", {}).get("errors", [])]
            said = str(reasons[0] if reasons else answer.status_code)
            raise VendorRefused(
                f"YouTube does not say which channel that is ({said}): see that the YouTube Data API is enabled in the "
                "project at https://console.cloud.google.com/apis/library, then run `empire connect youtube` again.",
                vendor=_VENDOR,
                code=said,
            )
        found = [
            Profile(
                item["id"],
                str(item["snippet"].get("customUrl") or item["snippet"]["title"]).removeprefix("@"),
                item["snippet"]["title"],
            )
            for item in document.get("items", [])
        ]
        if not found:
            raise VendorRefused(
                "That Google account has no YouTube channel: choose another one, or make the channel first.",
                vendor=_VENDOR,
                code="youtubeSignupRequired",
            )
        return found

    def _ask(self, asked: dict[str, str]) -> dict[str, Any]:
        client_id, client_secret = self._client()
        form = {"client_id": client_id, "client_secret": client_secret, **asked}
        response = self._exchange("POST", self._token, data=form)
        answer = _document(response)
        code = answer.get("error")
        if code == "invalid_grant":
            if "refresh_token" in asked:
                raise GrantEnded("Google does not accept the grant any more.", vendor=_VENDOR, code="invalid_grant")
            raise CredentialsRejected(
                "Google did not accept the sign-in: run `empire connect youtube` again, and finish within minutes.",
                vendor=_VENDOR,
                code="invalid_grant",
            )
        if code or response.status_code >= 400:
            raise CredentialsRejected(
                f"Google refused our OAuth client ({code or response.status_code}): check EMPIRE_YOUTUBE_CLIENT_ID and "
                "EMPIRE_YOUTUBE_CLIENT_SECRET in .env; the client's type must be Desktop app.",
                vendor=_VENDOR,
                code=str(code or response.status_code),
            )
        if not answer.get("access_token"):
            raise _no_answer()
        return answer

    def _exchange(self, method: str, url: str, **content: Any) -> httpx.Response:
        try:
            with open_http(url, timeout=self._timeout) as http:
                response = http.request(method, url, **content)
        except httpx.TransportError:
            raise _no_answer() from None
        if response.status_code == 429 or response.status_code >= 500:
            raise _no_answer()
        return response


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise _no_answer()
    return document


def _no_answer() -> VendorUnavailable:
    return VendorUnavailable(
        "Google does not answer the sign-in; run `empire connect youtube` again later.", vendor=_VENDOR, code="sign_in"
    )
