"""The labels that platforms ask for. No field has a default: a forgotten label must not become a published video."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class VideoFlags:
    """YouTube's labels, in its own words (``status``, ``paidProductPlacementDetails``, ``videos.insert``)."""

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
        contains_synthetic_media=True,
        has_paid_product_placement=True,
        self_declared_made_for_kids=False,
        notify_subscribers=False,
    )
