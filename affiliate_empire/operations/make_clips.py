"""Having moving footage made of a video's first scenes, each from its still.

A clip is a job at its vendor: begun once, asked until it ends (``affiliate_empire.effects``). Where the chosen provider
will not make a clip, the next one is asked, if there is one; the artifact then says whom it stands in for, and why.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from affiliate_empire.content.script import clip_prompt
from affiliate_empire.effects import (
    Accepted,
    EffectKind,
    EffectRefused,
    Effects,
    Failed,
    Intent,
    Receipt,
    StillUnknown,
    Verdict,
)
from affiliate_empire.kernel.errors import EmpireError
from affiliate_empire.kernel.ids import fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.artifacts import (
    Brief,
    load_artifact,
    load_brief,
    load_part,
    load_script,
    reusable,
    save_artifact,
    too_late_for,
)
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.clips import ClipClient
from affiliate_empire.vendors.errors import (
    ContentRefused,
    QuotaExhausted,
    ReplyLost,
    VendorRefused,
    VendorUnavailable,
)

PATIENCE_SECONDS = 600.0  # for one job, within the effect's lease; a clip takes one to three minutes
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 5.0
_FRAME = (720, 1280)  # what the vendors film at; a larger still would only be sent
# A clip whose file is gone from the media store is paid for once more, not for ever.
_COPIES = 2


def make_clips(
    piece_id: str,
    *,
    count: int,
    providers: Mapping[str, ClipClient],
    ledger: Ledger,
    effects: Effects,
    media: MediaStore,
    policy: Policy,
    patience_seconds: float = PATIENCE_SECONDS,
) -> list[Artifact]:
    """One clip for each of the first ``count`` scenes (step ``clip``, named by the scene's number), each paid once.

    ``content``: ``prompt``, ``provider``, ``model``, ``seconds``, ``size``, ``job_id``; ``instead_of`` maps a provider
    that was asked before to why it did not make the clip, and is empty where the chosen one did.

    Args:
        providers: who may be asked, by the model's role in policy (``pika``, ``runway``): the chosen one first.
        patience_seconds: how long one job is waited for; it goes on at its vendor, and the next run asks again.

    Raises:
        PartMissing: script or stills were not made yet.
        PieceRejected: no provider makes a clip of this content.
        EffectParked: nobody can say whether a job was begun; with its owner's word the piece goes on.
        EffectError, VendorError: nothing about this piece.
    """
    brief = load_brief(piece_id, ledger)
    script = load_script(piece_id, ledger)
    chosen = next(iter(providers))
    made = []
    for number, scene in enumerate(script.scenes[:count]):
        name = str(number)
        still = str(load_part(piece_id, "still", ledger, name=name, made_by="video_clips").sha256)
        prompt = clip_prompt(scene, brief.product)
        # Who stands in is no input: a clip that was paid for is not made anew when another key is added.
        inputs_sha256 = fingerprint([chosen, _asked(chosen, brief, prompt, still, policy)])
        kept = load_artifact(piece_id, "clip", ledger, name=name)
        if kept is None or not reusable(kept, inputs_sha256, media):
            scene_to_film = _Scene(brief, name, prompt, still)
            provider, receipt, instead_of = _filmed(
                scene_to_film, providers, effects=effects, media=media, policy=policy, patience=patience_seconds
            )
            kept = save_artifact(
                ledger,
                piece_id=piece_id,
                step="clip",
                name=name,
                inputs_sha256=inputs_sha256,
                sha256=receipt.result["sha256"],
                media_type="video/mp4",
                content={
                    "prompt": prompt,
                    "provider": provider,
                    "model": receipt.result["model"],
                    "seconds": receipt.result["seconds"],
                    "size": receipt.result["size"],
                    "job_id": receipt.remote_id,
                    "instead_of": instead_of,
                },
                effect_id=receipt.effect_id,
            )
        made.append(kept)
    return made


@dataclass(frozen=True)
class _Scene:
    """What is to be filmed: a scene's number, its instruction, its still."""

    brief: Brief
    name: str
    prompt: str
    still: str


def _asked(provider: str, brief: Brief, prompt: str, still: str, policy: Policy) -> list[Any]:
    model = policy.model(provider, brief.day)
    return [model, prompt, still, *policy.clip_format(model)]


def _filmed(
    scene: _Scene,
    providers: Mapping[str, ClipClient],
    *,
    effects: Effects,
    media: MediaStore,
    policy: Policy,
    patience: float,
) -> tuple[str, Receipt, dict[str, str]]:
    """The provider that made the clip, its receipt, and why those before it did not."""
    reasons: dict[str, EmpireError] = {}
    for provider, client in providers.items():
        try:
            receipt = _begun_once(
                scene, provider, client, effects=effects, media=media, policy=policy, patience=patience
            )
        except ReplyLost:
            raise  # the job goes on, and may not be begun elsewhere
        except (ContentRefused, QuotaExhausted, EffectRefused, VendorUnavailable) as error:
            reasons[provider] = error  # nothing was begun, or it ended without a clip
        else:
            return provider, receipt, {earlier: str(reason) for earlier, reason in reasons.items()}
    for reason in reasons.values():
        if isinstance(reason, VendorUnavailable | QuotaExhausted):
            raise reason  # in time, or after a top-up, it can be made
    raise PieceRejected(" ".join(map(str, reasons.values())))


def _begun_once(
    scene: _Scene,
    provider: str,
    client: ClipClient,
    *,
    effects: Effects,
    media: MediaStore,
    policy: Policy,
    patience: float,
) -> Receipt:
    """The receipt of a clip whose file lies in the media store."""
    piece = scene.brief.piece
    model = policy.model(provider, scene.brief.day)
    seconds, resolution = policy.clip_format(model)
    for copy in range(_COPIES):
        asked = fingerprint([*_asked(provider, scene.brief, scene.prompt, scene.still, policy), copy])
        intent = Intent(
            # Other inputs make another clip, which is paid for beside the first.
            key=f"{piece.piece_id}:clip:{scene.name}:{provider}:{asked[:16]}",
            kind=EffectKind.AT_MOST_ONCE,
            vendor=client.vendor,
            operation="film",
            fingerprint=asked,
            day=piece.day,
            max_cost_micros=policy.clip_cost_micros(model),
            piece_id=piece.piece_id,
            account_id=piece.account_id,
            niche=piece.niche,
            price_version=policy.price_version,
            deadline_at=too_late_for(piece, effects),
        )
        filming = _Filming(client, model, scene, seconds, resolution, media, patience)
        receipt = effects.perform(intent, filming)
        if media.exists(str(receipt.result.get("sha256"))):
            return receipt
    raise PieceRejected(f"The clip of scene {scene.name} was paid for {_COPIES} times and is gone from the store.")


@dataclass
class _Filming:
    """The act: a job at a vendor of clips."""

    client: ClipClient
    model: str
    scene: _Scene
    seconds: int
    resolution: str
    media: MediaStore
    patience: float
    _picture: bytes = field(default=b"", init=False)

    def prepare(self) -> dict[str, Any]:
        """Everything that can go wrong here goes wrong before the submit."""
        self.client.require_key()
        self._picture = _first_frame(self.media.path(self.scene.still))
        return {}

    def commit(self, handle: dict[str, Any]) -> Accepted:
        return Accepted(
            self.client.submit(
                model=self.model,
                prompt=self.scene.prompt,
                picture=self._picture,
                seconds=self.seconds,
                resolution=self.resolution,
            )
        )

    def reconcile(self, handle: dict[str, Any]) -> Verdict:
        """Wait for the job's end. Raises ``ReplyLost`` when it does not come in time or cannot be read."""
        if "job_id" not in handle:
            piece = self.scene.brief.piece.piece_id
            return StillUnknown(f"{self.client.job_page}, for a clip of {piece}, scene {self.scene.name}")
        job_id = str(handle["job_id"])
        until, wait = time.monotonic() + self.patience, _FIRST_WAIT_SECONDS
        while True:
            why = "it has not ended"
            try:
                status = self.client.fetch_status(job_id)
                if status.error is not None:
                    return Failed(status.error)
                if status.ended:
                    return self._kept(job_id)
            except ContentRefused as error:
                return Failed(error)
            except VendorRefused as error:
                if error.code == "404":
                    return StillUnknown(f"{self.client.job_page}, job {job_id}")
                raise self._unread(job_id, str(error)) from error
            except VendorUnavailable as error:
                why = str(error)
            if time.monotonic() + wait > until:
                raise self._unread(job_id, why)
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    def _kept(self, job_id: str) -> Receipt:
        clip = self.client.fetch_clip(job_id, model=self.model)
        return Receipt(
            remote_id=job_id,
            cost_micros=clip.cost_micros,
            result={
                "sha256": self.media.save(clip.data, "video/mp4"),
                "model": self.model,
                "seconds": clip.seconds,
                "size": f"{clip.width}x{clip.height}",
            },
        )

    def _unread(self, job_id: str, why: str) -> ReplyLost:
        return ReplyLost(
            f"The clip of job {job_id} at {self.client.vendor} is not there yet ({why.rstrip('.')}): run again, which "
            "asks for it and begins nothing anew.",
            vendor=self.client.vendor,
            code="not_ended",
        )


def _first_frame(still: Path) -> bytes:
    """A still as a JPEG no larger than what is filmed, which fits every vendor's limit for pictures in a request."""
    from PIL import Image  # heavy at import

    out = io.BytesIO()
    with Image.open(still) as picture:
        small = picture.convert("RGB")
        small.thumbnail(_FRAME)
        small.save(out, "JPEG", quality=90)
    return out.getvalue()
