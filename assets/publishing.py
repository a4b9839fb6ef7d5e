"""Publishing: posts on platform accounts. A piece is posted once per account; a closed day never posts."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from affiliate_empire.analytics.frames import Publications
from affiliate_empire.effects import Effects
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.account_limits import described, limits_in_force
from affiliate_empire.operations.approvals import as_line, waiting
from affiliate_empire.operations.audit_day import (
    duplicate_publications,
    posts_looked_at,
    quota_overruns,
    undisclosed_publications,
)
from affiliate_empire.operations.export import export_publications
from affiliate_empire.operations.move_passed_slots import move_passed_slots
from affiliate_empire.operations.post_to_blog import BlogPoster
from affiliate_empire.operations.post_to_instagram import InstagramPoster
from affiliate_empire.operations.post_to_tiktok import TikTokPoster
from affiliate_empire.operations.post_to_youtube import YouTubePoster
from affiliate_empire.operations.posting import Poster
from affiliate_empire.operations.publish_piece import (
    FAILING,
    HOLDING,
    ask_for_approvals,
    is_due,
    is_failing,
    publish_piece,
    reconcile_publications,
    tell_of_unsent,
)
from affiliate_empire.operations.work_pieces import PiecesWorked, pieces_of, work_pieces
from affiliate_empire.policy import Policy
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.blog import BlogClient
from affiliate_empire.vendors.impact import ImpactClient
from affiliate_empire.vendors.instagram import InstagramClient
from affiliate_empire.vendors.tiktok import TikTokClient
from affiliate_empire.vendors.youtube import YouTubeClient
from assets.checks import claim_holds, day_of
from assets.partitions import DAY_OF_PLATFORM, day_and_platform
from assets.pictures import listing, together
from assets.steps import failing_clearly, multi_keys_of, outcome, pieces_made, pieces_made_of, try_outages_again
from resources.lake import Frames, to_dagster_type

# An account's posts follow one another: its rolling window is judged post by post.
_POSTS_AT_ONCE = 1


@dg.asset(
    partitions_def=day_and_platform,
    deps=[dg.AssetDep(made, partition_mapping=DAY_OF_PLATFORM) for made in ("videos", "thumbnails", "blog_posts")],
    group_name="publishing",
    kinds={"youtube", "tiktok", "instagram"},
    owners=["team:growth"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(Publications),
    check_specs=[pieces_made("publications")],
)
def publications(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    effects: dg.ResourceParam[Effects],
    clock: dg.ResourceParam[Clock],
    youtube: dg.ResourceParam[PerAccount[YouTubeClient]],
    tiktok: dg.ResourceParam[PerAccount[TikTokClient]],
    instagram: dg.ResourceParam[PerAccount[InstagramClient]],
    blog: dg.ResourceParam[BlogClient],
    impact: dg.ResourceParam[ImpactClient],
    media: dg.ResourceParam[MediaStore],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Any]:
    """Posts on one platform, made when their slot is due. One row per post.

    Each run posts what has become due and returns the day's posts so far; nothing is posted twice. What waits for its
    owner's approval is shown to him and held. What fails, whatever it is, holds up no other piece: an outage is tried
    again twice, then the owner is told and the run of the next half hour goes on with it. Free.
    """

    blog_poster = BlogPoster(blog, clock=clock, policy=policy)
    posters: dict[str, Poster] = {
        "youtube": YouTubePoster(youtube, clock=clock, media=media, policy=policy),
        "tiktok": TikTokPoster(tiktok, clock=clock, media=media, policy=policy, handoff=settings.home_path / "handoff"),
        "instagram": InstagramPoster(
            instagram, clock=clock, media=media, policy=policy, media_public_url=settings.media_public_url
        ),
        "blog": blog_poster,
    }

    def publish(piece_id: str) -> object:
        return publish_piece(
            piece_id,
            ledger=ledger,
            effects=effects,
            posters=posters,
            policy=policy,
            calendar=settings.calendar,
            clock=clock,
            impact=impact,
            tracking_url=settings.tracking_url,
        )

    frames: Frames = {}
    done: list[PiecesWorked] = []
    moved: list[str] = []
    untold: str | None = None
    failing: dict[date, dict[str, Exception]] = {}
    with failing_clearly():
        try:
            for key, each, platform in multi_keys_of(context):
                reconcile_publications(each, ledger=ledger, effects=effects, posters=posters, platform=platform)
                unshown = ask_for_approvals(
                    each,
                    platform,
                    ledger=ledger,
                    effects=effects,
                    posters=posters,
                    policy=policy,
                    clock=clock,
                    calendar=settings.calendar,
                    impact=impact,
                    tracking_url=settings.tracking_url,
                )
                moved += move_passed_slots(ledger=ledger, clock=clock, policy=policy, calendar=settings.calendar)
                pieces = [piece for piece in pieces_of(each, ledger=ledger) if piece.platform == platform]
                due = [piece for piece in pieces if is_due(piece, clock.now(), policy)]
                work = work_pieces(
                    "publications",
                    due,
                    publish,
                    ledger=ledger,
                    at_once=_POSTS_AT_ONCE,
                    holding=(*HOLDING, *FAILING),
                    together=blog_poster.together if platform == "blog" else None,
                )
                done.append(work)
                unsent = {piece: error for piece, error in work.errors.items() if is_failing(error)}
                failing.setdefault(each, {}).update(unshown | unsent)
                frames[key] = export_publications(each, ledger=ledger, platform=platform)
        finally:  # also when the run failed after its push
            if (untold := blog_poster.tell_host(read_only=effects.read_only)) is not None:
                context.log.warning(untold)
    try_outages_again(context, [error for errors in failing.values() for error in errors.values()])
    for each, errors in failing.items():
        tell_of_unsent(each, errors, ledger=ledger, at=clock.now())
    for reason in dict.fromkeys(reason for work in done for reason in work.held.values()):
        context.log.warning(reason)
    posts = together(frames)
    to_approve = waiting(ledger=ledger, media=media, calendar=settings.calendar, now=clock.now())
    links = [f"[{title}]({url})" for title, url in zip(posts["title"], posts["url"], strict=True)]
    hubs = [f"{settings.tracking_url}/h/{account.partition(':')[2]}" for account in posts["account_id"].unique()]
    with ledger.begin() as session:
        said = described(limits_in_force(session, clock.now()))
    yield dg.Output(
        frames,
        metadata={
            "posts": len(posts),
            **outcome(done, ledger=ledger),
            **({"moved": listing(moved)} if moved else {}),
            **({"to_approve": listing([as_line(row) for row in to_approve])} if to_approve else {}),
            **({"site": untold} if untold else {}),
            "links": listing(links),
            "hub_pages": listing(hubs),
            "account_limits": listing(said),
        },
    )
    yield pieces_made_of(done)


@dg.asset_check(asset=publications, blocking=True)
def every_piece_discloses(
    context: dg.AssetCheckExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    media: dg.ResourceParam[MediaStore],
    policy: dg.ResourceParam[Policy],
) -> dg.AssetCheckResult:
    """Every post discloses: in its text, by the platform's own flags, and (videos) in picture and voice."""
    return claim_holds(
        undisclosed_publications(*day_of(context), ledger=ledger, media=media, policy=policy),
        looked_at=posts_looked_at(*day_of(context), ledger=ledger),
        remedy="Take the post down or add what is missing at the platform at once, and stop the account until the "
        "cause is known: `empire pause account:ID`.",
    )


@dg.asset_check(asset=publications, blocking=True)
def no_duplicate_publication(
    context: dg.AssetCheckExecutionContext, ledger: dg.ResourceParam[Ledger]
) -> dg.AssetCheckResult:
    """No piece was posted twice on an account, no post is claimed twice, and every act of posting is recorded."""
    return claim_holds(
        duplicate_publications(*day_of(context), ledger=ledger),
        looked_at=posts_looked_at(*day_of(context), ledger=ledger),
        remedy="Stop the account with `empire pause account:ID`, look at its page, and take down what is there twice.",
    )


@dg.asset_check(asset=publications, blocking=True)
def slots_within_quota(
    context: dg.AssetCheckExecutionContext, ledger: dg.ResourceParam[Ledger], policy: dg.ResourceParam[Policy]
) -> dg.AssetCheckResult:
    """No account posted more often than its rolling window allows."""
    return claim_holds(
        quota_overruns(*day_of(context), ledger=ledger, policy=policy),
        looked_at=posts_looked_at(*day_of(context), ledger=ledger),
        remedy="Nothing more is posted there until its window has room: look whether somebody posts by hand, or "
        "whether policy/platforms.toml is outdated.",
    )
