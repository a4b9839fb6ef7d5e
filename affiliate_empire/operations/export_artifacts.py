"""What a step made of a day's pieces, as the frame that the lake keeps."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import date

import pandas as pd
from sqlalchemy import select

from affiliate_empire.content.frames import Artifacts, Texts
from affiliate_empire.kernel.ids import canonical_json
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact, Effect, Piece


def export_artifacts(day: date, *steps: str, ledger: Ledger) -> pd.DataFrame:
    """The artifacts of a step for the pieces of a day, ordered by piece and part.

    Of several steps, a part is named with its step: ``still 0``, ``clip 0``.

    Returns:
        ``Texts`` for the steps ``script`` and ``post``, ``Artifacts`` for the others. It holds no time of making, so
        the same day gives the same bytes on every run.
    """
    query = (
        select(Artifact, Piece, Effect)
        .join(Piece, Piece.piece_id == Artifact.piece_id)
        .outerjoin(Effect, Effect.effect_id == Artifact.effect_id)
        .where(Piece.day == day, Piece.status != "superseded", Artifact.step.in_(steps))
        .order_by(Artifact.piece_id, Artifact.step, Artifact.name)
    )
    with ledger.begin() as session:
        rows = [
            {
                "piece_id": artifact.piece_id,
                "name": artifact.name if len(steps) == 1 else f"{artifact.step} {artifact.name}",
                "prompt_version": piece.prompt_version,
                "niche": piece.niche,
                "platform": piece.platform,
                "media_type": artifact.media_type,
                "sha256": artifact.sha256,
                "content": canonical_json(artifact.content),
                "inputs_sha256": artifact.inputs_sha256,
                "cost_micros": (effect.cost_micros or 0) if effect else 0,
                "title": str(artifact.content.get("title", "")),
                "model": (effect.result or {}).get("model") if effect else None,
            }
            for artifact, piece, effect in session.execute(query)
        ]
    model = Texts if set(steps) <= {"script", "post"} else Artifacts
    columns = list(model.to_schema().columns)
    return model.validate(
        pd.DataFrame(rows, columns=[*columns, *(name for name in ("title", "model") if name not in columns)])[columns]
    )


def footage(frames: Iterable[pd.DataFrame]) -> tuple[dict[str, int], dict[str, str]]:
    """Number of clips by provider, and why another than the chosen provider made which clip.

    Args:
        frames: ``Artifacts`` of the steps ``still`` and ``clip``.
    """
    clips = {
        f"{row.piece_id} {row.name}": json.loads(str(row.content))
        for frame in frames
        for row in frame[frame["name"].str.startswith("clip ")].itertuples(index=False)
    }
    stood_in = {
        name: f"{clip['provider']} instead of {'; '.join(f'{who}: {why}' for who, why in clip['instead_of'].items())}"
        for name, clip in clips.items()
        if clip["instead_of"]
    }
    return dict(Counter(clip["provider"] for clip in clips.values())), stood_in
