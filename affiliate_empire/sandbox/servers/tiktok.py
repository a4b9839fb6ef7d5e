"""TikTok as its clients meet it: rotating tokens, the Content Posting API (direct post and inbox draft), video/query.

Every answer is ``{data, error{code, message, log_id}}``; the code says what happened, also with HTTP 200. An upload
that is complete is taken: TikTok then processes and moderates it, and the post's id is told only when that is done. A
draft waits in the creator's inbox until this world's creator taps "post" in the app, who labels it there as AI-made and
paid, and writes no caption. Facts that a test may set in the store: ``tiktok.unaudited``, ``tiktok.private`` (the
accounts), ``tiktok.comment_disabled`` (``1``), ``tiktok.scopes``.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from affiliate_empire.sandbox import keys
from affiliate_empire.sandbox.clock import instant, stamp
from affiliate_empire.sandbox.consent import RESIDENTS, CodeRefused, Granted, Resident, belongs
from affiliate_empire.sandbox.market import without_addresses
from affiliate_empire.sandbox.raw import raw_request

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

PLATFORM = "tiktok"
CREATOR = RESIDENTS[PLATFORM][0].handle  # the one whose grant is published
SCOPES = "user.info.basic,video.publish,video.upload,video.list"

POSTS_PER_24H = 15  # "typically around 15"; TikTok publishes no number
DRAFTS_PER_24H = 5  # pending shares
ACCESS_LIFE = timedelta(hours=2)
REFRESH_LIFE = timedelta(days=180)
UPLOAD_LIFE = timedelta(hours=1)
LONGEST_SECONDS = 600
CAPTION_CHARACTERS = 2200
IDS_PER_QUERY = 20
MB = 1024 * 1024
SMALLEST_CHUNK, LARGEST_CHUNK, LARGEST_LAST, LARGEST_FILE = 5 * MB, 64 * MB, 128 * MB, 4096 * MB

_POST_INFO: dict[str, type] = {
    "title": str, "privacy_level": str, "disable_comment": bool, "disable_duet": bool, "disable_stitch": bool,
    "video_cover_timestamp_ms": int, "brand_content_toggle": bool, "brand_organic_toggle": bool, "is_aigc": bool,
}  # fmt: skip
_SOURCE_INFO: dict[str, type] = {"source": str, "video_size": int, "chunk_size": int, "total_chunk_count": int}
_TOKEN_FIELDS = frozenset(
    {"client_key", "client_secret", "grant_type", "refresh_token", "code", "redirect_uri", "code_verifier"}
)
_USER_FIELDS = frozenset({"open_id", "union_id", "avatar_url", "display_name"})  # of the scope user.info.basic
_VIDEO_FIELDS = frozenset(
    {"id", "create_time", "share_url", "video_description", "duration", "height", "width", "title", "like_count",
     "comment_count", "share_count", "view_count"}
)  # fmt: skip

_OWNER = belongs("tiktok_publishes.publish_id", RESIDENTS[PLATFORM][0].id)

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{creator}</title></head>
<body><p>SIMULATED VIDEO</p><video src="/tiktok/files/{post_id}.mp4" controls height="640"></video>
<p style="white-space: pre-line">{caption}</p></body></html>
"""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tiktok_refresh_tokens (token TEXT PRIMARY KEY, expires_at TEXT NOT NULL, used INTEGER);
CREATE TABLE IF NOT EXISTS tiktok_access_tokens (
    token TEXT PRIMARY KEY, expires_at TEXT NOT NULL, scopes TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tiktok_publishes (
    publish_id TEXT PRIMARY KEY, upload_token TEXT NOT NULL, draft INTEGER NOT NULL, post_info TEXT NOT NULL,
    size INTEGER NOT NULL, chunk_size INTEGER NOT NULL, chunks INTEGER NOT NULL, received INTEGER NOT NULL,
    started_at TEXT NOT NULL, taken_at TEXT, media TEXT, failure TEXT, processed_at TEXT, posted_at TEXT,
    public_at TEXT, post_id TEXT UNIQUE);
"""


class Refused(Exception):
    """A TikTok API error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True)
class _Call:
    """An endpoint: what it needs and how often one user token may call it."""

    answer: Callable[[Request, dict[str, Any], Resident], dict[str, Any]]
    scopes: tuple[str, ...]  # any one of them
    per_minute: int
    parameters: frozenset[str] = frozenset()
    begins: bool = False  # a publish, whose request is kept
    reads: bool = False  # by GET, without a body


def routes(world: World) -> list[BaseRoute]:
    """``/tiktok/v2/…``, the upload addresses, and the public pages."""
    world.store.script(_SCHEMA)
    tiktok = _TikTok(world)
    publish, both = "/tiktok/v2/post/publish", ("video.publish", "video.upload")
    calls = {
        f"{publish}/creator_info/query/": _Call(tiktok.creator_info, ("video.publish",), 20),
        f"{publish}/video/init/": _Call(tiktok.start_post, ("video.publish",), 6, begins=True),
        f"{publish}/inbox/video/init/": _Call(tiktok.start_draft, ("video.upload",), 6, begins=True),
        f"{publish}/status/fetch/": _Call(tiktok.status, both, 30),
        "/tiktok/v2/user/info/": _Call(tiktok.user_info, ("user.info.basic",), 600, frozenset({"fields"}), reads=True),
        "/tiktok/v2/video/query/": _Call(tiktok.query, ("video.list",), 600, frozenset({"fields"})),
    }
    return [
        Route("/tiktok/v2/oauth/token/", tiktok.token, methods=["POST"]),
        *(
            Route(path, tiktok.guarded(path, call), methods=["GET" if call.reads else "POST"])
            for path, call in calls.items()
        ),
        Route("/tiktok/upload/video/", tiktok.take_chunk, methods=["PUT"]),
        Route("/tiktok/@{creator}/video/{post_id}", tiktok.watch, methods=["GET"]),
        Route("/tiktok/files/{post_id}.mp4", tiktok.file, methods=["GET"]),
    ]


class _TikTok:
    def __init__(self, world: World) -> None:
        self.world = world
        self.store = world.store
        self.folder = world.folder / "tiktok"
        self.folder.mkdir(parents=True, exist_ok=True)
        # Calls per endpoint, token and minute of the world. In memory only: forgetting a rate limit harms nobody.
        self._calls: dict[tuple[str, str, str], int] = {}
        # The grant that the creator once gave; INSERT OR IGNORE: once used it stays used.
        self.store.execute(
            "INSERT OR IGNORE INTO tiktok_refresh_tokens VALUES (?, ?, 0)",
            (keys.TIKTOK_REFRESH_TOKEN, stamp(world.now() + REFRESH_LIFE)),
        )

    def _fact(self, name: str) -> str | None:
        return self.store.fact(f"tiktok.{name}")

    # ------------------------------------------------------------------ tokens
    async def token(self, request: Request) -> Response:
        """A code, or a refresh token, for a pair of tokens; the new refresh token replaces the old one at once."""
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return _oauth_error("invalid_request", "The content type is not application/x-www-form-urlencoded.")
        form = QueryParams((await request.body()).decode("utf-8", "replace"))
        if unknown := set(form) - _TOKEN_FIELDS:
            return _oauth_error("invalid_request", f"Unknown parameters: {', '.join(sorted(unknown))}.")
        if form.get("grant_type") not in ("refresh_token", "authorization_code"):
            return _oauth_error("unsupported_grant_type", "The grant type is not supported.")
        if (form.get("client_key"), form.get("client_secret")) != (
            keys.TIKTOK_CLIENT_KEY,
            keys.TIKTOK_CLIENT_SECRET,
        ):
            return _oauth_error("invalid_client", "Client key or secret is incorrect.")
        with self.store.transaction():
            if form["grant_type"] == "authorization_code":
                try:
                    granted = self.world.consent.redeem(
                        PLATFORM,
                        form.get("code", ""),
                        redirect_uri=form.get("redirect_uri", ""),
                        verifier=form.get("code_verifier", ""),
                    )
                except CodeRefused as refusal:
                    said = {
                        "code": "Authorization code is expired.",
                        "redirect_uri": "Redirect_uri is not matched with the uri when requesting code.",
                        "verifier": "Code verifier or code challenge is invalid.",
                    }[refusal.reason]
                    return _oauth_error("invalid_grant" if refusal.reason == "code" else "invalid_request", said)
            else:
                refresh = form.get("refresh_token", "")
                used = self.store.execute(
                    "UPDATE tiktok_refresh_tokens SET used = 1 WHERE token = ? AND NOT used AND expires_at > ?",
                    (refresh, stamp(self.world.now())),
                )
                if not used:
                    return _oauth_error("invalid_grant", "Refresh token is invalid or expired.")
                granted = self.world.consent.granted("tiktok refresh", refresh) or Granted(
                    (self.world.consent.first(PLATFORM).id,), tuple(SCOPES.split(","))
                )
            return JSONResponse(self._pair(granted))

    def _pair(self, granted: Granted) -> dict[str, Any]:
        """A new pair of tokens."""
        now, refresh, access = self.world.now(), f"rft.{secrets.token_urlsafe(40)}", f"act.{secrets.token_urlsafe(40)}"
        scopes = self._fact("scopes") or ",".join(granted.scopes)
        self.store.execute("INSERT INTO tiktok_refresh_tokens VALUES (?, ?, 0)", (refresh, stamp(now + REFRESH_LIFE)))
        self.store.execute(
            "INSERT INTO tiktok_access_tokens VALUES (?, ?, ?)", (access, stamp(now + ACCESS_LIFE), scopes)
        )
        self.world.consent.grant("tiktok refresh", refresh, granted)
        self.world.consent.own(access, granted.residents[0])
        return {
            "access_token": access,
            "expires_in": int(ACCESS_LIFE.total_seconds()),
            "open_id": granted.residents[0],
            "refresh_expires_in": int(REFRESH_LIFE.total_seconds()),
            "refresh_token": refresh,
            "scope": scopes,
            "token_type": "Bearer",
        }

    def guarded(self, path: str, call: _Call) -> Callable[[Request], Awaitable[Response]]:
        """Token, scope, rate limit, and a JSON body; refusals in TikTok's envelope."""

        async def endpoint(request: Request) -> Response:
            try:
                access = self._authorize(request, call.scopes)
                minute = stamp(self.world.now())[:16]
                self._calls = {key: count for key, count in self._calls.items() if key[2] == minute}
                used = self._calls[path, access, minute] = self._calls.get((path, access, minute), 0) + 1
                if used > call.per_minute:
                    raise Refused(
                        429, "rate_limit_exceeded", "The API rate limit was exceeded. Please try again later."
                    )
                if unknown := set(request.query_params) - call.parameters:
                    raise _invalid(f"Unknown parameters: {', '.join(sorted(unknown))}")
                creator = self.world.consent.resident(PLATFORM, self.world.consent.owner(PLATFORM, access))
                data = call.answer(request, {} if call.reads else await _body(request), creator)
                if call.begins:
                    self.world.keep_request(PLATFORM, data["publish_id"], await raw_request(request))
            except Refused as refusal:
                return _envelope({}, refusal.code, refusal.message, refusal.status)
            return _envelope(data)

        return endpoint

    def _authorize(self, request: Request, scopes: tuple[str, ...]) -> str:
        kind, _, access = request.headers.get("authorization", "").partition(" ")
        row = self.store.one("SELECT * FROM tiktok_access_tokens WHERE token = ?", (access,))
        # Expiry is in the world's time: a clock that jumps a day ahead leaves no token valid, as a day would.
        if kind != "Bearer" or row is None or instant(row["expires_at"]) <= self.world.now():
            raise Refused(401, "access_token_invalid", "The access token is invalid or not found in the request.")
        if not set(scopes) & set(row["scopes"].split(",")):
            raise Refused(401, "scope_not_authorized", "The user did not authorize the scope required.")
        return access

    # ------------------------------------------------------------------ before a post
    def user_info(self, request: Request, body: dict[str, Any], creator: Resident) -> dict[str, Any]:
        """Who granted the token."""
        fields = [name for name in request.query_params.get("fields", "").split(",") if name]
        if not fields or not set(fields) <= _USER_FIELDS:
            raise _invalid("fields is required and may name fields of the user object only")
        user = {
            "open_id": creator.id,
            "union_id": f"union{creator.id}",
            "avatar_url": f"{self.world.base_url}/tiktok/avatar.webp",
            "display_name": creator.name,
        }
        return {"user": {name: user[name] for name in fields}}

    def creator_info(self, request: Request, body: dict[str, Any], creator: Resident) -> dict[str, Any]:
        """What this creator may choose now; a creator who may not post at all is told so with HTTP 200."""
        _only(body, frozenset())
        self._check_standing(creator, status=200)
        return {
            "creator_avatar_url": f"{self.world.base_url}/tiktok/avatar.webp",
            "creator_username": creator.handle,
            "creator_nickname": creator.name,
            "privacy_level_options": self._privacy_options(),
            "comment_disabled": self._fact("comment_disabled") == "1",
            "duet_disabled": False,
            "stitch_disabled": False,
            "max_video_post_duration_sec": LONGEST_SECONDS,
        }

    def _privacy_options(self) -> list[str]:
        widest = "FOLLOWER_OF_CREATOR" if self._fact("private") == "1" else "PUBLIC_TO_EVERYONE"
        return [widest, "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]

    def _check_standing(self, creator: Resident, *, status: int) -> None:
        standing = self.world.standing(PLATFORM, creator.handle)
        if standing.restricted:
            raise Refused(status, "spam_risk_user_banned_from_posting", "The user is banned from making new posts.")
        if not standing.allows(self._recent(creator, "posted_at"), POSTS_PER_24H):
            raise Refused(
                status, "spam_risk_too_many_posts", "The daily post cap from the API is reached for the user."
            )

    def _recent(self, creator: Resident, column: str, condition: str = "failure IS NULL") -> int:
        """A creator's publishes of the last 24 hours whose ``column`` is a time that has come."""
        now = self.world.now()
        theirs = f"{condition} AND {column} > ? AND {column} <= ? AND {_OWNER} = ?"
        row = self.store.one(
            f"SELECT count(*) FROM tiktok_publishes WHERE {theirs}",  # noqa: S608
            (stamp(now - timedelta(hours=24)), stamp(now), creator.id),
        )
        return 0 if row is None else int(row[0])

    # ------------------------------------------------------------------ uploads
    def start_post(self, request: Request, body: dict[str, Any], creator: Resident) -> dict[str, Any]:
        """Direct Post: what the post will be, and where to send it. Nothing is visible yet."""
        _only(body, frozenset({"post_info", "source_info"}))
        info = _section(body, "post_info", _POST_INFO)
        if "privacy_level" not in info:
            raise _invalid("post_info.privacy_level is required")
        if len(info.get("title", "").encode("utf-16-le")) // 2 > CAPTION_CHARACTERS:
            raise _invalid("post_info.title is longer than 2200 UTF-16 characters")
        self._check_standing(creator, status=403)
        unaudited, private = self._fact("unaudited") == "1", self._fact("private") == "1"
        if unaudited and not (private and info["privacy_level"] == "SELF_ONLY"):
            raise Refused(
                403,
                "unaudited_client_can_only_post_to_private_accounts",
                "Please review our integration guidelines at https://developers.tiktok.com/doc/content-sharing-guidelines/",
            )
        if info["privacy_level"] not in self._privacy_options():
            raise Refused(
                403, "privacy_level_option_mismatch", "Privacy level is not one of the user's privacy_level_options."
            )
        if info.get("brand_content_toggle") and info["privacy_level"] == "SELF_ONLY":
            raise _invalid("branded content cannot be private: privacy_level SELF_ONLY")
        if self._fact("comment_disabled") == "1" and info.get("disable_comment") is not True:
            raise _invalid("the creator has disabled comments: post_info.disable_comment must be true")
        return self._start(body, info, creator, draft=False)

    def start_draft(self, request: Request, body: dict[str, Any], creator: Resident) -> dict[str, Any]:
        """A draft to the creator's inbox: it takes no ``post_info``, the creator says all that in the app."""
        _only(body, frozenset({"source_info"}))
        standing = self.world.standing(PLATFORM, creator.handle)
        if standing.restricted:
            raise Refused(403, "spam_risk_user_banned_from_posting", "The user is banned from making new posts.")
        drafts = self._recent(creator, "taken_at", "draft AND failure IS NULL")
        if drafts >= max(DRAFTS_PER_24H, standing.posts_per_day or 0):
            raise Refused(403, "spam_risk_too_many_pending_share", "At most 5 pending shares within any 24 hours.")
        return self._start(body, {}, creator, draft=True)

    def _start(self, body: dict[str, Any], info: dict[str, Any], creator: Resident, *, draft: bool) -> dict[str, Any]:
        size, chunk_size, chunks = _source(body)
        publish_id = f"v_{'inbox' if draft else 'pub'}_file~v2-1.{secrets.randbits(62)}"
        upload_token = secrets.token_urlsafe(32)
        self.store.execute(
            "INSERT INTO tiktok_publishes (publish_id, upload_token, draft, post_info, size, chunk_size, chunks,"
            " received, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)",
            (
                publish_id, upload_token, int(draft), json.dumps(info), size, chunk_size, chunks,
                stamp(self.world.now()),
            ),
        )  # fmt: skip
        self.world.consent.own(publish_id, creator.id)
        query = urlencode({"upload_id": publish_id, "upload_token": upload_token})
        return {"publish_id": publish_id, "upload_url": f"{self.world.base_url}/tiktok/upload/video/?{query}"}

    async def take_chunk(self, request: Request) -> Response:
        """One chunk, in order: 206 while more is missing, 201 when TikTok has the whole video."""
        query = request.query_params
        row = self.store.one("SELECT * FROM tiktok_publishes WHERE publish_id = ?", (query.get("upload_id", ""),))
        if row is None or not secrets.compare_digest(row["upload_token"], query.get("upload_token", "")):
            return PlainTextResponse("upload not found", status_code=404)
        if instant(row["started_at"]) + UPLOAD_LIFE <= self.world.now():
            return PlainTextResponse("upload_url expired", status_code=403)
        span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", request.headers.get("content-range", ""))
        if span is None or request.headers.get("content-type") not in ("video/mp4", "video/quicktime", "video/webm"):
            return PlainTextResponse("Content-Range or Content-Type is missing or wrong", status_code=400)
        chunk = await request.body()
        first, last, size = (int(number) for number in span.groups())
        number = row["received"] // row["chunk_size"]
        ends = number + 1 >= row["chunks"]
        length = row["size"] - row["received"] if ends else row["chunk_size"]
        if row["taken_at"] or (first, last, size) != (row["received"], row["received"] + length - 1, row["size"]):
            return PlainTextResponse("Content-Range is not the next chunk", status_code=416)
        if len(chunk) != length:
            return PlainTextResponse("Content-Length differs from the Content-Range", status_code=400)
        with self._path(row["publish_id"]).open("r+b" if first else "wb") as file:
            file.seek(first)
            file.write(chunk)
        with self.store.transaction():
            # A second request for the same chunk may have been faster: whoever comes last counts nothing.
            won = self.store.execute(
                "UPDATE tiktok_publishes SET received = ? WHERE publish_id = ? AND received = ? AND taken_at IS NULL",
                (last + 1, row["publish_id"], row["received"]),
            )
            if not won:
                return PlainTextResponse("Content-Range is not the next chunk", status_code=416)
            if ends:
                self._take(row)
        headers = {"Content-Range": f"bytes 0-{last}/{size}"}
        return Response(status_code=201 if ends else 206, headers=headers)

    def _creator(self, row: sqlite3.Row) -> Resident:
        return self.world.consent.resident(PLATFORM, self.world.consent.owner(PLATFORM, row["publish_id"]))

    def _path(self, publish_id: str) -> Path:
        return self.folder / f"{hashlib.sha256(publish_id.encode()).hexdigest()[:32]}.mp4"

    def _take(self, row: sqlite3.Row) -> None:
        """The visible act: TikTok has the video, and will publish it, send it to the inbox, or fail it."""
        path, now, info = self._path(row["publish_id"]), self.world.now(), json.loads(row["post_info"])
        media, failure = _look_at(path)
        creator = self._creator(row)
        standing = self.world.standing(PLATFORM, creator.handle)
        if not row["draft"] and not standing.allows(self._recent(creator, "posted_at"), POSTS_PER_24H):
            failure = failure or "spam_risk_too_many_posts"
        sha256, caption = hashlib.sha256(path.read_bytes()).hexdigest(), info.get("title", "")
        earlier = self.store.one("SELECT count(*) FROM tiktok_publishes WHERE taken_at IS NOT NULL")
        rng = self.world.rng("tiktok", sha256, without_addresses(caption), earlier[0] if earlier else 0)
        processed_at = now + timedelta(seconds=rng.uniform(3, 20))
        posted_at = processed_at + timedelta(minutes=rng.uniform(5, 60)) if row["draft"] else now
        # Moderation usually ends within a minute; now and then it takes hours.
        moderation = (
            timedelta(seconds=rng.uniform(10, 60)) if rng.random() < 0.95 else timedelta(hours=rng.uniform(1, 3))
        )
        public_at = max(processed_at, posted_at) + moderation
        post_id = str(7_000_000_000_000_000_000 + rng.getrandbits(58))
        self.store.execute(
            "UPDATE tiktok_publishes SET taken_at = ?, media = ?, failure = ?, processed_at = ?, posted_at = ?,"
            " public_at = ?, post_id = ? WHERE publish_id = ?",
            (
                stamp(now), json.dumps(media), failure, stamp(processed_at), stamp(posted_at), stamp(public_at),
                None if failure else post_id, row["publish_id"],
            ),
        )  # fmt: skip
        if not failure:
            self._publish(row, info, post_id, public_at, media, sha256)

    def _publish(
        self,
        row: sqlite3.Row,
        info: dict[str, Any],
        post_id: str,
        public_at: datetime,
        media: dict[str, Any],
        sha256: str,
    ) -> None:
        caption, labels = info.get("title", ""), ("is_aigc", "brand_content_toggle", "brand_organic_toggle")
        flags = {name: info.get(name) for name in _POST_INFO if name != "title"} | {"sha256": sha256}
        if row["draft"]:
            flags |= dict.fromkeys(labels, True) | {"brand_organic_toggle": False, "from_inbox": True}
        self.world.accept_post(
            PLATFORM,
            self._creator(row).handle,
            post_id,
            title=_headline(caption),
            text=caption,
            media=media,
            public_at=public_at,
            flags=flags,
            handle=row["publish_id"],
        )
        if info.get("privacy_level", "PUBLIC_TO_EVERYONE") != "PUBLIC_TO_EVERYONE":
            self.world.retract_post(PLATFORM, post_id)  # taken, and never seen by this world's public

    # ------------------------------------------------------------------ reads
    def status(self, request: Request, body: dict[str, Any], creator: Resident) -> dict[str, Any]:
        """How far a publish is; ``publicaly_available_post_id`` is TikTok's own spelling."""
        _only(body, frozenset({"publish_id"}))
        if not isinstance(body.get("publish_id"), str):
            raise _invalid("publish_id is required")
        row = self.store.one("SELECT * FROM tiktok_publishes WHERE publish_id = ?", (body["publish_id"],))
        if row is None or self._creator(row) != creator:
            raise Refused(400, "invalid_publish_id", "The publish_id does not exist.")
        now = stamp(self.world.now())
        told: dict[str, Any] = {"uploaded_bytes": row["received"]}
        if row["processed_at"] is None or now < row["processed_at"]:
            return told | {"status": "PROCESSING_UPLOAD"}
        if row["failure"]:
            return told | {"status": "FAILED", "fail_reason": row["failure"]}
        if now < row["posted_at"]:
            return told | {"status": "SEND_TO_USER_INBOX"}
        if now >= row["public_at"] and _is_public(row):
            told["publicaly_available_post_id"] = [int(row["post_id"])]
        return told | {"status": "PUBLISH_COMPLETE"}

    def query(self, request: Request, body: dict[str, Any], creator: Resident) -> dict[str, Any]:
        """``video/query``: the public videos among the ids asked for, with the fields asked for."""
        fields = [name for name in request.query_params.get("fields", "").split(",") if name]
        if not fields or not set(fields) <= _VIDEO_FIELDS:
            raise _invalid("fields is required and may name fields of the video object only")
        _only(body, frozenset({"filters"}))
        filters = body.get("filters")
        ids = filters.get("video_ids") if isinstance(filters, dict) and set(filters) == {"video_ids"} else None
        if not isinstance(ids, list) or not all(isinstance(video_id, str) for video_id in ids):
            raise _invalid("filters.video_ids is a list of strings")
        if not 0 < len(ids) <= IDS_PER_QUERY:
            raise _invalid(f"filters.video_ids holds 1 to {IDS_PER_QUERY} ids")
        found = [self._public(video_id) for video_id in dict.fromkeys(ids)]
        videos = [self._video(row) for row in found if row is not None and self._creator(row) == creator]
        return {"videos": [{name: video[name] for name in fields} for video in videos]}

    def _video(self, row: sqlite3.Row) -> dict[str, Any]:
        counts, media = self.world.statistics(PLATFORM, row["post_id"]), json.loads(row["media"])
        caption = json.loads(row["post_info"]).get("title", "")
        shares = self.world.rng("tiktok shares", row["post_id"]).uniform(0.05, 0.15)
        return {
            "id": row["post_id"],
            "create_time": int(instant(row["posted_at"]).timestamp()),
            "share_url": f"{self.world.base_url}/tiktok/@{self._creator(row).handle}/video/{row['post_id']}",
            "title": caption,
            "video_description": caption,
            "duration": round(media["duration"]),
            "height": media["height"],
            "width": media["width"],
            "view_count": counts["views"],
            "like_count": counts["likes"],
            "comment_count": counts["comments"],
            "share_count": int(counts["likes"] * shares),
        }

    def _public(self, post_id: str) -> sqlite3.Row | None:
        row = self.store.one("SELECT * FROM tiktok_publishes WHERE post_id = ?", (post_id,))
        return row if row is not None and row["public_at"] <= stamp(self.world.now()) and _is_public(row) else None

    # ------------------------------------------------------------------ what the public sees
    async def watch(self, request: Request) -> Response:
        """The page of a public video."""
        row = self._public(request.path_params["post_id"])
        if row is None:
            return PlainTextResponse("Video currently unavailable", status_code=404)
        caption = html.escape(json.loads(row["post_info"]).get("title", ""))
        return HTMLResponse(_PAGE.format(post_id=row["post_id"], creator=self._creator(row).handle, caption=caption))

    async def file(self, request: Request) -> Response:
        """The bytes of a public video."""
        row = self._public(request.path_params["post_id"])
        if row is None:
            return PlainTextResponse("Video currently unavailable", status_code=404)
        return FileResponse(self._path(row["publish_id"]), media_type="video/mp4")


# ---------------------------------------------------------------------- what a request may say
async def _body(request: Request) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise _invalid("the content type is not application/json; charset=UTF-8")
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        raise _invalid("the body is not JSON") from None
    if not isinstance(body, dict):
        raise _invalid("the body is not a JSON object")
    return body


def _invalid(message: str) -> Refused:
    return Refused(400, "invalid_params", message)


def _only(body: dict[str, Any], known: frozenset[str]) -> None:
    if unknown := set(body) - known:
        raise _invalid(f"unknown fields: {', '.join(sorted(unknown))}")


def _section(body: dict[str, Any], name: str, fields: dict[str, type]) -> dict[str, Any]:
    section = body.get(name)
    if not isinstance(section, dict):
        raise _invalid(f"{name} is required")
    _only(section, frozenset(fields))
    for field, value in section.items():
        if type(value) is not fields[field]:
            raise _invalid(f"{name}.{field} is not of type {fields[field].__name__}")
    return section


def _source(body: dict[str, Any]) -> tuple[int, int, int]:
    """Video size, chunk size and number of chunks, by the rules of the media transfer guide."""
    if isinstance(body.get("source_info"), dict) and body["source_info"].get("source") == "PULL_FROM_URL":
        raise Refused(403, "url_ownership_unverified", "Please verify your ownership of the URL.")
    source = _section(body, "source_info", _SOURCE_INFO)
    if source.get("source") != "FILE_UPLOAD":
        raise _invalid("source_info.source is FILE_UPLOAD or PULL_FROM_URL")
    if missing := set(_SOURCE_INFO) - set(source):
        raise _invalid(f"source_info lacks {', '.join(sorted(missing))}")
    size, chunk_size, chunks = source["video_size"], source["chunk_size"], source["total_chunk_count"]
    if not 0 < size <= LARGEST_FILE:
        raise _invalid("The video size is invalid")
    whole = chunk_size == size and size <= LARGEST_CHUNK
    if not whole and (size < SMALLEST_CHUNK or not SMALLEST_CHUNK <= chunk_size <= LARGEST_CHUNK):
        raise _invalid("The chunk size is invalid")
    last = size - (chunks - 1) * chunk_size
    if not 1 <= chunks <= 1000 or chunks != size // chunk_size or last > LARGEST_LAST:
        raise _invalid("The total chunk count is invalid")
    return size, chunk_size, chunks


def _is_public(row: sqlite3.Row) -> bool:
    return json.loads(row["post_info"]).get("privacy_level", "PUBLIC_TO_EVERYONE") == "PUBLIC_TO_EVERYONE"


def _headline(caption: str) -> str:
    """The line of a caption that a viewer reads first: no row of hashtags, no disclosure that begins with one."""
    return next((line for line in caption.splitlines() if line.strip() and not line.startswith("#")), "")


def _look_at(path: Path) -> tuple[dict[str, Any], str | None]:
    """What can be seen of a file, and TikTok's ``fail_reason`` when it cannot be posted."""
    import av  # heavy, and needed by uploads only

    try:
        with av.open(str(path)) as container:
            if not container.streams.video or "mp4" not in container.format.name:
                return {}, "file_format_check_failed"
            video = container.streams.video[0]
            media = {
                "duration": round(float(container.duration or 0) / 1_000_000, 3),
                "width": video.width,
                "height": video.height,
                "audio": bool(container.streams.audio),
            }
            rate = float(video.average_rate or 0)
    except (av.error.FFmpegError, ValueError):
        return {}, "file_format_check_failed"
    if not 1 <= media["duration"] <= LONGEST_SECONDS:
        return media, "duration_check_failed"
    if not 23 <= rate <= 60:
        return media, "frame_rate_check_failed"
    if not all(360 <= side <= 4096 for side in (video.width, video.height)):
        return media, "picture_size_check_failed"
    return media, None


# ---------------------------------------------------------------------- replies
def _envelope(data: dict[str, Any], code: str = "ok", message: str = "", status: int = 200) -> Response:
    error = {"code": code, "message": message, "log_id": secrets.token_hex(16)}
    return JSONResponse({"data": data, "error": error}, status_code=status)


def _oauth_error(error: str, description: str) -> Response:
    # TikTok answers a refused grant with HTTP 200 as well; the field says it.
    return JSONResponse({"error": error, "error_description": description, "log_id": secrets.token_hex(16)})
