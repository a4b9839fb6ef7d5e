"""Every setting of the product; the only reader of the environment.

``Settings()`` works in an empty environment: that is the sandbox world with its published keys. In the other two
modes a vendor without a key is a clear error at the moment the vendor is needed, never a fallback.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Collection
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from affiliate_empire.kernel.addresses import read_address
from affiliate_empire.kernel.caps import Caps
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.money import to_micros
from affiliate_empire.policy import Policy, load_policy


class Mode(StrEnum):
    """Which world the code acts in. One home holds one mode for good."""

    SANDBOX = "sandbox"
    LIVE_READONLY = "live-readonly"
    LIVE = "live"


class RenderProfile(StrEnum):
    """``full``: 1080×1920, as published. ``light``: 360×640 and fast, for tests and rehearsals; its files say so."""

    FULL = "full"
    LIGHT = "light"


_PLATFORMS = ("youtube", "tiktok", "instagram", "blog")

# The sandbox world accepts exactly these; they are no secrets and open nothing else.
SANDBOX_KEYS = {
    "openai": "sandbox-openai-key",
    "elevenlabs": "sandbox-elevenlabs-key",
    "anthropic": "sandbox-anthropic-key",
    "fal": "sandbox-fal-id:sandbox-fal-secret",
    "runway": "sandbox-runway-key",
    "tiktok_client_key": "sandbox-tiktok-client",
    "tiktok_client_secret": "sandbox-tiktok-secret",
    "tiktok_refresh_token": "sandbox-tiktok-refresh-token",
    "instagram_user_id": "17841400000000001",
    "instagram_access_token": "sandbox-instagram-token",
    "meta_app_id": "1000000000000001",
    "meta_app_secret": "sandbox-meta-app-secret",
    "youtube_client_id": "sandbox-youtube-client",
    "youtube_client_secret": "sandbox-youtube-secret",
    "youtube_refresh_token": "sandbox-youtube-refresh-token",
    "impact_account_sid": "IRsandbox0000000000000000000000000001",
    "impact_auth_token": "sandbox-impact-token",
    "impact_postback_token": "sandboxpostbacktoken0123456789abcdef",
}

_LIVE_URLS = {
    "openai": "https://api.openai.com/v1",
    "elevenlabs": "https://api.elevenlabs.io",
    "youtube": "https://youtube.googleapis.com",
    "youtube_analytics": "https://youtubeanalytics.googleapis.com",
    "google_oauth": "https://oauth2.googleapis.com",
    "google_accounts": "https://accounts.google.com",
    "anthropic": "https://api.anthropic.com",
    "fal": "https://queue.fal.run",
    "runway": "https://api.dev.runwayml.com",
    "tiktok": "https://open.tiktokapis.com",
    "tiktok_login": "https://www.tiktok.com",
    "instagram": "https://graph.facebook.com",
    "facebook": "https://www.facebook.com",
    "instagram_upload": "https://rupload.facebook.com",
    "google_trends": "https://trends.google.com",
    "ecb": "https://www.ecb.europa.eu",
    "impact": "https://api.impact.com",
}

# A map of dollars; NoDecode leaves the JSON to the validator, whose refusal is a sentence.
DollarsByName = Annotated[dict[str, Annotated[Decimal, Field(ge=0)]], NoDecode]
_OF_OTHERS = ("EMPIRE_TESTS_",)
_OF_DOLLARS = 'of dollars by name, such as {"name": 5, "other": 2.50}'
_MAPS = {
    "webhook_secrets": 'of secrets by merchant, such as {"acme": "whsec_…"}',
    "fixed_costs_usd": 'of dollars a month from a day on, such as {"hosting": {"2026-01-01": 50}}',
    "postback_networks": 'of lists of networks, such as {"impact": ["192.0.2.0/24"]}',
}
_PUSHING = ("impact", "awin", "rakuten")
_LONG_SECRET = re.compile(r"[A-Za-z0-9_-]{24,}")
_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{20,}={0,2}")
_NICHE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


# What an account's owner granted, and what our own clients need beside it; by platform.
_GRANTS = {"youtube": ("refresh_token",), "tiktok": ("refresh_token",), "instagram": ("user_id", "access_token")}
_CLIENTS = {
    "youtube": ("youtube_client_id", "youtube_client_secret"),
    "tiktok": ("tiktok_client_key", "tiktok_client_secret"),
    "instagram": (),
    "blog": ("blog_remote", "blog_base_url"),
}
# Our apps at the platforms, for the sign-in of accounts' owners, and where one is made.
_APPS = {
    "youtube": (
        "youtube_client_id",
        "youtube_client_secret",
        "make an OAuth client of the type Desktop app at https://console.cloud.google.com/apis/credentials",
    ),
    "tiktok": (
        "tiktok_client_key",
        "tiktok_client_secret",
        "make an app with Login Kit for Desktop (redirect http://127.0.0.1:*/callback) and the Content Posting API at "
        "https://developers.tiktok.com/apps",
    ),
    "instagram": (
        "meta_app_id",
        "meta_app_secret",
        "make an app with Facebook Login for Business and the Instagram API at https://developers.facebook.com/apps, "
        "and leave it in development mode",
    ),
}


class Settings(BaseSettings):
    """Settings by environment variable (prefix ``EMPIRE_``) or ``.env`` in the working directory."""

    model_config = SettingsConfigDict(
        env_prefix="EMPIRE_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    mode: Mode = Mode.SANDBOX
    home: Path = Path(".empire")
    timezone: str = "America/New_York"
    first_day: date | None = Field(default=None, description="first partition; two years back when unset")
    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")

    # Ports of our own services; 0 takes a free one and remembers it in the home.
    world_port: int = 0
    track_port: int = 0
    keep_visits_days: int = Field(
        default=90, ge=1, description="days until it is forgotten what browser a click came from, and which page"
    )
    public_url: str | None = Field(default=None, description="where the tracking service is reached from outside")

    # Money: the owner's caps. The original plan is $412 a month, about $14 a day (policy/prices.toml).
    budget_day_usd: Decimal = Field(default=Decimal(14), ge=0)
    budget_month_usd: Decimal = Field(default=Decimal(412), ge=0)
    budget_run_usd: Decimal = Field(default=Decimal(14), ge=0)
    budget_vendor_day_usd: DollarsByName = Field(default_factory=dict, description='a day, by vendor: {"openai": 5}')
    budget_niche_day_usd: DollarsByName = Field(default_factory=dict, description='a day, by niche: {"kitchen": 2.50}')
    fixed_costs_usd: Annotated[dict[str, dict[date, Annotated[Decimal, Field(ge=0)]]], NoDecode] = Field(
        default_factory=dict, description='paid by the month, from a day on: {"hosting": {"2026-01-01": 50}}'
    )

    render_profile: RenderProfile = RenderProfile.FULL
    seed: int = 7
    weather: Literal["calm", "mild", "rough"] = Field(
        default="mild", description="how the sandbox's vendors misbehave in a demo; the world itself starts calm"
    )

    # The day's slate: pieces asked for per platform; caps and budget may allow fewer.
    slate_youtube: int = Field(default=2, ge=0)
    slate_tiktok: int = Field(default=1, ge=0)
    slate_instagram: int = Field(default=1, ge=0)
    slate_blog: int = Field(default=1, ge=0)

    # Stricter posting rules of an account than policy's, for whom its own are too many or too dense.
    limit_youtube: int | None = Field(default=None, ge=0, description="posts of an account in 24 hours; only fewer")
    limit_tiktok: int | None = Field(default=None, ge=0)
    limit_instagram: int | None = Field(default=None, ge=0)
    limit_blog: int | None = Field(default=None, ge=0)
    spacing_youtube: int | None = Field(default=None, ge=0, description="minutes between two posts; only more")
    spacing_tiktok: int | None = Field(default=None, ge=0)
    spacing_instagram: int | None = Field(default=None, ge=0)
    spacing_blog: int | None = Field(default=None, ge=0)

    # Moving footage: so many scenes of a video are clips by the video provider, the others stills with motion.
    clips_per_video: int = Field(default=1, ge=0, le=5)
    clip_provider: Literal["pika", "runway"] = "pika"

    alert_urls: SecretStr | None = Field(
        default=None, description="where the owner is told of alerts: apprise's addresses, with spaces between"
    )
    autopilot: bool = Field(default=False, description="schedules and sensors run unless switched off in the UI")

    # Vendors. What is no secret itself but may carry one (an address with a password in it) is not shown either.
    openai_api_key: SecretStr | None = None
    elevenlabs_api_key: SecretStr | None = None
    anthropic_api_key: SecretStr | None = None
    fal_api_key: SecretStr | None = None
    runway_api_key: SecretStr | None = None
    tiktok_client_key: str | None = Field(default=None, repr=False)
    tiktok_client_secret: SecretStr | None = None
    tiktok_refresh_token: SecretStr | None = Field(default=None, description="the first one; later ones are stored")
    instagram_user_id: str | None = Field(default=None, repr=False)
    instagram_access_token: SecretStr | None = None
    meta_app_id: str | None = Field(default=None, repr=False, description="of the Meta app; renews Instagram's tokens")
    meta_app_secret: SecretStr | None = None
    media_public_url: str | None = Field(
        default=None, description="where the media store is reached from outside; Instagram then fetches videos there"
    )
    master_key: SecretStr | None = Field(default=None, description="encrypts stored credentials; a key file when unset")
    youtube_client_id: str | None = Field(default=None, repr=False)
    youtube_client_secret: SecretStr | None = None
    youtube_refresh_token: SecretStr | None = None
    impact_account_sid: str | None = Field(default=None, repr=False)
    impact_auth_token: SecretStr | None = None
    # Secrets in the addresses that networks push conversions to: two with a space between while one replaces the other.
    impact_postback_token: SecretStr | None = None
    awin_postback_token: SecretStr | None = None
    rakuten_postback_token: SecretStr | None = None
    webhook_secrets: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=dict, description='of merchants who sign what they push: {"acme": "whsec_…"}'
    )
    postback_networks: Annotated[dict[str, list[str]], NoDecode] = Field(
        default_factory=dict, description='where a network sends from, if only from there: {"impact": ["192.0.2.0/24"]}'
    )
    product_feed: str | None = Field(
        default=None, repr=False, description="path or URL of a Google Merchant product feed"
    )
    product_feed_program: str | None = Field(default=None, description="Impact programme id that pays for the feed")
    blog_remote: str | None = Field(default=None, repr=False, description="git remote of the blog's repository")
    blog_base_url: str | None = Field(default=None, description="where the blog is read")
    blog_deploy_hook: SecretStr | None = Field(
        default=None, description="secret address that has the blog's host build; for hosts that do not see a push"
    )

    @field_validator("timezone")
    @classmethod
    def _is_a_known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (OSError, ValueError, KeyError):  # unknown, a folder of zones, a path out of the database
            raise ValueError("must be a zone of the IANA database, such as America/New_York") from None
        return zone

    @field_validator(
        "budget_vendor_day_usd",
        "budget_niche_day_usd",
        "fixed_costs_usd",
        "webhook_secrets",
        "postback_networks",
        mode="before",
    )
    @classmethod
    def _is_a_map(cls, value: object, told: ValidationInfo) -> object:
        try:
            found = json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ValueError(f"must be a JSON map {_MAPS.get(str(told.field_name), _OF_DOLLARS)}")
        return found

    @field_validator("impact_postback_token", "awin_postback_token", "rakuten_postback_token")
    @classmethod
    def _cannot_be_guessed(cls, value: SecretStr | None) -> SecretStr | None:
        secrets = value.get_secret_value().split() if value else []
        if not all(map(_LONG_SECRET.fullmatch, secrets)):
            raise ValueError(
                "must be 24 letters and digits or more: whoever guesses it can invent sales (`openssl rand -hex 24` "
                "makes one)"
            )
        return value if secrets else None

    @field_validator("webhook_secrets")
    @classmethod
    def _names_senders(cls, secrets: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in secrets.items():
            if not _NICHE.fullmatch(name) or name in _PUSHING:
                raise ValueError(
                    f"must name merchants, in small letters, and none of the networks {', '.join(_PUSHING)}"
                )
            if not all(_WEBHOOK_SECRET.fullmatch(one) for one in secret.get_secret_value().split() or [""]):
                raise ValueError("must hold secrets as Standard Webhooks writes them: whsec_ and base64")
        return secrets

    @field_validator("postback_networks")
    @classmethod
    def _are_networks(cls, networks: dict[str, list[str]]) -> dict[str, list[str]]:
        try:
            for each in (network for listed in networks.values() for network in listed):
                ip_network(each)
        except ValueError as error:
            raise ValueError(f"must list networks in CIDR notation: {error}") from None
        return networks

    @field_validator("budget_vendor_day_usd")
    @classmethod
    def _names_vendors(cls, caps: dict[str, Decimal]) -> dict[str, Decimal]:
        if caps and not caps.keys() <= (paid := load_policy().paid_vendors):
            raise ValueError(f"must be a map of vendors that are paid: {', '.join(sorted(paid))}")
        return caps

    @field_validator("budget_niche_day_usd")
    @classmethod
    def _spells_niches(cls, caps: dict[str, Decimal]) -> dict[str, Decimal]:
        if not all(_NICHE.fullmatch(name) for name in caps):
            raise ValueError("must be a map of niches as the plan spells them, such as home-and-garden")
        return caps

    @field_validator("blog_deploy_hook")
    @classmethod
    def _is_a_hook(cls, address: SecretStr | None) -> SecretStr | None:
        if address and not _is_private(address.get_secret_value()):
            raise ValueError("must be the https address of a deploy hook; http only to this machine")
        return address or None

    @field_validator("alert_urls")
    @classmethod
    def _can_be_told(cls, value: SecretStr | None) -> SecretStr | None:
        addresses = value.get_secret_value().split() if value else []
        for number, address in enumerate(addresses, 1):
            if read_address(address) is None:
                raise ValueError(
                    "must be addresses of services as apprise writes them, such as ntfys://ntfy.sh/TOPIC, with spaces "
                    f"between: number {number} of {len(addresses)} cannot be read"
                )
        return value if addresses else None

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except UnicodeDecodeError:
            raise Misconfigured(".env is not UTF-8 text: save it as UTF-8.") from None

    @field_validator("home")
    @classmethod
    def _is_a_folder(cls, home: Path) -> Path:
        if home.expanduser().exists() and not home.expanduser().is_dir():
            raise ValueError("must be a folder, or the place for one")
        return home

    @model_validator(mode="after")
    def _are_all_known(self) -> Self:
        """A name that is misspelt would leave its default in force: a cap that the owner believes in, and no cap."""
        named = {*os.environ, *dotenv_values(".env")}
        known = [_variable(name) for name in type(self).model_fields]
        for name in sorted(name for name in named if name.upper().startswith("EMPIRE_")):
            if name.upper() not in known and not name.startswith(_OF_OTHERS):
                close = difflib.get_close_matches(name.upper(), known, 1)
                raise ValueError(f"{name} is no setting" + (f"; did you mean {close[0]}?" if close else ""))
        return self

    @model_validator(mode="after")
    def _is_a_timetable(self) -> Self:
        for platform in _PLATFORMS:
            try:
                load_policy().for_owner(self._posting_wishes(platform))
            except Misconfigured as error:
                said = f"EMPIRE_LIMIT_{platform.upper()} and EMPIRE_SPACING_{platform.upper()} cannot be: "
                raise ValueError(said + str(error).rstrip(".")) from None
        return self

    def _posting_wishes(self, *platforms: str) -> dict[str, dict[str, int]]:
        """The owner's own posting rules, of the platforms that have any."""
        named = {"limit": "limit", "spacing": "spacing_minutes"}
        said = {
            platform: {
                name: value
                for kind, name in named.items()
                if (value := getattr(self, f"{kind}_{platform}")) is not None
            }
            for platform in platforms
        }
        return {platform: wishes for platform, wishes in said.items() if wishes}

    # ------------------------------------------------------------------ the home
    @property
    def home_path(self) -> Path:
        return self.home.expanduser().resolve()

    @property
    def calendar(self) -> BusinessCalendar:
        return BusinessCalendar(self.timezone)

    @property
    def caps(self) -> Caps:
        """What may be spent; every place that spends or plans takes its caps from here."""
        return Caps(
            to_micros(self.budget_day_usd),
            to_micros(self.budget_month_usd),
            to_micros(self.budget_run_usd),
            {name: to_micros(cap) for name, cap in self.budget_vendor_day_usd.items()},
            {name: to_micros(cap) for name, cap in self.budget_niche_day_usd.items()},
            self.calendar,
        )

    @property
    def alert_addresses(self) -> tuple[str, ...]:
        """Where the owner is told of alerts; none when nowhere."""
        return tuple(self.alert_urls.get_secret_value().split()) if self.alert_urls else ()

    @property
    def slate(self) -> dict[str, int]:
        """Pieces asked for, by platform."""
        return {name: getattr(self, f"slate_{name}") for name in _PLATFORMS}

    @property
    def policy(self) -> Policy:
        """The policy of this release, with the owner's stricter posting rules."""
        return load_policy().for_owner(self._posting_wishes(*_PLATFORMS))

    def grant_of(self, platform: str) -> dict[str, str] | None:
        """What the first account's owner granted on a platform, as far as the settings hold it; None when they do not.

        By name: ``refresh_token``, or ``user_id`` and ``access_token``.
        """
        names = _GRANTS[platform]
        if not self.simulated and any(getattr(self, f"{platform}_{name}") is None for name in names):
            return None
        return {name: self.secret(f"{platform}_{name}") for name in names}

    def app_of(self, platform: str) -> tuple[str, str]:
        """Id and secret of our app at a platform.

        Raises:
            Misconfigured: it is not set; the message says where to get one.
        """
        *names, remedy = _APPS[platform]
        missing = [name for name in names if getattr(self, name) is None]
        if missing and not self.simulated:
            raise Misconfigured(
                f"{' and '.join(map(_variable, missing))} not set: {remedy}, and add its id and secret to .env."
            )
        return self.secret(names[0]), self.secret(names[1])

    @property
    def has_meta_app(self) -> bool:
        """Whether Instagram's tokens can be extended."""
        return self.simulated or None not in (self.meta_app_id, self.meta_app_secret)

    def closed_platforms(self, connected: Collection[str] = ()) -> dict[str, str]:
        """Platforms that cannot be posted on for want of a credential, with the reason; none in the sandbox.

        Args:
            connected: platforms with an account whose grant is in the vault: the settings need not hold one.
        """
        if self.simulated:
            return {}
        missing = {}
        for platform, client in _CLIENTS.items():
            grant = () if platform in connected else _GRANTS.get(platform, ())
            names = [*client, *(f"{platform}_{name}" for name in grant)]
            missing[platform] = [_variable(name) for name in names if getattr(self, name) is None]
        return {platform: f"{', '.join(names)} not set" for platform, names in missing.items() if names}

    @property
    def simulated(self) -> bool:
        return self.mode is Mode.SANDBOX

    @property
    def label(self) -> str:
        """What stands beside every number a person sees."""
        return "SIMULATED" if self.simulated else "LIVE"

    def first_partition(self, today: date) -> date:
        return self.first_day or today - timedelta(days=730)

    # ------------------------------------------------------------------ the outside
    @property
    def ports_file(self) -> Path:
        """Where a home remembers the ports of its services, so that links keep working after a restart."""
        return self.home_path / "ports.json"

    def service_url(self, service: str) -> str | None:
        """Local URL of one of our services (``world``, ``track``); None before it was ever started in this home."""
        port: int = getattr(self, f"{service}_port")
        if not port and self.ports_file.exists():
            port = json.loads(self.ports_file.read_text("utf-8")).get(service, 0)
        return f"http://127.0.0.1:{port}" if port else None

    @property
    def tracking_url(self) -> str:
        """Where the public reaches the tracking service; every link and hub address starts with it."""
        url = self.public_url or (self.service_url("track") if self.simulated else None)
        if url is None:
            remedy = "start it with `empire track`" if self.simulated else "set EMPIRE_PUBLIC_URL"
            raise Misconfigured(f"The tracking service has no address yet: {remedy}.")
        return url.rstrip("/")

    @property
    def world_url(self) -> str:
        """Where the sandbox world listens."""
        url = self.service_url("world")
        if url is None:
            raise Misconfigured("The sandbox world is not running: start it with `empire world`.")
        return url

    def vendor_url(self, vendor: str) -> str:
        """Base URL of a vendor: the real one, or the world's prefix of the same name in the sandbox."""
        if not self.simulated:
            return _LIVE_URLS[vendor]
        return f"{self.world_url}/{vendor}" + ("/v1" if vendor == "openai" else "")

    @property
    def clip_providers(self) -> list[str]:
        """Who may be asked for a clip: the chosen provider, then the other one where it has a key."""
        keys = {"pika": self.fal_api_key, "runway": self.runway_api_key}
        others = [name for name, key in keys.items() if name != self.clip_provider and (key or self.simulated)]
        return [self.clip_provider, *others]

    @property
    def blog(self) -> tuple[str, str] | None:
        """The blog's git remote and where it is read, if both are known; the sandbox's own by default."""
        remote, base_url = self.blog_remote, self.blog_base_url
        if self.simulated:
            remote = remote or str(self.home_path / "world" / "blog.git")
            base_url = base_url or f"{self.world_url}/blog"
        return (remote, base_url) if remote and base_url else None

    def postback_tokens(self, network: str) -> tuple[str, ...]:
        """The secrets that hold in the address to which a network pushes; none when it does not push."""
        name = f"{network}_postback_token"
        if getattr(self, name) is None and not (self.simulated and name in SANDBOX_KEYS):
            return ()
        return tuple(self.secret(name).split())

    def secret(self, name: str) -> str:
        """A vendor credential; ``openai`` is ``EMPIRE_OPENAI_API_KEY``. Never falls back in live modes."""
        field = name if name in type(self).model_fields else f"{name}_api_key"
        value = getattr(self, field)
        if value is not None:
            return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        if self.simulated:
            return SANDBOX_KEYS[name]
        raise Misconfigured(f"EMPIRE_{field.upper()} is not set: add it to .env before running in {self.mode} mode.")


def load_settings(**given: Any) -> Settings:
    """The settings, for a program that is started by itself.

    Raises:
        Misconfigured: a setting cannot be used.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        raise Misconfigured(explain(error)) from None


def _is_private(address: str) -> bool:
    """Whether it is an address with a path that nobody on the way can read."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    unseen = parts.scheme == "https" or (parts.scheme == "http" and here)
    return unseen and bool(parts.hostname and parts.path.strip("/"))


def explain(error: ValidationError) -> str:
    """One sentence about settings that cannot be used: which variable, by which rule. It never shows a value."""
    broken = [
        " ".join([*(_variable(str(field)) for field in each["loc"][:1]), _rule(each["msg"])])
        for each in error.errors(include_input=False)
    ]
    which = "it" if len(broken) == 1 else "them"
    return f"{'; '.join(broken)}: correct {which} in the environment or in .env."


def _variable(field: str) -> str:
    return field if field == "DATABASE_URL" else f"EMPIRE_{field.upper()}"


def _rule(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "must be", 1)
