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
from affiliate_empire.effects import State
from affiliate_empire.effects.report import exceeded, imbalances
from affiliate_empire.kernel.money import dollars
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Artifact, Budget, Effect, Piece, Publication, QuotaUse
from affiliate_empire.media.quality import LABEL_LIKENESS
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.publish_piece import OPERATION
from affiliate_empire.policy import Policy
from affiliate_empire.publishing.flags import DRAFT_DISCLOSURES

# What each platform must have been told, under its own names; a platform that is missing here is told nothing by us.
_LABELS = {
    "youtube": ("containsSyntheticMedia", "hasPaidProductPlacement"),
    "tiktok": ("is_aigc", "brand_content_toggle"),
    "instagram": ("is_ai_generated", "is_paid_partnership"),
    "blog": ("banner", "sponsoredLinks"),
}


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


def undisclosed_publications(
    day: date | None, platform: str | None, *, ledger: Ledger, media: MediaStore, policy: Policy
) -> list[str]:
    """Publications of a day that do not disclose; on one platform or on all.

    A video discloses in its description, by the platform's labels, in its voice and in its picture; a post in the text
    that the ledger and the act's handle hold of it, and by its banner and its marked links.
    """
    problems = []
    spoken = _spoken_texts(day, ledger)
    videos = _videos(day, ledger)
    handles = _handles(day, ledger)
    for publication in _publications(day, platform, ledger):
        piece, handle = publication.piece_id, handles.get(publication.effect_id, {})
        if publication.platform == "blog":
            # What was handed over is what the public reads; what is recorded of it may not say more than that.
            texts = dict.fromkeys([publication.description, str(handle.get("description", publication.description))])
            reasons = [reason for text in texts for reason in _undisclosed_post(text, policy)]
        else:
            reasons = check_description(publication.description, policy) + check_spoken(spoken[piece], policy)
            reasons += _undisclosed_picture(videos.get(piece), handle.get("sha256"), media, policy)
        reasons += _unset_labels(publication)
        problems += [f"{publication.publication_id}: {reason}" for reason in dict.fromkeys(reasons)]
    return problems


def duplicate_publications(day: date | None, platform: str | None, *, ledger: Ledger) -> list[str]:
    """Posts that stand twice or are not accounted for, judged by the publications and by the acts of publishing.

    Over all days: pieces that were published twice on an account, and posts that two publications claim. Of the day
    and platform: acts that came to a post without a publication, and publications without such an act.
    """
    settled = (Effect.operation == OPERATION, Effect.state == State.SETTLED)
    acts = select(Effect.effect_id, Effect.vendor, Effect.remote_id).where(*settled)
    acts = acts.where(Effect.effect_id.not_in(select(Publication.effect_id)))
    unfounded = select(Publication.publication_id, Publication.effect_id)
    unfounded = unfounded.where(Publication.effect_id.not_in(select(Effect.effect_id).where(*settled)))
    if day is not None:
        acts, unfounded = acts.where(Effect.day == day), unfounded.where(Publication.day == day)
    if platform is not None:
        acts, unfounded = acts.where(Effect.vendor == platform), unfounded.where(Publication.platform == platform)
    with ledger.begin() as session:
        rows = session.execute(select(Publication.piece_id, Publication.account_id, Publication.remote_id)).all()
        acted = session.execute(select(Effect.piece_id, Effect.account_id).where(*settled)).all()
        unrecorded = session.execute(acts.order_by(Effect.effect_id)).all()
        unacted = session.execute(unfounded.order_by(Publication.publication_id)).all()
    twice = Counter((piece, account) for piece, account, _ in rows)
    posted = Counter((piece, account) for piece, account in acted)
    shared = Counter((account, remote) for _, account, remote in rows)
    return [
        *(f"Piece {piece} was published {n} times on {account}." for (piece, account), n in twice.items() if n > 1),
        *(f"Piece {piece} was posted by {n} acts on {account}." for (piece, account), n in posted.items() if n > 1),
        *(f"{n} publications claim the post {post} on {account}." for (account, post), n in shared.items() if n > 1),
        *(
            f"The act {act} came to the post {post} on {of}, and no publication holds it."
            for act, of, post in unrecorded
        ),
        *(f"{publication} stands on {act}, which is no act that came to a post." for publication, act in unacted),
    ]


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


def posts_looked_at(day: date | None, platform: str | None, *, ledger: Ledger) -> str:
    """What the claims about posts are judged on, as a person reads it: ``2 posts on youtube of 2026-11-21``."""
    number = len(_publications(day, platform, ledger))
    return f"{number} {'post' if number == 1 else 'posts'} on {platform or 'all platforms'} of {day or 'all days'}"


def texts_looked_at(day: date | None, kind: str, *, ledger: Ledger) -> str:
    """What the claims about facts are judged on: ``4 scripts of 2026-11-21``; ``kind`` is ``video`` or ``post``."""
    step = "script" if kind == "video" else "post"
    number = sum(piece.status == "planned" for piece, _ in _documents(day, step, ledger))
    return f"{number} {step if number == 1 else step + 's'} of {day or 'all days'}"


def budgets_looked_at(*, ledger: Ledger) -> str:
    """What the claims about money are judged on: ``7 budgets with $1.06 in their days``."""
    used = func.coalesce(func.sum(Budget.reserved_micros + Budget.spent_micros), 0)
    with ledger.begin() as session:
        number = session.scalar(select(func.count()).select_from(Budget)) or 0
        micros = session.scalar(select(used).where(Budget.scope.startswith("day:"))) or 0
    return f"{number} budgets; {dollars(int(micros))} reserved and spent in those of days"


def _spoken_texts(day: date | None, ledger: Ledger) -> defaultdict[str, str]:
    """What the voice says, by piece."""
    texts = {piece.piece_id: str(content["text"]) for piece, content in _documents(day, "voiceover", ledger)}
    return defaultdict(str, texts)


def _videos(day: date | None, ledger: Ledger) -> dict[str, Artifact]:
    """The video that is kept of each piece, whatever became of the piece."""
    query = select(Artifact).where(Artifact.step == "video")
    if day is not None:
        query = query.join(Piece, Piece.piece_id == Artifact.piece_id).where(Piece.day == day)
    with ledger.begin() as session:
        return {video.piece_id: video for video in session.scalars(query)}


def _handles(day: date | None, ledger: Ledger) -> dict[str, dict[str, Any]]:
    """What was handed to the platform, by the effect; nothing for effects that kept no handle."""
    query = select(Effect.effect_id, Effect.handle).where(Effect.operation == OPERATION)
    if day is not None:
        query = query.where(Effect.day == day)
    with ledger.begin() as session:
        return {row.effect_id: row.handle or {} for row in session.execute(query)}


def _undisclosed_picture(video: Artifact | None, sent: str | None, media: MediaStore, policy: Policy) -> list[str]:
    """``sent`` is the hash of the file that went out, None where the ledger does not hold it."""
    if video is None or video.sha256 is None:
        return ["No video is kept: nothing shows that its picture discloses."]
    reasons = []
    label, likeness = video.content.get("label"), video.content.get("label_likeness")
    if label != policy.disclosure("picture"):
        reasons.append(f"The picture's label is {label!r} instead of {policy.disclosure('picture')!r}.")
    if likeness is None or likeness < LABEL_LIKENESS:
        reasons.append(f"The label was seen on the picture with a likeness of {likeness}, below {LABEL_LIKENESS}.")
    if sent is not None and sent != video.sha256:
        reasons.append("The video that went out is not the one whose picture was judged.")
    if not media.exists(sent or video.sha256):
        reasons.append("The file of the video is not in the media store.")
    return reasons


def _unset_labels(publication: Publication) -> list[str]:
    """The labels that the platform was not told, and those that were told to be off."""
    told = publication.disclosures
    if not told:
        return ["No label was set at the platform."]
    if told == DRAFT_DISCLOSURES:
        return []  # it is public by the hand of a person, who sets the labels in the app
    wanted = dict.fromkeys([*_LABELS.get(publication.platform, ()), *told])
    return [f"The label {name} is not set." for name in wanted if told.get(name) is not True]


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
        return [(row.Piece, row.content) for row in session.execute(query)]


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
