"""TikTok: Content Posting API (direct post, draft to the inbox), publish status, counters of public videos.

Every answer is an envelope whose ``error.code`` decides, also with HTTP 200. A publish id stands for a publish from its
first byte to its end; the post's own id is told only when moderation is done. Nothing here posts a second time: an
upload that was interrupted is asked about by its publish id (``operations.post_to_tiktok``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
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
    RouteClosed,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.http import never_log, open_http, retry_after, transport_failure
from affiliate_empire.vendors.oauth import Grant, Granted, Profile, SignIn, Tokens

PUBLISH, UPLOAD = "video.publish", "video.upload"  # scopes: to post, and to send drafts
_BASIC = "user.info.basic"

_VENDOR = "tiktok"
_SITES = {"https://open.tiktokapis.com": "https://www.tiktok.com"}  # the world shows its videos itself
_IDS_PER_CALL = 20
UPLOAD_LIFE = timedelta(hours=1)  # how long an upload address takes bytes (TikTok's media transfer guide)
_CHUNK = 64_000_000  # a video up to this goes whole; a last chunk may be twice as large (TikTok: 64 MB and 128 MB)
_COUNTS = "id,view_count,like_count,comment_count,share_count"

_QUOTA = {
    "spam_risk_too_many_posts": "the creator's posts of 24 hours are used up",
    "spam_risk_too_many_pending_share": "five drafts of the last 24 hours wait in the creator's inbox: post or delete "
    "them there",
    "reached_active_user_cap": "the client's active creators of 24 hours are used up",
}
_FAULT_OF_ITS_OWN = "internal"
_BANNED = "spam_risk_user_banned_from_posting"
_OF_ROUTE = ("unaudited_client_can_only_post_to_private_accounts", "privacy_level_option_mismatch")
_REMEDIES = {  # of the account, or of its token: the same post may be sent when that is done
    "unaudited_client_can_only_post_to_private_accounts": "the client is not audited and may not post publicly: have "
    "it audited at developers.tiktok.com, or take another route",
    "privacy_level_option_mismatch": "the account does not offer this audience: make it public in TikTok's settings, "
    "or take another route",
    "url_ownership_unverified": "the address of the media store is not verified for the client: verify it at "
    "developers.tiktok.com",
    "scope_not_authorized": "the grant lacks a scope (video.publish, video.upload, video.list): connect the account "
    "again with `empire connect tiktok` and grant all of them",
    "access_token_invalid": "the access token is rejected: connect the account again with `empire connect tiktok`",
}


@dataclass(frozen=True)
class CreatorInfo:
    """What the creator may choose at this moment; asked afresh before each post, as TikTok demands."""

    username: str
    privacy_levels: tuple[str, ...]
    comment_disabled: bool
    duet_disabled: bool
    stitch_disabled: bool
    longest_seconds: float


@dataclass(frozen=True)
class PostInfo:
    """What a direct post says about itself. Nothing has a default: a forgotten flag must not become a post."""

    title: str  # the caption
    privacy_level: str
    disable_comment: bool
    disable_duet: bool
    disable_stitch: bool
    brand_content_toggle: bool
    brand_organic_toggle: bool
    is_aigc: bool


@dataclass(frozen=True)
class Upload:
    """A publish that was begun. ``url`` takes the chunks, in order, for one hour; who has it can send them."""

    publish_id: str
    url: str = field(repr=False)
    size: int
    chunk_size: int
    chunks: int


@dataclass(frozen=True)
class PublishStatus:
    """How far a publish is.

    ``status``: PROCESSING_UPLOAD | PROCESSING_DOWNLOAD | SEND_TO_USER_INBOX | PUBLISH_COMPLETE | FAILED.
    ``post_id`` may come later than PUBLISH_COMPLETE, and never comes for a post that is not public.
    """

    status: str
    uploaded_bytes: int | None
    fail_reason: str | None
    post_id: str | None


@dataclass(frozen=True)
class PublicVideo:
    """A public video's address and when it was posted."""

    url: str
    posted_at: datetime


class UploadGone(ReplyLost):
    """The upload address takes no more bytes: nothing is published by it unless it has them all already."""


class TikTokClient:
    """One TikTok creator: the one who granted the tokens.

    Safe to use from several threads. Retries nothing, except that a rejected access token is renewed once.

    Args:
        base_url: ``https://open.tiktokapis.com``, or the world's prefix.
        tokens: gives the access token in force.
        clock: business time, to say when a full quota opens again.
        timeout: seconds one exchange may be silent.
        chunk_bytes: how much is sent at once.
    """

    def __init__(
        self, base_url: str, *, tokens: Tokens, clock: Clock, timeout: float = 60.0, chunk_bytes: int = _CHUNK
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._tokens = tokens
        self._clock = clock
        self._chunk_bytes = chunk_bytes
        self._http = open_http(base_url, timeout=timeout)
        never_log("/video/")  # where bytes go: who has the address can send them

    def close(self) -> None:
        self._http.close()

    def url(self, post_id: str, username: str = "") -> str:
        """Where people watch a post: TikTok finds it by its id, whatever the name. Before it has one, the profile."""
        profile = f"{_SITES.get(self._base_url, self._base_url)}/@{username or '_'}"
        return profile if is_publish_id(post_id) else f"{profile}/video/{post_id}"

    # ------------------------------------------------------------------ posting
    def fetch_creator_info(self) -> CreatorInfo:
        """What may be posted now.

        Raises:
            QuotaExhausted: the creator's posts of 24 hours are used up.
            VendorRefused, VendorUnavailable: as for every call of this client.
        """
        data = self._call("/v2/post/publish/creator_info/query/", {})
        try:
            return CreatorInfo(
                username=data["creator_username"],
                privacy_levels=tuple(data["privacy_level_options"]),
                comment_disabled=data["comment_disabled"],
                duet_disabled=data["duet_disabled"],
                stitch_disabled=data["stitch_disabled"],
                longest_seconds=data["max_video_post_duration_sec"],
            )
        except KeyError as error:
            raise _unreadable() from error

    def start_post(self, post: PostInfo, size: int) -> Upload:
        """Begin a direct post of ``size`` bytes; nobody can see anything of it before its last byte."""
        return self._start("/v2/post/publish/video/init/", {"post_info": asdict(post)}, size)

    def start_draft(self, size: int) -> Upload:
        """Begin a draft of ``size`` bytes for the creator's inbox; caption and labels are set there, by a person."""
        return self._start("/v2/post/publish/inbox/video/init/", {}, size)

    def _start(self, path: str, body: dict[str, Any], size: int) -> Upload:
        chunk_size = min(size, self._chunk_bytes)
        chunks = size // chunk_size
        source = {"source": "FILE_UPLOAD", "video_size": size, "chunk_size": chunk_size, "total_chunk_count": chunks}
        data = self._call(path, body | {"source_info": source})
        try:
            return Upload(data["publish_id"], data["upload_url"], size, chunk_size, chunks)
        except KeyError as error:
            raise _unreadable() from error

    def upload(self, upload: Upload, path: Path, *, received: int = 0) -> None:
        """Send the chunks that TikTok does not hold yet. With the last one TikTok publishes: the visible act.

        Args:
            received: bytes that TikTok said to hold (``fetch_status``).

        Raises:
            UploadGone: a ``ReplyLost``: the address is dead.
            ReplyLost: nobody can say whether a chunk arrived; the publish id can.
            VendorUnavailable, VendorRefused: the chunk was not taken; it is never the last one that is refused, for
                TikTok may have had the whole video when it answered.
        """
        with path.open("rb") as file:
            for number in range(received // upload.chunk_size, upload.chunks):
                start, is_last = number * upload.chunk_size, number == upload.chunks - 1
                file.seek(start)
                self._send(upload, file.read(-1 if is_last else upload.chunk_size), start, is_last=is_last)

    def _send(self, upload: Upload, chunk: bytes, start: int, *, is_last: bool) -> None:
        span = f"bytes {start}-{start + len(chunk) - 1}/{upload.size}"
        headers = {"Content-Type": "video/mp4", "Content-Range": span}
        try:
            response = self._http.put(upload.url, content=chunk, headers=headers)
        except httpx.TransportError as error:
            raise transport_failure(error, vendor=_VENDOR, name="TikTok") from error
        status = str(response.status_code)
        if status == ("201" if is_last else "206"):
            return
        if status in ("403", "404"):
            raise UploadGone(
                "TikTok dropped the upload before the video was complete: run again to start a new one.",
                vendor=_VENDOR,
                code=status,
            )
        if response.status_code == 429:
            raise VendorUnavailable(
                "TikTok takes no bytes now; try again later.",
                vendor=_VENDOR,
                code=status,
                retry_after=retry_after(response),
            )
        if is_last or response.status_code >= 500 or response.status_code in (200, 201, 206, 416):
            # 416: the chunk is not the next one, so what TikTok holds is not what we think.
            raise ReplyLost(
                f"TikTok did not say what it took of the video ({status}); it is asked on the next run.",
                vendor=_VENDOR,
                code=status,
            )
        raise VendorRefused(f"TikTok refused the video's bytes ({status}).", vendor=_VENDOR, code=status)

    def fetch_status(self, publish_id: str) -> PublishStatus:
        """What became of a publish, by its own word.

        Raises:
            VendorRefused: code ``invalid_publish_id`` when TikTok does not know it.
            VendorUnavailable: no answer.
        """
        data = self._call("/v2/post/publish/status/fetch/", {"publish_id": publish_id})
        if "status" not in data:
            raise _unreadable()
        posts = data.get("publicaly_available_post_id") or []  # TikTok's own spelling
        return PublishStatus(
            status=data["status"],
            uploaded_bytes=data.get("uploaded_bytes"),
            fail_reason=data.get("fail_reason") or None,
            post_id=str(posts[0]) if posts else None,
        )

    def failure(self, reason: str | None) -> VendorRefused | VendorUnavailable:
        """The error of a publish whose status is FAILED: it was not published, and will not be.

        ``VendorUnavailable`` where TikTok names a fault of its own: the same video may be published anew.
        """
        if reason in _QUOTA:
            return self._quota(reason)
        if reason == _BANNED:
            return _banned(reason)
        if reason == _FAULT_OF_ITS_OWN:
            return VendorUnavailable(
                f"TikTok did not publish the video for a fault of its own ({reason}); try again later.",
                vendor=_VENDOR,
                code=reason,
            )
        return VendorRefused(
            f"TikTok did not publish the video ({reason or 'no reason given'}): look at the video, then make it anew.",
            vendor=_VENDOR,
            code=reason or "FAILED",
        )

    # ------------------------------------------------------------------ reads
    def fetch_counts(self, ids: Sequence[str]) -> dict[str, PostCounts]:
        """Counters by post id; what is not public is missing from the result, and so is a publish without an id yet."""
        return {
            video["id"]: PostCounts(
                views=video["view_count"],
                likes=video["like_count"],
                comments=video["comment_count"],
                shares=video["share_count"],
                raw=video,
            )
            for video in self._videos(ids, _COUNTS)
        }

    def fetch_states(self, ids: Sequence[str]) -> dict[str, PostState]:
        """How posts stand. A publish id, where a post has no id yet, is ``processing``: ``fetch_status`` tells more."""
        public = {video["id"] for video in self._videos(ids, "id")}
        return {
            post_id: PostState("processing")
            if is_publish_id(post_id)
            else PostState("public" if post_id in public else "gone")
            for post_id in ids
        }

    def fetch_public_videos(self, ids: Sequence[str]) -> dict[str, PublicVideo]:
        """Address and time of the public ones among these posts."""
        return {
            video["id"]: PublicVideo(video["share_url"], datetime.fromtimestamp(video["create_time"], UTC))
            for video in self._videos(ids, "id,create_time,share_url")
        }

    def _videos(self, ids: Sequence[str], fields: str) -> Iterator[dict[str, Any]]:
        posts = [post_id for post_id in ids if not is_publish_id(post_id)]
        for start in range(0, len(posts), _IDS_PER_CALL):
            filters = {"filters": {"video_ids": posts[start : start + _IDS_PER_CALL]}}
            yield from self._call("/v2/video/query/", filters, {"fields": fields}).get("videos", [])

    # ------------------------------------------------------------------ plumbing
    def _call(self, path: str, body: dict[str, Any], params: dict[str, str] | None = None) -> dict[str, Any]:
        """One exchange; a token that is rejected is renewed once (it may expire at any time, and nothing was done)."""
        access = self._tokens()
        response, code, envelope = self._exchange(path, body, params, access)
        if code == "access_token_invalid":
            response, code, envelope = self._exchange(path, body, params, self._tokens(rejected=access))
        if code == "ok":
            return envelope.get("data") or {}
        raise self._error(response, code, str(envelope.get("error", {}).get("message") or "no reason given"))

    def _exchange(
        self, path: str, body: dict[str, Any], params: dict[str, str] | None, access: str
    ) -> tuple[httpx.Response, str, dict[str, Any]]:
        try:
            response = self._http.post(
                f"{self._base_url}{path}",
                params=params,
                content=json.dumps(body).encode(),
                headers={"Authorization": f"Bearer {access}", "Content-Type": "application/json; charset=UTF-8"},
            )
        except httpx.TransportError as error:
            raise transport_failure(error, vendor=_VENDOR, name="TikTok") from error
        try:
            envelope = response.json()
            return response, str(envelope["error"]["code"]), envelope
        except (ValueError, KeyError, TypeError) as error:
            if response.status_code < 400:
                raise _unreadable() from error
            return response, str(response.status_code), {}  # an error page of a proxy: the status must do

    def _error(self, response: httpx.Response, code: str, message: str) -> VendorError:
        """The one place that decides what a TikTok error means."""
        if code in _QUOTA:
            return self._quota(code)
        if code in ("rate_limit_exceeded", "internal_error") or response.status_code in (429, 500, 502, 503, 504):
            wait = retry_after(response) or (60.0 if code == "rate_limit_exceeded" else None)  # limits are per minute
            return VendorUnavailable(
                f"TikTok is busy ({code}); try again later.", vendor=_VENDOR, code=code, retry_after=wait
            )
        if code == "403":  # not of TikTok's own codes: there was no envelope
            return VendorUnavailable(
                "Something between us and TikTok answered 403 in its place; look at the network and run again.",
                vendor=_VENDOR,
                code=code,
            )
        if code == _BANNED:
            return _banned(code)
        if code in _REMEDIES:
            kind = RouteClosed if code in _OF_ROUTE else CredentialsRejected
            return kind(f"TikTok refused the call ({code}): {_REMEDIES[code]}.", vendor=_VENDOR, code=code)
        return VendorRefused(f"TikTok refused the call ({code}): {message}", vendor=_VENDOR, code=code)

    def _quota(self, code: str) -> QuotaExhausted:
        # The window rolls and TikTok does not say when it has room: in 24 hours it has for certain.
        resets_at = self._clock.now() + timedelta(hours=24)
        return QuotaExhausted(
            f"TikTok takes no post now ({code}): {_QUOTA[code]}; it has room again by {resets_at:%Y-%m-%d %H:%M} UTC.",
            vendor=_VENDOR,
            code=code,
            resets_at=resets_at,
            of_client=code == "reached_active_user_cap",
        )


class TikTokOAuth:
    """TikTok's token endpoint for our client, and its sign-in (Login Kit for Desktop, ``vendors.oauth.Authorization``).

    Its refresh tokens rotate: each works once. Its PKCE differs from everybody's: the challenge is the verifier's
    SHA-256 in hex.

    Args:
        base_url: as of ``TikTokClient``.
        client_key: gives the client's key when it is needed, and raises when there is none.
        client_secret: likewise.
        sign_in_url: ``https://www.tiktok.com``, or the world's prefix.
    """

    name = "TikTok"
    host = "127.0.0.1"
    scopes: ClassVar[Mapping[str, str]] = {
        _BASIC: "to see which account it is",
        PUBLISH: "to post, and to ask before each post what the account may choose",
        UPLOAD: "to send drafts to the app's inbox",
        "video.list": "to read how posts fare",
    }
    any_of = frozenset({PUBLISH, UPLOAD})

    def __init__(
        self,
        base_url: str,
        *,
        client_key: Callable[[], str],
        client_secret: Callable[[], str],
        sign_in_url: str = "https://www.tiktok.com",
        timeout: float = 30.0,
    ) -> None:
        self._page = f"{sign_in_url.rstrip('/')}/v2/auth/authorize/"
        self._api = f"{base_url.rstrip('/')}/v2"
        self._url = f"{base_url.rstrip('/')}/v2/oauth/token/"
        self._client_key = client_key
        self._client_secret = client_secret
        self._timeout = timeout

    def refresh(self, refresh_token: str) -> Grant:
        """Exchange a refresh token for a new pair; the one that was sent is dead from then on.

        Raises:
            GrantEnded: the token is dead; only the account's owner can grant anew.
            CredentialsRejected: TikTok does not accept our client.
            ReplyLost: the exchange may have happened, and its tokens with it are lost.
            VendorUnavailable: it did not happen.
        """
        return self._pair({"grant_type": "refresh_token", "refresh_token": refresh_token})[0]

    # ------------------------------------------------------------------ signing in
    def address(self, sign_in: SignIn) -> str:
        asked = {
            "client_key": self._client_key(),
            "redirect_uri": sign_in.redirect_uri,
            "response_type": "code",
            "scope": ",".join(self.scopes),
            "state": sign_in.state,
            "code_challenge": hashlib.sha256(sign_in.verifier.encode()).hexdigest(),
            "code_challenge_method": "S256",
        }
        return f"{self._page}?{urlencode(asked)}"

    def exchange(self, code: str, sign_in: SignIn, *, now: datetime) -> Granted:
        asked = {"code": code, "redirect_uri": sign_in.redirect_uri, "code_verifier": sign_in.verifier}
        pair, scopes = self._pair({"grant_type": "authorization_code", **asked})
        kept = {
            "access_token": pair.access_token,
            "refresh_token": pair.refresh_token,
            "expires_at": (now + timedelta(seconds=pair.expires_in)).isoformat(),
        }
        return Granted(pair.access_token, kept, scopes)

    def identify(self, granted: Granted) -> tuple[frozenset[str], list[Profile]]:
        scopes = granted.scopes or frozenset()
        return scopes, self.profiles(granted.access_token) if _BASIC in scopes else []

    def profiles(self, access_token: str) -> list[Profile]:
        """The creator of a token; where TikTok does not tell the user name now, the handle is the display name."""
        headers = {"Authorization": f"Bearer {access_token}", "Content-Type": "application/json; charset=UTF-8"}
        fields = {"fields": "open_id,display_name"}
        user = self._told("GET", f"{self._api}/user/info/", params=fields, headers=headers).get("user", {})
        if not user.get("open_id"):
            raise _unreadable()
        name = str(user.get("display_name") or user["open_id"])
        creator = f"{self._api}/post/publish/creator_info/query/"
        try:
            handle = self._told("POST", creator, content=b"{}", headers=headers).get("creator_username")
        except VendorRefused:  # of one who may not post now: drafts only, 15 posts in 24 hours, or banned
            handle = None
        return [Profile(str(user["open_id"]), str(handle or name), name)]

    def _told(self, method: str, url: str, **content: Any) -> dict[str, Any]:
        """The data of an envelope."""
        try:
            with open_http(url, timeout=self._timeout) as http:
                response = http.request(method, url, **content)
            envelope = response.json()
            code, data = str(envelope["error"]["code"]), envelope.get("data") or {}
        except httpx.TransportError as error:
            raise transport_failure(error, vendor=_VENDOR, name="TikTok") from error
        except (ValueError, KeyError, TypeError):
            raise _unreadable() from None
        if code != "ok":
            busy = code in ("rate_limit_exceeded", "internal_error") or response.status_code >= 500
            kind = VendorUnavailable if busy else VendorRefused
            raise kind(f"TikTok does not say which account that is ({code}); sign in again.", vendor=_VENDOR, code=code)
        return dict(data)

    def _pair(self, asked: dict[str, str]) -> tuple[Grant, frozenset[str]]:
        """A pair of tokens, and the scopes that it has."""
        form = {"client_key": self._client_key(), "client_secret": self._client_secret(), **asked}
        try:
            with open_http(self._url, timeout=self._timeout) as http:
                response = http.post(self._url, data=form)
        except httpx.TransportError as error:
            raise transport_failure(error, vendor=_VENDOR, name="TikTok's token endpoint") from error
        try:
            answer = response.json()
        except ValueError:
            answer = {}
        code = answer.get("error") if isinstance(answer, dict) else None
        if response.status_code == 429 or response.status_code >= 500:
            raise VendorUnavailable(
                "TikTok's token endpoint is busy; try again later.", vendor=_VENDOR, code=str(response.status_code)
            )
        if code or response.status_code >= 400:
            if "code" in asked and code in ("invalid_grant", "invalid_request"):
                raise CredentialsRejected(
                    f"TikTok did not accept the sign-in ({code}): run `empire connect tiktok` again, and finish within "
                    "minutes.",
                    vendor=_VENDOR,
                    code=str(code),
                )
            kind = GrantEnded if code == "invalid_grant" else CredentialsRejected
            raise kind(_refusal(str(code)), vendor=_VENDOR, code=str(code or response.status_code))
        try:
            pair = Grant(
                access_token=answer["access_token"],
                refresh_token=answer["refresh_token"],
                expires_in=float(answer["expires_in"]),
                refresh_expires_in=float(answer["refresh_expires_in"]),
            )
            return pair, frozenset(str(answer.get("scope", "")).split(","))
        except (KeyError, TypeError, ValueError):
            # Without its cause: an error about these fields would quote the tokens.
            raise _unreadable() from None


def is_publish_id(remote_id: str) -> bool:
    """Whether an id is that of a publish (``v_pub_file~…``, ``v_inbox_file~…``) and not yet that of a post."""
    return remote_id.startswith("v_")


def _banned(code: str) -> AccountRestricted:
    return AccountRestricted(
        f"TikTok has banned the account from posting ({code}): open TikTok and look at its account status.",
        vendor=_VENDOR,
        code=code,
    )


def _refusal(code: str) -> str:
    if code == "invalid_grant":
        return (
            "TikTok refused to renew its access (the grant was used, revoked or has expired): connect the account "
            "again with `empire connect tiktok`."
        )
    return (
        f"TikTok's token endpoint refused our client ({code}): check EMPIRE_TIKTOK_CLIENT_KEY and "
        "EMPIRE_TIKTOK_CLIENT_SECRET in .env."
    )


def _unreadable() -> ReplyLost:
    return ReplyLost("TikTok's answer cannot be read; try again later.", vendor=_VENDOR, code="unreadable")
