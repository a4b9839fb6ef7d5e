"""The labels that platforms ask for. No field has a default: a forgotten label must not become a published video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class VideoFlags:
    """YouTube's labels, in its own words (``status``, ``paidProductPlacementDetails``, ``videos.insert``).

    There is one privacy: ``publishAt`` needs it, and what is left out of a request YouTube publishes at once.
    """

    privacy_status: Literal["private"]
    contains_synthetic_media: bool
    has_paid_product_placement: bool
    self_declared_made_for_kids: bool
    notify_subscribers: bool

    def as_disclosures(self) -> dict[str, bool]:
        """The labels that disclose, under the platform's names: what is recorded with the publication and audited."""
        return {
            "containsSyntheticMedia": self.contains_synthetic_media,
            "hasPaidProductPlacement": self.has_paid_product_placement,
        }


def affiliate_video_flags() -> VideoFlags:
    """The labels of every video made here: pictures by AI, a commission behind the link, for adults.

    Whether an affiliate link alone needs the paid-promotion label is a reading of YouTube's policy; setting it is the
    safe one. Subscribers are not rung for each of several videos a day.
    """
    return VideoFlags(
        privacy_status="private",
        contains_synthetic_media=True,
        has_paid_product_placement=True,
        self_declared_made_for_kids=False,
        notify_subscribers=False,
    )


# How a TikTok account's posts get there, from the least work for a person to the most: posted by the API; as a draft in
# the creator's inbox; as files that a person posts. Other platforms post directly.
ROUTES = ("direct", "inbox", "package")

# What stands with a draft that was handed to a person: no label is set before that person posts it.
DRAFT_DISCLOSURES = {"left_to_the_person_who_posts": True}


@dataclass(frozen=True, kw_only=True)
class TikTokFlags:
    """TikTok's labels and settings of a post, in its own words (``post_info``)."""

    privacy_level: str
    is_aigc: bool
    brand_content_toggle: bool
    brand_organic_toggle: bool
    disable_comment: bool
    disable_duet: bool
    disable_stitch: bool

    def as_disclosures(self) -> dict[str, bool]:
        """The labels that disclose, under the platform's names: what is recorded with the publication and audited."""
        return {"is_aigc": self.is_aigc, "brand_content_toggle": self.brand_content_toggle}


def affiliate_tiktok_flags() -> TikTokFlags:
    """The labels of every post made here: pictures by AI, paid by another brand than our own, for everybody.

    The creator's own settings may close comments, duets and stitches on top of these.
    """
    return TikTokFlags(
        privacy_level="PUBLIC_TO_EVERYONE",
        is_aigc=True,
        brand_content_toggle=True,
        brand_organic_toggle=False,
        disable_comment=False,
        disable_duet=False,
        disable_stitch=False,
    )


@dataclass(frozen=True, kw_only=True)
class InstagramFlags:
    """Instagram's labels, in its own words (``POST /{ig-user}/media``).

    Meta's changelogs name them: ``is_paid_partnership`` of 2026-04-22, ``is_ai_generated`` of 2026-06-22.
    """

    is_ai_generated: bool
    is_paid_partnership: bool
    share_to_feed: bool

    def as_disclosures(self) -> dict[str, bool]:
        """As ``VideoFlags.as_disclosures``."""
        return {"is_ai_generated": self.is_ai_generated, "is_paid_partnership": self.is_paid_partnership}


def affiliate_reel_flags() -> InstagramFlags:
    """The labels of every Reel made here: AI info, and "Paid partnership" without a brand's name.

    Whether a commission behind a link alone needs the partnership label is a reading of Meta's policy; setting it is
    the safe one. The account must be allowed branded content, or Instagram refuses the container.
    """
    return InstagramFlags(is_ai_generated=True, is_paid_partnership=True, share_to_feed=True)
