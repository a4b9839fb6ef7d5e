"""Having a script spoken, the disclosure in it, with the time of every character."""

from __future__ import annotations

from collections.abc import Callable

from affiliate_empire.compliance import check_spoken
from affiliate_empire.content.script import scene_narrations, spoken_text
from affiliate_empire.effects import Effects, Receipt
from affiliate_empire.kernel.ids import fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.artifacts import (
    load_artifact,
    load_brief,
    load_script,
    pay_for_file,
    reusable,
    save_artifact,
)
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.elevenlabs import ElevenLabsClient


def make_voiceover(
    piece_id: str,
    *,
    ledger: Ledger,
    effects: Effects,
    elevenlabs: ElevenLabsClient,
    media: MediaStore,
    policy: Policy,
) -> Artifact:
    """The piece's voice (step ``voiceover``): an mp3 and its timing. Paid once; what is there is returned.

    ``content``: ``text``, ``narrations`` (what is heard over each scene), ``characters``, ``starts`` and ``ends``
    (seconds, one per character), ``seconds`` (end of the last word), ``voice``, ``model``.

    Raises:
        PartMissing: the script was not written yet.
        PieceRejected: the voice is too short or too long for a video, or the vendor refuses the text.
    """
    brief = load_brief(piece_id, ledger)
    script = load_script(piece_id, ledger)
    disclosure = policy.disclosure("spoken")
    text = spoken_text(script, disclosure)
    if problems := check_spoken(text, policy):
        raise PieceRejected(" ".join(problems))
    model, voice = policy.model("voice_model", brief.day), policy.model("voice", brief.day)
    # The vendor speaks the same text alike for the same seed; another piece gets another reading.
    seed = int(fingerprint(piece_id)[:8], 16)
    inputs = [text, model, voice, seed]
    inputs_sha256 = fingerprint(inputs)
    if reusable(kept := load_artifact(piece_id, "voiceover", ledger), inputs_sha256, media) and kept is not None:
        return kept

    def call(save: Callable[[bytes, str], str]) -> Receipt:
        speech = elevenlabs.speak(text=text, voice_id=voice, model=model, seed=seed)
        return Receipt(
            remote_id=speech.request_id,
            cost_micros=speech.cost_micros,
            result={
                "sha256": save(speech.audio, speech.media_type),
                "media_type": speech.media_type,
                "characters": speech.characters,
                "starts": speech.starts,
                "ends": speech.ends,
            },
        )

    receipt = pay_for_file(
        "voiceover",
        brief,
        call,
        media=media,
        effects=effects,
        policy=policy,
        vendor="elevenlabs",
        operation="speak",
        inputs=inputs,
        max_cost_micros=policy.speech_cost_micros(model, len(text)),
    )
    spoken = receipt.result
    seconds = float(spoken["ends"][-1])
    shortest, longest = policy.duration("video")
    if not shortest <= seconds <= longest:
        raise PieceRejected(f"The voice takes {seconds:.1f} s; a video takes {shortest:.0f} to {longest:.0f} s.")
    return save_artifact(
        ledger,
        piece_id=piece_id,
        step="voiceover",
        inputs_sha256=inputs_sha256,
        sha256=spoken["sha256"],
        media_type=spoken["media_type"],
        content={
            "text": text,
            "narrations": scene_narrations(script, disclosure),
            "characters": spoken["characters"],
            "starts": spoken["starts"],
            "ends": spoken["ends"],
            "seconds": seconds,
            "voice": voice,
            "model": model,
        },
        effect_id=receipt.effect_id,
    )
