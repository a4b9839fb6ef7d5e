"""What Google's APIs share: one grant, its access tokens, and reads through google-api-python-client.

A service is built from the discovery document that the package ships, with our base URL: the client's ``api_endpoint``
option keeps ``https`` where the world speaks plain http. ``num_retries`` is never set: it hides second tries. What an
API's own error reasons mean is decided in that API's client.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from affiliate_empire.vendors.errors import CredentialsRejected, GrantEnded, VendorError, VendorUnavailable
from affiliate_empire.vendors.http import is_loopback

_OUT_OF_ORDER = frozenset({"temporarily_unavailable", "server_error", "internal_failure", "slow_down"})


@dataclass(frozen=True)
class GoogleCredentials:
    """An OAuth client, and the grant that a channel's owner gave it.

    ``ended`` is told when Google says that the grant is dead.
    """

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    ended: Callable[[GrantEnded], object] = lambda error: None


class GoogleTokens:
    """Access tokens of one grant, renewed when they have run out or were rejected; one renewal at a time.

    Args:
        oauth_url: ``https://oauth2.googleapis.com``, or the world's prefix; the token endpoint is ``/token`` below it.
        credentials: gives the grant; asked at the first call.
        scopes: what the tokens are asked for.
        vendor: key of the client that uses them (``youtube``).
        timeout: seconds one exchange may be silent.
    """

    def __init__(
        self,
        oauth_url: str,
        credentials: Callable[[], GoogleCredentials],
        scopes: tuple[str, ...],
        *,
        vendor: str,
        timeout: float,
    ) -> None:
        self._token_url = f"{oauth_url.rstrip('/')}/token"
        self._ask = credentials
        self._scopes = scopes
        self._vendor = vendor
        self._open = Transport(self._token_url, timeout)
        self._lock = threading.Lock()
        self._credentials: Any = None

    def bearer(self, *, renew: bool = False) -> str:
        """An access token; with ``renew`` a new one, because the last was rejected."""
        return str(self.fresh(renew=renew).token)

    def fresh(self, *, renew: bool = False) -> Any:
        """google-auth credentials that hold a token.

        Raises:
            Misconfigured: there is no grant (``credentials`` says so).
            GrantEnded: the grant is revoked or has expired: connect again.
            CredentialsRejected: it lacks a scope: connect again.
            VendorUnavailable: the token endpoint does not answer.
        """
        import google_auth_httplib2
        from google.auth import exceptions as auth_errors
        from google.oauth2.credentials import Credentials

        with self._lock:
            if self._credentials is None:
                self._grant = grant = self._ask()
                self._credentials = Credentials(
                    token=None,
                    refresh_token=grant.refresh_token,
                    token_uri=self._token_url,
                    client_id=grant.client_id,
                    client_secret=grant.client_secret,
                    scopes=list(self._scopes),
                )
            if renew or not self._credentials.valid:
                try:
                    with closing(self._open()) as http:
                        self._credentials.refresh(google_auth_httplib2.Request(http))
                except (auth_errors.RefreshError, auth_errors.TransportError) as error:
                    failure = self.failure(error)
                    if isinstance(failure, GrantEnded):
                        self._credentials = None  # who gives the grant says from now on that there is none
                        self._grant.ended(failure)
                    raise failure from error
                except (TypeError, KeyError, OSError) as error:  # the library trips over a page of a proxy, or a reset
                    raise self._no_answer() from error
            return self._credentials

    def failure(self, error: Exception) -> VendorError:
        """What a failed renewal means."""
        if type(error).__name__ == "TransportError":
            return VendorUnavailable(
                "Google's token endpoint could not be reached; check the network and run again.",
                vendor=self._vendor,
                code="token_endpoint",
            )
        # A refusal is Google's own JSON; anything else, such as a page of a proxy, says nothing about the grant.
        said = error.args[1] if len(error.args) > 1 else None
        if getattr(error, "retryable", False) or not isinstance(said, dict) or "error" not in said:
            return self._no_answer()
        if said["error"] in _OUT_OF_ORDER:  # also with status 200, where google-auth misses the token alone
            return self._no_answer()
        if "invalid_scope" in str(error) or "requested scopes" in str(error):
            names = ", ".join(scope.rsplit("/", 1)[-1] for scope in self._scopes)
            return CredentialsRejected(
                f"The channel's grant lacks a scope of {names}: connect it again with `empire connect youtube` and "
                "grant all of them.",
                vendor=self._vendor,
                code="invalid_scope",
            )
        if "invalid_client" in str(said["error"]) or said["error"] in ("unauthorized_client", "access_denied"):
            return CredentialsRejected(
                f"Google refused our OAuth client ({said['error']}): check EMPIRE_YOUTUBE_CLIENT_ID and "
                "EMPIRE_YOUTUBE_CLIENT_SECRET in .env.",
                vendor=self._vendor,
                code=str(said["error"]),
            )
        return GrantEnded(
            "Google refused to renew YouTube's access (the grant was revoked or has expired): "
            "connect the channel again with `empire connect youtube`.",
            vendor=self._vendor,
            code="invalid_grant",
        )

    def _no_answer(self) -> VendorUnavailable:
        return VendorUnavailable(
            "Google's token endpoint does not answer; try again later.", vendor=self._vendor, code="token_endpoint"
        )


class GoogleService:
    """Reads of one Google API.

    Args:
        api: name and version of the discovery document (``("youtube", "v3")``).
        base_url: ``https://youtube.googleapis.com``, or the world's prefix.
        tokens: who asks.
        name: the API's name as a person knows it.
        vendor: key of the client.
        refusal: decides what an error means, by HTTP status, reason and message.
    """

    def __init__(
        self,
        api: tuple[str, str],
        base_url: str,
        *,
        tokens: GoogleTokens,
        name: str,
        vendor: str,
        timeout: float,
        refusal: Callable[[int, str | None, str], VendorError],
    ) -> None:
        self._document = api
        self._base_url = base_url.rstrip("/")
        self._tokens = tokens
        self._name = name
        self._vendor = vendor
        self._refusal = refusal
        self._open = Transport(base_url, timeout)
        self._lock = threading.Lock()
        self._api: Any = None

    def read(self, request: Callable[[Any], Any]) -> dict[str, Any]:
        """Execute one request, with its errors turned into ours.

        Args:
            request: makes the request of the built service, such as ``lambda api: api.videos().list(…)``.
        """
        import google_auth_httplib2
        import httplib2
        from google.auth import exceptions as auth_errors
        from googleapiclient.errors import HttpError

        def exchange(credentials: Any) -> Any:
            # httplib2 connections are not for two threads at once, so each request brings its own.
            with closing(self._open()) as http:
                # The library would renew a rejected token by itself, and trip over what is no answer.
                authorized = google_auth_httplib2.AuthorizedHttp(credentials, http=http, refresh_status_codes=())
                return request(self._service()).execute(http=authorized)

        try:
            try:
                reply = exchange(self._tokens.fresh())
            except HttpError as error:
                if error.status_code != 401:
                    raise
                reply = exchange(self._tokens.fresh(renew=True))
        except HttpError as error:
            details = error.error_details if isinstance(error.error_details, list) else []
            reason = details[0].get("reason") if details and isinstance(details[0], dict) else None
            raise self._refusal(error.status_code, reason, str(error.reason)) from error
        except (auth_errors.RefreshError, auth_errors.TransportError) as error:
            raise self._tokens.failure(error) from error
        except (httplib2.HttpLib2Error, OSError) as error:
            raise VendorUnavailable(
                f"{self._name} could not be reached ({type(error).__name__}); check the network and run again.",
                vendor=self._vendor,
                code=type(error).__name__,
            ) from error
        if not isinstance(reply, dict):  # the library hands on a page of a proxy as it is
            raise VendorUnavailable(
                f"{self._name}'s answer cannot be read; try again later.", vendor=self._vendor, code="unreadable"
            )
        return reply

    def _service(self) -> Any:
        from googleapiclient.discovery import build_from_document
        from googleapiclient.discovery_cache import get_static_doc

        with self._lock:
            if self._api is None:
                document = json.loads(get_static_doc(*self._document))
                document["rootUrl"] = document["baseUrl"] = f"{self._base_url}/"
                document.pop("mtlsRootUrl", None)
                self._api = build_from_document(document, http=self._open())
            return self._api


class Transport:
    """Opens connections to an address; a proxy from the environment is not asked for those on this machine."""

    def __init__(self, url: str, timeout: float) -> None:
        self._direct = is_loopback(url)
        self._timeout = timeout

    def __call__(self) -> Any:
        import httplib2

        if self._direct:
            return httplib2.Http(timeout=self._timeout, proxy_info=None)
        return httplib2.Http(timeout=self._timeout)
