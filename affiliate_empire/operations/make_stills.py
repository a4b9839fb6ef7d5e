"""Having the still of every scene drawn."""

from __future__ import annotations

from affiliate_empire.content.script import still_prompt
from affiliate_empire.effects import Effects
from affiliate_empire.kernel.ids import fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.artifacts import load_artifact, load_brief, load_script, reusable, save_artifact
from affiliate_empire.operations.draw_picture import Picture, draw_picture
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.openai import OpenAIClient


def make_stills(
    piece_id: str, *, ledger: Ledger, effects: Effects, openai: OpenAIClient, media: MediaStore, policy: Policy
) -> list[Artifact]:
    """One still per scene (step ``still``, named by the scene's number from ``"0"``), in order; each paid once.

    ``content``: ``prompt``, ``size``, ``model``.

    Raises:
        PartMissing: the script was not written yet.
        PieceRejected: the vendor refuses a picture.
    """
    brief = load_brief(piece_id, ledger)
    script = load_script(piece_id, ledger)
    model = policy.model("image", brief.day)
    made = []
    for number, scene in enumerate(script.scenes):
        name = str(number)
        picture = Picture(model, still_prompt(scene, brief.product))
        inputs_sha256 = fingerprint(picture.inputs)
        kept = load_artifact(piece_id, "still", ledger, name=name)
        if kept is None or not reusable(kept, inputs_sha256, media):
            receipt = draw_picture(
                f"still:{name}", brief, picture, effects=effects, openai=openai, media=media, policy=policy
            )
            kept = save_artifact(
                ledger,
                piece_id=piece_id,
                step="still",
                name=name,
                inputs_sha256=inputs_sha256,
                sha256=receipt.result["sha256"],
                media_type=receipt.result["media_type"],
                content={"prompt": picture.prompt, "size": picture.size, "model": model},
                effect_id=receipt.effect_id,
            )
        made.append(kept)
    return made
