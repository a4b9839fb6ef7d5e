"""Views: how many people a post reaches, step by step.

A post's fate is a function of what it is and of what was published before it, never of how its time was cut into calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
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
STRANGERS = 0.5  # those who a burst brings follow a link half as often: they did not come for the niche
_HOUR = timedelta(hours=1)
_FINE = timedelta(hours=72)  # a post's age up to which each step counts for itself
_COARSE = 36  # steps taken together later on: six hours
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def step_of(instant: datetime) -> int:
    """The step that an instant lies in; step ``n`` ends where ``n + 1`` begins."""
    return (instant - _EPOCH) // STEP


def end_of(step: int) -> datetime:
    return _EPOCH + (step + 1) * STEP


@dataclass(frozen=True)
class Burst:
    """A post that caught on: the platform shows it to strangers too.

    Attributes:
        times: so many times the post's own views come on top.
        after: hours of the post's life until it begins.
    """

    times: float
    after: float


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
    eventual_views: float  # without a burst
    burst: Burst | None
    curiosity: float  # share of viewers who follow the link


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
    begun, ended = (since - post.public_at) / _HOUR, (until - post.public_at) / _HOUR
    own, strange = shares_between(post, begun, ended)
    if own + strange <= 0:
        return None  # of sixty days' tail, less than a float can tell
    local = (since + (until - since) / 2).astimezone(ZONE)
    mood = audiences.trend(post.seen.niche, local.date(), post.platform)
    if local.weekday() >= 5:
        mood *= math.exp(post.audience.weekend)
    if until - since <= STEP:
        mood *= post.audience.awake(local.hour + local.minute / 60)
    draw = rng("views", post.identity, step)
    views = poisson(draw, post.eventual_views * (own + strange) * mood)
    curiosity = post.curiosity * (own + STRANGERS * strange) / (own + strange)
    # People decide for themselves: their draws are not shifted by how many came.
    if not views:
        return None
    visitors = binomial(rng("visitors", post.identity, step), views, curiosity)
    bots = poisson(rng("bots", post.identity, step), views * curiosity * 0.05)
    place = post.audience.platform
    return Increment(
        views=views,
        likes=binomial(draw, views, place.likes),
        comments=binomial(draw, views, place.comments),
        visitors=visitors,
        bots=bots,
    )


def shares_between(post: Performance, begun: float, ended: float) -> tuple[float, float]:
    """How much of ``eventual_views`` comes between two ages in hours: from the own audience, and from strangers."""

    def between(start: float) -> float:
        return post.audience.share_seen(ended - start) - post.audience.share_seen(begun - start)

    return between(0.0), post.burst.times * between(post.burst.after) if post.burst else 0.0


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


def luck(rng: RngOf, identity: str, audience: Audience) -> float:
    """What nobody can explain of a post's reach: normal in the logarithm, within two and a half deviations."""
    spread = audience.platform.spread
    return max(-2.5 * spread, min(2.5 * spread, rng("luck", identity).gauss(0, spread)))


def burst(rng: RngOf, identity: str, audience: Audience, merit: float) -> Burst | None:
    """Whether a post catches on: the likelier, the better it is; how far is Pareto's, up to the platform's ceiling.

    Args:
        merit: the logarithm of its reach without its luck.
    """
    draw, place = rng("burst", identity), audience.platform
    caught, times, after = draw.random(), draw.paretovariate(1.2), 2 + draw.expovariate(1 / 9)
    if caught >= min(0.35, place.catches * math.exp(1.2 * merit)):
        return None
    return Burst(min(times, place.ceiling), min(after, 72.0))


def fatigue(
    post: Impression, title: str, public_at: datetime, earlier: Iterable[tuple[Impression, str, datetime]]
) -> float:
    """What is lost to having seen it before: adds to the logarithm of reach.

    Args:
        earlier: the account's posts of the last ``MEMORY``, each with its title and time.
    """
    resemblance = crowd = 0.0
    said = False
    for other, other_title, other_at in earlier:
        apart = (public_at - other_at) / _HOUR
        like = 0.10 * (post.hook_pattern == other.hook_pattern)
        if post.item is not None and other.item is not None:
            like += 0.15 * (post.niche == other.niche) + 0.50 * (post.item == other.item)
        resemblance += like * math.exp(-apart / 72)
        crowd += math.exp(-apart / 3)
        said = said or other_title.casefold() == title.casefold()
    return -0.45 * min(resemblance, 3.0) - 0.12 * min(crowd, 4.0) - 0.6 * said


def conversion(post: Performance, *, appeal: float, price: float, same_item: bool) -> float:
    """The share of visitors of a product page who buy; fewer the dearer it is, by the platform's elasticity."""
    audience = post.audience
    value = 0.046 * math.exp(audience.purse + appeal - audience.platform.thrift * math.log(max(price, 1.0) / 60))
    if not post.seen.disclosed:
        value *= 0.75  # who finds out later trusts less
    if not same_item:
        value *= 0.3  # not what they came for
    return min(0.12, max(0.003, value))
