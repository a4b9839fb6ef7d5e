"""Making a thumbnail: a picture that is paid for, with the headline and the disclosure that we set on it."""

from __future__ import annotations

from affiliate_empire.content.script import thumbnail_prompt
from affiliate_empire.effects import Effects
from affiliate_empire.kernel.ids import fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact
from affiliate_empire.media.store import MediaStore
from affiliate_empire.media.thumbnail import SIZE, compose_thumbnail
from affiliate_empire.operations.artifacts import load_artifact, load_brief, load_script, reusable, save_artifact
from affiliate_empire.operations.draw_picture import Picture, draw_picture
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.openai import OpenAIClient


def make_thumbnail(
    piece_id: str, *, ledger: Ledger, effects: Effects, openai: OpenAIClient, media: MediaStore, policy: Policy
) -> Artifact:
    """The piece's thumbnail (step ``thumbnail``), a JPEG. The picture is paid once; composing is free.

    ``content``: ``headline``, ``prompt``, ``picture`` (the drawn picture's hash), ``model``.

    Raises:
        PartMissing: the script was not written yet.
        PieceRejected: the vendor refuses the picture.
    """
    brief = load_brief(piece_id, ledger)
    script = load_script(piece_id, ledger)
    picture = Picture(policy.model("image", brief.day), thumbnail_prompt(script, brief.product))
    label = policy.disclosure("picture")
    inputs_sha256 = fingerprint([*picture.inputs, script.title, label, SIZE])
    if reusable(kept := load_artifact(piece_id, "thumbnail", ledger), inputs_sha256, media) and kept is not None:
        return kept
    receipt = draw_picture("thumbnail", brief, picture, effects=effects, openai=openai, media=media, policy=policy)
    drawn = media.path(receipt.result["sha256"]).read_bytes()
    composed = compose_thumbnail(drawn, script.title, disclosure=label)
    return save_artifact(
        ledger,
        piece_id=piece_id,
        step="thumbnail",
        inputs_sha256=inputs_sha256,
        sha256=media.save(composed, "image/jpeg"),
        media_type="image/jpeg",
        content={
            "headline": script.title,
            "prompt": picture.prompt,
            "picture": receipt.result["sha256"],
            "model": picture.model,
        },
        effect_id=receipt.effect_id,
    )
