"""Says what a day will cost before anything is spent, and keeps the owner's word that it may.

Reads policy's prices, the slate, the accounts, the day's plan where there is one, and what the caps have left; writes
nothing but the confirmation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import select

from affiliate_empire.effects.confirmation import Terms, confirm, unconfirmed
from affiliate_empire.effects.switches import held_accounts
from affiliate_empire.kernel.caps import Caps
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account
from affiliate_empire.operations.record_plan import load_plan, money_left
from affiliate_empire.planning import PLATFORM_KINDS, piece_cost
from affiliate_empire.planning.forecast import Forecast, forecast_costs
from affiliate_empire.policy import Policy


def forecast_day(
    day: date,
    *,
    ledger: Ledger,
    policy: Policy,
    slate: Mapping[str, int],
    caps: Caps,
    clips: int = 0,
    clip_providers: Sequence[str] = (),
    closed: Mapping[str, str] | None = None,
) -> Forecast:
    """What a day may and should cost.

    Args:
        slate: pieces asked for by platform.
        caps: what may be spent.
        clips: how many clips a video gets.
        clip_providers: who may be asked for them, the chosen one first.
        closed: platforms that cannot be posted on, with the reason: nothing is made for them.
    """
    plan = load_plan(day, ledger=ledger)
    with ledger.begin() as session:
        usable = select(Account.platform).where(Account.account_id.not_in(held_accounts(session)))
        accounts = Counter(session.scalars(usable))
        room = money_left(session, day, caps)
    asked = {
        platform: min(number, policy.posting(platform).limit * accounts[platform])
        for platform, number in slate.items()
        if platform not in (closed or {})
    }
    kinds = sorted({PLATFORM_KINDS[platform] for platform, number in asked.items() if number}, reverse=True)
    return forecast_costs(
        day,
        asked=asked,
        planned=None if plan is None else Counter(map(str, plan["kind"])),
        costs={
            kind: piece_cost(kind, policy=policy, on=day, clips=clips, clip_providers=clip_providers) for kind in kinds
        },
        caps=caps,
        room=room,
        original=policy.original_plan,
    )


def why_not_confirmed(*, ledger: Ledger, caps: Caps, slate: Mapping[str, int]) -> str | None:
    """Why live spending waits for the owner, as a sentence; None when it is confirmed."""
    with ledger.begin() as session:
        return unconfirmed(session, Terms(caps, sum(slate.values())))


def confirm_forecast(forecast: Forecast, *, ledger: Ledger, slate: Mapping[str, int], at: datetime) -> str:
    """Keep the owner's word that a day may cost this; returns the hash of what was confirmed."""
    figures = {
        "max_micros": forecast.max_micros,
        "usual_micros": forecast.usual_micros,
        "pieces": dict(forecast.pieces),
    }
    with ledger.begin() as session:
        return confirm(session, forecast.day, Terms(forecast.caps, sum(slate.values())), figures, at=at)
