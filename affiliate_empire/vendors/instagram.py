"""Instagram: publish one Reel exactly once, and read back how it fares. Graph API v26.0 with Facebook Login.

A Reel is made in two steps. A *container* takes the video and its labels (by a public URL that Instagram fetches, or by
an upload to rupload) and is seen by nobody; it lives 24 hours and its own status says what became of it.
``publish`` makes it public, once. There is no scheduling: publish at the slot.

Errors are told apart by Graph's ``code`` and ``error_subcode`` (the HTTP status says little). A call that shows nothing
to anybody may simply be made again, so its lost reply is ``VendorUnavailable``; only ``publish`` loses replies. What to
post and when is decided elsewhere (``affiliate_empire.operations.post_to_instagram``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

import httpx

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.vendors.counts import PostCounts, PostState
from affiliate_empire.vendors.errors import (
    AccountRestricted,
    CredentialsRejected,
    GrantEnded,
    QuotaExhausted,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.http import checked_key, never_log, open_http, retry_after, transport_failure
from affiliate_empire.vendors.oauth import Granted, Profile, SignIn

_VENDOR = "instagram"
_NAME = "Instagram"
_VERSION = "v26.0"
_REMEDY = "connect the account again with `empire connect instagram`"
_PAGE = 100
_METRICS = "views,reach,shares,saved,ig_reels_avg_watch_time"
_WAITS = (0.5, 1, 2, 4, 8, 16, 30, 60, 60, 60, 60)  # seconds; processing takes up to about five minutes

_BAD_TOKEN = frozenset({102, 190, 463, 467})
_BAD_CODE = frozenset({36007, 36008, 36009})  # of a sign-in: too old, of another redirect, used
_TOO_FAST = frozenset({4, 17, 32, 613, 80002})
_NOTHING_HAPPENED = frozenset(map(str, _TOO_FAST))
_TRANSIENT = frozenset({-1, 1, 2})
_PERMISSION = frozenset({3, 10, *range(200, 300)})
_UNKNOWN_OBJECT = 33  # subcode of 100
_DOWNLOAD_TIMED_OUT = 2207003
_UNFETCHED = "2207052"
_RESTRICTED = frozenset({2207050, 2207051})
# What ``publish`` is told of a container that is not ready, published already, expired or forgotten.
_CONTAINER_STATE = frozenset({2207006, 2207008, 2207020, 2207027})
# A container that failed by one of these may be made anew: timed out, server error, creation failed, upload failed.
_MAKE_ANEW = ("2207003", "2207001", "2207032", "2207053")


@dataclass(frozen=True)
class InstagramCredentials:
    """An Instagram professional account and a token that may publish there.

    ``ended`` is told when Instagram says that the token is dead.
    """

    user_id: str
    access_token: str = field(repr=False)
    ended: Callable[[GrantEnded], object] = lambda error: None


@dataclass(frozen=True)
class LongLivedToken:
    """A token that lives for weeks, and its life in seconds; None where it has no end."""

    access_token: str = field(repr=False)
    expires_in: float | None


@dataclass(frozen=True, kw_only=True)
class Reel:
    """What a Reel says about itself. Nothing has a default: a forgotten label must not become a published video.

    ``cover_url`` is a public address of its cover, a JPEG; None leaves the cover to the frame at ``thumb_offset_ms``.
    """

    caption: str
    share_to_feed: bool
    is_ai_generated: bool
    is_paid_partnership: bool
    cover_url: str | None
    thumb_offset_ms: int

    def parameters(self) -> dict[str, str]:
        cover = {"thumb_offset": str(self.thumb_offset_ms)} if self.cover_url is None else {"cover_url": self.cover_url}
        return cover | {
            "media_type": "REELS",
            "caption": self.caption,
            "share_to_feed": _text(self.share_to_feed),
            "is_ai_generated": _text(self.is_ai_generated),
            "is_paid_partnership": _text(self.is_paid_partnership),
        }


@dataclass(frozen=True)
class ContainerStatus:
    """How far a container is; ``detail`` says why in ``ERROR``."""

    code: Literal["IN_PROGRESS", "FINISHED", "PUBLISHED", "ERROR", "EXPIRED"]
    detail: str = ""


@dataclass(frozen=True)
class PublishingLimit:
    """Posts by API in the moving window, and how many it allows."""

    used: int
    total: int
    window: timedelta


@dataclass(frozen=True)
class PublishedReel:
    """A Reel as the account's own listing shows it."""

    media_id: str
    permalink: str
    published_at: datetime


class ContainerNotPublishable(VendorRefused):
    """This call published nothing, because of the container's state: its status says which."""


class InstagramClient:
    """One Instagram professional account.

    Safe to use from several threads. Retries nothing.

    Args:
        base_url: ``https://graph.facebook.com``, or the world's prefix.
        upload_url: ``https://rupload.facebook.com``, or the world's prefix.
        credentials: gives the account and its token; asked at each call.
        clock: business time, to say when a full quota opens again.
        timeout: seconds one exchange may be silent.
        pause: how the client waits for Instagram to process a video (seconds).
    """

    def __init__(
        self,
        base_url: str,
        upload_url: str,
        *,
        credentials: Callable[[], InstagramCredentials],
        clock: Clock,
        timeout: float = 60.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._graph = f"{base_url.rstrip('/')}/{_VERSION}"
        self._rupload = f"{upload_url.rstrip('/')}/ig-api-upload/{_VERSION}"
        self._credentials = credentials
        self._clock = clock
        self._pause = pause
        self._http = open_http(base_url, timeout=timeout)

    def close(self) -> None:
        self._http.close()

    # ------------------------------------------------------------------ posting
    def create_container(self, reel: Reel, *, video_url: str | None) -> str:
        """Make a container and return its id; nobody can see anything of it.

        Args:
            video_url: a public address that Instagram fetches the video from; None when ``upload`` will bring it.

        Raises:
            VendorRefused: the caption, the labels or the credentials are not accepted.
            VendorUnavailable: try again later.
        """
        source = {"upload_type": "resumable"} if video_url is None else {"video_url": video_url}
        return self._id(self._call("POST", f"{self._user()}/media", {**reel.parameters(), **source}))

    def upload(self, container_id: str, path: Path) -> None:
        """Bring a container its video. Nobody can see it; a second call on the same container changes nothing.

        Raises:
            VendorRefused, VendorUnavailable: as ``create_container``.
        """
        headers = {
            "Authorization": f"OAuth {self._token()}",
            "offset": "0",
            "file_size": str(path.stat().st_size),
            "Content-Type": "application/octet-stream",
        }
        with path.open("rb") as file:
            response = self._exchange("POST", f"{self._rupload}/{container_id}", headers=headers, content=file)
        if response.status_code != 200:
            raise _upload_error(response)

    def container_status(self, container_id: str) -> ContainerStatus:
        """What became of a container, by its own word.

        Raises:
            VendorUnavailable: no answer, or one that says nothing about the container.
        """
        node = self._call("GET", container_id, {"fields": "status_code,status"})
        if node.get("status_code") not in ("IN_PROGRESS", "FINISHED", "PUBLISHED", "ERROR", "EXPIRED"):
            raise _unreadable(f"the status {node.get('status_code')!r}")
        return ContainerStatus(node["status_code"], str(node.get("status", "")))

    def wait_until_processed(self, container_id: str) -> ContainerStatus:
        """The container's status once it is no longer in progress.

        Raises:
            VendorUnavailable: it was in progress for five minutes; the same container may be asked again.
        """
        for seconds in _WAITS:
            status = self.container_status(container_id)
            if status.code != "IN_PROGRESS":
                return status
            self._pause(seconds)
        raise VendorUnavailable(
            "Instagram is still processing the video after five minutes; run again.", vendor=_VENDOR, code="IN_PROGRESS"
        )

    def publish(self, container_id: str) -> str:
        """Make a container public and return the Reel's id. The visible act; a container is published once.

        Raises:
            ContainerNotPublishable: it is not ready, or was published, or expired: its status says which.
            ReplyLost: it may be public; the container's status knows.
            QuotaExhausted: the account's posts of the last 24 hours are used up.
            VendorRefused: Instagram does not let this account publish.
            VendorUnavailable: nothing happened; try again later.
        """
        reply = self._call("POST", f"{self._user()}/media_publish", {"creation_id": container_id}, visible=True)
        return self._id(reply)

    def publishing_limit(self) -> PublishingLimit:
        """How many posts the account may still make: the number differs by account and is read, never assumed."""
        reply = self._call("GET", f"{self._user()}/content_publishing_limit", {"fields": "config,quota_usage"})
        try:
            (row,) = reply["data"]
            config = row["config"]
            window = timedelta(seconds=int(config["quota_duration"]))
            return PublishingLimit(int(row["quota_usage"]), int(config["quota_total"]), window)
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable("a publishing limit without numbers") from error

    # ------------------------------------------------------------------ taking down
    def delete(self, media_id: str) -> None:
        """Delete a Reel for good; one that is gone already stays gone.

        Raises:
            CredentialsRejected: the token lacks ``instagram_manage_contents``.
            ReplyLost: it may be gone; ``fetch_states`` knows.
            VendorRefused, VendorUnavailable: it stands.
        """
        try:
            reply = self._call("DELETE", media_id, {}, visible=True)
        except CredentialsRejected as error:
            if isinstance(error, GrantEnded):
                raise
            raise CredentialsRejected(
                "Instagram does not let us delete Reels: connect the account again with `empire connect instagram` and "
                "grant instagram_manage_contents.",
                vendor=_VENDOR,
                code=error.code,
            ) from error
        except VendorRefused as error:
            if error.code != f"100.{_UNKNOWN_OBJECT}":
                raise
            return
        if reply.get("success") is not True:
            raise ReplyLost(
                "Instagram does not say that the Reel is deleted; run again.", vendor=_VENDOR, code="unreadable"
            )

    # ------------------------------------------------------------------ reads
    def find_by_caption(self, marker: str, *, since: datetime) -> PublishedReel | None:
        """A Reel of the account, published at or after ``since``, whose caption contains ``marker``.

        Presence only: a post may be missing from the listing (moderation, delay), so None proves nothing.
        """
        for node in self._media("id,caption,permalink,timestamp"):
            published_at = _instant(node["timestamp"])
            if published_at < since.replace(microsecond=0):
                return None  # newest first
            if marker in node.get("caption", ""):
                return PublishedReel(node["id"], node["permalink"], published_at)
        return None

    def fetch_reel(self, media_id: str) -> PublishedReel:
        """A Reel by its id.

        Raises:
            VendorRefused: there is none (any more).
        """
        node = self._call("GET", media_id, {"fields": "id,permalink,timestamp"})
        return PublishedReel(node["id"], node["permalink"], _instant(node["timestamp"]))

    def fetch_counts(self, media_ids: Sequence[str]) -> dict[str, PostCounts]:
        """Counters by media id. Missing are Reels that are gone, and those whose views are not counted yet.

        Insights are up to 48 hours late; what is not there yet is None, never 0.
        """
        found: dict[str, PostCounts] = {}
        for node in self._wanted(media_ids, f"id,like_count,comments_count,insights.metric({_METRICS})"):
            counted = {each["name"]: each["values"][0]["value"] for each in node.get("insights", {}).get("data", [])}
            if "views" not in counted:
                continue
            watched = counted.get("ig_reels_avg_watch_time")
            found[node["id"]] = PostCounts(
                views=int(counted["views"]),
                likes=int(node.get("like_count", 0)),
                comments=int(node.get("comments_count", 0)),
                shares=counted.get("shares"),
                saves=counted.get("saved"),
                reach=counted.get("reach"),
                watch_seconds=None if watched is None else watched / 1000,
                raw=node,
            )
        return found

    def fetch_states(self, media_ids: Sequence[str]) -> dict[str, PostState]:
        """Whether Reels stand. One that the listing leaves out is asked for by its id before it is called gone."""
        found = {node["id"]: PostState("public") for node in self._wanted(media_ids, "id")}
        for media_id in media_ids:
            if media_id in found:
                continue
            try:
                self.fetch_reel(media_id)
                found[media_id] = PostState("public")
            except VendorRefused as error:
                if error.code != f"100.{_UNKNOWN_OBJECT}":
                    raise
                found[media_id] = PostState("gone")
        return found

    def _wanted(self, media_ids: Sequence[str], fields: str) -> Iterator[dict[str, Any]]:
        """The nodes of these Reels, as far as the listing shows them: one call for a hundred posts."""
        missing = set(media_ids)
        if not missing:
            return
        for node in self._media(fields):
            if node["id"] in missing:
                missing.remove(node["id"])
                yield node
            if not missing:
                return

    def _media(self, fields: str) -> Iterator[dict[str, Any]]:
        after: dict[str, str] = {}
        while True:
            page = self._call("GET", f"{self._user()}/media", {"fields": fields, "limit": str(_PAGE), **after})
            yield from page.get("data", [])
            if "next" not in page.get("paging", {}):
                return
            after = {"after": page["paging"]["cursors"]["after"]}

    # ------------------------------------------------------------------ plumbing
    def _user(self) -> str:
        return self._credentials().user_id

    def _token(self) -> str:
        token = self._credentials().access_token
        return checked_key(lambda: token, vendor=_VENDOR, name=_NAME, hint=_REMEDY)

    def _call(self, method: str, path: str, params: dict[str, str], *, visible: bool = False) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token()}"}
        where = {"data": params} if method == "POST" else {"params": params}
        response = self._exchange(method, f"{self._graph}/{path}", headers=headers, visible=visible, **where)
        document = _document(response)
        if response.status_code == 200 and document is not None and "error" not in document:
            return document
        error = self._error(response, document)
        if isinstance(error, GrantEnded):
            self._credentials().ended(error)
        if visible and type(error) is VendorUnavailable and error.code not in _NOTHING_HAPPENED:
            # Instagram answers "try again" also when it goes on publishing behind the answer.
            raise ReplyLost(str(error), vendor=_VENDOR, code=error.code)
        raise error

    def _exchange(
        self, method: str, url: str, *, headers: dict[str, str], visible: bool = False, **content: Any
    ) -> httpx.Response:
        try:
            return self._http.request(method, url, headers=headers, **content)
        except httpx.TransportError as error:
            failure = transport_failure(error, vendor=_VENDOR, name=_NAME)
            if visible:
                raise failure from error
            raise VendorUnavailable(
                f"Instagram could not be reached ({failure.code}); try again later.", vendor=_VENDOR, code=failure.code
            ) from error

    def _id(self, reply: dict[str, Any]) -> str:
        if not isinstance(reply.get("id"), str) or not reply["id"]:
            raise ReplyLost("Instagram's answer names no id; run again.", vendor=_VENDOR, code="unreadable")
        return str(reply["id"])

    def _error(self, response: httpx.Response, document: dict[str, Any] | None) -> VendorError:
        """The one place that decides what a Graph error means."""
        problem = (document or {}).get("error")
        if not isinstance(problem, dict) or not isinstance(problem.get("code"), int):
            return _unreadable(f"the status {response.status_code}", response)
        code, subcode = problem["code"], problem.get("error_subcode")
        message = problem.get("error_user_msg") or problem.get("message") or "no reason given"
        known = f"{code}.{subcode}" if subcode else str(code)
        if code == 9:
            resets_at = self._clock.now() + timedelta(hours=24)
            return QuotaExhausted(
                "Instagram refused to publish: the account's posts of the last 24 hours are used up; "
                f"next try by {resets_at:%Y-%m-%d %H:%M} UTC at the latest.",
                vendor=_VENDOR,
                code=known,
                resets_at=resets_at,
            )
        if code in _BAD_TOKEN:
            return GrantEnded(
                f"Instagram rejected the token ({known}): {_REMEDY}.",  # its message may quote the token
                vendor=_VENDOR,
                code=known,
            )
        if subcode in _RESTRICTED or code == 25:
            return AccountRestricted(
                f"Instagram restricts the account ({message}): open the Instagram app and follow its notice.",
                vendor=_VENDOR,
                code=known,
            )
        if subcode in _CONTAINER_STATE:
            return ContainerNotPublishable(
                f"Instagram does not publish the container as it is ({message}): run again.",
                vendor=_VENDOR,
                code=known,
            )
        if code in _TOO_FAST:
            return VendorUnavailable(
                "Instagram asks for fewer calls; try again later.",
                vendor=_VENDOR,
                code=str(code),
                retry_after=_regained(response) or retry_after(response),
            )
        if code in _TRANSIENT or subcode == _DOWNLOAD_TIMED_OUT or problem.get("is_transient"):
            return VendorUnavailable(
                f"Instagram is busy ({known}); try again later.",
                vendor=_VENDOR,
                code=known,
                retry_after=retry_after(response),
            )
        if code in _PERMISSION:
            return CredentialsRejected(
                f"Instagram does not permit that ({message}): connect the account again with `empire connect "
                "instagram`, grant all permissions, and turn on branded content in its app.",
                vendor=_VENDOR,
                code=known,
            )
        return VendorRefused(f"Instagram refused the request ({known}): {message}", vendor=_VENDOR, code=known)


def could_not_fetch(status: ContainerStatus) -> bool:
    """Whether Instagram was kept from the address of the video: a robots.txt that forbids it, a host nobody reaches."""
    return _UNFETCHED in status.detail


class InstagramOAuth:
    """Meta's token endpoint for our app, and its sign-in (Facebook Login by hand, ``vendors.oauth.Authorization``).

    Meta has no PKCE outside OpenID Connect; the code is worth nothing without the app's secret. With plain http it
    takes a redirect to ``localhost`` only, and only of an app in development mode, which is enough for own accounts.

    Args:
        base_url: as of ``InstagramClient``.
        app_id: gives the app's id when it is needed, and raises when there is none.
        app_secret: likewise.
        sign_in_url: ``https://www.facebook.com``, or the world's prefix.
    """

    name = _NAME
    host = "localhost"
    scopes: ClassVar[Mapping[str, str]] = {
        "instagram_basic": "to see which account it is",
        "instagram_content_publish": "to publish Reels",
        "instagram_manage_insights": "to read how Reels fare",
        "instagram_manage_contents": "to take Reels down",
        "pages_show_list": "to find the Facebook page that the account belongs to",
        "pages_read_engagement": "to reach the account through its page",
    }
    any_of: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        base_url: str,
        *,
        app_id: Callable[[], str],
        app_secret: Callable[[], str],
        sign_in_url: str = "https://www.facebook.com",
        timeout: float = 30.0,
    ) -> None:
        self._page = f"{sign_in_url.rstrip('/')}/{_VERSION}/dialog/oauth"
        self._graph = f"{base_url.rstrip('/')}/{_VERSION}"
        self._url = f"{base_url.rstrip('/')}/{_VERSION}/oauth/access_token"
        self._app_id = app_id
        self._app_secret = app_secret
        self._timeout = timeout
        never_log("/oauth/access_token")

    def extend(self, access_token: str) -> LongLivedToken:
        """A token that lives 60 days from now, for one that lives; the same one again when it is not a day old.

        Raises:
            GrantEnded: the token is dead; only the account's owner can grant anew.
            CredentialsRejected: Meta does not accept our app.
            VendorUnavailable: try again later; the token that was sent stays valid.
        """
        return self._ask({"grant_type": "fb_exchange_token", "fb_exchange_token": access_token})

    # ------------------------------------------------------------------ signing in
    def address(self, sign_in: SignIn) -> str:
        asked = {
            "client_id": self._app_id(),
            "redirect_uri": sign_in.redirect_uri,
            "response_type": "code",
            "scope": ",".join(self.scopes),
            "state": sign_in.state,
            "auth_type": "rerequest",  # what was declined before is asked for again
        }
        return f"{self._page}?{urlencode(asked)}"

    def exchange(self, code: str, sign_in: SignIn, *, now: datetime) -> Granted:
        token = self.extend(self._ask({"code": code, "redirect_uri": sign_in.redirect_uri}).access_token)
        ends = None if token.expires_in is None else (now + timedelta(seconds=token.expires_in)).isoformat()
        kept = {"access_token": token.access_token, "issued_at": now.isoformat(), "expires_at": ends}
        return Granted(token.access_token, kept, None)

    def identify(self, granted: Granted) -> tuple[frozenset[str], list[Profile]]:
        permissions = self._read("me/permissions", granted.access_token, {})
        scopes = frozenset(each["permission"] for each in permissions if each.get("status") == "granted")
        if not set(self.scopes) <= scopes:
            return scopes, []
        fields = {"fields": "name,instagram_business_account{id,username,name}", "limit": str(_PAGE)}
        pages = self._read("me/accounts", granted.access_token, fields)
        accounts = [page["instagram_business_account"] for page in pages if page.get("instagram_business_account")]
        if not accounts:
            raise VendorRefused(
                "None of the Facebook pages that were granted has an Instagram professional account: link it to a page "
                "in Instagram's settings, and choose that page when you run `empire connect instagram` again.",
                vendor=_VENDOR,
                code="no_account",
            )
        return scopes, [
            Profile(str(each["id"]), each["username"], each.get("name") or each["username"]) for each in accounts
        ]

    def _read(self, path: str, token: str, params: dict[str, str]) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self._graph}/{path}"
        try:
            with open_http(url, timeout=self._timeout) as http:
                response = http.get(url, params=params, headers=headers)
        except httpx.TransportError as error:
            raise transport_failure(error, vendor=_VENDOR, name=_NAME) from error
        document = _document(response) or {}
        if response.status_code != 200 or not isinstance(document.get("data"), list):
            code = str((document.get("error") or {}).get("code") or response.status_code)
            kind = VendorUnavailable if response.status_code >= 500 else VendorRefused
            raise kind(f"Meta does not say which account that is ({code}); sign in again.", vendor=_VENDOR, code=code)
        return list(document["data"])

    def _ask(self, asked: dict[str, str]) -> LongLivedToken:
        params = {"client_id": self._app_id(), "client_secret": self._app_secret(), **asked}
        try:
            with open_http(self._url, timeout=self._timeout) as http:
                response = http.get(self._url, params=params)
        except httpx.TransportError as error:
            raise VendorUnavailable(
                f"Meta's token endpoint could not be reached ({type(error).__name__}); try again later.",
                vendor=_VENDOR,
                code=type(error).__name__,
            ) from None  # the request's address holds the token
        answer = _document(response) or {}
        problem = answer.get("error")
        if isinstance(problem, dict) and problem.get("code") in _BAD_TOKEN:
            raise GrantEnded(
                f"Meta refused to renew Instagram's token ({problem.get('error_subcode') or problem['code']}): "
                f"{_REMEDY}.",
                vendor=_VENDOR,
                code=str(problem["code"]),
            )
        if (
            response.status_code == 429
            or response.status_code >= 500
            or (isinstance(problem, dict) and problem.get("code") in _TOO_FAST | _TRANSIENT)
        ):
            raise VendorUnavailable(
                "Meta's token endpoint is busy; try again later.", vendor=_VENDOR, code=str(response.status_code)
            )
        if isinstance(problem, dict) and problem.get("error_subcode") in _BAD_CODE:
            raise CredentialsRejected(
                f"Meta did not accept the sign-in ({problem['error_subcode']}): run `empire connect instagram` again, "
                "and finish within minutes.",
                vendor=_VENDOR,
                code=str(problem["error_subcode"]),
            )
        if isinstance(problem, dict) or response.status_code >= 400:
            code = str(problem.get("code") if isinstance(problem, dict) else response.status_code)
            raise CredentialsRejected(
                f"Meta's token endpoint refused our app ({code}): check EMPIRE_META_APP_ID and EMPIRE_META_APP_SECRET "
                "in .env.",
                vendor=_VENDOR,
                code=code,
            )
        try:
            expires_in = answer.get("expires_in")
            return LongLivedToken(str(answer["access_token"]), None if not expires_in else float(expires_in))
        except (KeyError, TypeError, ValueError):
            # Without its cause: an error about these fields would quote the token.
            raise _unreadable("an exchange without a token") from None


def failed_for_good(status: ContainerStatus) -> bool:
    """Whether a container in ``ERROR`` failed by its video, so that the same video would fail again."""
    return not any(code in status.detail for code in _MAKE_ANEW)


def _upload_error(response: httpx.Response) -> VendorError:
    """rupload speaks a dialect of its own: ``debug_info`` instead of ``error``."""
    debug = (_document(response) or {}).get("debug_info")
    if not isinstance(debug, dict):
        return _unreadable(f"the status {response.status_code} to the upload", response)
    kind, message = str(debug.get("type")), debug.get("message") or "no reason given"
    if kind == "NotAuthorizedError":
        return CredentialsRejected(
            f"Instagram rejected the token ({kind}): {_REMEDY}.",  # its message may quote the token
            vendor=_VENDOR,
            code=kind,
        )
    if debug.get("retriable") or response.status_code >= 500:
        return VendorUnavailable(
            f"Instagram did not take the whole upload ({message}); try again later.",
            vendor=_VENDOR,
            code=kind,
            retry_after=retry_after(response),
        )
    return VendorRefused(f"Instagram refused the upload ({kind}): {message}", vendor=_VENDOR, code=kind)


def _document(response: httpx.Response) -> dict[str, Any] | None:
    try:
        document = response.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _unreadable(what: str, response: httpx.Response | None = None) -> VendorUnavailable:
    return VendorUnavailable(
        f"Instagram answered {what}, which cannot be understood; try again later.",
        vendor=_VENDOR,
        code="unreadable",
        retry_after=None if response is None else retry_after(response),
    )


def _regained(response: httpx.Response) -> float | None:
    """Seconds until a rate limit lets calls through again, by the usage headers (which speak of minutes)."""
    try:
        usage = json.loads(response.headers.get("x-business-use-case-usage", ""))
        minutes = max(int(each["estimated_time_to_regain_access"]) for uses in usage.values() for each in uses)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # no header, or one of another form
    return 60.0 * minutes or None


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


def _text(value: bool) -> str:
    return "true" if value else "false"
