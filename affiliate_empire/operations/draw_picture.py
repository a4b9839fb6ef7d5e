"""Having one picture drawn and kept. What the stills and the thumbnail share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from affiliate_empire.effects import Effects, Receipt
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.artifacts import Brief, pay_for_file
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.openai import OpenAIClient, Quality


@dataclass(frozen=True)
class Picture:
    """What is asked of the image model: the inputs that decide reuse."""

    model: str
    prompt: str
    size: str = "864x1536"
    quality: Quality = "low"  # captions lie over it and it moves: more detail is not seen

    @property
    def inputs(self) -> list[str]:
        return [self.model, self.prompt, self.size, self.quality]


def draw_picture(
    step: str,
    brief: Brief,
    picture: Picture,
    *,
    effects: Effects,
    openai: OpenAIClient,
    media: MediaStore,
    policy: Policy,
) -> Receipt:
    """The receipt of a picture that lies in the media store: ``result`` has ``sha256`` and ``media_type``.

    Raises:
        PieceRejected: the vendor refuses what is to be drawn.
        EffectError, VendorError: nothing about this piece.
    """

    def call(save: Callable[[bytes, str], str]) -> Receipt:
        drawn = openai.make_image(
            model=picture.model, prompt=picture.prompt, size=picture.size, quality=picture.quality
        )
        return Receipt(
            remote_id=drawn.request_id,
            cost_micros=drawn.cost_micros,
            result={"sha256": save(drawn.data, drawn.media_type), "media_type": drawn.media_type},
        )

    bound = policy.image_max_cost_micros(
        picture.model, prompt_chars=len(picture.prompt), size=picture.size, quality=picture.quality
    )
    return pay_for_file(
        step,
        brief,
        call,
        media=media,
        effects=effects,
        policy=policy,
        vendor="openai",
        operation="draw",
        inputs=picture.inputs,
        max_cost_micros=bound,
    )
