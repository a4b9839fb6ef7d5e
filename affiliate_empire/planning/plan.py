"""The day's decision: how many pieces, of which products, in which slots, by which prompt versions.

In this order, each bound saying by how much it cut:

1. **Slots**: as many as the slate asks of each platform and its accounts' posting rules allow, best hours first.
2. **Money**: pieces are kept while their upper bounds fit what the caps of day, month and vendors have left, each
   platform's share of the slate shrinking alike; a niche with a cap gets no product beyond it.
3. **Products** (``planning.products``): down the ranking (score × the strategy's niche weight), a product (and a name)
   once a day, at most half of the day in one niche; where the catalogue has too few niches for that, an even share of
   those there are. Accounts bound to a niche are served first; what they cannot fill goes to others of their platform.
   A niche on test gets at least one piece of a day that is large enough, in its last slots if the ranking gives it
   none.
4. **Prompt versions**: drawn by systematic sampling, so that the day's mix is as close to the weights as whole pieces
   allow while each slot's probability is exactly the recorded propensity.

``P(version) = share / versions + (1 - share) × weight`` with the strategy's exploration share. The propensity is that
of the prompt version alone: the product of a slot is not drawn, it follows from the ranking. Chance comes from a hash
of seed, day and revision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from affiliate_empire.kernel.caps import Room
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.ids import derived_id
from affiliate_empire.kernel.money import dollars
from affiliate_empire.planning.costs import PieceCost
from affiliate_empire.planning.frames import PIECE_COLUMNS, PlannedPieces
from affiliate_empire.planning.products import Demand, bound, choose_products
from affiliate_empire.planning.slots import LiveLimit, choose_slots
from affiliate_empire.policy import PostingRule

PLATFORM_KINDS = {"youtube": "video", "tiktok": "video", "instagram": "video", "blog": "post"}


@dataclass(frozen=True)
class DayCaps:
    """What a plan may not exceed.

    Attributes:
        slate: pieces asked for, by platform.
        room: what the caps on money have left.
        costs: what a piece costs, by kind.
        posting: posting rule by platform.
        past_posts: instants at which an account posted, by account.
        ahead: slots in which an account will post already outside this plan, by account.
        live: what a platform said of an account, by account; it only lowers the posting rule.
        prompts: active prompt versions, by kind.
        closed: platforms that cannot be posted on, with the reason.
        not_before: slots before this instant are gone; None when the plan is made before the posting window.
        on_test: niches that the week tests, most wanted first.
        tested_from: pieces of a day from which on each niche on test gets one.
        standing: niches of the day's pieces that stand already, one each: a re-plan counts them into a niche's share.
    """

    slate: Mapping[str, int]
    room: Room
    costs: Mapping[str, PieceCost]
    posting: Mapping[str, PostingRule]
    prompts: Mapping[str, Sequence[str]]
    past_posts: Mapping[str, Sequence[datetime]] = field(default_factory=dict)
    ahead: Mapping[str, Sequence[datetime]] = field(default_factory=dict)
    live: Mapping[str, Sequence[LiveLimit]] = field(default_factory=dict)
    closed: Mapping[str, str] = field(default_factory=dict)
    not_before: datetime | None = None
    on_test: Sequence[str] = ()
    tested_from: int = 0
    standing: Sequence[str] = ()


@dataclass(frozen=True)
class PlanDecision:
    """``pieces`` (``PlannedPieces``) and ``evidence``: what was asked, which caps bound and by how much."""

    pieces: pd.DataFrame
    evidence: dict[str, Any]


def plan_day(
    ranked: pd.DataFrame,
    strategy: Mapping[str, Any],
    accounts: Sequence[Mapping[str, Any]],
    caps: DayCaps,
    *,
    day: date,
    calendar: BusinessCalendar,
    seed: int,
    revision: int = 1,
) -> PlanDecision:
    """Decide a day.

    Args:
        ranked: ``RankedProducts`` of the day.
        strategy: content of the strategy in force: ``prompt_weights`` (kind → version → weight), ``niche_weights``
            (niche → factor, 1 where absent), ``exploration_share`` (fraction).
        accounts: ``account_id``, ``platform``, ``niche`` (None: any), ``status``: ``active``, or why nothing is sent
            for it, as in ``paused (a holiday)``; only active ones are used.
        caps: what may not be exceeded.
        day: the business day.
        calendar: its posting window and local hours.
        seed: all chance comes from it, the day and the revision.
        revision: counts re-plans of the day.
    """
    bounds: list[dict[str, Any]] = []
    asked, offers = _demands(accounts, caps, day, calendar, bounds)
    demands = _within_money(asked, caps, bounds)
    on_test = list(caps.on_test) if len(demands) >= caps.tested_from else []
    if caps.on_test and not on_test:
        sentence = (
            f"No piece is sure for {' and '.join(caps.on_test)}, on test this week: the day has {len(demands)} pieces, "
            f"and tests begin at {caps.tested_from}."
        )
        bounds.append(bound("test", "all", len(caps.on_test), 0, sentence))
    chosen, told = choose_products(
        demands,
        offers,
        ranked,
        niche_weights=strategy.get("niche_weights", {}),
        costs=caps.costs,
        niche_micros=caps.room.niche_micros,
        on_test=on_test,
        standing=caps.standing,
    )
    bounds += told
    rows: list[dict[str, Any]] = []
    probabilities: dict[str, dict[str, float]] = {}
    for kind in dict.fromkeys(demand.kind for demand, _ in chosen):
        share = float(strategy["exploration_share"])
        cells = _cells(caps.prompts[kind], strategy["prompt_weights"].get(kind, {}), share)
        probabilities[kind] = _propensities(cells)
        mine = [pair for pair in chosen if pair[0].kind == kind]
        draws = _systematic(cells, len(mine), (seed, day, revision, kind))
        for (demand, product), (arm, version) in zip(mine, draws, strict=True):
            rows.append(
                {
                    "piece_id": derived_id("pc", day, demand.account_id, demand.slot_at.isoformat(), revision),
                    "kind": kind,
                    "platform": demand.platform,
                    "account_id": demand.account_id,
                    "slot_at": demand.slot_at,
                    "product_id": product["product_id"],
                    "niche": product["niche"],
                    "prompt_version": version,
                    "arm": arm,
                    "propensity": probabilities[kind][version],
                    "max_cost_micros": caps.costs[kind].max_micros,
                    # The score is what a piece about the product should earn, in dollars.
                    "expected_profit_micros": round(product["weighted"] * 1e6) - caps.costs[kind].usual_micros,
                }
            )
    pieces = pd.DataFrame(rows, columns=PIECE_COLUMNS).sort_values(["slot_at", "account_id"], ignore_index=True)
    pieces["slot_at"] = pd.to_datetime(pieces["slot_at"], utc=True)
    ranks = ranked.set_index("product_id")["rank"]
    planned = {platform: int((pieces["platform"] == platform).sum()) for platform in caps.slate}
    evidence = {
        "asked": dict(caps.slate),
        "planned": planned,
        "bounds": bounds,
        "budget_micros": caps.room.micros,
        "max_cost_micros": int(pieces["max_cost_micros"].sum()),
        "ranked": len(ranked),
        "eligible": int(ranked["eligible"].sum()),
        "ranks": {
            piece: int(ranks[product]) for piece, product in zip(pieces["piece_id"], pieces["product_id"], strict=True)
        },
        "on_test": list(caps.on_test),
        "prompt_probabilities": probabilities,
        "seed": seed,
    }
    return PlanDecision(PlannedPieces.validate(pieces[PIECE_COLUMNS]), evidence)


def _demands(
    accounts: Sequence[Mapping[str, Any]],
    caps: DayCaps,
    day: date,
    calendar: BusinessCalendar,
    bounds: list[dict[str, Any]],
) -> tuple[list[Demand], list[Demand]]:
    """Slots for the slate, best hours first, a platform's accounts taking turns; the platforms interleaved evenly.

    Returns:
        A demand for each piece, and everything that the accounts offer, these demands among it.
    """
    demands: list[tuple[float, Demand]] = []
    offered: list[Demand] = []
    for platform, asked in caps.slate.items():
        if asked and platform in caps.closed:
            reason = f"0 of {asked} on {platform}: {caps.closed[platform]}."
            bounds.append(bound("closed", platform, asked, 0, reason))
            continue
        all_of_it = [account for account in accounts if account["platform"] == platform]
        mine = [account for account in all_of_it if account["status"] == "active"]
        offers: list[list[Demand]] = []
        why, said = "" if mine else "account", ""
        for account in sorted(mine, key=lambda a: str(a["account_id"])):
            choice = choose_slots(
                caps.posting[platform],
                day=day,
                calendar=calendar,
                wanted=asked,
                past=caps.past_posts.get(account["account_id"], ()),
                ahead=caps.ahead.get(account["account_id"], ()),
                not_before=caps.not_before,
                live=caps.live.get(account["account_id"], ()),
            )
            why, said = why or choice.bound, said or choice.said
            kind = PLATFORM_KINDS[platform]
            offers.append(
                [Demand(kind, platform, account["account_id"], account["niche"], slot) for slot in choice.slots]
            )
        offered += [demand for offer in offers for demand in offer]
        turns = [offer[turn] for turn in range(asked) for offer in offers if turn < len(offer)][:asked]
        if len(turns) < asked:
            sentence = {
                "account": "no active account takes them",
                "quota": f"an account may post {caps.posting[platform].limit} in "
                f"{caps.posting[platform].window / timedelta(hours=1):.0f} hours",
                "live": f"the platform lets its accounts post less now ({said.rstrip('.')})",
                "spacing": f"posts stand {caps.posting[platform].spacing / timedelta(minutes=1):g} minutes apart",
                "passed": "the other slots have passed",
                "slots": "the platform has no more preferred hours",
            }[why]
            left_out = [f"{each['account_id']} is {each['status']}" for each in all_of_it if each not in mine]
            because = "; ".join([sentence, *left_out])
            bounds.append(bound(why, platform, asked, len(turns), f"{len(turns)} of {asked} on {platform}: {because}."))
        demands += [((turn + 0.5) / asked, demand) for turn, demand in enumerate(turns)]
    return [demand for _, demand in sorted(demands, key=lambda placed: placed[0])], offered


def fitting(kinds: Sequence[str], costs: Mapping[str, PieceCost], room: Room) -> tuple[list[bool], list[str]]:
    """Which pieces' upper bounds fit the room together, first come first served, and which caps hold others back."""
    had = {"the day's cap": room.day_micros, "the month's cap": room.month_micros} | {
        f"the cap of vendor {name}": micros for name, micros in room.vendor_micros.items()
    }
    left, kept, full = dict(had), [], dict[str, None]()
    for kind in kinds:
        cost = costs[kind]
        takes = {"the day's cap": cost.max_micros, "the month's cap": cost.max_micros} | {
            f"the cap of vendor {name}": micros for name, micros in cost.by_vendor.items()
        }
        without_room = [name for name, micros in left.items() if takes.get(name, 0) > micros]
        full |= dict.fromkeys(without_room)
        kept.append(not without_room)
        if not without_room:
            left = {name: micros - takes.get(name, 0) for name, micros in left.items()}
    return kept, [f"{name} has {dollars(had[name])} left" for name in full]


def _within_money(demands: list[Demand], caps: DayCaps, bounds: list[dict[str, Any]]) -> list[Demand]:
    """The pieces whose upper bounds fit together; says how much the plan shrank, in pieces and dollars."""
    fits, full = fitting([demand.kind for demand in demands], caps.costs, caps.room)
    kept = [demand for demand, keeps in zip(demands, fits, strict=True) if keeps]
    if not full:
        return kept
    all_of_it, planned = (sum(caps.costs[one.kind].max_micros for one in some) for some in (demands, kept))
    sentence = (
        f"{len(kept)} of {len(demands)} pieces fit the budget, {len(demands) - len(kept)} fewer: all might cost "
        f"{dollars(all_of_it)} and those planned {dollars(planned)}, {dollars(all_of_it - planned)} less; "
        f"{' and '.join(full)}."
    )
    bounds.append(bound("budget", "all", len(demands), len(kept), sentence))
    for platform in dict.fromkeys(demand.platform for demand in demands):
        asked = sum(demand.platform == platform for demand in demands)
        allowed = sum(demand.platform == platform for demand in kept)
        if allowed < asked:
            each = caps.costs[PLATFORM_KINDS[platform]].max_micros
            sentence = f"{allowed} of {asked} on {platform}: each may cost up to {dollars(each)}."
            bounds.append(bound("budget", platform, asked, allowed, sentence))
    return kept


def _cells(versions: Sequence[str], weights: Mapping[str, float], share: float) -> list[tuple[str, str, float]]:
    """Arm, version and probability; versions the strategy does not know yet are only explored."""
    known = sorted(versions)
    total = sum(float(weights.get(version, 0.0)) for version in known)
    cells = []
    for version in known:
        weight = float(weights.get(version, 0.0)) / total if total > 0 else 1 / len(known)
        cells.append(("exploit", version, (1 - share) * weight))
        cells.append(("explore", version, share / len(known)))
    return cells


def _propensities(cells: Sequence[tuple[str, str, float]]) -> dict[str, float]:
    propensities: dict[str, float] = {}
    for _, version, probability in cells:
        propensities[version] = propensities.get(version, 0.0) + probability
    return {version: round(probability, 12) for version, probability in propensities.items()}


def _systematic(cells: Sequence[tuple[str, str, float]], count: int, key: tuple[object, ...]) -> list[tuple[str, str]]:
    """``count`` draws at equal distances from one hashed start, in hashed order: each is a fair draw by itself."""
    start = _uniform(*key, "start")
    total = sum(probability for _, _, probability in cells)
    drawn: list[tuple[str, str]] = []
    for number in range(count):
        point = (start + number) / count * total
        for arm, version, probability in cells:
            if point < probability:
                drawn.append((arm, version))
                break
            point -= probability
        else:  # rounding left the last point beyond the last cell
            drawn.append((cells[-1][0], cells[-1][1]))
    order = sorted(range(count), key=lambda number: _uniform(*key, "order", number))
    return [drawn[number] for number in order]


def _uniform(*key: object) -> float:
    """A number in [0, 1) that only the key decides."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in key).encode()).digest()
    return int.from_bytes(digest[:7], "big") / float(1 << 56)
