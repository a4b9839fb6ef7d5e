"""YouTube: upload one video exactly once, and read back how it fares.

Two ways to the same API, each where it is strongest:

* The **upload** speaks the resumable protocol itself, over httpx. Exactly-once needs the session URL stored before the
  first byte, the session asked what it holds after a crash, and no hidden second try. google-api-python-client hides
  the session in a request object, resumes only through its private ``_in_error_state``, and with ``num_retries``
  resends a stream that it has already read.
* The **reads** go through google-api-python-client (``affiliate_empire.vendors.google``).

Errors are told apart by YouTube's ``reason``, not by status: the same reason is seen with 400 and with 403. What to
post and when is decided elsewhere (``affiliate_empire.operations.publish_piece``).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal
from zoneinfo import ZoneInfo

import httpx

from affiliate_empire.kernel.clock import Clock
from affiliate_empire.vendors.counts import PostCounts, PostState
from affiliate_empire.vendors.errors import (
    AccountRestricted,
    CredentialsRejected,
    QuotaExhausted,
    ReplyLost,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from affiliate_empire.vendors.google import GoogleCredentials, GoogleService, GoogleTokens
from affiliate_empire.vendors.http import never_log, open_http, retry_after, transport_failure

_VENDOR = "youtube"
_SCOPES = ("https://www.googleapis.com/auth/youtube.upload", "https://www.googleapis.com/auth/youtube.readonly")
_MANAGING = ("https://www.googleapis.com/auth/youtube.force-ssl",)  # what was uploaded is changed or deleted with it
# What an update of ``status`` must repeat: a property that it leaves out is lost.
_KEPT = ("embeddable", "license", "publicStatsViewable", "selfDeclaredMadeForKids", "containsSyntheticMedia")
_WRITTEN_PARTS = "snippet,status,paidProductPlacementDetails"  # every section that is written must be named
_UPLOADS = "/upload/youtube/v3/videos"
_IDS_PER_CALL = 50
_CHUNK = 8 * 1024 * 1024  # a multiple of 256 KiB, as the protocol demands of every chunk but the last
_RESUMPTIONS = 3
_SITES = {"https://youtube.googleapis.com": "https://www.youtube.com"}  # the world shows its videos itself
_QUOTA_ZONE = ZoneInfo("America/Los_Angeles")  # the project's quotas reset at midnight Pacific

_DAY_QUOTA = frozenset({"quotaExceeded", "dailyLimitExceeded"})
_RESTRICTED = frozenset({"authenticatedUserAccountSuspended", "authenticatedUserAccountClosed"})
# Who asks, not what: another grant, or a channel of its own, may send the same.
_OF_GRANT = frozenset({"forbidden", "insufficientPermissions", "youtubeSignupRequired"})
_TOO_FAST = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})


@dataclass(frozen=True)
class VideoMetadata:
    """What a video says about itself. Nothing has a default: a forgotten flag must not become a published video.

    ``publish_at`` is the instant at which YouTube makes a private video public; None with any other privacy.
    """

    title: str
    description: str
    tags: tuple[str, ...]
    category_id: str
    language: str
    privacy_status: Literal["private", "unlisted", "public"]
    publish_at: datetime | None
    contains_synthetic_media: bool
    has_paid_product_placement: bool
    self_declared_made_for_kids: bool
    notify_subscribers: bool

    def document(self) -> dict[str, Any]:
        """The ``Video`` resource to insert (``notify_subscribers`` is a query parameter, not part of it)."""
        status: dict[str, Any] = {
            "privacyStatus": self.privacy_status,
            "selfDeclaredMadeForKids": self.self_declared_made_for_kids,
            "containsSyntheticMedia": self.contains_synthetic_media,
        }
        if self.publish_at is not None:
            status["publishAt"] = self.publish_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "snippet": {
                "title": self.title,
                "description": self.description,
                "tags": list(self.tags),
                "categoryId": self.category_id,
                "defaultLanguage": self.language,
                "defaultAudioLanguage": self.language,
            },
            "status": status,
            "paidProductPlacementDetails": {"hasPaidProductPlacement": self.has_paid_product_placement},
        }


@dataclass(frozen=True)
class Completed:
    """The session's upload was accepted: ``video`` is YouTube's resource, with its ``id``."""

    video: dict[str, Any]


@dataclass(frozen=True)
class Incomplete:
    """The session lives and holds this many bytes; nothing is published by it yet."""

    received: int


@dataclass(frozen=True)
class Expired:
    """YouTube does not know the session any more; whether it was completed before cannot be told from it."""


SessionStatus = Completed | Incomplete | Expired


class UploadSessionGone(VendorRefused):
    """The session died while it was known to be incomplete: nothing was published by it, a new one may be started."""


@dataclass(frozen=True)
class VideoState:
    """How far a video is: ``upload_status`` is uploaded | processed | failed | rejected | deleted."""

    video_id: str
    upload_status: str
    privacy_status: str
    publish_at: datetime | None
    reason: str | None  # why it failed or was rejected
    raw: dict[str, Any]


class YouTubeClient:
    """One YouTube channel: the one that granted the refresh token.

    Safe to use from several threads. Retries nothing, except that an upload resumes its own session.

    Args:
        base_url: ``https://youtube.googleapis.com``, or the world's prefix.
        oauth_url: ``https://oauth2.googleapis.com``, or the world's prefix; the token endpoint is ``/token`` below it.
        credentials: gives the grant; asked at the first call.
        clock: business time, to say when a full quota opens again.
        timeout: seconds one exchange may be silent.
        pause: how the client waits before it resumes an upload (seconds).
    """

    def __init__(
        self,
        base_url: str,
        oauth_url: str,
        *,
        credentials: Callable[[], GoogleCredentials],
        clock: Clock,
        timeout: float = 60.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._pause = pause
        self._http = open_http(base_url, timeout=timeout, follow_redirects=False)
        never_log(_UPLOADS)  # who has a session's address can send it bytes
        self._tokens = GoogleTokens(oauth_url, credentials, _SCOPES, vendor=_VENDOR, timeout=timeout)
        # Asked for alone, when it is needed: a grant without it goes on posting.
        self._managing = GoogleTokens(oauth_url, credentials, _MANAGING, vendor=_VENDOR, timeout=timeout)
        self._api = GoogleService(
            ("youtube", "v3"),
            base_url,
            tokens=self._tokens,
            name="YouTube",
            vendor=_VENDOR,
            timeout=timeout,
            refusal=lambda status, reason, message: self._refusal(status, reason, message, None),
        )

    def close(self) -> None:
        self._http.close()

    def url(self, video_id: str) -> str:
        """Where people watch a short video."""
        return f"{_SITES.get(self._base_url, self._base_url)}/shorts/{video_id}"

    # ------------------------------------------------------------------ upload
    def start_upload(self, metadata: VideoMetadata, size: int) -> str:
        """Open an upload session for a file of ``size`` bytes and return its URL; nobody can see anything of it.

        Raises:
            VendorRefused: the metadata, the credentials or the channel are not accepted.
            QuotaExhausted: the channel's or the project's uploads of the day are used up.
            VendorUnavailable: try again later.
        """
        response = self._send(
            "POST",
            f"{self._base_url}{_UPLOADS}",
            params={
                "part": _WRITTEN_PARTS,
                "uploadType": "resumable",
                "notifySubscribers": "true" if metadata.notify_subscribers else "false",
            },
            headers={
                "Content-Type": "application/json; charset=UTF-8",
                "X-Upload-Content-Type": "video/mp4",
                "X-Upload-Content-Length": str(size),
            },
            content=json.dumps(metadata.document()).encode(),
        )
        if response.status_code != 200:
            raise self._error(response)
        if "location" not in response.headers:
            raise VendorUnavailable(
                "YouTube accepted the video's data but named no upload session; try again later.", vendor=_VENDOR
            )
        return response.headers["location"]

    def session_status(self, session_url: str, size: int) -> SessionStatus:
        """Ask a session what it holds. Sends no byte of the video.

        Raises:
            VendorUnavailable: no answer, or one that says nothing about the session.
        """
        response = self._send("PUT", session_url, headers={"Content-Range": f"bytes */{size}", "Content-Length": "0"})
        return self._session_status(response, size)

    def upload(self, session_url: str, path: Path) -> dict[str, Any]:
        """Send what the session does not hold yet; returns the accepted video resource. The visible act.

        Asks the session first, so a second call on the same session continues, or returns the video it already made.

        Raises:
            UploadSessionGone: the session is dead, and no request that could have completed it was sent by this call.
            ReplyLost: the last bytes left and neither their reply nor the session tells what became of them.
            VendorUnavailable: the session stays incomplete; the same session may be used again.
            VendorRefused, QuotaExhausted: YouTube does not take the video.
        """
        size = path.stat().st_size
        status: SessionStatus | None = None  # None: not known, the session is asked
        last_bytes_unanswered = False
        failures = 0
        with path.open("rb") as file:
            while True:
                if isinstance(status, Completed):
                    return status.video
                if isinstance(status, Expired):
                    raise _session_lost(last_bytes_unanswered)
                ends_here = False
                try:
                    if status is None:
                        status = self.session_status(session_url, size)
                    else:
                        ends_here = status.received + _CHUNK >= size
                        status = self._send_chunk(session_url, file, status.received, size)
                    last_bytes_unanswered = last_bytes_unanswered and isinstance(status, Expired)
                except VendorRefused as error:
                    if last_bytes_unanswered:  # who may not ask any more has learned nothing of what was sent before
                        raise ReplyLost(str(error), vendor=_VENDOR, code=error.code) from error
                    raise
                except VendorUnavailable as error:
                    last_bytes_unanswered = last_bytes_unanswered or ends_here
                    failures += 1
                    if failures > _RESUMPTIONS:
                        if last_bytes_unanswered and not isinstance(error, ReplyLost):
                            raise ReplyLost(str(error), vendor=_VENDOR, code=error.code) from error
                        raise
                    self._pause(min(0.5 * 2**failures, error.retry_after or 8.0))
                    status = None  # never resend blindly: the session says where to go on

    def _send_chunk(self, session_url: str, file: BinaryIO, start: int, size: int) -> SessionStatus:
        file.seek(start)
        chunk = file.read(_CHUNK)
        content_range = f"bytes {start}-{start + len(chunk) - 1}/{size}"
        response = self._send("PUT", session_url, headers={"Content-Range": content_range}, content=chunk)
        return self._session_status(response, size)

    def _session_status(self, response: httpx.Response, size: int) -> SessionStatus:
        if response.status_code in (200, 201):
            return Completed(_json_object(response))
        if response.status_code == 308:
            stored = response.headers.get("range")
            if stored is None:
                return Incomplete(0)
            match = re.fullmatch(r"bytes=0-(\d+)", stored)
            if match is None or int(match[1]) >= size:
                raise VendorUnavailable(
                    f"YouTube's upload session answered with the range {stored!r}, which cannot be; try again later.",
                    vendor=_VENDOR,
                    code="308",
                )
            return Incomplete(int(match[1]) + 1)
        if response.status_code in (404, 410):
            return Expired()
        raise self._error(response)

    # ------------------------------------------------------------------ cover
    def set_thumbnail(self, video_id: str, path: Path) -> None:
        """Give a video its cover, a JPEG of up to 50 MB; doing it again changes nothing.

        A Short takes one when its processing is complete (YouTube, since 2026-11-03). Costs 50 of the day's units.

        Raises:
            VendorRefused: the picture is not accepted, or the channel may not set covers.
            QuotaExhausted: the project's units of the day are used up.
            VendorUnavailable: try again later.
        """
        response = self._send(
            "POST",
            f"{self._base_url}/upload/youtube/v3/thumbnails/set",
            params={"videoId": video_id, "uploadType": "media"},
            headers={"Content-Type": "image/jpeg"},
            content=path.read_bytes(),
        )
        if response.status_code != 200:
            error = self._error(response)
            if isinstance(error, CredentialsRejected) and error.code == "forbidden":
                # Of a cover it is the channel's or the video's fault, not the grant's: the upload went through with it.
                raise VendorRefused(
                    "YouTube does not let this channel set the cover of this video (forbidden).",
                    vendor=_VENDOR,
                    code=error.code,
                )
            raise error

    # ------------------------------------------------------------------ taking down
    def delete(self, video_id: str) -> None:
        """Delete a video for good; one that is gone already stays gone. Costs 50 of the day's units.

        Raises:
            CredentialsRejected: the grant lacks the scope ``youtube.force-ssl``.
            QuotaExhausted: the project's units of the day are used up.
            ReplyLost: it may be gone; ``fetch_status`` knows.
            VendorRefused, VendorUnavailable: it stands.
        """
        response = self._send(
            "DELETE", f"{self._base_url}/youtube/v3/videos", params={"id": video_id}, headers={}, tokens=self._managing
        )
        if response.status_code not in (204, 404):
            raise self._error(response)

    def hide(self, state: VideoState) -> str:
        """Unlist a video, or keep one that is not public yet from ever becoming so; doing it again changes nothing.

        Everything else that its status says, its AI label among it, is said again. Costs 50 of the day's units.

        Args:
            state: as ``fetch_status`` gave it just now.

        Returns:
            Its privacy from now on: ``unlisted``, or ``private`` for one that was private.

        Raises:
            as ``delete``.
        """
        stands = state.raw["status"]
        privacy = "private" if state.privacy_status == "private" else "unlisted"
        status = {name: stands[name] for name in _KEPT if name in stands} | {"privacyStatus": privacy}
        response = self._send(
            "PUT",
            f"{self._base_url}/youtube/v3/videos",
            params={"part": "status"},
            headers={"Content-Type": "application/json; charset=UTF-8"},
            content=json.dumps({"id": state.video_id, "status": status}).encode(),
            tokens=self._managing,
        )
        if response.status_code != 200:
            raise self._error(response)
        return privacy

    # ------------------------------------------------------------------ reads
    def fetch_counts(self, video_ids: Sequence[str]) -> dict[str, PostCounts]:
        """Counters by video id; a video that YouTube does not return (deleted, rejected) is missing from the result."""
        found: dict[str, PostCounts] = {}
        for ids in _batches(video_ids):
            reply = self._api.read(partial(_stats_request, ids=ids))
            for item in reply.get("items", []):
                counts = item.get("statistics", {})
                found[item["id"]] = PostCounts(
                    views=int(counts.get("viewCount", "0")),
                    likes=int(counts.get("likeCount", "0")),
                    comments=int(counts.get("commentCount", "0")),
                    raw=item,
                )
        return found

    def fetch_states(self, video_ids: Sequence[str]) -> dict[str, PostState]:
        """Whether videos stand; one that YouTube does not return is gone."""
        details = self.fetch_status(video_ids)
        return {video_id: _standing(details.get(video_id)) for video_id in video_ids}

    def fetch_status(self, video_ids: Sequence[str]) -> dict[str, VideoState]:
        """Processing and visibility by video id; a video that YouTube does not return is missing from the result."""
        found: dict[str, VideoState] = {}
        for ids in _batches(video_ids):
            for item in self._list_videos("status,snippet", ids):
                status = item["status"]
                publish_at = status.get("publishAt")
                found[item["id"]] = VideoState(
                    video_id=item["id"],
                    upload_status=status["uploadStatus"],
                    privacy_status=status["privacyStatus"],
                    publish_at=datetime.fromisoformat(publish_at) if publish_at else None,
                    reason=status.get("rejectionReason") or status.get("failureReason"),
                    raw=item,
                )
        return found

    def find_by_description(self, marker: str, *, since: datetime) -> dict[str, Any] | None:
        """A video of this channel, uploaded at or after ``since``, whose description contains ``marker``.

        Presence only: uploads reach the listing late and moderation hides them, so None proves nothing.
        """
        channels = self._api.read(lambda api: api.channels().list(part="contentDetails", mine=True))
        for channel in channels.get("items", []):
            playlist = channel["contentDetails"]["relatedPlaylists"]["uploads"]
            for item in self._uploads(playlist, since):
                if marker in item["snippet"].get("description", ""):
                    videos = self._list_videos(_WRITTEN_PARTS, [item["snippet"]["resourceId"]["videoId"]])
                    return videos[0] if videos else None
        return None

    def _uploads(self, playlist: str, since: datetime) -> Iterator[dict[str, Any]]:
        token: str | None = None
        while True:
            page = self._api.read(partial(_uploads_request, playlist=playlist, token=token))
            for item in page.get("items", []):
                if datetime.fromisoformat(item["snippet"]["publishedAt"]) < since:
                    return  # newest first
                yield item
            token = page.get("nextPageToken")
            if token is None:
                return

    def _list_videos(self, part: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        reply = self._api.read(lambda api: api.videos().list(part=part, id=",".join(ids)))
        items: list[dict[str, Any]] = reply.get("items", [])
        return items

    # ------------------------------------------------------------------ plumbing
    def _send(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        params: dict[str, str] | None = None,
        content: bytes = b"",
        tokens: GoogleTokens | None = None,
    ) -> httpx.Response:
        """One exchange with a bearer token; a token that is rejected is refreshed once (it may expire at any time)."""

        def exchange(bearer: str) -> httpx.Response:
            authorized = {**headers, "Authorization": f"Bearer {bearer}"}
            try:
                return self._http.request(method, url, params=params, content=content, headers=authorized)
            except httpx.TransportError as error:
                raise transport_failure(error, vendor=_VENDOR, name="YouTube") from error

        tokens = tokens or self._tokens
        response = exchange(tokens.bearer())
        if response.status_code == 401:
            response = exchange(tokens.bearer(renew=True))
        return response

    def _error(self, response: httpx.Response) -> VendorError:
        reason = message = None
        try:
            problem = response.json()["error"]
            message = problem.get("message")
            reason = problem["errors"][0]["reason"]
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            pass  # an error page of a proxy: the status must do
        return self._refusal(response.status_code, reason, message, retry_after(response))

    def _refusal(self, status: int, reason: str | None, message: str | None, wait: float | None) -> VendorError:
        """The one place that decides what a YouTube error means."""
        code = reason or str(status)
        if reason == "uploadLimitExceeded":
            resets_at = self._clock.now() + timedelta(hours=24)
            return QuotaExhausted(
                "YouTube refused the upload: the channel's daily upload limit is reached; "
                f"next try {resets_at:%Y-%m-%d %H:%M} UTC.",
                vendor=_VENDOR,
                code=code,
                resets_at=resets_at,
            )
        if reason in _DAY_QUOTA:
            resets_at = self._next_midnight_pacific()
            return QuotaExhausted(
                "YouTube refused the call: the project's API quota of the day is used up; "
                f"next try {resets_at:%Y-%m-%d %H:%M} UTC.",
                vendor=_VENDOR,
                code=code,
                resets_at=resets_at,
                of_client=True,
            )
        if reason in _RESTRICTED:
            return AccountRestricted(
                f"YouTube has restricted the channel ({code}): open YouTube Studio and follow its notice.",
                vendor=_VENDOR,
                code=code,
            )
        if status == 403 and reason is None and message is None:
            return VendorUnavailable(
                "Something between us and YouTube answered 403 in its place; look at the network and run again.",
                vendor=_VENDOR,
                code=code,
            )
        if reason in _TOO_FAST or status == 429 or status >= 500:
            return VendorUnavailable(
                f"YouTube is busy ({code}); try again later.", vendor=_VENDOR, code=code, retry_after=wait
            )
        if reason in _OF_GRANT:
            return CredentialsRejected(
                f"YouTube does not let this grant do that ({code}): connect the Google account that owns the channel, "
                "with the upload scope, and put the new EMPIRE_YOUTUBE_REFRESH_TOKEN into .env.",
                vendor=_VENDOR,
                code=code,
            )
        if status == 401:
            return CredentialsRejected(
                "YouTube rejected the credentials: connect the channel again with `empire connect youtube`.",
                vendor=_VENDOR,
                code=code,
            )
        return VendorRefused(
            f"YouTube refused the request ({code}): {message or 'no reason given'}", vendor=_VENDOR, code=code
        )

    def _next_midnight_pacific(self) -> datetime:
        today = self._clock.now().astimezone(_QUOTA_ZONE).date()
        return datetime.combine(today + timedelta(days=1), datetime.min.time(), tzinfo=_QUOTA_ZONE).astimezone(UTC)


def _standing(video: VideoState | None) -> PostState:
    if video is None:
        return PostState("gone")
    if video.upload_status in ("uploaded", "processed"):
        processing = video.upload_status == "uploaded" or video.privacy_status == "private"
        return PostState("processing" if processing else "public")
    # Also while it is private: what failed in processing never becomes public.
    return PostState("rejected", f"{video.upload_status}: {video.reason or 'no reason given'}")


def _session_lost(last_bytes_unanswered: bool) -> VendorError:
    if last_bytes_unanswered:
        return ReplyLost(
            "YouTube forgot the upload session after the last bytes had left: look for the video in YouTube Studio.",
            vendor=_VENDOR,
            code="session_expired",
        )
    return UploadSessionGone(
        "YouTube dropped the upload session before the video was complete: run again to start a new one.",
        vendor=_VENDOR,
        code="session_expired",
    )


def _stats_request(api: Any, *, ids: Sequence[str]) -> Any:
    return api.videos().batchGetStats(part=["statistics"], id=list(ids))


def _uploads_request(api: Any, *, playlist: str, token: str | None) -> Any:
    return api.playlistItems().list(part="snippet", playlistId=playlist, maxResults=_IDS_PER_CALL, pageToken=token)


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _IDS_PER_CALL):
        yield list(ids[start : start + _IDS_PER_CALL])


def _json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError as error:
        raise ReplyLost("YouTube's answer to the upload cannot be read.", vendor=_VENDOR, code="unreadable") from error
    if not isinstance(document, dict) or "id" not in document:
        raise ReplyLost("YouTube's answer to the upload names no video.", vendor=_VENDOR, code="unreadable")
    return document
