"""Decides anew what is left of a planned day, once per cause: an explicit act, never a side effect of materializing.

It takes an account's open pieces out of the day and plans the slots that are left on its platform's active accounts.
No content moves to another account: the new pieces are new content, about products that the day did not have before.
What is posted, or begun, or at most an hour ahead, stays as it is, and so does every other platform's part of the day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pandas as pd
from sqlalchemy import select

from affiliate_empire.kernel.caps import Caps
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Effect, Piece, Plan, Publication
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.keep_room import needs
from affiliate_empire.operations.outcomes import product_name
from affiliate_empire.operations.publish_piece import OPERATION
from affiliate_empire.operations.record_plan import decide, load_plan, money_left, record_plan, store_plan
from affiliate_empire.operations.snapshots import keep_snapshot
from affiliate_empire.policy import Policy

# A piece is not made in less; and what is so near may be on its way to its platform, which takes it before its slot.
UNTOUCHED = timedelta(minutes=60)


def replan_day(
    day: date,
    ranked: pd.DataFrame,
    *,
    cause: str,
    account_id: str,
    ledger: Ledger,
    clock: Clock,
    media: MediaStore,
    policy: Policy,
    calendar: BusinessCalendar,
    slate: Mapping[str, int],
    caps: Caps,
    seed: int,
    clips: int = 0,
    clip_providers: Sequence[str] = (),
    closed: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The plan of a day after an account dropped out of it: a new revision, at most one per cause.

    Args:
        day: the business day; one that was never planned is planned as ``record_plan`` does.
        ranked: ``RankedProducts`` of the day.
        cause: what happened, ``restricted:youtube:gearlab:2026-11-21``; kept as evidence.
        account_id: whose open pieces are superseded; its platform is planned anew.
        ledger, clock, media, policy, calendar, slate, seed, clips, clip_providers, closed: as ``record_plan``
            takes them.
        caps: what may be spent; what the pieces that stay may still cost is kept back of what is left of them.

    Returns:
        ``ContentPlan`` with the pieces that stay and the new ones; as it was when the posting window has closed.

    Raises:
        DayNeverPlanned, Misconfigured: as ``record_plan``.
    """
    now = clock.now()
    _, closes = calendar.posting_window(day)
    recorded = load_plan(day, ledger=ledger)
    if recorded is None:
        return record_plan(
            day,
            ranked,
            ledger=ledger,
            clock=clock,
            media=media,
            policy=policy,
            calendar=calendar,
            slate=slate,
            caps=caps,
            seed=seed,
            clips=clips,
            clip_providers=clip_providers,
            closed=closed,
        )
    if now >= closes:
        return recorded
    snapshot_id = keep_snapshot("rankings", day, ranked, ledger=ledger, media=media, at=now)
    with ledger.begin() as session:
        # The first revision's row is the day's lock: two causes at once are decided one after the other.
        session.scalars(select(Plan).where(Plan.day == day, Plan.revision == 1).with_for_update()).one()
        plans = session.scalars(select(Plan).where(Plan.day == day)).all()
        if any(plan.evidence.get("replanned", {}).get("cause") == cause for plan in plans):
            return recorded
        platform = session.get_one(Account, account_id).platform
        begun = select(Effect.piece_id).where(Effect.operation == OPERATION, Effect.piece_id.is_not(None))
        taken_out = session.scalars(
            select(Piece)
            .where(
                Piece.day == day,
                Piece.account_id == account_id,
                Piece.status == "planned",
                Piece.slot_at > now + UNTOUCHED,
                Piece.piece_id.not_in(begun),
                Piece.piece_id.not_in(select(Publication.piece_id)),
            )
            .order_by(Piece.slot_at)
            .with_for_update()
        ).all()
        for piece in taken_out:
            piece.status, piece.reason = "superseded", f"re-planned: {cause}"
        session.flush()
        standing = session.scalars(select(Piece).where(Piece.day == day, Piece.status != "superseded")).all()
        room = money_left(session, day, caps)
        open_ones = [piece for piece in standing if piece.status == "planned"]
        promised = needs(session, open_ones, policy=policy, clips=clips, clip_providers=clip_providers)
        for piece in open_ones:
            need = promised[piece.piece_id]
            room = room.less(need.micros, need.by_vendor, piece.niche)
        stand = sum(piece.platform == platform and piece.status == "planned" for piece in standing)
        # What the account was to post goes to no other account either, not even as other content about its products.
        barred = [*standing, *taken_out]
        used = {piece.product_id for piece in barred} | {product_name(piece.facts).casefold() for piece in barred}
        free = ~(ranked["product_id"].isin(used) | ranked["title"].str.casefold().isin(used))
        decided = decide(
            session,
            day,
            ranked.assign(eligible=ranked["eligible"] & free),
            policy=policy,
            calendar=calendar,
            # At most as many as were taken out: what was quarantined is not made up for.
            slate={platform: max(0, min(len(taken_out), slate.get(platform, 0) - stand))},
            room=room,
            seed=seed,
            clips=clips,
            clip_providers=clip_providers,
            closed=closed,
            now=now,
            not_before=now + UNTOUCHED,
            standing=standing,
        )
        before = max(plans, key=lambda plan: plan.revision).evidence
        new = decided.plan.evidence
        platforms = [*(piece.platform for piece in standing), *decided.plan.pieces["platform"]]
        evidence = before | {
            # The day's evidence stays the whole day's, so that a report of it says why a piece is or is not there.
            "planned": {asked: platforms.count(asked) for asked in before["asked"]},
            "bounds": [*before["bounds"], *new["bounds"]],
            "ranks": before["ranks"] | new["ranks"],
            "replanned": {
                "cause": cause,
                "account": account_id,
                "superseded": [piece.piece_id for piece in taken_out],
                "decision": new,
            },
        }
        store_plan(session, day, decided, snapshot_id, now, evidence)
    replanned = load_plan(day, ledger=ledger)
    return recorded if replanned is None else replanned
