"""A forgotten flag is an error before anything is sent: no field on the way to a platform has a default."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from affiliate_empire.publishing.flags import (
    InstagramFlags,
    TikTokFlags,
    VideoFlags,
    affiliate_reel_flags,
    affiliate_tiktok_flags,
    affiliate_video_flags,
)
from affiliate_empire.vendors.instagram import Reel
from affiliate_empire.vendors.tiktok import PostInfo
from affiliate_empire.vendors.youtube import VideoMetadata

ON_THE_WAY = [VideoFlags, TikTokFlags, InstagramFlags, VideoMetadata, PostInfo, Reel]


@pytest.mark.parametrize("kind", ON_THE_WAY)
def test_no_field_has_a_default(kind: Any) -> None:
    fields = dataclasses.fields(kind)
    assert fields
    for field in fields:
        assert (field.default, field.default_factory) == (dataclasses.MISSING, dataclasses.MISSING), field.name


@pytest.mark.parametrize("flags", [affiliate_video_flags(), affiliate_tiktok_flags(), affiliate_reel_flags()])
def test_each_flag_must_be_given(flags: Any) -> None:
    given = dataclasses.asdict(flags)
    assert type(flags)(**given) == flags
    for name in given:
        with pytest.raises(TypeError, match=name):
            type(flags)(**{other: value for other, value in given.items() if other != name})
