"""YouTube as its clients meet it: Google's token endpoint, resumable uploads, reads and changes of the Data API v3.

Strict where YouTube is strict (unknown fields and parameters, parts, ``publishAt`` without ``private``, quotas), and
lenient where it is lenient: a missing ``selfDeclaredMadeForKids`` or ``containsSyntheticMedia`` is accepted, and stands
as null in the post's flags for the witness. An accepted upload is a post at once; YouTube's processing then fails it,
or removes it as a duplicate; its channel may hide it or delete it. The witness keeps it, with when it went. Bytes lie
under ``<home>/world/youtube/``; a session outlives a kill of this world.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import secrets
import sqlite3
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from affiliate_empire.sandbox import keys
from affiliate_empire.sandbox.clock import instant, stamp
from affiliate_empire.sandbox.consent import RESIDENTS, CodeRefused, Granted, Resident, belongs
from affiliate_empire.sandbox.raw import raw_request

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

PLATFORM = "youtube"
CHANNEL = RESIDENTS[PLATFORM][0].id  # the one whose grant is published

SCOPES = tuple(
    f"https://www.googleapis.com/auth/{scope}"
    for scope in ("youtube.upload", "youtube.readonly", "youtube.force-ssl", "yt-analytics.readonly")
)  # what the channel's owner granted
_MANAGING = SCOPES[2]
INSERTS_PER_DAY = 100
SEARCHES_PER_DAY = 100
STATS_PER_DAY = 10_000
UNITS_PER_DAY = 10_000
THUMBNAIL_UNITS = 50
CHANGE_UNITS = 50  # of videos.update and of videos.delete
THUMBNAIL_BYTES = 50 * 1024 * 1024
CHANNEL_UPLOADS_PER_24H = 15  # YouTube publishes no number; integrators report about this for young channels
TOKEN_SECONDS = 3599
SESSION_LIFE = timedelta(days=7)
PROCESSING = timedelta(seconds=60)
GRANULE = 256 * 1024
MAX_BYTES = 274_877_906_944

_OWNER = belongs("youtube_videos.upload_id", CHANNEL)
_PACIFIC = ZoneInfo("America/Los_Angeles")
_STANDARD_PARAMETERS = frozenset(
    {"alt", "key", "fields", "prettyPrint", "quotaUser", "access_token", "callback", "oauth_token", "$.xgafv"}
)
_UPLOAD_PARAMETERS = frozenset(
    {"part", "uploadType", "upload_protocol", "notifySubscribers", "autoLevels", "stabilize", "upload_id",
     "onBehalfOfContentOwner", "onBehalfOfContentOwnerChannel"}
)  # fmt: skip
_READ_PARTS = frozenset(
    {"snippet", "status", "statistics", "contentDetails", "processingDetails", "paidProductPlacementDetails", "id"}
)
# Fields a client may write, by section: name → JSON type, or the values allowed.
_WRITABLE: dict[str, dict[str, type | frozenset[str]]] = {
    "snippet": {
        "title": str, "description": str, "tags": list, "categoryId": str, "defaultLanguage": str,
        "defaultAudioLanguage": str,
    },
    "status": {
        "privacyStatus": frozenset({"public", "unlisted", "private"}), "publishAt": str,
        "license": frozenset({"youtube", "creativeCommon"}), "embeddable": bool, "publicStatsViewable": bool,
        "selfDeclaredMadeForKids": bool, "containsSyntheticMedia": bool,
    },
    "paidProductPlacementDetails": {"hasPaidProductPlacement": bool},
    "recordingDetails": {"recordingDate": str},
    "localizations": {},
}  # fmt: skip
_CATEGORIES = frozenset(["1", "2", "10", "15", "17", "19", "20", "22", "23", "24", "25", "26", "27", "28", "29"])

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><p>SIMULATED VIDEO</p><video src="/youtube/files/{video_id}.mp4" controls height="640"></video>
<h1>{title}</h1><p style="white-space: pre-line">{description}</p></body></html>
"""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS youtube_tokens (token TEXT PRIMARY KEY, expires_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS google_grants (token TEXT PRIMARY KEY, scope TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS youtube_quota (
    bucket TEXT NOT NULL, day TEXT NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (bucket, day));
CREATE TABLE IF NOT EXISTS youtube_sessions (
    upload_id TEXT PRIMARY KEY, resource TEXT NOT NULL, parts TEXT NOT NULL, notify INTEGER NOT NULL, size INTEGER,
    received INTEGER NOT NULL, video_id TEXT, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS youtube_videos (
    video_id TEXT PRIMARY KEY, upload_id TEXT NOT NULL UNIQUE, resource TEXT NOT NULL, sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL, media TEXT NOT NULL, uploaded_at TEXT NOT NULL, failure TEXT, rejection TEXT);
CREATE TABLE IF NOT EXISTS youtube_deleted (video_id TEXT PRIMARY KEY, deleted_at TEXT NOT NULL);
"""


class Refused(Exception):
    """A Google API error: status, reason, message."""

    def __init__(self, status: int, reason: str, message: str, *, location: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.location = location

    def response(self) -> Response:
        problem: dict[str, Any] = {"message": self.message, "domain": "youtube.video", "reason": self.reason}
        if self.reason in {"quotaExceeded", "uploadLimitExceeded"}:
            problem["domain"] = "youtube.quota"
        elif self.reason in {"badRequest", "authError", "required", "unexpectedParameter", "missingRequiredParameter"}:
            problem["domain"] = "global"
        if self.location:
            problem |= {"location": self.location, "locationType": "parameter"}
        body = {"error": {"code": self.status, "message": self.message, "errors": [problem]}}
        headers = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'} if self.status == 401 else {}
        return JSONResponse(body, status_code=self.status, headers=headers)


def routes(world: World) -> list[BaseRoute]:
    """``/google_oauth/token``, ``/youtube/upload/youtube/v3/videos``, ``/youtube/youtube/v3/…``."""
    world.store.script(_SCHEMA)
    youtube = _YouTube(world)

    def guarded(answer: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            try:
                response: Response = await answer(request)
                return response
            except Refused as refusal:
                return refusal.response()

        return endpoint

    api = "/youtube/youtube/v3"
    return [
        Route("/google_oauth/token", youtube.token, methods=["POST"]),
        Route("/youtube/upload/youtube/v3/videos", guarded(youtube.start), methods=["POST"]),
        Route("/youtube/upload/youtube/v3/videos", guarded(youtube.take_bytes), methods=["PUT"]),
        Route("/youtube/upload/youtube/v3/thumbnails/set", guarded(youtube.set_thumbnail), methods=["POST"]),
        Route("/youtube/shorts/{video_id}", youtube.watch, methods=["GET"]),
        Route("/youtube/files/{video_id}.mp4", youtube.file, methods=["GET"]),
        Route(f"{api}/videos", guarded(youtube.list_videos), methods=["GET"]),
        Route(f"{api}/videos", guarded(youtube.update_video), methods=["PUT"]),
        Route(f"{api}/videos", guarded(youtube.delete_video), methods=["DELETE"]),
        Route(f"{api}/videos:batchGetStats", guarded(youtube.batch_stats), methods=["GET"]),
        Route(f"{api}/channels", guarded(youtube.list_channels), methods=["GET"]),
        Route(f"{api}/playlistItems", guarded(youtube.list_uploads), methods=["GET"]),
    ]


class _YouTube:
    def __init__(self, world: World) -> None:
        self.world = world
        self.store = world.store
        self.folder = world.folder / "youtube"
        self.folder.mkdir(parents=True, exist_ok=True)

    # ------------------------------------------------------------------ OAuth
    async def token(self, request: Request) -> Response:
        """A code, or a refresh token, for an access token; errors as RFC 6749 §5.2 has them."""
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return _oauth_error(400, "invalid_request", "The body is not a form.")
        form = QueryParams((await request.body()).decode("utf-8", "replace"))
        if form.get("grant_type") not in ("refresh_token", "authorization_code"):
            return _oauth_error(400, "unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}")
        client = (form.get("client_id"), form.get("client_secret"))
        if client != (keys.YOUTUBE_CLIENT_ID, keys.YOUTUBE_CLIENT_SECRET):
            return _oauth_error(401, "invalid_client", "The OAuth client was not found.")
        if form["grant_type"] == "authorization_code":
            return self._redeem(form)
        refresh = form.get("refresh_token", "")
        granted = self.world.consent.granted("youtube refresh", refresh)
        if refresh == keys.YOUTUBE_REFRESH_TOKEN:
            granted = Granted((CHANNEL,), SCOPES)
        if granted is None:
            return _oauth_error(400, "invalid_grant", "Token has been expired or revoked.")
        scope = form.get("scope") or " ".join(granted.scopes)
        if not set(scope.split()) <= set(granted.scopes):
            return _oauth_error(400, "invalid_scope", "Some requested scopes were not granted.")
        return JSONResponse(self._access(granted.residents[0], scope))

    def _redeem(self, form: QueryParams) -> Response:
        try:
            granted = self.world.consent.redeem(
                PLATFORM,
                form.get("code", ""),
                redirect_uri=form.get("redirect_uri", ""),
                verifier=form.get("code_verifier", ""),
            )
        except CodeRefused as refusal:
            if refusal.reason == "redirect_uri":
                return _oauth_error(400, "redirect_uri_mismatch", "Bad Request")
            said = "Invalid code verifier." if refusal.reason == "verifier" else "Malformed auth code."
            return _oauth_error(400, "invalid_grant", said)
        answer = self._access(granted.residents[0], " ".join(granted.scopes))
        if granted.offline:
            answer["refresh_token"] = f"1//{secrets.token_urlsafe(60)}"
            self.world.consent.grant("youtube refresh", answer["refresh_token"], granted)
        return JSONResponse(answer)

    def _access(self, channel: str, scope: str) -> dict[str, Any]:
        access = f"ya29.{secrets.token_urlsafe(48)}"
        expires = self.world.now() + timedelta(seconds=TOKEN_SECONDS)
        with self.store.transaction():
            self.store.execute("INSERT INTO youtube_tokens VALUES (?, ?)", (access, stamp(expires)))
            self.store.execute("INSERT INTO google_grants VALUES (?, ?)", (access, scope))
            self.world.consent.own(access, channel)
        return {"access_token": access, "expires_in": TOKEN_SECONDS, "scope": scope, "token_type": "Bearer"}

    def _authorize(self, request: Request, scope: str | None = None) -> str:
        """The channel of the token."""
        kind, _, access = request.headers.get("authorization", "").partition(" ")
        row = self.store.one("SELECT expires_at FROM youtube_tokens WHERE token = ?", (access.strip(),))
        # Expiry is in the world's time: a clock that jumps a day ahead leaves no token valid, as a day would.
        if kind != "Bearer" or row is None or instant(row["expires_at"]) <= self.world.now():
            raise Refused(401, "authError", "Invalid Credentials")
        if scope is not None:
            grant = self.store.one("SELECT scope FROM google_grants WHERE token = ?", (access.strip(),))
            if grant is None or scope not in grant["scope"].split():
                raise Refused(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
        return self.world.consent.owner(PLATFORM, access.strip())

    def _spend(self, bucket: str, limit: int, units: int = 1) -> None:
        """Take a call's units from a bucket of the project's day, which begins at midnight Pacific."""
        day = self.world.now().astimezone(_PACIFIC).date().isoformat()
        with self.store.transaction():
            row = self.store.one("SELECT used FROM youtube_quota WHERE bucket = ? AND day = ?", (bucket, day))
            if (row["used"] if row is not None else 0) + units > limit:
                raise Refused(
                    403, "quotaExceeded", "The request cannot be completed because you have exceeded your quota."
                )
            self.store.execute(
                "INSERT INTO youtube_quota VALUES (?, ?, ?)"
                " ON CONFLICT (bucket, day) DO UPDATE SET used = used + excluded.used",
                (bucket, day, units),
            )

    # ------------------------------------------------------------------ upload
    async def start(self, request: Request) -> Response:
        """Open an upload session; nothing is visible yet."""
        channel = self._authorize(request)
        standing = self.world.standing(PLATFORM, channel)
        # A channel that may post more has been given a larger project quota, too. Invalid requests cost as well.
        self._spend("videos.insert", max(INSERTS_PER_DAY, standing.posts_per_day or 0))
        query = request.query_params
        _check_parameters(query, _UPLOAD_PARAMETERS)
        if query.get("uploadType") != "resumable":
            raise Refused(400, "badRequest", "This world takes uploadType=resumable.", location="uploadType")
        parts = _parts(query)
        resource = _resource(await request.body(), parts)
        kind = request.headers.get("x-upload-content-type", "application/octet-stream")
        if not (kind.startswith("video/") or kind == "application/octet-stream"):
            raise Refused(
                400,
                "badRequest",
                f"Media type '{kind}' is not supported. Valid media types: [video/*, application/octet-stream]",
            )
        size = _size(request.headers.get("x-upload-content-length"))
        if standing.restricted:
            raise Refused(
                403, "authenticatedUserAccountSuspended", "The authenticated user's YouTube account is suspended."
            )
        since = stamp(self.world.now() - timedelta(hours=24))
        recent = self.store.one(
            f"SELECT count(*) FROM youtube_videos WHERE uploaded_at > ? AND {_OWNER} = ?",  # noqa: S608
            (since, channel),
        )
        if recent is None or not standing.allows(recent[0], CHANNEL_UPLOADS_PER_24H):
            raise Refused(400, "uploadLimitExceeded", "The user has exceeded the number of videos they may upload.")
        upload_id = f"AEnB2U{secrets.token_urlsafe(48)}"
        notify = _boolean(query.get("notifySubscribers", "true"), "notifySubscribers")
        self.store.execute(
            "INSERT INTO youtube_sessions VALUES (?, ?, ?, ?, ?, 0, NULL, ?)",
            (upload_id, json.dumps(resource), ",".join(parts), int(notify), size, stamp(self.world.now())),
        )
        self.world.consent.own(upload_id, channel)
        self.world.keep_request(PLATFORM, upload_id, await raw_request(request))
        location = (
            f"{self.world.base_url}{request.url.path}?{urlencode([*query.multi_items(), ('upload_id', upload_id)])}"
        )
        return Response(status_code=200, headers={"Location": location, "X-GUploader-UploadID": upload_id})

    async def take_bytes(self, request: Request) -> Response:
        """A status question (``bytes */N``), or bytes for a session."""
        upload_id = request.query_params.get("upload_id", "")
        session = self.store.one("SELECT * FROM youtube_sessions WHERE upload_id = ?", (upload_id,))
        if session is None or instant(session["created_at"]) + SESSION_LIFE <= self.world.now():
            return PlainTextResponse("Not Found", status_code=404)
        if session["video_id"] is not None:
            return self._accepted(session)
        first, last, size = _content_range(request, session["size"])
        if size is not None and session["size"] is not None and size != session["size"]:
            raise Refused(400, "badRequest", "The size differs from the session's X-Upload-Content-Length.")
        if size is not None:
            self.store.execute("UPDATE youtube_sessions SET size = ? WHERE upload_id = ?", (size, upload_id))
        if first is None or last is None:
            return _incomplete(session["received"])
        if first > session["received"]:
            return _incomplete(session["received"])  # a gap: the client learns where to go on
        ends = size is not None and last + 1 == size
        if not ends and (last + 1 - first) % GRANULE:
            raise Refused(400, "badRequest", "A chunk that is not the last must be a multiple of 256 KiB.")
        received = await self._store_bytes(request, upload_id, session["received"], first, last)
        if ends and received == size:
            return await self._complete(upload_id)
        return _incomplete(received)

    async def _store_bytes(self, request: Request, upload_id: str, received: int, first: int, last: int) -> int:
        """Write what arrives, from where the session stands; a sender who hangs up leaves whole granules behind."""
        position = first
        # Two requests for one session may overlap: each writes at its own offset, and what counts is what was stored.
        with self._open(upload_id) as file:
            try:
                async for block in request.stream():
                    block = block[: last + 1 - position]
                    file.seek(position)
                    file.write(block)
                    position += len(block)
            except ClientDisconnect:
                position -= position % GRANULE
            file.flush()
        held = max(received, position)
        self.store.execute(
            "UPDATE youtube_sessions SET received = max(received, ?) WHERE upload_id = ?", (held, upload_id)
        )
        return held

    def _open(self, upload_id: str) -> Any:
        path = self._path(upload_id)
        path.touch(exist_ok=True)
        return path.open("r+b")

    def _path(self, upload_id: str) -> Path:
        return self.folder / f"{hashlib.sha256(upload_id.encode()).hexdigest()[:32]}.mp4"

    async def _complete(self, upload_id: str) -> Response:
        """The visible act: the video exists, and is public at once or from its ``publishAt``."""
        path = self._path(upload_id)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        media, failure = _look_at(path)
        with self.store.transaction():
            session = self.store.one("SELECT * FROM youtube_sessions WHERE upload_id = ?", (upload_id,))
            assert session is not None  # noqa: S101 - looked up before the bytes came, and never deleted
            if session["video_id"] is None:
                self._accept(session, sha256, path.stat().st_size, media, failure)
                session = self.store.one("SELECT * FROM youtube_sessions WHERE upload_id = ?", (upload_id,))
                assert session is not None  # noqa: S101
        return self._accepted(session)

    def _accept(self, session: sqlite3.Row, sha256: str, size: int, media: dict[str, Any], failure: str | None) -> None:
        now = self.world.now()
        resource = json.loads(session["resource"])
        earlier = self.store.query(
            "SELECT video_id FROM youtube_videos WHERE sha256 = ? ORDER BY uploaded_at", (sha256,)
        )
        key = (sha256, resource["snippet"]["title"], len(earlier))
        number = self.world.rng("youtube", *key).getrandbits(64)
        video_id = base64.urlsafe_b64encode(number.to_bytes(8)).decode().rstrip("=")
        rejection = "duplicate" if earlier and failure is None else None
        self.store.execute(
            "INSERT INTO youtube_videos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                video_id, session["upload_id"], session["resource"], sha256, size, json.dumps(media), stamp(now),
                failure, rejection,
            ),
        )  # fmt: skip
        self.store.execute(
            "UPDATE youtube_sessions SET video_id = ? WHERE upload_id = ?", (video_id, session["upload_id"])
        )
        status = resource["status"]
        public_at = max(now, instant(status["publishAt"])) if "publishAt" in status else now
        vertical = media.get("height", 0) >= media.get("width", 1)
        self.world.accept_post(
            PLATFORM,
            self._channel(session["upload_id"]).name,
            video_id,
            title=resource["snippet"]["title"],
            text=resource["snippet"].get("description", ""),
            media=media,
            public_at=public_at,
            flags={
                "privacyStatus": status["privacyStatus"],
                "publishAt": status.get("publishAt"),
                "selfDeclaredMadeForKids": status.get("selfDeclaredMadeForKids"),
                "containsSyntheticMedia": status.get("containsSyntheticMedia"),
                "hasPaidProductPlacement": resource.get("paidProductPlacementDetails", {}).get(
                    "hasPaidProductPlacement"
                ),
                "notifySubscribers": bool(session["notify"]),
                "short": bool(vertical and media.get("duration", 0.0) <= 180),
                "duplicate_of": earlier[0]["video_id"] if earlier else None,
                "sha256": sha256,
            },
            handle=session["upload_id"],
        )
        hidden = status["privacyStatus"] == "private" and "publishAt" not in status
        if rejection or failure or hidden:
            self.world.retract_post(PLATFORM, video_id)

    def _channel(self, upload_id: str) -> Resident:
        return self.world.consent.resident(PLATFORM, self.world.consent.owner(PLATFORM, upload_id))

    def _accepted(self, session: sqlite3.Row) -> Response:
        row = self.store.one("SELECT * FROM youtube_videos WHERE video_id = ?", (session["video_id"],))
        assert row is not None  # noqa: S101 - written in one transaction with the session's video_id
        return JSONResponse(self._video(row, session["parts"].split(",")))

    async def set_thumbnail(self, request: Request) -> Response:
        """``thumbnails.set``: a cover for a video that is processed; setting it again replaces it."""
        channel = self._authorize(request)
        self._spend("units", UNITS_PER_DAY, THUMBNAIL_UNITS)
        query = request.query_params
        _check_parameters(query, frozenset({"videoId", "uploadType", "upload_protocol", "onBehalfOfContentOwner"}))
        if query.get("uploadType") != "media":
            raise Refused(400, "badRequest", "This world takes uploadType=media.", location="uploadType")
        rows = self._rows([query.get("videoId", "")])
        if not rows:
            raise Refused(404, "videoNotFound", "The video cannot be found.", location="videoId")
        if self._channel(rows[0]["upload_id"]).id != channel:
            raise Refused(403, "forbidden", "The thumbnail can't be set for the specified video.")
        image = await request.body()
        if not image:
            raise Refused(400, "mediaBodyRequired", "The request does not include the image content.")
        kind = request.headers.get("content-type", "")
        if kind not in ("image/jpeg", "image/png", "application/octet-stream") or len(image) > THUMBNAIL_BYTES:
            raise Refused(400, "invalidImage", "The provided image content is invalid.")
        if not image.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
            raise Refused(400, "invalidImage", "The provided image content is invalid.")
        status = self._video(rows[0], ["status"])["status"]["uploadStatus"]
        if status != "processed" or self._fact("no_thumbnails") == "1":
            raise Refused(403, "forbidden", "The thumbnail can't be set for the specified video.")
        self.store.execute(
            "UPDATE posts SET flags = json_set(flags, '$.thumbnail_sha256', ?, '$.thumbnails_set',"
            " coalesce(json_extract(flags, '$.thumbnails_set'), 0) + 1) WHERE platform = ? AND remote_id = ?",
            (hashlib.sha256(image).hexdigest(), PLATFORM, rows[0]["video_id"]),
        )
        item = {
            name: {"url": f"{self.world.base_url}/youtube/vi/{rows[0]['video_id']}"} for name in ("default", "high")
        }
        return JSONResponse(_listing("youtube#thumbnailSetResponse", [item]))

    async def update_video(self, request: Request) -> Response:
        """``videos.update`` of a status, which loses what the request leaves out. It can hide, never show again."""
        channel = self._authorize(request, _MANAGING)
        self._spend("units", UNITS_PER_DAY, CHANGE_UNITS)
        query = request.query_params
        _check_parameters(query, frozenset({"part", "onBehalfOfContentOwner"}))
        if _parts(query) != ["status"]:
            raise Refused(400, "badRequest", "This world takes part=status.", location="part")
        try:
            body = json.loads(await request.body())
            video_id, status = body.pop("id"), body.pop("status")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Refused(400, "badRequest", "The body is not a video with an id and a status.") from None
        if body or not isinstance(status, dict):
            raise Refused(400, "unexpectedPart", "The part parameter does not name all sections.", location="part")
        _check_section("status", status)
        _check_status(status)
        row = self._standing_row(str(video_id), channel)
        if status["privacyStatus"] == "public" or "publishAt" in status:
            raise Refused(403, "forbidden", "This world hides videos; it does not show them again.")
        resource = json.loads(row["resource"]) | {"status": status}
        with self.store.transaction():
            self.store.execute(
                "UPDATE youtube_videos SET resource = ? WHERE video_id = ?", (json.dumps(resource), row["video_id"])
            )
            self.store.execute(
                "UPDATE posts SET flags = json_set(flags, '$.privacyStatus', ?, '$.publishAt', NULL,"
                " '$.containsSyntheticMedia', json(?), '$.selfDeclaredMadeForKids', json(?))"
                " WHERE platform = ? AND remote_id = ?",
                (
                    status["privacyStatus"],
                    json.dumps(status.get("containsSyntheticMedia")),
                    json.dumps(status.get("selfDeclaredMadeForKids")),
                    PLATFORM,
                    row["video_id"],
                ),
            )
            self.world.retract_post(PLATFORM, row["video_id"])
        return JSONResponse(self._video(self._standing_row(row["video_id"], channel), ["status"]))

    async def delete_video(self, request: Request) -> Response:
        """``videos.delete``: gone for good; the second time it cannot be found."""
        channel = self._authorize(request, _MANAGING)
        self._spend("units", UNITS_PER_DAY, CHANGE_UNITS)
        query = request.query_params
        _check_parameters(query, frozenset({"id", "onBehalfOfContentOwner"}))
        row = self._standing_row(query.get("id", ""), channel)
        with self.store.transaction():
            self.store.execute("INSERT INTO youtube_deleted VALUES (?, ?)", (row["video_id"], stamp(self.world.now())))
            self.world.retract_post(PLATFORM, row["video_id"])
        return Response(status_code=204)

    def _standing_row(self, video_id: str, channel: str) -> sqlite3.Row:
        """A video that stands, of the channel that asks."""
        rows = self._rows([video_id])
        if not rows:
            raise Refused(404, "videoNotFound", "The video cannot be found.", location="id")
        if self._channel(rows[0]["upload_id"]).id != channel:
            raise Refused(403, "forbidden", "The video cannot be changed by this channel.")
        return rows[0]

    def _fact(self, name: str) -> str | None:
        return self.store.fact(f"youtube.{name}")

    # ------------------------------------------------------------------ what the public sees
    async def watch(self, request: Request) -> Response:
        """The page of a public video."""
        row = self._public(request.path_params["video_id"])
        if row is None:
            return PlainTextResponse("Video unavailable", status_code=404)
        snippet = json.loads(row["resource"])["snippet"]
        return HTMLResponse(
            _PAGE.format(
                video_id=row["video_id"],
                title=html.escape(snippet["title"]),
                description=html.escape(snippet.get("description", "")),
            )
        )

    async def file(self, request: Request) -> Response:
        """The bytes of a public video."""
        row = self._public(request.path_params["video_id"])
        if row is None:
            return PlainTextResponse("Video unavailable", status_code=404)
        return FileResponse(self._path(row["upload_id"]), media_type="video/mp4")

    def _public(self, video_id: str) -> sqlite3.Row | None:
        rows = self._rows([video_id])
        if not rows or rows[0]["failure"] or rows[0]["rejection"]:
            return None
        return rows[0] if self._video(rows[0], ["status"])["status"]["privacyStatus"] != "private" else None

    # ------------------------------------------------------------------ reads
    async def list_videos(self, request: Request) -> Response:
        """``videos.list`` by id; what is private is shown to its channel only."""
        channel = self._authorize(request)
        self._spend("units", UNITS_PER_DAY)
        query = request.query_params
        _check_parameters(query, frozenset({"part", "id", "maxResults", "pageToken", "hl"}))
        parts = _parts(query)
        if "id" not in query:
            raise Refused(400, "missingRequiredParameter", "No filter selected. Expected one of: id", location="id")
        rows = [
            row
            for row in self._rows(_ids(query))
            if self._channel(row["upload_id"]).id == channel or self._public(row["video_id"]) is not None
        ]
        return JSONResponse(_listing("youtube#videoListResponse", [self._video(row, parts) for row in rows]))

    async def batch_stats(self, request: Request) -> Response:
        """``videos.batchGetStats``: its own quota bucket, and numbers as strings."""
        self._authorize(request)
        self._spend("videos.batchGetStats", STATS_PER_DAY)
        query = request.query_params
        _check_parameters(query, frozenset({"part", "id", "onBehalfOfContentOwner"}))
        parts = _parts(query)
        items = []
        for row in self._rows(_ids(query)):
            item: dict[str, Any] = {"kind": "youtube#videoStats", "id": row["video_id"], "etag": _etag(row)}
            if "statistics" in parts:
                counts = self.world.statistics(PLATFORM, row["video_id"])
                item["statistics"] = {
                    "viewCount": str(counts["views"]),
                    "likeCount": str(counts["likes"]),
                    "commentCount": str(counts["comments"]),
                }
            if "snippet" in parts:
                item["snippet"] = {"publishTime": row["uploaded_at"]}
            if "contentDetails" in parts:
                item["contentDetails"] = {"duration": f"{json.loads(row['media']).get('duration', 0.0):.0f}s"}
            items.append(item)
        return JSONResponse({"kind": "youtube#batchGetStatsResponse", "etag": _etag(items), "items": items})

    async def list_channels(self, request: Request) -> Response:
        """``channels.list`` of the channel that granted the token."""
        channel = self.world.consent.resident(PLATFORM, self._authorize(request))
        self._spend("units", UNITS_PER_DAY)
        query = request.query_params
        _check_parameters(query, frozenset({"part", "mine", "id", "maxResults", "pageToken"}))
        parts = _parts(query)
        item: dict[str, Any] = {"kind": "youtube#channel", "id": channel.id, "etag": _etag(channel.id)}
        if "snippet" in parts:
            item["snippet"] = {
                "title": channel.name,
                "description": "",
                "customUrl": f"@{channel.handle}",
                "publishedAt": "2024-01-01T00:00:00Z",
            }
        if "contentDetails" in parts:
            item["contentDetails"] = {"relatedPlaylists": {"uploads": _uploads(channel.id), "likes": ""}}
        return JSONResponse(_listing("youtube#channelListResponse", [item]))

    async def list_uploads(self, request: Request) -> Response:
        """``playlistItems.list`` of the uploads, newest first; a video appears once it is processed."""
        channel = self._authorize(request)
        self._spend("units", UNITS_PER_DAY)
        query = request.query_params
        _check_parameters(query, frozenset({"part", "playlistId", "maxResults", "pageToken", "id", "videoId"}))
        _parts(query)
        if query.get("playlistId") != _uploads(channel):
            raise Refused(404, "playlistNotFound", "The playlist cannot be found.", location="playlistId")
        page_size = int(query.get("maxResults", "5"))
        start = int(query.get("pageToken", "0"))
        rows = self.store.query(
            f"SELECT * FROM youtube_videos WHERE uploaded_at <= ? AND failure IS NULL AND {_OWNER} = ?"  # noqa: S608
            " AND video_id NOT IN (SELECT video_id FROM youtube_deleted)"
            " ORDER BY uploaded_at DESC, video_id",
            (stamp(self.world.now() - PROCESSING), channel),
        )
        items = [
            {
                "kind": "youtube#playlistItem",
                "id": _etag(row["video_id"]),
                "snippet": {
                    **self._video(row, ["snippet"])["snippet"],
                    "publishedAt": row["uploaded_at"],
                    "playlistId": _uploads(channel),
                    "resourceId": {"kind": "youtube#video", "videoId": row["video_id"]},
                },
            }
            for row in rows[start : start + page_size]
        ]
        page = _listing("youtube#playlistItemListResponse", items, total=len(rows))
        if start + page_size < len(rows):
            page["nextPageToken"] = str(start + page_size)
        return JSONResponse(page)

    def _rows(self, ids: Iterable[str]) -> list[sqlite3.Row]:
        query = (
            "SELECT * FROM youtube_videos WHERE video_id = ? AND video_id NOT IN (SELECT video_id FROM youtube_deleted)"
        )
        found = [self.store.one(query, (video_id,)) for video_id in ids]
        return [row for row in found if row is not None]

    def _video(self, row: sqlite3.Row, parts: Iterable[str]) -> dict[str, Any]:
        """The ``Video`` resource as it is now."""
        resource = json.loads(row["resource"])
        now = self.world.now()
        written = resource["status"]
        public_at = instant(written["publishAt"]) if "publishAt" in written else None
        due = public_at is not None and public_at <= now
        processed = instant(row["uploaded_at"]) + PROCESSING <= now
        video: dict[str, Any] = {"kind": "youtube#video", "id": row["video_id"], "etag": _etag(row)}
        if "snippet" in parts:
            published = (
                max(public_at, instant(row["uploaded_at"])) if due and public_at else instant(row["uploaded_at"])
            )
            video["snippet"] = {
                "publishedAt": published.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "channelId": self._channel(row["upload_id"]).id,
                "channelTitle": self._channel(row["upload_id"]).name,
                "categoryId": "22",
                "description": "",
                "liveBroadcastContent": "none",
                "thumbnails": {},
                **resource["snippet"],
            }
        if "status" in parts:
            status = {"embeddable": True, "license": "youtube", "publicStatsViewable": True, **written}
            status["madeForKids"] = bool(written.get("selfDeclaredMadeForKids", False))
            status["uploadStatus"] = "uploaded"
            if due:
                status["privacyStatus"] = "public"
                status.pop("publishAt")
            if processed:
                status["uploadStatus"] = "processed"
                if row["failure"]:
                    status |= {"uploadStatus": "failed", "failureReason": row["failure"]}
                elif row["rejection"]:
                    status |= {"uploadStatus": "rejected", "rejectionReason": row["rejection"]}
            video["status"] = status
        if "statistics" in parts:
            counts = self.world.statistics(PLATFORM, row["video_id"])
            video["statistics"] = {
                "viewCount": str(counts["views"]),
                "likeCount": str(counts["likes"]),
                "dislikeCount": "0",
                "favoriteCount": "0",
                "commentCount": str(counts["comments"]),
            }
        if "paidProductPlacementDetails" in parts:
            video["paidProductPlacementDetails"] = {
                "hasPaidProductPlacement": False,
                **resource.get("paidProductPlacementDetails", {}),
            }
        if "contentDetails" in parts:
            seconds = round(json.loads(row["media"]).get("duration", 0.0))
            video["contentDetails"] = {
                "duration": f"PT{seconds}S",
                "dimension": "2d",
                "definition": "hd",
                "caption": "false",
            }
        if "processingDetails" in parts:
            video["processingDetails"] = {
                "processingStatus": "processing" if not processed else "failed" if row["failure"] else "succeeded"
            }
        return video


def _uploads(channel: str) -> str:
    """The playlist of a channel's uploads."""
    return f"UU{channel[2:]}"


# ---------------------------------------------------------------------- what a request may say
def _check_parameters(query: QueryParams, known: frozenset[str]) -> None:
    for name in query:
        if name not in known and name not in _STANDARD_PARAMETERS:
            raise Refused(400, "unexpectedParameter", f"Unexpected parameter: {name}", location=name)


def _parts(query: QueryParams) -> list[str]:
    parts = [part.strip() for value in query.getlist("part") for part in value.split(",") if part.strip()]
    if not parts:
        raise Refused(400, "missingRequiredParameter", "Required parameter: part", location="part")
    for part in parts:
        if part not in _READ_PARTS and part not in _WRITABLE:
            raise Refused(400, "unknownPart", f"'{part}'", location="part")
    return parts


def _ids(query: QueryParams) -> list[str]:
    ids = [video_id for value in query.getlist("id") for video_id in value.split(",") if video_id]
    if not ids:
        raise Refused(400, "missingRequiredParameter", "Required parameter: id", location="id")
    if len(ids) > 50:
        raise Refused(400, "invalidParameter", "The number of ids cannot exceed 50.", location="id")
    return list(dict.fromkeys(ids))


def _boolean(text: str, name: str) -> bool:
    if text not in ("true", "false"):
        raise Refused(400, "badRequest", f"Invalid value for {name}: {text}", location=name)
    return text == "true"


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit():
        raise Refused(400, "badRequest", "X-Upload-Content-Length is not a number.")
    if int(text) > MAX_BYTES:
        raise Refused(413, "uploadTooLarge", "The file is larger than 256 GB.")
    return int(text)


def _resource(body: bytes, parts: list[str]) -> dict[str, Any]:
    """The video resource of an insert, checked; ``privacyStatus`` defaults to public, as it does since 2026-11-02."""
    try:
        resource = json.loads(body or b"{}")
    except ValueError:
        raise Refused(400, "badRequest", "Parse Error") from None
    if not isinstance(resource, dict):
        raise Refused(400, "badRequest", "The body is not a JSON object.")
    for section, value in resource.items():
        if section == "kind" and value == "youtube#video":
            continue
        if section not in _WRITABLE or not isinstance(value, dict):
            raise Refused(
                400, "badRequest", f'Invalid JSON payload received. Unknown name "{section}": Cannot find field.'
            )
        if section not in parts:
            raise Refused(
                400, "unexpectedPart", f"The part parameter does not name the section {section}.", location="part"
            )
        _check_section(section, value)
    for part in parts:
        if part in ("snippet", "status") and part not in resource:
            raise Refused(
                400, "missingRequiredParameter", f"The part parameter names {part}, the body has none.", location="part"
            )
    resource.setdefault("snippet", {"title": "unknown"})
    resource.setdefault("status", {})
    _check_snippet(resource["snippet"])
    _check_status(resource["status"])
    return resource


def _check_section(section: str, value: dict[str, Any]) -> None:
    for name, content in value.items():
        wanted = _WRITABLE[section].get(name)
        if wanted is None:
            raise Refused(
                400,
                "badRequest",
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{section}': Cannot find field.",
            )
        fits = content in wanted if isinstance(wanted, frozenset) else type(content) is wanted
        if not fits:
            raise Refused(400, "badRequest", f"Invalid value at '{section}.{name}': {json.dumps(content)}")


def _check_snippet(snippet: dict[str, Any]) -> None:
    title = snippet.get("title", "")
    if not title.strip() or len(title) > 100 or "<" in title or ">" in title:
        raise Refused(400, "invalidTitle", "The request metadata specifies an invalid or empty video title.")
    description = snippet.get("description", "")
    if len(description.encode()) > 5000 or "<" in description or ">" in description:
        raise Refused(400, "invalidDescription", "The request metadata specifies an invalid video description.")
    tags = snippet.get("tags", [])
    # A tag with a space counts its quotation marks, and a comma stands between two.
    if any(not isinstance(tag, str) or "<" in tag or ">" in tag for tag in tags) or (
        sum(len(tag) + (2 if " " in tag else 0) for tag in tags) + max(0, len(tags) - 1) > 500
    ):
        raise Refused(400, "invalidTags", "The request metadata specifies invalid video keywords.")
    if snippet.get("categoryId", "22") not in _CATEGORIES:
        raise Refused(400, "invalidCategoryId", "The snippet.categoryId property specifies an invalid category ID.")


def _check_status(status: dict[str, Any]) -> None:
    status.setdefault("privacyStatus", "public")
    if "publishAt" in status:
        if status["privacyStatus"] != "private":
            raise Refused(400, "invalidPublishAt", "publishAt can be set only if the privacy status is private.")
        try:
            instant(status["publishAt"])
        except ValueError:
            raise Refused(400, "invalidPublishAt", "The scheduled publishing time is invalid.") from None


def _content_range(request: Request, known: int | None) -> tuple[int | None, int | None, int | None]:
    """First and last byte (None for a status question) and the file's size (None while unknown)."""
    text = request.headers.get("content-range")
    length = int(request.headers.get("content-length", "0"))
    if text is None:
        return 0, length - 1, length if known is None else known
    question = re.fullmatch(r"bytes \*/(\d+|\*)", text)
    if question:
        return None, None, int(question[1]) if question[1] != "*" else None
    span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", text)
    if span is None or int(span[1]) > int(span[2]):
        raise Refused(400, "badRequest", f"Failed to parse Content-Range header: {text}")
    first, last = int(span[1]), int(span[2])
    if length != last + 1 - first:
        raise Refused(400, "badRequest", "Content-Length differs from the Content-Range.")
    size = int(span[3]) if span[3] != "*" else None
    if size is not None and last >= size:
        raise Refused(400, "badRequest", f"Content-Range is beyond the size of the file: {text}")
    return first, last, size


def _incomplete(received: int) -> Response:
    return Response(status_code=308, headers={"Range": f"bytes=0-{received - 1}"} if received else {})


def _look_at(path: Path) -> tuple[dict[str, Any], str | None]:
    """What can be seen of a file, and YouTube's ``failureReason`` when it cannot be played."""
    import av  # heavy, and needed by uploads only

    if path.stat().st_size == 0:
        return {}, "emptyFile"
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return {}, "invalidFile"
            video = container.streams.video[0]
            media = {
                "duration": round(float(container.duration or 0) / 1_000_000, 3),
                "width": video.width,
                "height": video.height,
                "audio": bool(container.streams.audio),
            }
    except (av.error.FFmpegError, ValueError):
        return {}, "invalidFile"
    return media, None


def _listing(kind: str, items: list[dict[str, Any]], total: int | None = None) -> dict[str, Any]:
    count = len(items) if total is None else total
    return {
        "kind": kind,
        "etag": _etag(items),
        "items": items,
        "pageInfo": {"totalResults": count, "resultsPerPage": len(items)},
    }


def _etag(content: Any) -> str:
    text = json.dumps(list(content) if isinstance(content, sqlite3.Row) else content, default=str)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:20]).decode().rstrip("=")


def _oauth_error(status: int, error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status_code=status)
