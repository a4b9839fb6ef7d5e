"""Dated facts as data: prices, models with their shutdown dates, posting, network and trend rules, disclosure texts.

The TOML files beside this module hold the numbers, each entry with ``source`` and ``checked_at``; this module reads and
does their arithmetic. Code elsewhere holds none of them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.money import to_micros, to_micros_up

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class PostingRule:
    """When and how often an account of a platform may post. ``slots`` are local times, best hours first."""

    quota: str
    limit: int
    window: timedelta
    spacing: timedelta
    lead: timedelta
    tolerance: timedelta
    slots: tuple[time, ...]

    def impossible(self) -> str:
        """Why so many posts so far apart can never be made, with the arithmetic; empty when they can."""
        if self.limit * self.spacing <= self.window:
            return ""
        hour = timedelta(hours=1)
        return (
            f"{self.limit} × {self.spacing / hour:g} h = {self.limit * self.spacing / hour:g} h does not fit in "
            f"{self.window / hour:g} h: at most {self.window // self.spacing} posts do, or "
            f"{self.window / self.limit // timedelta(minutes=1)} minutes between them"
        )


@dataclass(frozen=True)
class NetworkRule:
    """What a network allows. ``sub_id_parameter`` is empty where links cannot carry a click id."""

    name: str
    sub_id_parameter: str
    sub_id_max_length: int
    redirect_allowed: bool
    ai_content_allowed: bool
    price_display_allowed: bool
    cookie_days: int


@dataclass(frozen=True)
class TrendRule:
    """What is asked of Google Trends for the day's signals, and for how long they are used."""

    geo: str
    timeframe: str
    keywords_per_request: int
    niche_requests: int
    product_requests: int
    recent_days: int
    before_days: int
    used_for_days: int


@dataclass(frozen=True)
class TopicRule:
    """Which niches of the week's trending topics go to test."""

    geo: str
    niches_on_test: int
    rested_days: int
    smallest_slate: int


@dataclass(frozen=True)
class CostLine:
    """One line of the original plan's costs a month. ``part`` is the part of a piece, empty for what is of none."""

    what: str
    part: str
    month_micros: int


@dataclass(frozen=True)
class OriginalPlan:
    """What the owner's plan says the business costs, in micro-dollars."""

    month_micros: int
    day_micros: int
    piece_micros: int
    pieces_a_month: int
    lines: tuple[CostLine, ...]


@dataclass(frozen=True)
class Policy:
    """The policy in force, read once from the package. Raises ``Misconfigured`` where it has no entry."""

    prices: dict[str, Any]
    models: dict[str, Any]
    platforms: dict[str, Any]
    networks: dict[str, Any]
    disclosures: dict[str, Any]
    trends: dict[str, Any]
    credentials: dict[str, Any]
    owner: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # stricter posting rules, by platform

    @property
    def price_version(self) -> str:
        """Version of the price table; stored with every cost line."""
        return str(self.prices["version"])

    # ------------------------------------------------------------ models
    def model(self, role: str, on: date) -> str:
        """Id of the model that plays a role, if it is still alive on a day."""
        model_id = str(self.models["roles"][role])
        entry = _find(self.models["models"], "model", id=model_id)
        if (shutdown := entry.get("shutdown")) and on >= shutdown:
            raise Misconfigured(
                f"{model_id} ({role}) was shut down on {shutdown}: choose another in policy/models.toml."
            )
        return model_id

    def vendor_of(self, model: str) -> str:
        """The vendor that offers a model: the key of its client."""
        return str(_find(self.models["models"], "model", id=model)["vendor"])

    # ------------------------------------------------------------ prices
    @property
    def paid_vendors(self) -> set[str]:
        """Vendors that charge for what is asked of them."""
        return {str(price["vendor"]) for kind in ("tokens", "images", "speech", "clips") for price in self.prices[kind]}

    @property
    def vendors(self) -> set[str]:
        """Everyone at whom an effect can happen: who charges, and the platforms that are posted on."""
        return self.paid_vendors | {str(rule["platform"]) for rule in self.platforms["posting"]}

    @property
    def original_plan(self) -> OriginalPlan:
        """What the owner's plan says the business costs."""
        plan = self.prices["original_plan"]
        return OriginalPlan(
            month_micros=to_micros(Decimal(plan["month"])),
            day_micros=to_micros(Decimal(plan["day"])),
            piece_micros=to_micros(Decimal(plan["piece"])),
            pieces_a_month=int(plan["pieces_a_month"]),
            lines=tuple(
                CostLine(line["what"], line["part"], to_micros(Decimal(line["month"]))) for line in plan["lines"]
            ),
        )

    def llm_cost_micros(
        self, model: str, *, input_tokens: int, cached_tokens: int, output_tokens: int, cache_write_tokens: int = 0
    ) -> int:
        """Cost of one text call.

        ``cached_tokens`` (read from the vendor's cache) and ``cache_write_tokens`` (put into it) are part of
        ``input_tokens``; reasoning is part of the output.
        """
        price = _find(self.prices["tokens"], "token price", model=model)
        by_price = {
            "input": input_tokens - cached_tokens - cache_write_tokens,
            "cached_input": cached_tokens,
            "cache_write": cache_write_tokens,
            "output": output_tokens,
        }
        return to_micros(sum(Decimal(count) * Decimal(price[name]) for name, count in by_price.items()) / _MILLION)

    def llm_max_cost_micros(self, model: str, *, input_chars: int, max_output_tokens: int) -> int:
        """Upper bound of one text call: a token is at least one character, and some framing is added.

        A vendor may cache what it reads without being asked to, so every token counts as one that is written there.
        """
        price = _find(self.prices["tokens"], "token price", model=model)
        dearest = max(Decimal(price["input"]), Decimal(price["cache_write"]))
        tokens_in, tokens_out = Decimal(input_chars + 500), Decimal(max_output_tokens)
        return to_micros_up((tokens_in * dearest + tokens_out * Decimal(price["output"])) / _MILLION)

    def image_output_tokens(self, model: str, size: str, quality: str) -> int:
        """Output tokens of one image."""
        price = _find(self.prices["images"], "image price", model=model)
        try:
            return int(price["output_tokens"][f"{size}:{quality}"])
        except KeyError:
            raise Misconfigured(f"No price for {model} at {size}, {quality}: add it to policy/prices.toml.") from None

    def image_cost_micros(self, model: str, *, text_tokens: int, output_tokens: int) -> int:
        """Cost of one image call."""
        price = _find(self.prices["images"], "image price", model=model)
        text, output = Decimal(price["text_input"]), Decimal(price["output"])
        return to_micros((Decimal(text_tokens) * text + Decimal(output_tokens) * output) / _MILLION)

    def image_max_cost_micros(self, model: str, *, prompt_chars: int, size: str, quality: str) -> int:
        """Upper bound of one image call: a token of the prompt is at least one character."""
        tokens = self.image_output_tokens(model, size, quality)
        return self.image_cost_micros(model, text_tokens=prompt_chars + 100, output_tokens=tokens)

    def speech_cost_micros(self, model: str, characters: int) -> int:
        """Cost of one speech call."""
        price = _find(self.prices["speech"], "speech price", model=model)
        return to_micros(Decimal(characters) * Decimal(price["per_thousand_characters"]) / 1000)

    def clip_format(self, model: str) -> tuple[int, str]:
        """Seconds and resolution (in the vendor's own words) that a clip is asked for in."""
        price = _find(self.prices["clips"], "clip price", model=model)
        return int(price["seconds"]), str(price["resolution"])

    def clip_cost_micros(self, model: str) -> int:
        """Cost of one clip in that format."""
        return to_micros(Decimal(_find(self.prices["clips"], "clip price", model=model)["price"]))

    def credits_cost_micros(self, vendor: str, credits: Decimal) -> int:
        """Cost of a number of a vendor's credits."""
        return to_micros(credits * Decimal(_find(self.prices["credits"], "price of a credit", vendor=vendor)["price"]))

    # ------------------------------------------------------------ platforms and networks
    def posting(self, platform: str) -> PostingRule:
        """Posting rule of a platform, with the owner's stricter wishes.

        Raises:
            Misconfigured: there is none, or its timetable cannot be.
        """
        entry = _find(self.platforms["posting"], "posting rule", platform=platform)
        wishes = self.owner.get(platform, {})
        rule = PostingRule(
            quota=entry["quota"],
            limit=wishes.get("limit", entry["limit"]),
            window=timedelta(hours=entry["window_hours"]),
            spacing=timedelta(minutes=wishes.get("spacing_minutes", entry["spacing_minutes"])),
            lead=timedelta(minutes=entry["lead_minutes"]),
            tolerance=timedelta(minutes=entry["tolerance_minutes"]),
            slots=tuple(time.fromisoformat(text) for text in entry["slots"]),
        )
        if why := rule.impossible():
            raise Misconfigured(f"{platform} has no possible timetable: {why}.")
        return rule

    def for_owner(self, wishes: Mapping[str, Mapping[str, int]]) -> Policy:
        """This policy with the owner's own posting rules, by platform: ``limit`` and ``spacing_minutes``.

        Raises:
            Misconfigured: a wish is less strict than the platform's rule, or makes its timetable impossible.
        """
        for platform, wish in wishes.items():
            rule = self.posting(platform)
            if wish.get("limit", 0) > rule.limit:
                raise Misconfigured(
                    f"an account of {platform} may post {rule.limit} times in {rule.window / timedelta(hours=1):g} h, "
                    f"and {wish['limit']} are wished for: it may only be fewer"
                )
            if "spacing_minutes" in wish and timedelta(minutes=wish["spacing_minutes"]) < rule.spacing:
                raise Misconfigured(
                    f"posts of {platform} stand at least {rule.spacing // timedelta(minutes=1)} minutes apart, and "
                    f"{wish['spacing_minutes']} are wished for: it may only be more"
                )
        stricter = replace(self, owner={platform: dict(wish) for platform, wish in wishes.items()})
        for platform in wishes:
            stricter.posting(platform)
        return stricter

    @property
    def full_slate(self) -> dict[str, int]:
        """Pieces a day that the owner's plan wishes for, by platform."""
        wishes = self.platforms["full_slate"]
        return {platform: wishes[platform] for platform in ("youtube", "tiktok", "instagram", "blog")}

    @property
    def tiktok_status_reads(self) -> int:
        """How many publishes one sync of metrics may ask TikTok about."""
        return int(self.platforms["tiktok"]["status_reads"])

    def metric_definition(self, platform: str, on: date) -> str:
        """The definition of a platform's metrics in force on a day."""
        dated = [m for m in self.platforms["metrics"] if m["platform"] == platform and m["in_force_from"] <= on]
        if not dated:
            raise Misconfigured(f"No metric definition of {platform} on {on}: add it to policy/platforms.toml.")
        return str(max(dated, key=lambda m: m["in_force_from"])["definition"])

    def duration(self, kind: str) -> tuple[float, float]:
        """Shortest and longest length of a piece, in seconds."""
        shortest, longest = self.platforms["duration"][kind]
        return float(shortest), float(longest)

    def network(self, name: str) -> NetworkRule:
        """What a network allows."""
        entry = _find(self.networks["networks"], "network", name=name)
        return NetworkRule(**{field: entry[field] for field in NetworkRule.__dataclass_fields__})

    @property
    def trend_rule(self) -> TrendRule:
        """What is asked of Google Trends every day."""
        return TrendRule(**{field: self.trends["interest"][field] for field in TrendRule.__dataclass_fields__})

    @property
    def topic_rule(self) -> TopicRule:
        """Which niches go to test every week."""
        return TopicRule(**{field: self.trends["topics"][field] for field in TopicRule.__dataclass_fields__})

    @property
    def credentials_remind_after(self) -> timedelta:
        """How old a stored credential or a master key may be before its owner is reminded to renew it."""
        return timedelta(days=int(self.credentials["rotation"]["remind_after_days"]))

    # ------------------------------------------------------------ texts
    def disclosure(self, name: str) -> str:
        """A disclosure text: ``spoken``, ``picture``, ``text``, ``post`` or ``ai``."""
        return str(self.disclosures["texts"][name])


def _find(entries: list[dict[str, Any]], what: str, **wanted: str) -> dict[str, Any]:
    for entry in entries:
        if all(entry[key] == value for key, value in wanted.items()):
            return entry
    raise Misconfigured(f"No {what} for {', '.join(wanted.values())}: add it to affiliate_empire/policy.")


@cache
def load_policy() -> Policy:
    """The policy of this release."""
    names = ("prices", "models", "platforms", "networks", "disclosures", "trends", "credentials")
    folder = files(__name__)
    return Policy(**{name: tomllib.loads((folder / f"{name}.toml").read_text("utf-8")) for name in names})
