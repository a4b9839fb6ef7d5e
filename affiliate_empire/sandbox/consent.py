"""Who lives on the platforms, and how they let an app act for them: sign-in pages, codes, tokens, and what is whose.

The page that an app sends its user to lists the residents to sign in as; where somebody has signed in already
(``PUT /_world/consent``) it sends the browser back at once. A code is good for one exchange within ten minutes, by the
redirect address and (where the platform has PKCE) the verifier of its request. What has no owner on record belongs to
a platform's first resident, whose grant is published in ``keys``. The platforms' token endpoints and their words stand
in ``servers``.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from affiliate_empire.sandbox import keys
from affiliate_empire.sandbox.clock import instant, stamp

if TYPE_CHECKING:
    from affiliate_empire.sandbox.world import World

CODE_LIFE = timedelta(minutes=10)

_GOOGLE = "https://www.googleapis.com/auth/"
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head>
<body><p>SIMULATED SIGN-IN</p><h1>{client} wants to act for you on {platform}</h1><ul>{choices}</ul></body></html>
"""
_ERROR = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Error</title></head>
<body><p>SIMULATED SIGN-IN</p><h1>Access blocked</h1><p>{reason}</p></body></html>
"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS oauth_codes (
    code TEXT PRIMARY KEY, platform TEXT NOT NULL, residents TEXT NOT NULL, scopes TEXT NOT NULL,
    redirect_uri TEXT NOT NULL, challenge TEXT NOT NULL, offline INTEGER NOT NULL, issued_at TEXT NOT NULL,
    used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS oauth_grants (
    token TEXT PRIMARY KEY, kind TEXT NOT NULL, residents TEXT NOT NULL, scopes TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS owned (thing TEXT PRIMARY KEY, resident TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Resident:
    """An account of a platform that a person can sign in to: channel, creator, professional account."""

    id: str
    handle: str
    name: str


RESIDENTS: dict[str, tuple[Resident, ...]] = {
    "youtube": (
        Resident("UCsandbox000000000000001", "sandboxchannel", "Sandbox Channel"),
        Resident("UCsandbox000000000000002", "sandboxkitchen", "Sandbox Kitchen"),
        Resident("UCsandbox000000000000003", "sandboxgarden", "Sandbox Garden"),
    ),
    "tiktok": (
        Resident("-000SandboxCreator", "sandbox.creator", "Sandbox Creator"),
        Resident("-000SandboxKitchen", "sandbox.kitchen", "Sandbox Kitchen"),
        Resident("-000SandboxGarden", "sandbox.garden", "Sandbox Garden"),
    ),
    "instagram": (
        Resident(keys.INSTAGRAM_USER_ID, "sandbox.reels", "Sandbox Reels"),
        Resident("17841400000000002", "sandbox.kitchen", "Sandbox Kitchen"),
        Resident("17841400000000003", "sandbox.garden", "Sandbox Garden"),
    ),
}


@dataclass(frozen=True)
class _SignIn:
    """A platform's authorization page: its parameters by its own names, and what it makes of a challenge."""

    platform: str
    client_parameter: str
    client_id: str
    separator: str  # between scopes
    scopes: frozenset[str]
    hosts: frozenset[str]  # that a redirect may name with plain http
    challenged: bool  # whether it demands PKCE
    digest: Callable[[str], str]
    also: frozenset[str] = frozenset()  # parameters it takes besides
    denial: tuple[tuple[str, str], ...] = ()  # what it says besides access_denied


def _base64_digest(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _hex_digest(verifier: str) -> str:
    return hashlib.sha256(verifier.encode()).hexdigest()


SIGN_INS = {
    "youtube": _SignIn(
        "youtube", "client_id", keys.YOUTUBE_CLIENT_ID, " ",
        frozenset(_GOOGLE + name for name in ("youtube.upload", "youtube.readonly", "youtube", "youtube.force-ssl",
                                              "yt-analytics.readonly")),
        frozenset({"127.0.0.1", "localhost", "::1"}), True, _base64_digest,
        frozenset({"access_type", "prompt", "login_hint", "include_granted_scopes"}),
    ),
    "tiktok": _SignIn(
        "tiktok", "client_key", keys.TIKTOK_CLIENT_KEY, ",",
        frozenset({"user.info.basic", "user.info.profile", "video.publish", "video.upload", "video.list"}),
        frozenset({"127.0.0.1", "localhost"}), True, _hex_digest, frozenset({"disable_auto_auth"}),
        (("error_description", "User rejected the authorization request"),),
    ),
    "instagram": _SignIn(
        "instagram", "client_id", keys.META_APP_ID, ",",
        frozenset({"instagram_basic", "instagram_content_publish", "instagram_manage_insights",
                   "instagram_manage_contents", "pages_show_list",
                   "pages_read_engagement", "business_management"}),
        frozenset({"localhost"}), False, _base64_digest, frozenset({"auth_type", "display", "extras"}),
        (("error_code", "200"), ("error_description", "Permissions error"), ("error_reason", "user_denied")),
    ),
}  # fmt: skip
_ADDRESSES = {
    "/google_accounts/o/oauth2/v2/auth": "youtube",
    "/tiktok_login/v2/auth/authorize/": "tiktok",
    "/facebook/{version}/dialog/oauth": "instagram",
}
_COMMON = frozenset({"redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method"})


class ConsentRefused(Exception):
    """A wish about consent that cannot be understood."""


class CodeRefused(Exception):
    """A code that is exchanged for nothing; ``reason`` is ``code``, ``redirect_uri`` or ``verifier``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Granted:
    """Whom a token speaks for, and for what. ``offline``: whether it may be renewed without them (Google)."""

    residents: tuple[str, ...]
    scopes: tuple[str, ...]
    offline: bool = True


class Consent:
    """The residents' grants, and what belongs to whom."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store
        self._store.script(_SCHEMA)

    # ------------------------------------------------------------------ who is who
    def first(self, platform: str) -> Resident:
        return RESIDENTS[platform][0]

    def resident(self, platform: str, resident_id: str) -> Resident:
        return next(each for each in RESIDENTS[platform] if each.id == resident_id)

    def own(self, thing: str, resident_id: str) -> None:
        """Something (an upload session, a container) belongs to a resident."""
        self._store.execute("INSERT OR REPLACE INTO owned VALUES (?, ?)", (thing, resident_id))

    def owner(self, platform: str, thing: str) -> str:
        """The resident to whom something belongs."""
        row = self._store.one("SELECT resident FROM owned WHERE thing = ?", (thing,))
        return self.first(platform).id if row is None else str(row["resident"])

    # ------------------------------------------------------------------ tokens
    def grant(self, kind: str, token: str, granted: Granted) -> None:
        """A token of a kind (``youtube refresh``) speaks for residents from now on."""
        self._store.execute(
            "INSERT OR REPLACE INTO oauth_grants VALUES (?, ?, ?, ?)",
            (token, kind, json.dumps(granted.residents), json.dumps(granted.scopes)),
        )

    def granted(self, kind: str, token: str) -> Granted | None:
        """Whom a token of this kind speaks for; None when it is unknown."""
        row = self._store.one("SELECT * FROM oauth_grants WHERE token = ? AND kind = ?", (token, kind))
        return None if row is None else Granted(tuple(json.loads(row["residents"])), tuple(json.loads(row["scopes"])))

    # ------------------------------------------------------------------ who has signed in
    def put(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Say who is signed in to a platform and what they answer; ``accounts: []`` shows the page to whoever comes.

        Raises:
            ConsentRefused: unknown fields, platform or accounts.
        """
        platform, accounts = wish.get("platform"), wish.get("accounts")
        known = {each.id for each in RESIDENTS.get(str(platform), ())}
        if not known or not set(wish) <= {"platform", "accounts", "deny", "withhold"} or not isinstance(accounts, list):
            raise ConsentRefused('say {"platform": …, "accounts": [ids], "deny": true or false, "withhold": [scopes]}')
        if not set(accounts) <= known or not isinstance(wish.get("withhold", []), list):
            raise ConsentRefused(f"the accounts of {platform} are {', '.join(sorted(known))}")
        self._store.save_fact(f"consent.{platform}", json.dumps(wish))
        return wish

    def listing(self) -> list[dict[str, Any]]:
        """The residents of every platform, and what each platform's page will answer by itself."""
        return [
            {
                "platform": platform,
                "residents": [{"id": each.id, "handle": each.handle, "name": each.name} for each in residents],
                "signed_in": json.loads(self._store.fact(f"consent.{platform}") or "null"),
            }
            for platform, residents in RESIDENTS.items()
        ]

    # ------------------------------------------------------------------ codes
    def authorize(self, request: Request, sign_in: _SignIn) -> Response:
        """The page itself: an error to look at, a choice, or the way back with a code."""
        query = request.query_params
        if reason := self._objection(request, sign_in):
            return HTMLResponse(_ERROR.format(reason=html.escape(reason)), status_code=400)
        signed_in = json.loads(self._store.fact(f"consent.{sign_in.platform}") or "{}")
        chosen = query.getlist("_as") or signed_in.get("accounts", [])
        if query.get("_deny") or signed_in.get("deny"):
            said = {"error": "access_denied", **dict(sign_in.denial), "state": query["state"]}
            return RedirectResponse(f"{query['redirect_uri']}?{urlencode(said)}", status_code=302)
        if not chosen:
            return self._choice(request, sign_in)
        scopes = [scope for scope in query["scope"].split(sign_in.separator) if scope]
        scopes = [scope for scope in scopes if scope not in signed_in.get("withhold", [])]
        code = f"4/0{secrets.token_urlsafe(48)}"
        self._store.execute(
            "INSERT INTO oauth_codes VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (
                code, sign_in.platform, json.dumps(chosen), json.dumps(scopes), query["redirect_uri"],
                query.get("code_challenge", ""), int(query.get("access_type") == "offline"), stamp(self._world.now()),
            ),
        )  # fmt: skip
        back = {"code": code, "state": query["state"], "scopes" if sign_in.separator == "," else "scope":
                sign_in.separator.join(scopes)}  # fmt: skip
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(back)}", status_code=302)

    def _objection(self, request: Request, sign_in: _SignIn) -> str | None:
        query = request.query_params
        known = _COMMON | sign_in.also | {sign_in.client_parameter, "_as", "_deny"}
        if unknown := set(query) - known:
            return f"invalid_request: unknown parameters {', '.join(sorted(unknown))}"
        if query.get(sign_in.client_parameter) != sign_in.client_id:
            return "invalid_client: the OAuth client was not found"
        address = urlsplit(query.get("redirect_uri", ""))
        if address.scheme != "http" or address.hostname not in sign_in.hosts or not address.port or address.query:
            return "redirect_uri_mismatch"
        if query.get("response_type") != "code" or not query.get("state"):
            return "invalid_request: response_type=code and state are required"
        scopes = {scope for scope in query.get("scope", "").split(sign_in.separator) if scope}
        if not scopes or not scopes <= sign_in.scopes:
            return "invalid_scope"
        if sign_in.challenged and (query.get("code_challenge_method") != "S256" or not query.get("code_challenge")):
            return "invalid_request: code_challenge with code_challenge_method=S256 is required"
        return None

    def _choice(self, request: Request, sign_in: _SignIn) -> Response:
        here = f"{request.url.path}?{request.url.query}"
        choices = [(f"{here}&{urlencode({'_as': each.id})}", each.name) for each in RESIDENTS[sign_in.platform]]
        items = "".join(
            f'<li><a href="{html.escape(address)}">{html.escape(name)}</a></li>'
            for address, name in [*choices, (f"{here}&_deny=1", "Cancel")]
        )
        return HTMLResponse(_PAGE.format(client=sign_in.client_id, platform=sign_in.platform, choices=items))

    def redeem(self, platform: str, code: str, *, redirect_uri: str, verifier: str) -> Granted:
        """What a code was given for. It is used up by this.

        Raises:
            CodeRefused: it is unknown, used or old, or belongs to another request.
        """
        sign_in = SIGN_INS[platform]
        row = self._store.one("SELECT * FROM oauth_codes WHERE code = ? AND platform = ?", (code, platform))
        if row is None or row["used"] or instant(row["issued_at"]) + CODE_LIFE <= self._world.now():
            raise CodeRefused("code")
        self._store.execute("UPDATE oauth_codes SET used = 1 WHERE code = ?", (code,))
        if row["redirect_uri"] != redirect_uri:
            raise CodeRefused("redirect_uri")
        if row["challenge"] and sign_in.digest(verifier) != row["challenge"]:
            raise CodeRefused("verifier")
        return Granted(tuple(json.loads(row["residents"])), tuple(json.loads(row["scopes"])), bool(row["offline"]))


def routes(world: World) -> list[BaseRoute]:
    """The three sign-in pages."""

    def page(platform: str) -> Callable[[Request], Response]:
        return lambda request: world.consent.authorize(request, SIGN_INS[platform])

    return [Route(path, page(platform), methods=["GET"]) for path, platform in _ADDRESSES.items()]


def belongs(thing: str, first: str) -> str:
    """SQL that gives the owner of what the column ``thing`` names; ``first`` where none is on record."""
    return f"coalesce((SELECT resident FROM owned WHERE owned.thing = {thing}), '{first}')"  # noqa: S608
