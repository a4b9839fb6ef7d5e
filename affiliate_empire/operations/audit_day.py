"""The claims about money and law that must hold of a day, judged on what the ledger holds.

Each function returns the problems as sentences, none when the claim holds; ``day`` None means every day. They are read
by the asset checks that stop a day, so they look at the stored outcome and never trust the step that made it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import func, select

from affiliate_empire.compliance import check_description, check_post, check_script, check_spoken
from affiliate_empire.content.post import Post
from affiliate_empire.content.script import Script
from affiliate_empire.effects.report import exceeded, imbalances
from affiliate_empire.kernel.money import dollars
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Artifact, Piece, Publication, QuotaUse
from affiliate_empire.policy import Policy


def uncited_claims(day: date | None, kind: str, *, ledger: Ledger, policy: Policy) -> list[str]:
    """Scripts or posts of a day that say what no cited fact says. ``kind`` is ``video`` or ``post``."""
    step = "script" if kind == "video" else "post"
    problems = []
    for piece, content in _documents(day, step, ledger):
        if piece.status != "planned":
            continue
        if step == "script":
            reasons = check_script(Script.model_validate(_fields(content, Script)), piece.facts, policy)
        else:
            reasons = check_post(Post.model_validate(_fields(content, Post)), piece.facts, policy)
        problems += [f"{piece.piece_id}: {reason}" for reason in reasons]
    return problems


def undisclosed_publications(day: date | None, platform: str | None, *, ledger: Ledger, policy: Policy) -> list[str]:
    """Publications of a day whose text or flags do not disclose; on one platform or on all."""
    problems = []
    spoken = _spoken_texts(day, ledger)
    for publication in _publications(day, platform, ledger):
        if publication.platform == "blog":
            reasons = _undisclosed_post(publication.description, policy)
        else:
            reasons = check_description(publication.description, policy) + check_spoken(
                spoken[publication.piece_id], policy
            )
        reasons += [f"The label {name} is not set." for name, value in publication.disclosures.items() if not value]
        if not publication.disclosures:
            reasons.append("No label was set at the platform.")
        problems += [f"{publication.publication_id}: {reason}" for reason in reasons]
    return problems


def duplicate_publications(*, ledger: Ledger) -> list[str]:
    """Pieces that stand twice on an account, or posts that two publications claim; over all days."""
    with ledger.begin() as session:
        rows = session.execute(select(Publication.piece_id, Publication.account_id, Publication.remote_id)).all()
    twice = Counter((piece, account) for piece, account, _ in rows)
    shared = Counter((account, remote) for _, account, remote in rows)
    return [
        f"Piece {piece} was published {n} times on {account}." for (piece, account), n in twice.items() if n > 1
    ] + [f"{n} publications claim the post {remote} on {account}." for (account, remote), n in shared.items() if n > 1]


def spend_beyond_caps(*, ledger: Ledger) -> list[str]:
    """Budgets whose spent and reserved money exceeds the cap."""
    with ledger.begin() as session:
        return [f"{b.subject}: {dollars(b.counted_micros)} of {dollars(b.stated_micros)}." for b in exceeded(session)]


def unbalanced_books(*, ledger: Ledger) -> list[str]:
    """Figures of the budgets that are not what their reservations and effects add up to."""
    with ledger.begin() as session:
        return [
            f"{b.subject}: {dollars(b.stated_micros)} stated, {dollars(b.counted_micros)} counted."
            for b in imbalances(session)
        ]


def quota_overruns(day: date | None, platform: str | None, *, ledger: Ledger, policy: Policy) -> list[str]:
    """Accounts that used more of their posting quota in any rolling window that ends at one of the day's posts."""
    problems = []
    with ledger.begin() as session:
        query = (
            select(QuotaUse.account_id, QuotaUse.quota, QuotaUse.at, Account.platform)
            .join(Account, Account.account_id == QuotaUse.account_id)
            .join(Publication, Publication.effect_id == QuotaUse.effect_id)
        )
        if day is not None:
            query = query.where(Publication.day == day)
        if platform is not None:
            query = query.where(Account.platform == platform)
        for account, quota, at, of in session.execute(query):
            rule = policy.posting(of)
            used = session.scalar(
                select(func.count())
                .select_from(QuotaUse)
                .where(
                    QuotaUse.account_id == account,
                    QuotaUse.quota == quota,
                    QuotaUse.at > at - rule.window,
                    QuotaUse.at <= at,
                )
            )
            if used and quota == rule.quota and used > rule.limit:
                problems.append(
                    f"{account} used {used} of {rule.limit} {quota} in the window that ends at {at:%H:%M} UTC."
                )
    return problems


def _spoken_texts(day: date | None, ledger: Ledger) -> defaultdict[str, str]:
    """What the voice says, by piece."""
    texts = {piece.piece_id: str(content["text"]) for piece, content in _documents(day, "voiceover", ledger)}
    return defaultdict(str, texts)


def _undisclosed_post(description: str, policy: Policy) -> list[str]:
    reasons = []
    if not description.startswith(policy.disclosure("post")):
        reasons.append("The disclosure does not begin the post.")
    if policy.disclosure("ai") not in description:
        reasons.append("The post lacks the statement that it was written with AI.")
    return reasons


def _documents(day: date | None, step: str, ledger: Ledger) -> list[tuple[Piece, Mapping[str, Any]]]:
    query = (
        select(Piece, Artifact.content)
        .join(Artifact, Artifact.piece_id == Piece.piece_id)
        .where(Piece.status != "superseded", Artifact.step == step)
        .order_by(Piece.piece_id)
    )
    if day is not None:
        query = query.where(Piece.day == day)
    with ledger.begin() as session:
        return [(piece, content) for piece, content in session.execute(query).tuples()]


def _publications(day: date | None, platform: str | None, ledger: Ledger) -> list[Publication]:
    query = select(Publication).order_by(Publication.publication_id)
    if day is not None:
        query = query.where(Publication.day == day)
    if platform is not None:
        query = query.where(Publication.platform == platform)
    with ledger.begin() as session:
        return list(session.scalars(query))


def _fields(content: Mapping[str, Any], model: type[Script] | type[Post]) -> dict[str, Any]:
    """The document itself: an artifact's content may hold more beside it."""
    return {name: content[name] for name in model.model_fields}
