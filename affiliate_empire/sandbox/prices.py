"""What this world's vendors charge, in US dollars: their own price lists, kept apart from what the business believes.

Amounts are rounded half to even to millionths of a dollar, per call.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class TextModel:
    """Dollars per million tokens, and the day from which the model is gone."""

    input: Decimal
    cached: Decimal
    output: Decimal
    shutdown: date | None = None

    def micros(
        self,
        *,
        input_tokens: int,
        output_tokens: int,
        cached_tokens: int = 0,
        written_tokens: int = 0,
        written_hour_tokens: int = 0,
    ) -> int:
        """Charge of a call; what was read from the cache and written to it is part of the input.

        What the vendors write into their cache costs a quarter more than fresh input, twice as much when it is kept for
        an hour. Reasoning is part of the output.
        """
        fresh = input_tokens - cached_tokens - written_tokens - written_hour_tokens
        weighed = fresh + written_tokens * Decimal("1.25") + written_hour_tokens * 2
        return _micros((weighed * self.input + cached_tokens * self.cached + output_tokens * self.output) / _MILLION)


@dataclass(frozen=True)
class ImageModel:
    """Dollars per million tokens; output tokens of a square and of an oblong picture by quality."""

    text: Decimal
    output: Decimal
    square: dict[str, int]
    oblong: dict[str, int]
    shutdown: date | None = None

    def tokens(self, width: int, height: int, quality: str) -> int:
        """Output tokens of one picture."""
        return (self.square if max(width, height) * 4 < min(width, height) * 5 else self.oblong)[quality]


def _text(fresh: str, cached: str, output: str, shutdown: date | None = None) -> TextModel:
    return TextModel(Decimal(fresh), Decimal(cached), Decimal(output), shutdown)


OPENAI_TEXT = {
    "gpt-6-luna": _text("0.10", "0.01", "0.50"),
    "gpt-6.1-terra": _text("1.00", "0.05", "5.00"),
    "gpt-6-sol": _text("2.00", "0.20", "10.00"),
    "gpt-6.1-sol": _text("2.00", "0.10", "10.00"),
    "gpt-6-astra": _text("10.00", "1.00", "50.00"),
    "gpt-5.6-luna": _text("0.20", "0.02", "1.20"),
    "gpt-5.6-terra": _text("2.00", "0.20", "12.00"),
    "gpt-5.6-sol": _text("4.00", "0.40", "20.00"),
    "gpt-5.4-mini": _text("0.75", "0.075", "4.50"),
    "gpt-5.4-nano": _text("0.20", "0.02", "1.25", date(2027, 4, 1)),
}
ANTHROPIC_TEXT = {
    "claude-haiku-5-5": _text("0.10", "0.01", "0.50"),
    "claude-haiku-4-5": _text("1.00", "0.10", "5.00"),
    "claude-sonnet-5-5": _text("2.00", "0.10", "10.00"),
    "claude-opus-5-5": _text("4.00", "0.20", "20.00"),
}

_SQUARE = {"low": 196, "medium": 439, "high": 1756, "xhigh": 3512, "max": 7024}
_OBLONG = {"low": 157, "medium": 344, "high": 1374, "xhigh": 2748, "max": 5496}
IMAGE = {
    "gpt-image-2": ImageModel(
        Decimal("5"),
        Decimal("30"),
        {"low": 196, "medium": 1756, "high": 7024},
        {"low": 167, "medium": 1400, "high": 5500},
    ),
    "gpt-image-2.5-flare": ImageModel(Decimal("5"), Decimal("30"), _SQUARE, _OBLONG),
    "gpt-image-2.5-sunburst": ImageModel(Decimal("5"), Decimal("30"), _SQUARE, _OBLONG),
}

# Known to the vendor, and gone from this day on; before it they are not offered here, having no price.
RETIRED = {
    "dall-e-2": date(2026, 5, 12),
    "dall-e-3": date(2026, 5, 12),
    "gpt-image-1": date(2026, 10, 23),
    "gpt-image-1-mini": date(2026, 12, 1),
    "gpt-image-1.5": date(2026, 12, 1),
    "chatgpt-image-latest": date(2026, 12, 1),
    "gpt-5": date(2026, 12, 11),
    "gpt-5-mini": date(2026, 12, 11),
    "gpt-5-nano": date(2026, 12, 11),
    "gpt-4o": date(2027, 1, 14),
    "gpt-4o-mini": date(2027, 1, 14),
    "gpt-4.1": date(2027, 1, 14),
    "gpt-4.1-mini": date(2027, 1, 14),
    "gpt-5.1": date(2027, 4, 1),
    "claude-3-5-haiku-20241022": date(2026, 2, 19),
    "claude-3-7-sonnet-20250219": date(2026, 2, 19),
    "claude-sonnet-4-20250514": date(2026, 6, 15),
    "claude-opus-4-20250514": date(2026, 6, 15),
    "claude-sonnet-4-5": date(2026, 11, 30),
}

# Credits per character, and the most characters of one request. A credit costs the same everywhere.
SPEECH_CREDIT = Decimal("0.08") / 1000
SPEECH = {
    "eleven_multilingual_v2": (Decimal(1), 10_000),
    "eleven_v3": (Decimal(1), 3_000),
    "eleven_flash_v2_5": (Decimal("0.5"), 40_000),
    "eleven_turbo_v2_5": (Decimal("0.5"), 40_000),
}

# Pika on fal, per clip by seconds and resolution; the price of ten seconds is not published: twice five.
PIKA = {
    (5, "720p"): Decimal("0.20"),
    (5, "1080p"): Decimal("0.45"),
    (10, "720p"): Decimal("0.40"),
    (10, "1080p"): Decimal("0.90"),
}
# Runway: credits per second, and what a credit costs.
RUNWAY_CREDIT = Decimal("0.01")
RUNWAY = {"gen4_turbo": 5, "gen4.5": 12}


def pika_micros(seconds: int, resolution: str) -> int:
    """Charge of a clip by Pika."""
    return _micros(PIKA[seconds, resolution])


def runway_micros(credits: int) -> int:
    """Charge of a task by Runway."""
    return _micros(credits * RUNWAY_CREDIT)


def image_micros(model: str, *, text_tokens: int, output_tokens: int) -> int:
    """Charge of an image call."""
    price = IMAGE[model]
    return _micros((text_tokens * price.text + output_tokens * price.output) / _MILLION)


def speech_micros(credits: int) -> int:
    """Charge of a speech call."""
    return _micros(credits * SPEECH_CREDIT)


def _micros(dollars: Decimal) -> int:
    return int((dollars * _MILLION).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
