"""What posting on any platform has in common: what a poster is handed, what it composes, what it answers.

A platform's poster (``operations.post_to_youtube`` and its like) composes a post and the act that carries it out;
``operations.publish_piece`` has the act performed exactly once, whatever the platform.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from affiliate_empire.content.script import Script
from affiliate_empire.effects import Act
from affiliate_empire.ledger.tables import Account, Artifact, Link, Piece, Product
from affiliate_empire.operations.account_limits import SeenLimit
from affiliate_empire.operations.errors import PartMissing, PieceRejected


@dataclass(frozen=True)
class Material:
    """What a post is composed from.

    Attributes:
        hub_url: the account's hub page, ``https://…/h/{handle}``.
        link_url: the piece's tracking link, ``https://…/r/{code}``.
        closes_at: when it is too late for its slot: from then on it is not posted any more.
        artifacts: what was made for the piece, by step; only what exists.
    """

    piece: Piece
    account: Account
    product: Product
    link: Link
    hub_url: str
    link_url: str
    closes_at: datetime
    artifacts: Mapping[str, Artifact]

    def script(self) -> Script:
        """The video's script.

        Raises:
            PartMissing: there is none yet.
        """
        content = self.made("script").content
        return Script.model_validate({name: content[name] for name in Script.model_fields})

    def video_sha256(self) -> str:
        """The finished video's place in the media store.

        Raises:
            PartMissing: there is none yet.
        """
        sha256 = self.made("video").sha256
        if sha256 is None:
            raise PartMissing("There is no finished video to publish yet.")
        return sha256

    def made(self, step: str) -> Artifact:
        """What a step made for the piece.

        Raises:
            PartMissing: nothing yet.
        """
        if step not in self.artifacts:
            raise PartMissing(f"There is no finished {step} to publish yet.")
        return self.artifacts[step]


@dataclass(frozen=True)
class Composed:
    """A post that is ready to go out.

    Attributes:
        act: how it is carried out.
        looks: everything of it that may not change once it may have happened; hashed, it is the effect's fingerprint.
        trace: what its handle would say of it, to look for it where no handle was kept (``Intent.trace``).
        beside: what else its owner is shown and approves, that is no part of what is sent with it.
    """

    act: Act
    looks: dict[str, Any]
    trace: dict[str, Any]
    beside: dict[str, Any] = field(default_factory=dict)


class Poster(Protocol):
    """How pieces are posted on one platform.

    The receipt of its acts has ``url``, ``title``, ``description``, ``disclosures`` (the platform's own names of its
    flags, with what was sent) and ``published_at`` (ISO) in its result.
    """

    def compose(self, material: Material) -> Composed:
        """The post of a piece.

        Raises:
            PartMissing: its content is not made yet.
            PieceRejected: it does not disclose.
        """

    def asking(self, account_id: str) -> Act:
        """An act that is only asked what became of a handle of this account."""

    def url(self, remote_id: str, account_id: str) -> str:
        """Where a post of an account is seen."""

    def seen_limit(self, account: Account) -> SeenLimit | None:
        """How often the platform lets an account post, by its own word; None where it cannot be asked.

        Raises:
            QuotaExhausted: not now.
            VendorRefused, VendorUnavailable: as for every call.
        """


def refuse_undisclosed(reasons: list[str]) -> None:
    """Raise ``PieceRejected`` when a text breaks a rule of disclosure."""
    if reasons:
        raise PieceRejected(" ".join(reasons))
