"""The day as the world witnessed it, held against the day as the ledger has it.

The world keeps its own record of what reached it. A figure of the demo is shown only beside the witness's; the two
must be the same, or the demo fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from affiliate_empire.compliance import check_page
from affiliate_empire.kernel.money import dollars
from affiliate_empire.operations.total_day import DayTotals
from affiliate_empire.policy import Policy, load_policy
from affiliate_empire.publishing.flags import DRAFT_DISCLOSURES

# Where each platform's request bears its labels.
_LABELS_IN_REQUEST: dict[str, dict[str, tuple[str, ...]]] = {
    "youtube": {
        "containsSyntheticMedia": ("status", "containsSyntheticMedia"),
        "hasPaidProductPlacement": ("paidProductPlacementDetails", "hasPaidProductPlacement"),
    },
    "tiktok": {
        "is_aigc": ("post_info", "is_aigc"),
        "brand_content_toggle": ("post_info", "brand_content_toggle"),
    },
    "instagram": {"is_ai_generated": ("is_ai_generated",), "is_paid_partnership": ("is_paid_partnership",)},
}


@dataclass(frozen=True)
class Witness:
    """What the world saw: every post, charge, click and payout since it was made. Money in micros.

    ``uncertain_clicks`` counts requests that were under way when the world itself was killed: it never learnt whether
    they were answered.
    """

    posts: list[dict[str, Any]]
    charges: list[dict[str, Any]]
    clicks: list[dict[str, Any]]
    payouts: list[dict[str, Any]]
    uncertain_clicks: int = 0

    @classmethod
    def fetch(cls, world_url: str) -> Witness:
        """Ask the world."""
        with httpx.Client(base_url=world_url, timeout=60, trust_env=False) as client:

            def ask(name: str) -> Any:
                return client.get(f"/_world/{name}").raise_for_status().json()

            lists = {name: ask(name) for name in ("posts", "charges", "clicks", "payouts")}
            return cls(**lists, uncertain_clicks=ask("summary")["clicks_uncertain"])


@dataclass(frozen=True)
class Agreement:
    """The witness's figures of one day and every disagreement, as sentences. Unknown things count against us."""

    posts: int
    charges_micros: int
    clicks: int
    revenue_micros: int
    problems: list[str]


def compare(totals: DayTotals, elsewhere: list[DayTotals], witness: Witness) -> Agreement:
    """Hold a day against the witness.

    What belongs to the home's other days (``elsewhere``) is set aside; whatever then remains unknown to the ledger is a
    disagreement of this day.
    """
    problems: list[str] = []

    known_posts = {remote for other in elsewhere for remote in other.posts}
    posts = [post["remote_id"] for post in witness.posts if post["remote_id"] not in known_posts]
    problems += [
        f"The world has a post the ledger does not know: {post}." for post in posts if post not in totals.posts
    ]
    problems += [f"The ledger has a post the world never saw: {post}." for post in totals.posts if post not in posts]
    problems += [f"The world saw post {post} twice." for post in {p for p in posts if posts.count(p) > 1}]
    problems += _undisclosed(totals, witness, load_policy())

    known_charges = {request for other in elsewhere for request in other.charges}
    charges = {c["request_id"]: int(c["micros"]) for c in witness.charges if c["request_id"] not in known_charges}
    unmatched = dict(charges)
    for request, booked in totals.charges.items():
        charged = unmatched.pop(request, None)
        if charged != booked:
            seen = "nothing" if charged is None else dollars(charged)
            problems.append(f"Request {request} was booked at {dollars(booked)} and charged {seen}.")
    # A reply that was lost is booked at its maximum: each charge without a booking must fit one of those.
    lost = sorted(totals.lost_micros + [m for other in elsewhere for m in other.lost_micros])
    for request, charged in sorted(unmatched.items(), key=lambda item: item[1]):
        bound = next((maximum for maximum in lost if maximum >= charged), None)
        if bound is None:
            problems.append(f"The world charged {dollars(charged)} for {request}, which nobody booked.")
        else:
            lost.remove(bound)

    known_clicks = {click for other in elsewhere for click in other.clicks}
    clicks = {click["click_id"] for click in witness.clicks} - known_clicks
    if missing := len(clicks - totals.clicks):
        problems.append(f"{missing} clicks were acknowledged and are not in the ledger.")
    if (invented := len(totals.clicks - clicks)) > witness.uncertain_clicks:
        problems.append(
            f"{invented} clicks are in the ledger and nobody in the world made them. If somebody opened a link of this "
            "home by hand, that was it: play the day in a new home to have it verified."
        )

    known_payouts = {action for other in elsewhere for action in other.payouts}
    payouts = {p["action_id"]: int(p["payout_micros"]) for p in witness.payouts if p["action_id"] not in known_payouts}
    for action in sorted(payouts.keys() | totals.payouts.keys()):
        if payouts.get(action) != totals.payouts.get(action):
            problems.append(
                f"Conversion {action} pays {dollars(payouts.get(action, 0))} at the network "
                f"and {dollars(totals.payouts.get(action, 0))} in the ledger."
            )
    return Agreement(len(posts), sum(charges.values()), len(clicks), totals.in_dollars(payouts), problems)


def labels_sent(post: Mapping[str, Any]) -> dict[str, bool]:
    """The labels that a witnessed video's own request set, under the platform's names; one that was left out is false.

    Args:
        post: of ``/_world/posts``; its ``request`` is what was sent, not what the platform made of it.
    """
    body = post["request"]["body"]
    return {name: _at(body, where) in (True, "true") for name, where in _LABELS_IN_REQUEST[post["platform"]].items()}


def _undisclosed(totals: DayTotals, witness: Witness, policy: Policy) -> list[str]:
    """Posts whose stored request lacks a label or disclosure that the ledger says went out."""
    problems = []
    for post in witness.posts:
        booked = totals.labels.get(post["remote_id"])
        if booked is None or booked == DRAFT_DISCLOSURES:
            continue  # not of this day; or labelled in the app, by the person who posted it
        name = f"{post['platform']} post {post['remote_id']}"
        if post["platform"] == "blog":
            problems += [f"The {name} went out so: {reason}" for reason in check_page(post["request"]["body"], policy)]
            continue
        sent = labels_sent(post)
        problems += [
            f"The {name} was sent without the label {label}."
            for label in dict.fromkeys([*sent, *booked])
            if not sent.get(label)
        ]
    return problems


def _at(document: Any, where: tuple[str, ...]) -> Any:
    for name in where:
        document = document.get(name) if isinstance(document, dict) else None
    return document
