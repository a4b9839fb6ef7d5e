"""Views: how many people a post reaches, step by step.

A post's fate is a function of what it is and of what was published before it, never of how its time was cut into calls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from affiliate_empire.sandbox.market.audiences import Audience, RngOf
from affiliate_empire.sandbox.market.chance import binomial, poisson
from affiliate_empire.sandbox.market.taste import ZONE, Impression

if TYPE_CHECKING:
    from affiliate_empire.sandbox.market.audiences import Audiences

STEP = timedelta(minutes=10)
LIFETIME = timedelta(days=60)  # after which a post is as good as forgotten
MEMORY = timedelta(days=7)  # how long an account's posts are remembered by those who see the next one
_FINE = timedelta(hours=72)  # a post's age up to which each step counts for itself
_COARSE = 36  # steps taken together later on: six hours
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def step_of(instant: datetime) -> int:
    """The step that an instant lies in; step ``n`` ends where ``n + 1`` begins."""
    return (instant - _EPOCH) // STEP


def end_of(step: int) -> datetime:
    return _EPOCH + (step + 1) * STEP


@dataclass(frozen=True)
class Performance:
    """A post on its stage: all that decides how it does."""

    platform: str
    account: str
    remote_id: str  # to file the numbers under; no draw depends on it
    identity: str  # what it says, hashed
    public_at: datetime
    removed_at: datetime | None
    seen: Impression
    audience: Audience
    parts: dict[str, float]  # of the logarithm of its reach
    eventual_views: float
    curiosity: float  # share of viewers who follow the link
    purse: float  # factor on the share of visitors who buy


@dataclass(frozen=True)
class Increment:
    """What a step adds to a post."""

    views: int
    likes: int
    comments: int
    visitors: int
    bots: int


def increment(post: Performance, step: int, audiences: Audiences, rng: RngOf) -> Increment | None:
    """What happens to a post in a step; None when nothing does."""
    until, since = _counted(post, step), _counted(post, step - 1)
    if until <= since:
        return None

    def age(instant: datetime) -> float:
        return (instant - post.public_at) / timedelta(hours=1)

    share = post.audience.share_seen(age(until)) - post.audience.share_seen(age(since))
    middle = since + (until - since) / 2
    local = middle.astimezone(ZONE)
    mood = audiences.trend(post.seen.niche, local.date())
    if until - since <= STEP:
        mood *= post.audience.awake(local.hour + local.minute / 60)
    draw = rng("views", post.identity, step)
    views = poisson(draw, post.eventual_views * share * mood)
    # People decide for themselves: their draws are not shifted by how many came.
    visitors = binomial(rng("visitors", post.identity, step), views, post.curiosity)
    bots = poisson(rng("bots", post.identity, step), views * post.curiosity * 0.03)
    if not (views or bots):
        return None
    return Increment(
        views=views,
        likes=binomial(draw, views, 0.031),
        comments=binomial(draw, views, 0.0022),
        visitors=visitors,
        bots=bots,
    )


def _counted(post: Performance, step: int) -> datetime:
    """Until when a post's views are counted once a step has passed."""
    end = end_of(step)
    fine = end_of(step_of(post.public_at + _FINE))
    if end > fine:
        end = max(fine, end_of(step - (step + 1) % _COARSE))
    last = post.public_at + LIFETIME
    if post.removed_at is not None:
        last = min(last, post.removed_at)
    return max(post.public_at, min(end, last))


def fatigue(
    post: Impression, title: str, public_at: datetime, earlier: list[tuple[Impression, str, datetime]]
) -> float:
    """What is lost to having seen it before: adds to the logarithm of reach. ``earlier`` are the account's posts."""
    again = crowd = 0
    said = False
    for other, other_title, other_at in earlier:
        apart = public_at - other_at
        if apart < MEMORY and post.item is not None and other.item == post.item:
            again += 1
            said = said or other_title.casefold() == title.casefold()
        if apart < timedelta(hours=1):
            crowd += 1
    return -0.25 * min(again, 3) - 0.12 * min(crowd, 4) - 0.6 * said


def conversion(post: Performance, *, appeal: float, price: float, same_item: bool) -> float:
    """The share of visitors of a product page who buy; fewer the dearer it is, by a constant elasticity."""
    value = 0.045 * math.exp(post.purse + appeal - 0.6 * math.log(max(price, 1.0) / 70))
    if not post.seen.disclosed:
        value *= 0.75  # who finds out later trusts less
    if not same_item:
        value *= 0.3  # not what they came for
    return min(0.12, max(0.005, value))
