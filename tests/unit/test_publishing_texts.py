"""What stands beside a piece: the disclosure first, addresses a person can use, inside the platform's limits."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.compliance import check_description, check_page
from affiliate_empire.content import Post, Scene, Script, Section
from affiliate_empire.policy import load_policy
from affiliate_empire.publishing.flags import affiliate_reel_flags, affiliate_tiktok_flags, affiliate_video_flags
from affiliate_empire.publishing.texts import caption_text, post_text, typed_address, video_text

POLICY = load_policy()
HUB = "https://go.gearlab.example/h/gearlab"
LINK = "https://go.gearlab.example/r/Ab12Cd34Ef"


def script(**changes: object) -> Script:
    said: dict[str, object] = {"title": "Is the Canvas Daypack for You?", "hook": "Looking for a daypack?"}
    said |= {"scenes": [Scene(narration="A.", visual="B", fact_ids=["F1"])], "description": "A daypack, in facts."}
    return Script(**said | {"hashtags": ["daypack", "travel"]} | changes)  # type: ignore[arg-type]


def test_a_description_discloses_first_and_then_leads_on() -> None:
    text = video_text(script(), hub_url=HUB, link_url=LINK, policy=POLICY)
    assert text.description.split("\n") == [
        POLICY.disclosure("text"),
        "",
        "A daypack, in facts.",
        "",
        "Everything shown, in one place: go.gearlab.example/h/gearlab",
        f"This product: {LINK}",
        "",
        "#daypack #travel",
    ]
    assert text.tags == ("daypack", "travel")
    assert typed_address("http://127.0.0.1:8100/h/gearlab/") == "127.0.0.1:8100/h/gearlab"


def test_a_caption_discloses_first_and_says_all_the_rest() -> None:
    text = caption_text(script(), hub_url=HUB, link_url=LINK, policy=POLICY)
    assert text.title == "Is the Canvas Daypack for You?"
    assert text.caption.split("\n") == [
        POLICY.disclosure("text"),
        "",
        "Is the Canvas Daypack for You?",
        "",
        "A daypack, in facts.",
        "",
        "Everything shown, in one place: go.gearlab.example/h/gearlab",
        f"This product: {LINK}",
        "",
        "#daypack #travel",
    ]


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6000)


@settings(deadline=None)
@given(title=words, description=words, hashtags=st.lists(st.text("abcdefghij", min_size=1, max_size=80), max_size=30))
def test_no_script_breaks_the_platforms_limits_or_loses_the_disclosure(
    title: str, description: str, hashtags: list[str]
) -> None:
    said = script(title=title, description=description, hashtags=hashtags)
    text = video_text(said, hub_url=HUB, link_url=LINK, policy=POLICY)
    assert len(text.title) <= 100
    assert len(text.description.encode()) <= 5000
    assert sum(len(tag) for tag in text.tags) <= 500
    assert not set("<>") & set(text.title + text.description)
    assert check_description(text.description, POLICY) == []
    assert LINK in text.description
    caption = caption_text(said, hub_url=HUB, link_url=LINK, policy=POLICY).caption
    assert len(caption.encode("utf-16-le")) <= 2 * 2200
    assert caption.count("#") <= 5
    assert check_description(caption, POLICY) == []
    assert LINK in caption


def test_a_post_has_its_own_address_and_a_message_that_names_its_piece() -> None:
    sections = [Section(heading="A", markdown="B", fact_ids=["F1"])]
    post = Post(title="Canvas Daypack: a plain guide", meta_description="A guide.", sections=sections)
    text = post_text(post, piece_id="pc_0123456789abcdef0123", policy=POLICY)
    assert text.path == f"content/posts/{text.slug}.mdx"
    assert text.slug.startswith("canvas-daypack-a-plain-guide-")
    assert "pc_0123456789abcdef0123" in text.message
    assert text.description.startswith(POLICY.disclosure("post"))
    assert check_page(text.description, POLICY) == []


def test_the_flags_say_what_the_videos_are() -> None:
    flags = affiliate_video_flags()
    assert flags.as_disclosures() == {"containsSyntheticMedia": True, "hasPaidProductPlacement": True}
    assert (flags.self_declared_made_for_kids, flags.notify_subscribers) == (False, False)


def test_tiktoks_flags_say_what_the_videos_are() -> None:
    flags = affiliate_tiktok_flags()
    assert flags.as_disclosures() == {"is_aigc": True, "brand_content_toggle": True}
    assert (flags.privacy_level, flags.brand_organic_toggle) == ("PUBLIC_TO_EVERYONE", False)


def test_instagrams_flags_say_what_the_videos_are() -> None:
    flags = affiliate_reel_flags()
    assert flags.as_disclosures() == {"is_ai_generated": True, "is_paid_partnership": True}
    assert flags.share_to_feed is True
