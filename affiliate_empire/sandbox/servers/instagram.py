"""Instagram as its clients meet it: Reels by the Graph API (Facebook Login), resumable uploads by rupload, insights.

Strict where Instagram is strict (versions, unknown parameters and fields, captions, file formats, 400 containers and
100 posts in 24 hours, metrics that no longer exist), and lenient where it is lenient: a missing ``is_ai_generated`` or
``is_paid_partnership`` is accepted and stands as null in the post's flags. A container is invisible and lives 24 hours;
``media_publish`` is the visible act, once per container. A ``video_url`` is fetched over HTTP, from loopback only.
Bytes lie under ``<home>/world/instagram/``.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
from collections.abc import Callable, Coroutine
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from urllib.robotparser import RobotFileParser

import httpx
from anyio import to_thread
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from affiliate_empire.sandbox import keys
from affiliate_empire.sandbox.clock import instant, stamp
from affiliate_empire.sandbox.consent import RESIDENTS, SIGN_INS, CodeRefused, Granted, Resident, belongs
from affiliate_empire.sandbox.raw import raw_request

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

PLATFORM = "instagram"
FIRST = RESIDENTS[PLATFORM][0].id  # the one whose grant is published

POSTS_PER_24H = 100
CONTAINERS_PER_24H = 400
CONTAINER_LIFE = timedelta(hours=24)
PROCESSING = timedelta(seconds=60)
PROCESSING_LOOKS = 2  # a client that keeps asking sees it in progress so often, however slow the world's clock
TOKEN_LIFE = timedelta(days=60)
SHORT_LIFE = timedelta(hours=1)  # of a token that a code was exchanged for
TOKEN_REST = timedelta(hours=24)  # exchanged sooner, a token is the same token
INSIGHTS_DELAY_HOURS = 48
MAX_BYTES = 300 * 1024 * 1024
SECONDS = (3.0, 15 * 60.0)
CAPTION_CHARACTERS = 2200
HASHTAGS = 5
MENTIONS = 20
# Until when each version of the Graph API answers; an older one is refused.
VERSIONS = {
    "v21.0": date(2027, 1, 21), "v22.0": date(2027, 5, 20), "v23.0": date(2027, 10, 8), "v24.0": date(2028, 2, 18),
    "v25.0": date(2028, 7, 29), "v26.0": date(2029, 1, 1),
}  # fmt: skip

_PAGE_FIELDS = "name,instagram_business_account{id,username,name}"
_BY_DEFAULT = Granted((FIRST,), tuple(sorted(SIGN_INS[PLATFORM].scopes)))
_OWNER = {
    "containers": belongs("instagram_containers.container_id", FIRST),
    "media": belongs("instagram_media.container_id", FIRST),
}
_CREDENTIALS = frozenset({"access_token", "appsecret_proof"})
_CONTAINER = frozenset(
    {"media_type", "video_url", "upload_type", "caption", "share_to_feed", "cover_url", "thumb_offset", "audio_name",
     "user_tags", "collaborators", "location_id", "trial_params", "is_ai_generated", "is_paid_partnership",
     "branded_content_sponsor_ids"}
)  # fmt: skip
_CONTAINER_FIELDS = frozenset({"id", "status_code", "status", "copyright_check_status"})
_MEDIA_FIELDS = frozenset(
    {"id", "ig_id", "caption", "media_type", "media_product_type", "media_url", "permalink", "shortcode", "timestamp",
     "like_count", "comments_count", "is_ai_generated", "is_shared_to_feed", "owner", "username", "thumbnail_url"}
)  # fmt: skip
_METRICS = frozenset(
    {"views", "reach", "likes", "comments", "saved", "shares", "total_interactions", "ig_reels_avg_watch_time",
     "ig_reels_video_view_total_time", "reels_skip_rate", "reposts", "crossposted_views", "facebook_views",
     "total_views", "total_likes", "total_comments"}
)  # fmt: skip
_LATE = frozenset({"ig_reels_avg_watch_time", "ig_reels_video_view_total_time", "reels_skip_rate", "saved"})
_EXPANSION = re.compile(r"insights\.metric\(([^)]*)\)")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instagram_tokens (
    token TEXT PRIMARY KEY, issued_at TEXT NOT NULL, expires_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS instagram_containers (
    container_id TEXT PRIMARY KEY, wish TEXT NOT NULL, created_at TEXT NOT NULL, size INTEGER,
    received INTEGER NOT NULL, uploaded_at TEXT, looks INTEGER NOT NULL DEFAULT 0, media TEXT NOT NULL DEFAULT '{}',
    failure TEXT, media_id TEXT);
CREATE INDEX IF NOT EXISTS instagram_containers_created ON instagram_containers (created_at);
CREATE TABLE IF NOT EXISTS instagram_media (
    media_id TEXT PRIMARY KEY, container_id TEXT NOT NULL UNIQUE, caption TEXT NOT NULL, wish TEXT NOT NULL,
    published_at TEXT NOT NULL, seconds REAL NOT NULL, removed_at TEXT);
"""


class Refused(Exception):
    """A Graph API error."""

    def __init__(self, code: int, message: str, *, subcode: int | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {
            "message": f"(#{code}) {message}" if code > 0 and code != 190 else message,
            "type": "OAuthException",
            "code": code,
        }
        if subcode is not None:
            self.error["error_subcode"] = subcode

    def response(self) -> Response:
        trace = f"A{secrets.token_urlsafe(16)}"
        headers = {"WWW-Authenticate": 'OAuth "Facebook Platform" "invalid_token"'} if self.status == 401 else {}
        return JSONResponse({"error": {**self.error, "fbtrace_id": trace}}, self.status, headers)


def routes(world: World) -> list[BaseRoute]:
    """``/instagram/v26.0/…`` (graph.facebook.com) and ``/instagram_upload/ig-api-upload/…`` (rupload.facebook.com)."""
    world.store.script(_SCHEMA)
    graph = _Instagram(world)

    def guarded(answer: Callable[[Request], Coroutine[Any, Any, Response]]) -> Any:
        async def endpoint(request: Request) -> Response:
            try:
                graph.check_version(request.path_params["version"])
                return await answer(request)
            except Refused as refusal:
                return refusal.response()

        return endpoint

    api = "/instagram/{version}"
    return [
        Route("/instagram/reel/{shortcode}/", graph.watch, methods=["GET"]),
        Route(f"{api}/oauth/access_token", guarded(graph.exchange_token), methods=["GET"]),
        Route(f"{api}/me/permissions", guarded(graph.permissions), methods=["GET"]),
        Route(f"{api}/me/accounts", guarded(graph.pages), methods=["GET"]),
        Route(f"{api}/{{node}}/media", guarded(graph.create_container), methods=["POST"]),
        Route(f"{api}/{{node}}/media", guarded(graph.list_media), methods=["GET"]),
        Route(f"{api}/{{node}}/media_publish", guarded(graph.publish), methods=["POST"]),
        Route(f"{api}/{{node}}/content_publishing_limit", guarded(graph.publishing_limit), methods=["GET"]),
        Route(f"{api}/{{node}}/insights", guarded(graph.insights), methods=["GET"]),
        Route(f"{api}/{{node}}", guarded(graph.read_node), methods=["GET"]),
        Route(f"{api}/{{node}}", guarded(graph.delete), methods=["DELETE"]),
        Route("/instagram_upload/ig-api-upload/{version}/{container}", graph.take_bytes, methods=["POST"]),
    ]


class _Instagram:
    def __init__(self, world: World) -> None:
        self.world = world
        self.store = world.store
        self.folder = world.folder / "instagram"
        self.folder.mkdir(parents=True, exist_ok=True)

    # ------------------------------------------------------------------ who asks, and by which version
    def check_version(self, version: str) -> None:
        until = VERSIONS.get(version)
        if until is None or self.world.now().date() >= until:
            raise Refused(2635, f"You are calling a version of the API that is not available: {version}.")

    def _authorize(self, request: Request, given: dict[str, Any]) -> Granted:
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        token = bearer.strip() if kind == "Bearer" else str(given.get("access_token", ""))
        return self._check_token(token)

    def _check_token(self, token: str) -> Granted:
        """Whom a token speaks for."""
        if token == keys.INSTAGRAM_ACCESS_TOKEN:  # of a system user: it does not expire
            return _BY_DEFAULT
        row = self.store.one("SELECT expires_at FROM instagram_tokens WHERE token = ?", (token,))
        if row is None:
            raise Refused(190, "Invalid OAuth access token - Cannot parse access token", status=401)
        if instant(row["expires_at"]) <= self.world.now():
            raise Refused(190, "Error validating access token: Session has expired.", subcode=463, status=401)
        return self.world.consent.granted("instagram", token) or _BY_DEFAULT

    def _own(self, request: Request, granted: Granted) -> str:
        """The account that the path names, if it is one of the token's."""
        node = str(request.path_params["node"])
        if node == "me" and len(granted.residents) == 1:
            return granted.residents[0]
        if node not in granted.residents:
            raise _no_such_object(node)
        return node

    def _of(self, platform_id: str) -> Resident:
        return self.world.consent.resident(PLATFORM, platform_id)

    def _owner(self, thing: str) -> str:
        return self.world.consent.owner(PLATFORM, thing)

    async def exchange_token(self, request: Request) -> Response:
        """A code for a token of an hour; ``fb_exchange_token``: one of 60 days for it, or for one of a day or more."""
        given = _given(
            request.query_params,
            {"grant_type", "client_id", "client_secret", "fb_exchange_token", "code", "redirect_uri"},
        )
        if given.get("grant_type", "authorization_code") not in ("fb_exchange_token", "authorization_code"):
            raise Refused(100, "Invalid parameter: grant_type")
        if (given.get("client_id"), given.get("client_secret")) != (keys.META_APP_ID, keys.META_APP_SECRET):
            raise Refused(101, "Error validating application. Cannot get application info due to a system error.")
        if "code" in given:
            return self._redeem(given)
        token, now = str(given.get("fb_exchange_token", "")), self.world.now()
        granted = self._check_token(token)
        row = self.store.one("SELECT issued_at, expires_at FROM instagram_tokens WHERE token = ?", (token,))
        expires = now + TOKEN_LIFE
        lived = row is not None and instant(row["expires_at"]) > instant(row["issued_at"]) + TOKEN_REST
        if row is not None and lived and now < instant(row["issued_at"]) + TOKEN_REST:
            expires = instant(row["expires_at"])
        else:
            token = f"EAAG{secrets.token_hex(48)}"
            self.store.execute("INSERT INTO instagram_tokens VALUES (?, ?, ?)", (token, stamp(now), stamp(expires)))
            self.world.consent.grant("instagram", token, granted)
        seconds = int((expires - now).total_seconds())
        return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": seconds})

    def _redeem(self, given: dict[str, Any]) -> Response:
        try:
            granted = self.world.consent.redeem(
                PLATFORM, str(given["code"]), redirect_uri=str(given.get("redirect_uri", "")), verifier=""
            )
        except CodeRefused as refusal:
            if refusal.reason == "redirect_uri":
                said = "Please make sure your redirect_uri is identical to the one you used in the OAuth dialog request"
                raise Refused(100, f"Error validating verification code. {said}", subcode=36008) from None
            raise Refused(100, "This authorization code has been used.", subcode=36009) from None
        token, now = f"EAAG{secrets.token_hex(48)}", self.world.now()
        values = (token, stamp(now), stamp(now + SHORT_LIFE))
        self.store.execute("INSERT INTO instagram_tokens VALUES (?, ?, ?)", values)
        self.world.consent.grant("instagram", token, granted)
        seconds = int(SHORT_LIFE.total_seconds())
        return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": seconds})

    async def permissions(self, request: Request) -> Response:
        """``/me/permissions``: what was granted, and what was declined."""
        granted = self._authorize(request, _given(request.query_params, _CREDENTIALS))
        known = sorted(SIGN_INS[PLATFORM].scopes)
        rows = [{"permission": name, "status": "granted" if name in granted.scopes else "declined"} for name in known]
        return JSONResponse({"data": rows})

    async def pages(self, request: Request) -> Response:
        """``/me/accounts``: the pages of the person who signed in, each with its professional account."""
        given = _given(request.query_params, {"fields", "limit"} | _CREDENTIALS)
        granted = self._authorize(request, given)
        if given.get("fields") != _PAGE_FIELDS:
            raise Refused(100, f"This world takes fields={_PAGE_FIELDS}")
        if "pages_show_list" not in granted.scopes:
            return JSONResponse({"data": []})
        pages = [
            {
                "id": f"10{resident[-13:]}",
                "name": self._of(resident).name,
                "instagram_business_account": {
                    "id": resident,
                    "username": self._of(resident).handle,
                    "name": self._of(resident).name,
                },
            }
            for resident in granted.residents
        ]
        return JSONResponse({"data": pages})

    # ------------------------------------------------------------------ containers
    async def create_container(self, request: Request) -> Response:
        """A container for a Reel: invisible, and gone after 24 hours unless published."""
        given = await _sent(request, _CONTAINER)
        user = self._own(request, self._authorize(request, given))
        wish = _wish(given)
        now = self.world.now()
        since = stamp(now - timedelta(hours=24))
        theirs = f"created_at > ? AND {_OWNER['containers']} = ?"
        count = self.store.one(f"SELECT count(*) FROM instagram_containers WHERE {theirs}", (since, user))  # noqa: S608
        allowed = max(CONTAINERS_PER_24H, 4 * (self.world.standing(PLATFORM, user).posts_per_day or 0))
        if count is not None and count[0] >= allowed:
            raise Refused(4, "Application request limit reached")
        container_id = self._number("containers", "17")
        fetched = _Fetched() if "video_url" not in wish else await self._fetch(wish["video_url"], container_id)
        self.store.execute(
            "INSERT INTO instagram_containers (container_id, wish, created_at, size, received, uploaded_at, media,"
            " failure) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                container_id, json.dumps(wish), stamp(now), fetched.size, fetched.size or 0,
                stamp(now) if fetched.arrived else None, json.dumps(fetched.media), fetched.failure,
            ),
        )  # fmt: skip
        self.world.consent.own(container_id, user)
        self.world.keep_request(PLATFORM, container_id, await raw_request(request))
        answer = {"id": container_id}
        if "upload_type" in wish:
            version = request.path_params["version"]
            answer["uri"] = f"{self.world.base_url}/instagram_upload/ig-api-upload/{version}/{container_id}"
        return JSONResponse(answer)

    async def _fetch(self, url: str, container_id: str) -> _Fetched:
        """Get the video as Meta does: from a public address, if its robots.txt lets it. Never beyond loopback."""
        parts = urlsplit(url)
        if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            return _Fetched(failure=_failed(2207052, "The media could not be fetched from this URI"))
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
                robots = RobotFileParser()
                listed = await http.get(f"{parts.scheme}://{parts.netloc}/robots.txt")
                robots.parse(listed.text.splitlines() if listed.status_code == 200 else [])
                if not robots.can_fetch("facebookexternalhit", url):
                    return _Fetched(failure=_failed(2207052, "Restricted by robots.txt"))
                reply = await http.get(url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return _Fetched(failure=_failed(2207003, f"It takes too long to download the media ({error})"))
        if reply.status_code != 200:
            return _Fetched(failure=_failed(2207052, "The media could not be fetched from this URI"))
        path = self._path(container_id)
        path.write_bytes(reply.content)
        media, failure = await to_thread.run_sync(_look_at, path)
        return _Fetched(arrived=True, size=len(reply.content), media=media, failure=failure)

    async def take_bytes(self, request: Request) -> Response:
        """rupload: the file of a resumable container, whole or from where it stands."""
        try:
            return await self._take_bytes(request)
        except _UploadRefused as refusal:
            debug = {"retriable": refusal.retriable, "type": refusal.kind, "message": str(refusal)}
            return JSONResponse({"debug_info": debug}, refusal.status)

    async def _take_bytes(self, request: Request) -> Response:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            self.check_version(request.path_params["version"])
            if kind != "OAuth":
                raise Refused(190, "no token")
            granted = self._check_token(token.strip())
        except Refused:
            raise _UploadRefused("NotAuthorizedError", "User not authorized to perform this request") from None
        container_id = request.path_params["container"]
        row = self._container(container_id)
        if row is None or "upload_type" not in json.loads(row["wish"]) or self._status(row) in ("EXPIRED", "PUBLISHED"):
            raise _UploadRefused("ProcessingFailedError", "Invalid container id")
        if self._owner(container_id) not in granted.residents:
            raise _UploadRefused("ProcessingFailedError", "Invalid container id")
        if row["uploaded_at"] is not None:
            return JSONResponse({"success": True, "message": "Upload successful."})
        try:
            offset, size = int(request.headers["offset"]), int(request.headers["file_size"])
        except (KeyError, ValueError):
            raise _UploadRefused("PartialRequestError", "The headers offset and file_size are required") from None
        if size > MAX_BYTES:
            raise _UploadRefused("ProcessingFailedError", "The file is too large")
        if offset > row["received"] or row["size"] not in (None, size):
            raise _UploadRefused("OffsetInvalidError", f"The upload stands at {row['received']}")
        received = await self._store_bytes(request, container_id, offset, size)
        self.store.execute(
            "UPDATE instagram_containers SET size = ?, received = max(received, ?) WHERE container_id = ?",
            (size, received, container_id),
        )
        if received < size:
            raise _UploadRefused("PartialRequestError", f"Received {received} of {size} bytes", retriable=True)
        media, failure = await to_thread.run_sync(_look_at, self._path(container_id))
        self.store.execute(
            "UPDATE instagram_containers SET uploaded_at = ?, media = ?, failure = ? WHERE container_id = ?",
            (stamp(self.world.now()), json.dumps(media), failure, container_id),
        )
        return JSONResponse({"success": True, "message": "Upload successful."})

    async def _store_bytes(self, request: Request, container_id: str, offset: int, size: int) -> int:
        path = self._path(container_id)
        path.touch(exist_ok=True)
        with path.open("r+b") as file:
            file.seek(offset)
            try:
                async for block in request.stream():
                    if file.tell() + len(block) > size:
                        raise _UploadRefused("ProcessingFailedError", "More bytes than file_size says")
                    file.write(block)
            except ClientDisconnect:
                pass  # what came is kept
            return file.tell()

    def _path(self, container_id: str) -> Path:
        return self.folder / f"{container_id}.mp4"

    def _container(self, container_id: str) -> sqlite3.Row | None:
        return self.store.one("SELECT * FROM instagram_containers WHERE container_id = ?", (container_id,))

    def _status(self, row: sqlite3.Row) -> str:
        if row["media_id"] is not None:
            return "PUBLISHED"
        if instant(row["created_at"]) + CONTAINER_LIFE <= self.world.now():
            return "EXPIRED"
        if row["failure"] is not None:
            return "ERROR"
        if row["uploaded_at"] is None:
            return "IN_PROGRESS"
        processed = instant(row["uploaded_at"]) + PROCESSING <= self.world.now()
        return "FINISHED" if processed or row["looks"] >= PROCESSING_LOOKS else "IN_PROGRESS"

    def _number(self, kind: str, prefix: str) -> str:
        """The next id of a kind: 17 digits, the same in every world of a seed."""
        count = self.store.one(f"SELECT count(*) FROM instagram_{kind}")  # noqa: S608 - one of our two tables
        drawn = self.world.rng(PLATFORM, kind, count[0] if count else 0).randrange(10**9)
        return f"{prefix}{drawn:09d}{(count[0] if count else 0) + 1:06d}"

    # ------------------------------------------------------------------ the visible act
    async def publish(self, request: Request) -> Response:
        """``media_publish``: the container becomes a Reel, once."""
        given = await _sent(request, frozenset({"creation_id"}))
        user = self._own(request, self._authorize(request, given))
        row = self._container(str(given.get("creation_id", "")))
        if row is None or self._owner(row["container_id"]) != user:
            raise Refused(24, "The requested resource does not exist", subcode=2207006)
        status = self._status(row)
        if status == "EXPIRED":
            raise Refused(-2, "The media you are trying to access has expired. Please try to upload again.",
                          subcode=2207020)  # fmt: skip
        if status != "FINISHED":
            raise Refused(9007, "Media ID is not available", subcode=2207027)
        standing = self.world.standing(PLATFORM, user)
        if standing.restricted:
            raise Refused(25, "The Instagram account is restricted.", subcode=2207050)
        if not standing.allows(self._posted(user), POSTS_PER_24H):
            raise Refused(9, "Application request limit reached", subcode=2207042)
        with self.store.transaction():
            media_id = self._number("media", "18")
            self._accept(row, media_id)
        return JSONResponse({"id": media_id})

    def _posted(self, user: str) -> int:
        since = stamp(self.world.now() - timedelta(hours=24))
        theirs = f"published_at > ? AND {_OWNER['media']} = ?"
        count = self.store.one(f"SELECT count(*) FROM instagram_media WHERE {theirs}", (since, user))  # noqa: S608
        return int(count[0]) if count else 0

    def _accept(self, row: sqlite3.Row, media_id: str) -> None:
        now = self.world.now()
        wish, media = json.loads(row["wish"]), json.loads(row["media"])
        caption = wish.get("caption", "")
        self.store.execute(
            "INSERT INTO instagram_media VALUES (?, ?, ?, ?, ?, ?, NULL)",
            (media_id, row["container_id"], caption, row["wish"], stamp(now), media["duration"]),
        )
        self.store.execute(
            "UPDATE instagram_containers SET media_id = ? WHERE container_id = ?", (media_id, row["container_id"])
        )
        self.world.accept_post(
            PLATFORM,
            self._of(self._owner(row["container_id"])).handle,
            media_id,
            title=_headline(caption),
            text=caption,
            media=media,
            public_at=now,
            flags={
                "is_ai_generated": wish.get("is_ai_generated"),
                "is_paid_partnership": wish.get("is_paid_partnership"),
                "share_to_feed": wish.get("share_to_feed", True),
                "container_id": row["container_id"],
            },
            handle=row["container_id"],
        )

    async def delete(self, request: Request) -> Response:
        """A Reel is deleted for good, by a token with ``instagram_manage_contents``; nothing else can be."""
        given = _given(request.query_params, set(_CREDENTIALS))
        row = self._medium(request.path_params["node"], self._authorize(request, given))
        if row is None:
            raise _no_such_object(request.path_params["node"])
        if self.store.fact("instagram.no_deletion") == "1":
            raise Refused(10, "Application does not have permission for this action", status=403)
        with self.store.transaction():
            self.store.execute(
                "UPDATE instagram_media SET removed_at = ? WHERE media_id = ?",
                (stamp(self.world.now()), row["media_id"]),
            )
            self.world.retract_post(PLATFORM, row["media_id"])
        return JSONResponse({"success": True, "deleted_id": row["media_id"]})

    async def publishing_limit(self, request: Request) -> Response:
        """``content_publishing_limit``: how much of the day's posts is used."""
        given = _given(request.query_params, {"fields", "since"} | _CREDENTIALS)
        user = self._own(request, self._authorize(request, given))
        fields = _fields(given, frozenset({"config", "quota_usage"}), "quota_usage")
        standing = self.world.standing(PLATFORM, user)
        total = POSTS_PER_24H if standing.posts_per_day is None else standing.posts_per_day
        answer = {"quota_usage": self._posted(user), "config": {"quota_total": total, "quota_duration": 86400}}
        return JSONResponse({"data": [{name: answer[name] for name in fields}]})

    # ------------------------------------------------------------------ reads
    async def read_node(self, request: Request) -> Response:
        """A container's status, a Reel's fields, or the account."""
        given = _given(request.query_params, {"fields"} | _CREDENTIALS)
        granted, node = self._authorize(request, given), request.path_params["node"]
        if (container := self._container(node)) is not None and self._owner(node) in granted.residents:
            return self._read_container(container, given)
        if (media := self._medium(node, granted)) is not None:
            return JSONResponse(self._media(media, given, "id"))
        user = self._own(request, granted)
        account = {"id": user, "username": self._of(user).handle, "media_count": self._count(user)}
        fields = _fields(given, frozenset(account), "id")
        return JSONResponse({name: account[name] for name in fields} | {"id": user})

    def _read_container(self, row: sqlite3.Row, given: dict[str, Any]) -> Response:
        fields = _fields(given, _CONTAINER_FIELDS, "id")
        status = self._status(row)
        if status == "IN_PROGRESS" and row["uploaded_at"] is not None and "status_code" in fields:
            self.store.execute(
                "UPDATE instagram_containers SET looks = looks + 1 WHERE container_id = ?", (row["container_id"],)
            )
        answer = {
            "id": row["container_id"],
            "status_code": status,
            "status": row["failure"] if status == "ERROR" else f"{status.capitalize()}",
            "copyright_check_status": {"status": "completed", "matches_found": False},
        }
        return JSONResponse({name: answer[name] for name in fields} | {"id": row["container_id"]})

    async def list_media(self, request: Request) -> Response:
        """The account's Reels, newest first."""
        given = _given(request.query_params, {"fields", "limit", "after", "since", "until"} | _CREDENTIALS)
        user = self._own(request, self._authorize(request, given))
        limit = _whole(given.get("limit", "25"), "limit")
        start = _whole(given.get("after", "0"), "after")
        if not 1 <= limit <= 100:
            raise Refused(100, "Param limit must be between 1 and 100")
        since = datetime.fromtimestamp(_whole(given.get("since", "0"), "since"), tz=self.world.now().tzinfo)
        rows = self.store.query(
            f"SELECT * FROM instagram_media WHERE removed_at IS NULL AND published_at >= ? AND {_OWNER['media']} = ?"  # noqa: S608
            " ORDER BY published_at DESC, media_id DESC LIMIT ? OFFSET ?",
            (stamp(since), user, limit + 1, start),
        )
        page: dict[str, Any] = {"data": [self._media(row, given, "id") for row in rows[:limit]]}
        if rows:
            page["paging"] = {"cursors": {"before": str(start), "after": str(start + limit)}}
            if len(rows) > limit:
                query = urlencode({**given, "after": start + limit})
                page["paging"]["next"] = f"{self.world.base_url}{request.url.path}?{query}"
        return JSONResponse(page)

    async def insights(self, request: Request) -> Response:
        """A Reel's metrics; one that does not exist fails the call, one that is not ready yet is left out."""
        given = _given(request.query_params, {"metric", "period", "breakdown"} | _CREDENTIALS)
        row = self._medium(request.path_params["node"], self._authorize(request, given))
        if row is None:
            raise _no_such_object(request.path_params["node"])
        return JSONResponse(self._insights(row, str(given.get("metric", ""))))

    def _medium(self, media_id: str, granted: Granted) -> sqlite3.Row | None:
        """A Reel of one of the token's accounts."""
        row = self.store.one("SELECT * FROM instagram_media WHERE media_id = ? AND removed_at IS NULL", (media_id,))
        return row if row is not None and self._owner(row["container_id"]) in granted.residents else None

    def _count(self, user: str) -> int:
        theirs = f"removed_at IS NULL AND {_OWNER['media']} = ?"
        row = self.store.one(f"SELECT count(*) FROM instagram_media WHERE {theirs}", (user,))  # noqa: S608
        return int(row[0]) if row else 0

    def _media(self, row: sqlite3.Row, given: dict[str, Any], default: str) -> dict[str, Any]:
        """The ``IG Media`` node with the fields that were asked for, insights by field expansion among them."""
        asked = str(given.get("fields", default))
        metrics = _EXPANSION.search(asked)
        rest = [name for name in _EXPANSION.sub("", asked).split(",") if name]
        fields = _fields({"fields": ",".join(rest)} if rest else {}, _MEDIA_FIELDS, default)
        wish = json.loads(row["wish"])
        counted = not {"like_count", "comments_count"}.isdisjoint(fields)
        counts = self.world.statistics(PLATFORM, row["media_id"]) if counted else {"likes": 0, "comments": 0}
        shortcode = _shortcode(row["media_id"])
        answer = {
            "id": row["media_id"],
            "ig_id": row["media_id"],
            "caption": row["caption"],
            "media_type": "VIDEO",
            "media_product_type": "REELS",
            "media_url": f"{self.world.base_url}/instagram/reel/{shortcode}/",
            "thumbnail_url": f"{self.world.base_url}/instagram/reel/{shortcode}/",
            "permalink": f"{self.world.base_url}/instagram/reel/{shortcode}/",
            "shortcode": shortcode,
            "timestamp": instant(row["published_at"]).strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "like_count": counts["likes"],
            "comments_count": counts["comments"],
            "is_ai_generated": bool(wish.get("is_ai_generated", False)),
            "is_shared_to_feed": bool(wish.get("share_to_feed", True)),
            "owner": {"id": self._owner(row["container_id"])},
            "username": self._of(self._owner(row["container_id"])).handle,
        }
        node = {name: answer[name] for name in fields} | {"id": row["media_id"]}
        if metrics is not None:
            node["insights"] = self._insights(row, metrics[1])
        return node

    def _insights(self, row: sqlite3.Row, asked: str) -> dict[str, Any]:
        names = [name for name in asked.split(",") if name]
        unknown = [name for name in names if name not in _METRICS]
        if unknown or not names:
            known = ", ".join(sorted(_METRICS))
            raise Refused(100, f"metric[0] must be one of the following values: {known}")
        values = self._measured(row)
        age = self.world.now() - instant(row["published_at"])
        late = timedelta(hours=self.world.rng(PLATFORM, "late", row["media_id"]).uniform(2, INSIGHTS_DELAY_HOURS))
        return {
            "data": [
                {
                    "name": name,
                    "period": "lifetime",
                    "values": [{"value": values[name]}],
                    "title": name.replace("_", " ").capitalize(),
                    "id": f"{row['media_id']}/insights/{name}/lifetime",
                }
                for name in names
                if age >= (late if name in _LATE else timedelta(hours=1))
            ]
        }

    def _measured(self, row: sqlite3.Row) -> dict[str, float]:
        """What the audience did with a Reel: counted views, likes and comments, and what usually goes with them."""
        counts = self.world.statistics(PLATFORM, row["media_id"])
        habits = self.world.rng(PLATFORM, "habits", row["media_id"])
        views, likes, comments = counts["views"], counts["likes"], counts["comments"]
        reach = round(views * habits.uniform(0.7, 0.92))
        saved, shares = round(views * habits.uniform(0.002, 0.012)), round(views * habits.uniform(0.003, 0.015))
        watched = round(1000 * row["seconds"] * habits.uniform(0.25, 0.6))
        return {
            "views": views,
            "reach": reach,
            "likes": likes,
            "comments": comments,
            "saved": saved,
            "shares": shares,
            "total_interactions": likes + comments + saved + shares,
            "ig_reels_avg_watch_time": watched,
            "ig_reels_video_view_total_time": watched * views,
            "reels_skip_rate": round(habits.uniform(35, 70), 1),
            "reposts": round(shares * 0.1),
            "crossposted_views": 0,
            "facebook_views": 0,
            "total_views": views,
            "total_likes": likes,
            "total_comments": comments,
        }

    # ------------------------------------------------------------------ what the public sees
    async def watch(self, request: Request) -> Response:
        """A public Reel."""
        code = request.path_params["shortcode"]
        for row in self.store.query("SELECT * FROM instagram_media WHERE removed_at IS NULL"):
            if _shortcode(row["media_id"]) == code:
                return FileResponse(self._path(row["container_id"]), media_type="video/mp4")
        return PlainTextResponse("Sorry, this page isn't available.", status_code=404)


class _UploadRefused(Exception):
    """rupload's own form of an error."""

    def __init__(self, kind: str, message: str, *, retriable: bool = False, status: int = 400) -> None:
        super().__init__(message)
        self.kind = kind
        self.retriable = retriable
        self.status = status


class _Fetched:
    """What came of a ``video_url``; nothing yet for an upload that is still to come."""

    def __init__(
        self,
        *,
        arrived: bool = False,
        size: int | None = None,
        media: dict[str, Any] | None = None,
        failure: str | None = None,
    ) -> None:
        self.arrived = arrived
        self.size = size
        self.media = media or {}
        self.failure = failure


# ---------------------------------------------------------------------- what a request may say
async def _sent(request: Request, known: frozenset[str]) -> dict[str, Any]:
    """The parameters of a POST: in the query, a form or a JSON object, as the Graph API takes them."""
    body: dict[str, Any] = {}
    kind = request.headers.get("content-type", "")
    raw = await request.body()
    if raw and kind.startswith("application/json"):
        try:
            body = json.loads(raw)
        except ValueError:
            body = {}
        if not isinstance(body, dict) or not body:
            raise Refused(100, "The body is not a JSON object.")
    elif raw and kind.startswith("application/x-www-form-urlencoded"):
        body = dict(QueryParams(raw.decode("utf-8", "replace")))
    elif raw:
        raise Refused(100, f"Unsupported content type: {kind or 'none'}")
    return _given({**request.query_params, **body}, set(known) | _CREDENTIALS)


def _given(parameters: Any, known: set[str] | frozenset[str]) -> dict[str, Any]:
    given = dict(parameters)
    for name in given:
        if name not in known:
            raise Refused(100, f"Invalid parameter: {name}")
    return given


def _fields(given: dict[str, Any], known: frozenset[str], default: str) -> list[str]:
    fields = [name for name in str(given.get("fields", default)).split(",") if name]
    for name in fields:
        if name not in known:
            raise Refused(100, f"Tried accessing nonexisting field ({name})")
    return fields


def _wish(given: dict[str, Any]) -> dict[str, Any]:
    """The container that is asked for, checked."""
    wish = {name: value for name, value in given.items() if name not in _CREDENTIALS}
    if wish.get("media_type") != "REELS":
        raise Refused(100, "This world takes media_type REELS.", subcode=2207023)
    resumable = wish.get("upload_type") == "resumable"
    if "upload_type" in wish and not resumable:
        raise Refused(100, "Param upload_type must be one of {RESUMABLE}")
    if resumable == ("video_url" in wish):
        raise Refused(100, "The parameter video_url or upload_type=resumable is required, not both.")
    caption = str(wish.get("caption", ""))
    if len(caption) > CAPTION_CHARACTERS:
        raise Refused(36004, "The caption is too long.", subcode=2207010)
    if len(re.findall(r"(?<![\w&])#\w+", caption)) > HASHTAGS:
        raise Refused(100, f"The caption has more than {HASHTAGS} hashtags.")
    if len(re.findall(r"(?<!\w)@\w+", caption)) > MENTIONS:
        raise Refused(100, f"The caption has more than {MENTIONS} mentions.")
    for name in ("share_to_feed", "is_ai_generated", "is_paid_partnership"):
        if name in wish:
            wish[name] = _boolean(wish[name], name)
    if "thumb_offset" in wish:
        wish["thumb_offset"] = _whole(wish["thumb_offset"], "thumb_offset")
    return wish


def _boolean(value: Any, name: str) -> bool:
    if value in (True, "true", "1"):
        return True
    if value in (False, "false", "0"):
        return False
    raise Refused(100, f"Param {name} must be a boolean")


def _whole(value: Any, name: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise Refused(100, f"Param {name} must be an integer") from None


def _no_such_object(node: str) -> Refused:
    return Refused(
        100,
        f"Unsupported request. Object with ID '{node}' does not exist, cannot be loaded due to missing permissions, or "
        "does not support this operation.",
        subcode=33,
    )


def _failed(subcode: int, why: str) -> str:
    return f"Error: Media upload has failed with error code {subcode}: {why}"


def _look_at(path: Path) -> tuple[dict[str, Any], str | None]:
    """What can be seen of a file, and the container's error where Reels do not take it."""
    import av  # heavy, and needed by uploads only

    media: dict[str, Any] = {}
    try:
        with av.open(str(path)) as container:
            if not container.streams.video or "mp4" not in container.format.name:
                return media, _failed(2207026, "The video format is not supported")
            video = container.streams.video[0]
            sound = container.streams.audio[0] if container.streams.audio else None
            media = {
                "duration": round(float(container.duration or 0) / 1_000_000, 3),
                "width": video.width,
                "height": video.height,
                "audio": sound is not None,
            }
            codec = video.codec_context.name
            rate = sound.codec_context.sample_rate if sound is not None else 0
    except (av.error.FFmpegError, ValueError):
        return media, _failed(2207026, "The video format is not supported")
    if path.stat().st_size > MAX_BYTES:
        return media, _failed(2207026, "The file is larger than 300 MB")
    if codec not in ("h264", "hevc") or rate > 48_000:
        return media, _failed(2207026, "The video's codec is not supported")
    if not _index_first(path):
        return media, _failed(2207026, "The moov atom does not stand at the front of the file")
    if not SECONDS[0] <= media["duration"] <= SECONDS[1]:
        return media, _failed(2207026, "The video's length is not between 3 seconds and 15 minutes")
    return media, None


def _index_first(path: Path) -> bool:
    """Whether an mp4's index (moov) stands before its data (mdat)."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = int.from_bytes(head[:4]), head[4:]
            if kind in (b"moov", b"mdat"):
                return kind == b"moov"
            if size == 1:
                size = int.from_bytes(file.read(8)) - 8
            file.seek(max(size - 8, 0), 1)
    return False


def _headline(caption: str) -> str:
    """What a viewer takes for a Reel's title: the first line of its caption that is no disclosure."""
    for line in caption.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            return line.strip()[:125]
    return ""


def _shortcode(media_id: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number, code = int(media_id), ""
    while number:
        number, digit = divmod(number, 64)
        code = alphabet[digit] + code
    return code
