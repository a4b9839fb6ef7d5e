"""What a piece may cost at most: the sum of its steps' upper bounds at today's prices."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from affiliate_empire.policy import Policy

# Bounds of what the steps of a piece ask for; the steps themselves reserve their own exact bounds before each call.
_PROMPT_CHARACTERS = 12_000
_OUTPUT_TOKENS = 4_000
_ATTEMPTS = 3  # a first answer and two repairs
_SPOKEN_CHARACTERS = 1_200
_IMAGE_PROMPT_CHARACTERS = 1_500
_STILLS = 5
_IMAGE = ("864x1536", "low")


def max_cost_micros(
    kind: str, *, policy: Policy, on: date, clips: int = 0, clip_providers: Collection[str] = ()
) -> int:
    """Upper bound of making one ``video`` or ``post``, in micros of a US dollar.

    A video has ``clips`` clips, each by one of ``clip_providers`` (``pika``, ``runway``): the dearest counts.
    """
    text = _ATTEMPTS * policy.llm_max_cost_micros(
        policy.model("script" if kind == "video" else "post", on),
        input_chars=_PROMPT_CHARACTERS,
        max_output_tokens=_OUTPUT_TOKENS,
    )
    if kind == "post":
        return text
    size, quality = _IMAGE
    image = policy.image_max_cost_micros(
        policy.model("image", on), prompt_chars=_IMAGE_PROMPT_CHARACTERS, size=size, quality=quality
    )
    voice = policy.speech_cost_micros(policy.model("voice_model", on), _SPOKEN_CHARACTERS)
    clip = max((policy.clip_cost_micros(policy.model(provider, on)) for provider in clip_providers), default=0)
    return text + voice + (_STILLS + 1) * image + clips * clip
