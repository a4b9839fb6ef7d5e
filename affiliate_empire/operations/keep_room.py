"""Who may still spend where money runs short: what the pieces that should earn most may yet cost is kept for them.

A piece is begun only when the caps have room for all that is not made of it, after the pieces that should earn more;
one that has no room is passed over, and keeps nothing back from those after it; nor does one whose account is held.
Each call reserves its own bound all the same (``affiliate_empire.effects``). A run's cap is not looked at: the next run
starts it anew.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from affiliate_empire.effects import BudgetRefused
from affiliate_empire.effects.budgets import room, shortage
from affiliate_empire.effects.model import HOLDING
from affiliate_empire.effects.switches import held_accounts
from affiliate_empire.kernel.caps import Caps, Room
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Artifact, Effect, Piece
from affiliate_empire.planning import piece_cost
from affiliate_empire.policy import Policy

# What is paid for, by the name that a piece's cost gives it: the steps whose artifacts show that it is made.
_STEPS = {
    "script": {"script"},
    "post": {"post"},
    "voice": {"voiceover"},
    "image": {"still", "thumbnail"},
    "clip": {"clip"},
}


@dataclass(frozen=True)
class Need:
    """What a piece may still cost, in micros of a US dollar, and the steps that are done."""

    micros: int
    by_vendor: dict[str, int]
    done: set[str]


@dataclass(frozen=True)
class Purse:
    """The owner's caps, and what a piece may cost.

    Attributes:
        clips: how many clips a video gets.
        clip_providers: who may be asked for them, the chosen one first.
    """

    ledger: Ledger
    clock: Clock
    caps: Caps
    policy: Policy
    clips: int = 0
    clip_providers: Sequence[str] = ()

    def refuse_short(self, piece_id: str, *steps: str) -> None:
        """Let a piece pass whose steps are done, or for which there is room.

        Raises:
            BudgetRefused: a cap has no room for it after the pieces that should earn more.
        """
        with self.ledger.begin() as session:
            # One look at what is reserved and what it is for: another piece may just be getting its change back.
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            day = session.get_one(Piece, piece_id).day
            if self.clock.now() >= self.caps.calendar.posting_window(day)[1]:
                return  # no money would help: what was paid for is there, and nothing more is (``artifacts.pay``)
            for piece, need, refusal in self._in_turn(session, day):
                if piece.piece_id == piece_id:
                    if refusal is not None and not need.done >= set(steps):
                        raise refusal
                    return

    def affordable(self, session: Session, day: date) -> list[tuple[Piece, Need]]:
        """The planned pieces of a day that there is room for, those that should earn most first.

        Those of an account that is held wait for its owner, whatever there is.
        """
        held = held_accounts(session)
        return [
            (piece, need)
            for piece, need, refusal in self._in_turn(session, day)
            if refusal is None and piece.account_id not in held
        ]

    def _in_turn(self, session: Session, day: date) -> Iterator[tuple[Piece, Need, BudgetRefused | None]]:
        left: Room = room(session, day, self.caps)
        pieces = session.scalars(select(Piece).where(Piece.day == day, Piece.status == "planned")).all()
        found = needs(session, pieces, policy=self.policy, clips=self.clips, clip_providers=self.clip_providers)
        held = held_accounts(session)
        for piece in sorted(pieces, key=by_profit):
            need = found[piece.piece_id]
            if piece.account_id in held:
                yield piece, need, None  # the switch says why, when it is claimed
                continue
            refusal = shortage(left, need.micros, need.by_vendor, piece.niche, day, self.caps)
            if refusal is None:
                left = left.less(need.micros, need.by_vendor, piece.niche)
            yield piece, need, refusal


def by_profit(piece: Piece) -> tuple[int, datetime, str]:
    """The order in which pieces are made: what should earn most first."""
    return -(piece.expected_profit_micros or 0), piece.slot_at, piece.piece_id


def needs(
    session: Session, pieces: Sequence[Piece], *, policy: Policy, clips: int, clip_providers: Sequence[str]
) -> dict[str, Need]:
    """What each piece may still cost: no more than its parts that are not made, nor than its bound has left."""
    ids = [piece.piece_id for piece in pieces]
    made, used = _made(session, ids, clips), _used(session, ids)
    found = {}
    for piece in pieces:
        cost = piece_cost(piece.kind, policy=policy, on=piece.day, clips=clips, clip_providers=clip_providers)
        done, spent = made[piece.piece_id], used[piece.piece_id]
        parts = [part for part in cost.parts if not _STEPS[part.part] <= done]
        open_by_vendor = Counter[str]()
        for part in parts:
            open_by_vendor[part.vendor] += part.max_micros
        by_vendor = {
            vendor: min(bound, max(0, cost.by_vendor[vendor] - spent[vendor]))
            for vendor, bound in open_by_vendor.items()
        }
        micros = min(sum(open_by_vendor.values()), max(0, piece.max_cost_micros - sum(spent.values())))
        found[piece.piece_id] = Need(micros, by_vendor, done)
    return found


def _made(session: Session, ids: Sequence[str], clips: int) -> dict[str, set[str]]:
    """The steps that are done, by piece: of stills there is one for every scene, of clips one for each of the first."""
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for piece_id, step in session.execute(select(Artifact.piece_id, Artifact.step).where(Artifact.piece_id.in_(ids))):
        names[piece_id][step] += 1
    scripts = session.scalars(select(Artifact).where(Artifact.piece_id.in_(ids), Artifact.step == "script"))
    scenes = {script.piece_id: len(script.content.get("scenes", ())) for script in scripts}

    def done(piece_id: str) -> set[str]:
        counted, number = names[piece_id], scenes.get(piece_id, 1)
        wanted = {"still": number, "clip": min(clips, number)}
        return {step for step in {*counted, "clip"} if counted[step] >= wanted.get(step, 1)}

    return {piece_id: done(piece_id) for piece_id in ids}


def _used(session: Session, ids: Sequence[str]) -> dict[str, Counter[str]]:
    """What each piece's effects cost or hold, by vendor."""
    charged = case((Effect.state.in_(HOLDING), Effect.max_cost_micros), else_=func.coalesce(Effect.cost_micros, 0))
    rows = session.execute(
        select(Effect.piece_id, Effect.vendor, func.sum(charged))
        .where(Effect.piece_id.in_(ids))
        .group_by(Effect.piece_id, Effect.vendor)
    )
    used: dict[str, Counter[str]] = defaultdict(Counter)
    for piece_id, vendor, micros in rows:
        used[str(piece_id)][str(vendor)] += int(str(micros))
    return used
