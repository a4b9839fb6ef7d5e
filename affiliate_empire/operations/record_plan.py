"""Decides a day's plan once and records it; later calls return what was recorded.

The decision uses the strategy in force when the day began and a snapshot of the ranking that is kept, so that it can be
read again as it was. ``piece_id`` is minted by ``decide`` and nowhere else. Deciding what is left of a planned day anew
is ``affiliate_empire.operations.replan_day``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from affiliate_empire.compliance import forbidden_claims
from affiliate_empire.effects.budgets import room
from affiliate_empire.effects.switches import held_accounts
from affiliate_empire.kernel.caps import Caps, Room
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.errors import EmpireError, Misconfigured
from affiliate_empire.kernel.ids import canonical_json
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import (
    Account,
    Piece,
    Plan,
    Product,
    PromptVersion,
    Strategy,
)
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.account_limits import limits_in_force, live_limits
from affiliate_empire.operations.account_posts import AccountPosts, load_posts
from affiliate_empire.operations.outcomes import product_name
from affiliate_empire.operations.snapshots import keep_snapshot
from affiliate_empire.operations.sync_trends import load_niches_on_test
from affiliate_empire.planning import (
    PLATFORM_KINDS,
    ContentPlan,
    DayCaps,
    PlanDecision,
    against_the_plan,
    piece_cost,
    plan_day,
    product_facts,
)
from affiliate_empire.planning.frames import PLAN_COLUMNS
from affiliate_empire.policy import Policy


class DayNeverPlanned(EmpireError):
    """A plan was asked for after the day's posting window had closed, and there is none."""


def record_plan(
    day: date,
    ranked: pd.DataFrame,
    *,
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
    """The plan of a day: decided and stored on the first call, returned as it was on every other.

    Args:
        day: the business day.
        ranked: ``RankedProducts`` of the day; looked at on the first call only.
        ledger: where strategy, accounts, products and plan are.
        clock: business time; a plan made inside its posting window takes the slots that are left.
        media: keeps the ranking as it was, as Parquet.
        policy: posting rules, prices, network rules.
        calendar: the day's window.
        slate: pieces asked for by platform, ``{"youtube": 2, "blog": 1}``.
        caps: what may be spent; the plan fits what they have left.
        seed: with the day it fixes the draw of prompt versions.
        clips: how many clips a video gets.
        clip_providers: who may be asked for them, the chosen one first; the dearest counts.
        closed: platforms that cannot be posted on, with the reason: nothing is made for them.

    Returns:
        ``ContentPlan``, in the order of the slots.

    Raises:
        DayNeverPlanned: the posting window has closed and no plan was ever made.
        Misconfigured: the ledger was never prepared (no strategy, no prompt version), or a cap names no known niche.
    """
    recorded = load_plan(day, ledger=ledger)
    if recorded is not None:
        return recorded
    now = clock.now()
    opens, closes = calendar.posting_window(day)
    if now >= closes:
        raise DayNeverPlanned(
            f"{day} was never planned and its posting window closed at {closes:%Y-%m-%d %H:%M} UTC: "
            "nothing can be made or posted for it any more; choose a later day."
        )
    on_test = load_niches_on_test(day, ledger=ledger, media=media)
    with ledger.begin() as session:
        decided = decide(
            session,
            day,
            ranked,
            policy=policy,
            calendar=calendar,
            slate=slate,
            room=money_left(session, day, caps),
            seed=seed,
            clips=clips,
            clip_providers=clip_providers,
            closed=closed,
            now=now,
            not_before=now if now >= opens else None,
            on_test=on_test,
        )
    snapshot_id = keep_snapshot("rankings", day, ranked, ledger=ledger, media=media, at=now)
    lost_the_race: IntegrityError | None = None
    try:
        with ledger.begin() as session:
            store_plan(session, day, decided, snapshot_id, now)
    except IntegrityError as error:
        lost_the_race = error  # another process planned the same day first: its plan is the plan
    recorded = load_plan(day, ledger=ledger)
    if recorded is None:
        raise lost_the_race or RuntimeError(f"the plan of {day} was stored and cannot be found")
    return recorded


@dataclass(frozen=True)
class Decided:
    """A decision that is not stored yet: the strategy it used, and the facts of its products by id."""

    revision: int
    plan: PlanDecision
    facts: Mapping[str, dict[str, str]]
    strategy_id: str


def decide(
    session: Session,
    day: date,
    ranked: pd.DataFrame,
    *,
    policy: Policy,
    calendar: BusinessCalendar,
    slate: Mapping[str, int],
    room: Room,
    seed: int,
    clips: int,
    clip_providers: Sequence[str],
    closed: Mapping[str, str] | None,
    now: datetime,
    not_before: datetime | None,
    on_test: Sequence[str] = (),
    standing: Sequence[Piece] = (),
) -> Decided:
    """Decide the next revision of a day from what the ledger holds; stores nothing.

    Args:
        slate: pieces asked for by platform, beside those that stand.
        room: what the new pieces may cost together.
        now: business time: what platforms said of accounts and still holds lowers their caps.
        not_before: no slot before this instant.
        standing: the day's pieces that stay: their slots, products and niches are taken.
    """
    kinds = {PLATFORM_KINDS[platform] for platform, asked in slate.items() if asked}
    costs = {
        kind: piece_cost(kind, policy=policy, on=day, clips=clips, clip_providers=clip_providers)
        for kind in sorted(kinds)
    }
    opens, _ = calendar.posting_window(day)
    posting = {platform: policy.posting(platform) for platform in slate}
    longest = max((rule.window for rule in posting.values()), default=timedelta(0))
    posts = load_posts(session, opens - longest)
    for piece in standing:
        known = posts.setdefault(piece.account_id, AccountPosts())
        # New slots stand apart from the slots of the day, not from the minutes by which its posts were late.
        (known.past if piece.piece_id in known.past else known.ahead)[piece.piece_id] = piece.slot_at
    revision = 1 + int(session.scalar(select(func.coalesce(func.max(Plan.revision), 0)).where(Plan.day == day)) or 0)
    strategy = strategy_in_force(session, calendar.midnight(day))
    decision = plan_day(
        ranked,
        strategy.content,
        _accounts(session),
        DayCaps(
            slate=slate,
            room=room,
            costs=costs,
            posting=posting,
            prompts=_prompts(session, kinds),
            past_posts={account_id: list(each.past.values()) for account_id, each in posts.items()},
            ahead={account_id: list(each.ahead.values()) for account_id, each in posts.items()},
            live=live_limits(limits_in_force(session, now)),
            closed=closed or {},
            not_before=not_before,
            on_test=on_test,
            tested_from=policy.topic_rule.smallest_slate,
            standing=[piece.niche for piece in standing],
        ),
        day=day,
        calendar=calendar,
        seed=seed,
        revision=revision,
    )
    planned = policy.original_plan.piece_micros
    decision.evidence["piece_cost"] = [against_the_plan(kind, cost, planned) for kind, cost in costs.items()]
    return Decided(revision, decision, _facts(session, decision, policy), strategy.strategy_id)


def load_plan(day: date, *, ledger: Ledger) -> pd.DataFrame | None:
    """The recorded plan of a day (``ContentPlan``: what no later revision superseded); None when there is none."""
    with ledger.begin() as session:
        plans = {plan.revision: plan for plan in session.scalars(select(Plan).where(Plan.day == day))}
        if not plans:
            return None
        pieces = session.execute(
            select(Piece, Product.program_id)
            .join(Product, Product.product_id == Piece.product_id)
            .where(Piece.day == day, Piece.status != "superseded")
            .order_by(Piece.slot_at, Piece.account_id, Piece.piece_id)
        )
        rows = [
            {
                **{name: getattr(piece, name, None) for name in PLAN_COLUMNS},
                "product": product_name(piece.facts),
                "program_id": program_id,
                "facts": canonical_json(piece.facts),
                "strategy_id": plans[piece.revision].strategy_id,
                "ranking_snapshot_id": plans[piece.revision].ranking_snapshot_id,
            }
            for piece, program_id in pieces
        ]
    frame = pd.DataFrame(rows, columns=PLAN_COLUMNS)
    frame["slot_at"] = pd.to_datetime(frame["slot_at"], utc=True)
    return ContentPlan.validate(frame)


def load_plan_evidence(day: date, *, ledger: Ledger) -> dict[str, Any]:
    """What the recorded plan of a day rests on: asked, planned, the caps that bound; empty when there is no plan."""
    with ledger.begin() as session:
        evidence = session.scalar(select(Plan.evidence).where(Plan.day == day).order_by(Plan.revision.desc()).limit(1))
    return dict(evidence or {})


def strategy_in_force(session: Session, at: datetime) -> Strategy:
    """The strategy in force at an instant.

    Raises:
        Misconfigured: the ledger has none.
    """
    query = select(Strategy).where(Strategy.in_force_from <= at)
    found = session.scalar(query.order_by(Strategy.in_force_from.desc(), Strategy.version.desc()).limit(1))
    if found is None:
        raise Misconfigured("The ledger has no strategy yet: run `empire demo`, or materialize prompt_versions.")
    session.expunge(found)
    return found


def _accounts(session: Session) -> list[dict[str, Any]]:
    """Every account, with what holds it: what it cannot have made or posted is not planned for it."""
    held = held_accounts(session)
    return [
        {
            "account_id": a.account_id,
            "platform": a.platform,
            "niche": a.niche,
            "status": held.get(a.account_id, "active"),
        }
        for a in session.scalars(select(Account).order_by(Account.account_id))
    ]


def _prompts(session: Session, kinds: Set[str]) -> dict[str, list[str]]:
    prompts: dict[str, list[str]] = {kind: [] for kind in kinds}
    active = select(PromptVersion).where(PromptVersion.status == "active").order_by(PromptVersion.prompt_version)
    for version in session.scalars(active):
        prompts.setdefault(version.kind, []).append(version.prompt_version)
    missing = [kind for kind in sorted(kinds) if not prompts[kind]]
    if missing:
        raise Misconfigured(f"The ledger has no active prompt version for a {missing[0]}: materialize prompt_versions.")
    return prompts


def money_left(session: Session, day: date, caps: Caps) -> Room:
    """What the caps have left for a day.

    Raises:
        Misconfigured: a cap names a niche that no product was ever of: it would hold nobody back.
    """
    if caps.niche_day_micros:
        known = set(session.scalars(select(Product.niche).distinct()))
        unknown = sorted(set(caps.niche_day_micros) - known)
        if unknown:
            raise Misconfigured(
                f"EMPIRE_BUDGET_NICHE_DAY_USD names {', '.join(unknown)}, which no product belongs to: correct it; "
                f"the niches are {', '.join(sorted(known)) or 'none yet'}."
            )
    return room(session, day, caps)


def _facts(session: Session, decision: PlanDecision, policy: Policy) -> dict[str, dict[str, str]]:
    """The facts of each piece's product as the ledger has them now, by product id."""
    ids = decision.pieces["product_id"].tolist()
    return {
        product.product_id: product_facts(
            title=product.title,
            brand=product.brand,
            category=product.category,
            price_micros=product.price_micros,
            currency=product.currency,
            description=product.description,
            price_may_be_shown=policy.network(product.program_id.partition(":")[0]).price_display_allowed,
            objections=forbidden_claims,
        )
        for product in session.scalars(select(Product).where(Product.product_id.in_(ids)))
    }


def store_plan(
    session: Session,
    day: date,
    decided: Decided,
    snapshot_id: str,
    now: datetime,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Store a decision as a revision of its day, with its pieces and its evidence, or another in its place."""
    session.add(
        Plan(
            day=day,
            revision=decided.revision,
            strategy_id=decided.strategy_id,
            ranking_snapshot_id=snapshot_id,
            evidence=dict(evidence or decided.plan.evidence),
            decided_at=now,
        )
    )
    for row in decided.plan.pieces.to_dict("records"):
        values = {str(name): value for name, value in row.items()}
        values["slot_at"] = values["slot_at"].to_pydatetime()
        facts = decided.facts[values["product_id"]]
        session.add(Piece(day=day, revision=decided.revision, facts=facts, reason=None, **values))
