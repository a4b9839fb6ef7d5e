"""What a piece may cost at most and what it should cost, part by part, at today's prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from affiliate_empire.kernel.money import dollars
from affiliate_empire.policy import Policy

# Bounds of what the steps of a piece ask for; the steps themselves reserve their own exact bounds before each call.
_PROMPT_CHARACTERS = 12_000
_OUTPUT_TOKENS = 4_000
_ATTEMPTS = 3  # a first answer and two repairs
_SPOKEN_CHARACTERS = 1_200
_IMAGE_PROMPT_CHARACTERS = 1_500
_STILLS = 5
_IMAGE = ("864x1536", "low")

# What the steps use as a rule, as measured over the demo's day: one answer, a minute of speech, a short image prompt.
_USUAL_TOKENS = {"video": (420, 400), "post": (560, 640)}  # read and written
_USUAL_SPOKEN_CHARACTERS = 410
_USUAL_IMAGE_PROMPT_TOKENS = 60


@dataclass(frozen=True)
class CostPart:
    """One part of a piece (``script``, ``voice``, ``image``, ``clip``, ``post``) and who is paid for it."""

    part: str
    vendor: str
    max_micros: int
    usual_micros: int


@dataclass(frozen=True)
class PieceCost:
    """What a ``video`` or a ``post`` costs, in micros of a US dollar."""

    parts: tuple[CostPart, ...]

    @property
    def max_micros(self) -> int:
        return sum(part.max_micros for part in self.parts)

    @property
    def usual_micros(self) -> int:
        return sum(part.usual_micros for part in self.parts)

    @property
    def by_vendor(self) -> dict[str, int]:
        """Upper bound by the vendor that is paid."""
        vendors = dict.fromkeys(part.vendor for part in self.parts)
        return {vendor: sum(part.max_micros for part in self.parts if part.vendor == vendor) for vendor in vendors}


def piece_cost(kind: str, *, policy: Policy, on: date, clips: int = 0, clip_providers: Sequence[str] = ()) -> PieceCost:
    """What making one ``video`` or ``post`` costs.

    A video has ``clips`` clips by the first of ``clip_providers`` (``pika``, ``runway``), or by another where that one
    makes none: the dearest one's price is the upper bound, the first one's what it should cost.
    """
    writer = policy.model("script" if kind == "video" else "post", on)
    read, written = _USUAL_TOKENS[kind]
    text = CostPart(
        "script" if kind == "video" else "post",
        policy.vendor_of(writer),
        _ATTEMPTS
        * policy.llm_max_cost_micros(writer, input_chars=_PROMPT_CHARACTERS, max_output_tokens=_OUTPUT_TOKENS),
        policy.llm_cost_micros(writer, input_tokens=read, cached_tokens=0, output_tokens=written),
    )
    if kind == "post":
        return PieceCost((text,))
    speaker, painter = policy.model("voice_model", on), policy.model("image", on)
    voice = CostPart(
        "voice",
        policy.vendor_of(speaker),
        policy.speech_cost_micros(speaker, _SPOKEN_CHARACTERS),
        policy.speech_cost_micros(speaker, _USUAL_SPOKEN_CHARACTERS),
    )
    size, quality = _IMAGE
    images = _STILLS + 1
    image = CostPart(
        "image",
        policy.vendor_of(painter),
        images
        * policy.image_max_cost_micros(painter, prompt_chars=_IMAGE_PROMPT_CHARACTERS, size=size, quality=quality),
        images
        * policy.image_cost_micros(
            painter,
            text_tokens=_USUAL_IMAGE_PROMPT_TOKENS,
            output_tokens=policy.image_output_tokens(painter, size, quality),
        ),
    )
    if not clips or not clip_providers:
        return PieceCost((text, voice, image))
    models = [policy.model(provider, on) for provider in clip_providers]
    clip = CostPart(
        "clip",
        policy.vendor_of(models[0]),
        clips * max(map(policy.clip_cost_micros, models)),
        clips * policy.clip_cost_micros(models[0]),
    )
    return PieceCost((text, voice, image, clip))


def against_the_plan(kind: str, cost: PieceCost, plan_micros: int) -> str:
    """One sentence: what a piece may and should cost, beside the original plan's figure, and what makes it so."""
    parts = ", ".join(
        f"{part.part} {dollars(part.max_micros)} ({dollars(part.usual_micros)})"
        for part in sorted(cost.parts, key=lambda part: -part.max_micros)
    )
    side = "above" if cost.usual_micros > plan_micros else "within"
    return (
        f"A {kind} may cost up to {dollars(cost.max_micros)} and should cost {dollars(cost.usual_micros)}, {side} the "
        f"{dollars(plan_micros)} a piece of the original plan; at most (as a rule): {parts}. The difference is kept "
        "aside for repairs and longer answers while the piece is made, and goes back to the budget unused."
    )
