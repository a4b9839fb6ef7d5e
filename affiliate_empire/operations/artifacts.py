"""What the making verbs share: the piece they work on, the artifacts they find and keep, and paying for a step once.

A step is done when its artifact's inputs hash is that of the inputs it would use now. Otherwise it is paid for through
``Effects``, which returns an earlier payment for the same inputs; so a crash at any moment pays for nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.content.script import Script
from affiliate_empire.effects import EffectParked, EffectRefused, Effects, Receipt, State, Unconfirmed, WindowClosed
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.ids import fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact, Effect, Piece, PromptVersion
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.errors import PartMissing, PieceRejected
from affiliate_empire.policy import Policy
from affiliate_empire.vendors.errors import VendorRefused

# Refusals of what was asked, not of who asks: another piece may well be accepted.
_OF_CONTENT = frozenset(
    (
        "bio_policy",
        "content_filter",
        "image_content_policy_violation",
        "input_text_empty",
        "invalid_prompt",
        "max_character_limit_exceeded",
        "misalignment_policy_violation",
        "moderation_blocked",
        "string_above_max_length",
    )
)
# A picture whose file is gone from the media store is paid for once more, not for ever.
_COPIES = 2
# More than any picture or speech that is asked for, in bytes.
_LARGEST_FILE = 8 * 1024 * 1024


@dataclass(frozen=True)
class Brief:
    """A piece, and what its writer is given: the prompt version's text, the product's name."""

    piece: Piece
    template: str
    product: str

    @property
    def facts(self) -> dict[str, str]:
        """The numbered facts that may be cited."""
        return {key: str(text) for key, text in self.piece.facts.items()}

    @property
    def day(self) -> date:
        return self.piece.day


def load_brief(piece_id: str, ledger: Ledger) -> Brief:
    """A planned piece.

    Raises:
        BadInput: there is no such piece.
        PieceRejected: it has no facts to write from.
    """
    with ledger.begin() as session:
        piece = session.get(Piece, piece_id)
        if piece is None:
            raise BadInput(f"There is no piece {piece_id}: take the id from `empire lineage` or the content plan.")
        template = session.get_one(PromptVersion, piece.prompt_version).template
    if not piece.facts:
        raise PieceRejected("The product has no facts that may be stated.")
    # The plan's facts and not today's catalogue: a piece is made from what it was planned with.
    first = next(iter(piece.facts.values()))
    named = next((text for text in piece.facts.values() if str(text).lower().startswith(("name:", "title:"))), first)
    product = str(named).split(": ", 1)[-1]
    return Brief(piece, template, product)


def load_artifact(piece_id: str, step: str, ledger: Ledger, *, name: str = "") -> Artifact | None:
    """What a step made for a piece, if it was made."""
    with ledger.begin() as session:
        return session.get(Artifact, (piece_id, step, name))


def load_part(piece_id: str, step: str, ledger: Ledger, *, made_by: str, name: str = "") -> Artifact:
    """What an earlier step made for a piece.

    Args:
        made_by: the asset that makes it.

    Raises:
        PartMissing: it has not made it yet.
    """
    artifact = load_artifact(piece_id, step, ledger, name=name)
    if artifact is None:
        raise missing(piece_id, [f"{step} {name}".strip()], [made_by])
    return artifact


def missing(piece_id: str, parts: Sequence[str], made_by: Sequence[str]) -> PartMissing:
    """What is said of a piece whose parts are not there yet."""
    return PartMissing(
        f"Piece {piece_id} has no {' and no '.join(parts)} yet: materialize {' and '.join(made_by)} first."
    )


def load_script(piece_id: str, ledger: Ledger) -> Script:
    """A piece's script.

    Raises:
        PartMissing: it was not written yet.
    """
    artifact = load_part(piece_id, "script", ledger, made_by="scripts")
    return Script.model_validate({name: artifact.content[name] for name in Script.model_fields})


def save_artifact(
    ledger: Ledger,
    *,
    piece_id: str,
    step: str,
    inputs_sha256: str,
    content: dict[str, Any],
    name: str = "",
    sha256: str | None = None,
    media_type: str | None = None,
    effect_id: str | None = None,
) -> Artifact:
    """Keep what a step made; what an earlier run made of other inputs is replaced."""
    values = {
        "inputs_sha256": inputs_sha256,
        "sha256": sha256,
        "media_type": media_type,
        "content": content,
        "effect_id": effect_id or None,
    }
    row = insert(Artifact).values(piece_id=piece_id, step=step, name=name, **values)
    with ledger.begin() as session:
        session.execute(row.on_conflict_do_update(index_elements=["piece_id", "step", "name"], set_=values))
        return session.get_one(Artifact, (piece_id, step, name))


def reusable(artifact: Artifact | None, inputs_sha256: str, media: MediaStore | None = None) -> bool:
    """Whether an artifact is of these inputs and, where it has a file, the file is still there."""
    if artifact is None or artifact.inputs_sha256 != inputs_sha256:
        return False
    return artifact.sha256 is None or media is None or media.exists(artifact.sha256)


def pay(
    step: str,
    brief: Brief,
    call: Callable[[], Receipt],
    *,
    effects: Effects,
    policy: Policy,
    vendor: str,
    operation: str,
    inputs: Any,
    max_cost_micros: int,
) -> Receipt:
    """One paid call for one step of a piece, or the receipt of the one that was paid for with the same inputs.

    Raises:
        PieceRejected: the vendor refuses this content, or its replies were lost twice: the piece cannot be made.
        WindowClosed: its day is over, and it was not paid for before.
        EffectError, VendorError: nothing about this piece; the whole step waits (``affiliate_empire.effects``).
    """
    piece = brief.piece
    try:
        return effects.perform_paid(
            f"{piece.piece_id}:{step}",
            vendor=vendor,
            operation=operation,
            fingerprint=fingerprint(inputs),
            day=piece.day,
            max_cost_micros=max_cost_micros,
            call=call,
            piece_id=piece.piece_id,
            account_id=piece.account_id,
            niche=piece.niche,
            price_version=policy.price_version,
            deadline_at=too_late_for(piece, effects),
        )
    except VendorRefused as error:
        if error.cost_micros or error.code in _OF_CONTENT:
            raise PieceRejected(str(error)) from error
        raise
    except EffectRefused as error:
        raise PieceRejected(str(error)) from error
    except WindowClosed as error:
        raise WindowClosed(
            f"Nothing more is paid for {piece.piece_id}: the posting window of {piece.day} has closed, and it could "
            "never go out."
        ) from error
    except Unconfirmed:
        raise
    except EffectParked as error:
        if _is_open(effects.ledger, f"{piece.piece_id}:{step}"):
            raise  # a restored ledger: the owner says whether it happened, then the piece goes on
        raise PieceRejected(str(error)) from error


def too_late_for(piece: Piece, effects: Effects) -> datetime:
    """When nothing more is paid for a piece: at the close of its day's posting window, as it can never go out then."""
    return effects.caps.calendar.posting_window(piece.day)[1]


def _is_open(ledger: Ledger, step_key: str) -> bool:
    """Whether an attempt of a step is neither paid, nor lost, nor refused."""
    ended = (State.SETTLED, State.LOST, State.REFUSED, State.EXPIRED, State.SUPERSEDED)
    attempts = select(Effect.key).where(Effect.key.startswith(f"{step_key}#", autoescape=True))
    with ledger.begin() as session:
        return session.scalars(attempts.where(Effect.state.not_in(ended))).first() is not None


def pay_for_file(
    step: str,
    brief: Brief,
    call: Callable[[Callable[[bytes, str], str]], Receipt],
    *,
    media: MediaStore,
    effects: Effects,
    policy: Policy,
    vendor: str,
    operation: str,
    inputs: Any,
    max_cost_micros: int,
) -> Receipt:
    """As ``pay``, for a call whose receipt names a file (``result["sha256"]``) that has to be in the media store.

    The file's room on the disk is taken first: what is paid for can be kept.

    Args:
        call: makes the call; what it is handed keeps a file of a media type and returns its SHA-256.

    Raises:
        OutOfSpace: the disk has no room; nothing was asked for.
    """
    for copy in range(_COPIES):
        with media.room(_LARGEST_FILE) as room:
            receipt = pay(
                step,
                brief,
                partial(call, partial(media.save, room=room)),
                effects=effects,
                policy=policy,
                vendor=vendor,
                operation=operation,
                inputs=[inputs, copy] if copy else inputs,
                max_cost_micros=max_cost_micros,
            )
        if media.exists(str(receipt.result["sha256"])):
            return receipt
    raise PieceRejected(f"The file of step {step} was paid for {_COPIES} times and is gone from the media store.")
