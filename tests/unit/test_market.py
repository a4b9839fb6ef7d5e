"""The market reacts to what was published, and to nothing else; the same things published give the same day."""

from __future__ import annotations

import asyncio
import math
import random
import re
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.analytics.traffic import is_bot
from affiliate_empire.content.post import Post, Section, render_mdx
from affiliate_empire.sandbox import witness
from affiliate_empire.sandbox.catalog import open_catalog, read_feed
from affiliate_empire.sandbox.clock import stamp
from affiliate_empire.sandbox.market import people, reach, shoppers
from affiliate_empire.sandbox.market.chance import binomial, poisson
from affiliate_empire.sandbox.market.reach import Increment, Performance, step_of
from affiliate_empire.sandbox.market.taste import Impression
from affiliate_empire.sandbox.servers import blog
from affiliate_empire.sandbox.world import World
from tests.factories.market import DAY, DECLARED, FLAGS, publish_video

SKILLET, TENT = "HP-1005", "HP-1041"


@contextmanager
def a_world(seed: int = 7) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as home:
        world = World(Path(home), "http://127.0.0.1:9", seed, now=DAY)
        yield world
        world.close()


def performance(world: World, remote_id: str) -> Performance:
    return world.market._performing()["youtube", remote_id]


def first_day(world: World, post: Performance) -> list[Increment]:
    begin = step_of(post.public_at)
    steps = (reach.increment(post, begin + n, world.market.audiences, world.rng) for n in range(144))
    return [step for step in steps if step is not None]


def reach_of(world: World, **how: Any) -> float:
    """Eventual views of one video, without its luck."""
    post = performance(world, publish_video(world, SKILLET, **how))
    return math.log(post.eventual_views) - post.parts["luck"]


# ---------------------------------------------------------------- what it reacts to
def test_a_video_at_night_reaches_fewer_than_one_in_the_evening() -> None:
    with a_world() as world:
        night = reach_of(world, remote_id="n", account="a", public_at=DAY + timedelta(hours=3))
        evening = reach_of(world, remote_id="e", account="b", public_at=DAY + timedelta(hours=20))
    assert evening > night + 0.2


def test_a_video_of_three_minutes_reaches_fewer_than_one_of_half_a_minute() -> None:
    with a_world() as world:
        short = reach_of(world, remote_id="s", account="a", media={"duration": 29.0})
        long = reach_of(world, remote_id="l", account="b", media={"duration": 170.0})
    assert short > long + 0.5


def test_each_audience_answers_to_hooks_in_its_own_way() -> None:
    gaps = []
    for seed in range(10):
        with a_world(seed) as world:
            hooks = {
                name: reach_of(
                    world, remote_id=name, account=name, title="Cast iron skillet 26 cm, pre-seasoned", text=text
                )
                for name, text in (
                    ("question", "Is a cast iron skillet worth its weight? It weighs much."),
                    ("number", "Three facts about a cast iron skillet. It weighs much."),
                )
            }
        gaps.append(hooks["question"] - hooks["number"])
    assert min(gaps) < -0.05 < 0.05 < max(gaps)


def test_reach_is_withheld_from_what_was_not_declared_and_trust_from_what_was_not_disclosed() -> None:
    with a_world() as world:
        declared = reach_of(world, remote_id="d", account="a")
        for flag in ("containsSyntheticMedia", "hasPaidProductPlacement"):
            assert reach_of(world, remote_id=flag, account=flag, flags=FLAGS | {flag: None}) < declared - 0.5
        disclosed = performance(world, "d")
        world.accept_post(
            "youtube", "x", "x", title="Cast iron skillet", text="Here.", media={}, public_at=DAY, flags=FLAGS
        )
        hidden = performance(world, "x")
    assert disclosed.seen.disclosed
    assert not hidden.seen.disclosed
    chances = [reach.conversion(post, appeal=0.0, price=50.0, same_item=True) for post in (disclosed, hidden)]
    assert chances[1] < chances[0]


def test_the_same_again_tires_the_account_s_viewers_and_nobody_else_s() -> None:
    with a_world() as world:
        publish_video(world, SKILLET, remote_id="first")
        for name, account in (("again", "gearlab"), ("other", "elsewhere")):
            publish_video(world, SKILLET, remote_id=name, account=account, public_at=DAY + timedelta(days=1))
        assert performance(world, "again").parts["fatigue"] < -0.5
        assert performance(world, "other").parts["fatigue"] == 0
        assert performance(world, "first").parts["fatigue"] == 0


def test_a_removed_video_is_seen_no_more() -> None:
    with a_world() as world:
        post = performance(world, publish_video(world, SKILLET))
        assert first_day(world, post)
        world.clock.set(DAY + timedelta(hours=10))
        world.retract_post("youtube", post.remote_id)
        gone = performance(world, post.remote_id)
        # 00:15 + 9 h public, + 10 h removed: one hour of views is left.
        kept = first_day(world, gone)
        whole = first_day(world, post)
    assert 5 <= len(kept) <= 7
    assert kept[:-1] == whole[: len(kept) - 1]  # the last of them is cut short


# ---------------------------------------------------------------- and what it does not
CODE = st.text("abcdefghijkmnpqrstuvwxyz23456789", min_size=4, max_size=12)


@settings(max_examples=25, deadline=None)
@given(remote_id=CODE, code=CODE, port=st.integers(1024, 65535))
def test_nothing_depends_on_our_ids_codes_or_ports(remote_id: str, code: str, port: int) -> None:
    with a_world() as world:
        post = performance(world, publish_video(world, TENT, remote_id=remote_id, code=code, host=f"127.0.0.1:{port}"))
        lived = (post.eventual_views, post.burst, post.curiosity, first_day(world, post)[:20])
    assert lived == reference()


@cache
def reference() -> tuple[float, reach.Burst | None, float, list[Increment]]:
    with a_world() as world:
        post = performance(world, publish_video(world, TENT))
        return post.eventual_views, post.burst, post.curiosity, first_day(world, post)[:20]


def test_the_order_of_calls_changes_nothing_and_the_seed_changes_everything() -> None:
    def lived(seed: int, order: list[str]) -> dict[str, list[Increment]]:
        with a_world(seed) as world:
            for item_id in order:
                publish_video(world, item_id)
                world.market._performing()  # somebody looks in between
            return {item_id: first_day(world, performance(world, f"video-{item_id}")) for item_id in sorted(order)}

    assert lived(7, [SKILLET, TENT]) == lived(7, [TENT, SKILLET])
    assert lived(7, [SKILLET, TENT]) != lived(8, [SKILLET, TENT])


def test_views_do_not_depend_on_how_time_was_cut() -> None:
    """Late in its life a post's views are counted six-hourly; between, nothing is lost and nothing counted twice."""
    with a_world() as world:
        post = performance(world, publish_video(world, SKILLET))
        begin = step_of(post.public_at)
        counted = [reach._counted(post, begin + n) for n in range(-1, 61 * 144)]
    assert counted == sorted(counted)
    assert counted[0] == post.public_at
    assert counted[-1] == post.public_at + reach.LIFETIME


# ---------------------------------------------------------------- platforms
PLATFORM_NAMES = ("youtube", "tiktok", "instagram", "blog")


def on(world: World, platform: str, item_id: str = SKILLET, **how: Any) -> Performance:
    name = how.pop("remote_id", f"{platform}-{item_id}")
    publish_video(world, item_id, platform=platform, remote_id=name, account=how.pop("account", name), **how)
    return world.market._performing()[platform, name]


@pytest.mark.parametrize("platform", ["youtube", "tiktok", "instagram"])
def test_each_platform_withholds_reach_from_what_it_asks_to_declare_and_was_not(platform: str) -> None:
    asked = DECLARED[platform] if platform != "youtube" else {name: FLAGS[name] for name in list(FLAGS)[:2]}
    assert len(asked) == 2
    with a_world() as world:
        declared = on(world, platform, remote_id="all")
        assert declared.seen.declared
        for name in asked:
            for said in (None, False):
                kept_quiet = on(world, platform, remote_id=f"no-{name}-{said}", flags=asked | {name: said})
                assert not kept_quiet.seen.declared
                assert kept_quiet.parts["undeclared"] < declared.parts["undeclared"] == 0
        assert not on(world, platform, remote_id="none", flags={}).seen.declared
        other = "tiktok" if platform != "tiktok" else "youtube"
        assert not on(world, platform, remote_id="other", flags=DECLARED[other]).seen.declared


def test_a_blog_has_nothing_to_declare_to_a_platform() -> None:
    with a_world() as world:
        assert on(world, "blog", flags={}, media={}).seen.declared


def test_each_platform_has_its_own_size_patience_and_hours() -> None:
    with a_world() as world:
        audiences = {name: world.market.audiences.of(name, "kitchen") for name in PLATFORM_NAMES}
    assert len({round(audience.size) for audience in audiences.values()}) == 4
    day = {name: audience.share_seen(24) for name, audience in audiences.items()}
    assert day["blog"] < day["youtube"] < day["tiktok"]
    assert audiences["blog"].awake(10.5) > audiences["tiktok"].awake(10.5)
    assert audiences["blog"].awake(22) < audiences["tiktok"].awake(22)
    for audience in audiences.values():
        assert statistics.mean(audience.awake(hour / 4) for hour in range(96)) == pytest.approx(1, rel=0.05)


def test_a_caption_s_first_sentence_is_its_title() -> None:
    caption = "#ad · Paid partnership.\nIs a cast iron skillet worth its weight? It weighs 2.1 kg."
    with a_world() as world:
        for platform in ("tiktok", "instagram"):
            world.accept_post(
                platform, "a", "x", title=caption, text=caption, media={"duration": 29.0}, public_at=DAY,
                flags=DECLARED[platform],
            )  # fmt: skip
            seen = world.market._performing()[platform, "x"].seen
            assert seen.title_characters == len("Is a cast iron skillet worth its weight?")
            assert seen.question
            assert seen.disclosed


# ---------------------------------------------------------------- catching on, and wearing off
def test_a_post_grows_at_most_to_its_platform_s_ceiling_and_a_better_one_catches_on_more_often() -> None:
    with a_world() as world:
        for platform in PLATFORM_NAMES:
            audience = world.market.audiences.of(platform, "kitchen")
            dull, good = (
                [reach.burst(world.rng, str(n), audience, merit) for n in range(3000)] for merit in (-0.7, 0.7)
            )
            caught = [burst for burst in good if burst]
            assert all(1 <= burst.times <= audience.platform.ceiling for burst in caught)
            assert all(burst.after <= 72 for burst in caught)
            assert 0 < sum(burst is not None for burst in dull) < len(caught) < 3000 * 0.36
            # Whoever catches on when dull does so when good: quality only ever adds.
            assert all(better for worse, better in zip(dull, good, strict=True) if worse)
            lucks = [reach.luck(world.rng, str(n), audience) for n in range(3000)]
            assert max(map(abs, lucks)) <= 2.5 * audience.platform.spread
            assert abs(statistics.mean(lucks)) < 0.05


def test_what_a_burst_brings_comes_later_and_follows_links_less() -> None:
    with a_world() as world:
        post = performance(world, publish_video(world, SKILLET))
        calm, viral = replace(post, burst=None), replace(post, burst=reach.Burst(times=10.0, after=5.0))
        lived = {"calm": first_day(world, calm), "viral": first_day(world, viral)}
        assert [step.views for step in lived["calm"][:29]] == [step.views for step in lived["viral"][:29]]
        views, visitors = ({name: sum(getattr(step, what) for step in steps) for name, steps in lived.items()}
                           for what in ("views", "visitors"))  # fmt: skip
        assert views["viral"] > 4 * views["calm"]
        assert visitors["viral"] / views["viral"] < 0.85 * visitors["calm"] / views["calm"]
        whole = sum(reach.shares_between(viral, 0, 24 * 60))
        assert 10.5 < whole <= 11


@settings(max_examples=40, deadline=None)
@given(
    earlier=st.lists(st.tuples(st.sampled_from(["HP-1005", "HP-1041", "HP-1073"]), st.floats(0.1, 167)), max_size=8),
    more=st.tuples(st.sampled_from(["HP-1005", "HP-1041", "HP-1073"]), st.floats(0.1, 167)),
)
def test_every_earlier_post_of_an_account_costs_reach_and_none_ever_adds(
    earlier: list[tuple[str, float]], more: tuple[str, float]
) -> None:
    seen = {item: impression_of(item) for item in ("HP-1005", "HP-1041", "HP-1073")}

    def tired(posts: list[tuple[str, float]]) -> float:
        before = [(seen[item], f"About {item} at {hours}", DAY - timedelta(hours=hours)) for item, hours in posts]
        return reach.fatigue(seen["HP-1005"], "About it", DAY, before)

    assert -0.45 * 3 - 0.12 * 4 <= tired([*earlier, more]) <= tired(earlier) <= 0


@cache
def impression_of(item_id: str) -> Impression:
    with a_world() as world:
        return performance(world, publish_video(world, item_id)).seen


def test_the_same_product_tires_more_than_its_niche_and_a_niche_more_than_the_account() -> None:
    def tired(item_id: str, hours: float = 24) -> float:
        before = [(impression_of(item_id), "Another title", DAY - timedelta(hours=hours))]
        return reach.fatigue(impression_of(SKILLET), "A title", DAY, before)

    niche = impression_of(SKILLET).niche
    same_niche = next(
        item for item in open_catalog("http://127.0.0.1:9", None).of("1001") if item.niche == niche
        and item.item_id != SKILLET
    ).item_id  # fmt: skip
    assert tired(SKILLET) < tired(same_niche) < tired(TENT) <= 0
    assert tired(SKILLET, hours=24) < tired(SKILLET, hours=120)
    assert tired(TENT, hours=0.5) < tired(TENT, hours=6)


# ---------------------------------------------------------------- proportions
@pytest.mark.parametrize(
    ("platform", "median", "share", "chance"),
    [
        ("youtube", (500, 3500), (0.010, 0.026), (0.030, 0.055)),
        ("tiktok", (250, 2500), (0.003, 0.011), (0.015, 0.040)),
        ("instagram", (200, 2000), (0.005, 0.013), (0.020, 0.045)),
        ("blog", (100, 900), (0.030, 0.070), (0.035, 0.065)),
    ],
)
def test_a_day_has_the_proportions_of_a_small_channel(
    platform: str, median: tuple[float, float], share: tuple[float, float], chance: tuple[float, float]
) -> None:
    views, chances, bots, visitors = [], [], 0, 0
    for seed in (1, 2, 3):
        with a_world(seed) as world:
            for number, item_id in enumerate(sorted(world.catalog.items)[seed::10]):
                post = on(world, platform, item_id, public_at=DAY + timedelta(hours=7 + number * 3 % 14))
                day = first_day(world, post)
                views.append(sum(step.views for step in day))
                visitors += sum(step.visitors for step in day)
                bots += sum(step.bots for step in day)
                item = world.catalog.items[item_id]
                appeal = world.market.audiences.appeal(item_id)
                chances.append(reach.conversion(post, appeal=appeal, price=float(item.price), same_item=True))
    assert median[0] <= statistics.median(views) <= median[1]
    assert share[0] <= visitors / sum(views) <= share[1]
    assert chance[0] <= statistics.mean(chances) <= chance[1]
    assert 0.02 <= bots / visitors <= 0.09


def test_most_purchases_are_reported_within_twelve_hours_and_some_after_days() -> None:
    with a_world() as world:
        delays = [shoppers.buying_delay(world.rng, str(n)) for n in range(2000)]
    assert 0.62 <= statistics.mean(delay < timedelta(hours=12) for delay in delays) <= 0.78
    assert sum(delay > timedelta(days=2) for delay in delays) > 100
    assert max(delays) < timedelta(days=21)


@settings(max_examples=60, deadline=None)
@given(mean=st.floats(0.01, 300), trials=st.integers(0, 2000), share=st.floats(0.0, 1.0), seed=st.integers())
def test_draws_stay_in_their_bounds(mean: float, trials: int, share: float, seed: int) -> None:
    rng = random.Random(seed)
    assert poisson(rng, mean) >= 0
    assert 0 <= binomial(rng, trials, share) <= trials


@pytest.mark.parametrize("mean", [0.5, 12.0, 59.0, 140.0])
def test_poisson_has_its_mean_and_variance(mean: float) -> None:
    rng = random.Random(3)
    draws = [poisson(rng, mean) for _ in range(4000)]
    assert statistics.mean(draws) == pytest.approx(mean, rel=0.06)
    assert statistics.variance(draws) == pytest.approx(mean, rel=0.15)


def test_trends_are_born_and_fade() -> None:
    with a_world() as world:
        days = [
            world.market.audiences.trend("pets", date.fromordinal(date(2026, 1, 1).toordinal() + n)) for n in range(300)
        ]
    assert min(days) >= 1.0
    assert max(days) > 1.25
    assert max(abs(b - a) for a, b in pairwise(days)) < 0.9


# ---------------------------------------------------------------- how people find links
def test_people_type_the_first_address_they_see() -> None:
    assert people.first_address("#ad\nAll: go.example.com/h/gear.\nThis: https://go.example.com/r/x1") == (
        "http://go.example.com/h/gear"
    )
    assert people.first_address("See https://go.example.com/r/abc, now") == "https://go.example.com/r/abc"
    assert people.first_address("Half a litre and/or more, 16:9") is None


def test_who_cannot_tap_a_caption_types_the_hub_s_name_or_looks_at_the_profile() -> None:
    assert people.hub_address("This: http://go.example.com/r/x1\nAll: go.example.com/h/gear.") == (
        "http://go.example.com/h/gear"
    )
    assert people.hub_address("This: http://go.example.com/r/x1") is None
    how = people.Manner("a phone")

    async def walk(world: World, visit: str, text: str, profile: str | None, platform: str = "tiktok") -> Any:
        async with people.Crowd({}, world.rng) as crowd:
            return await people.find_redirect(
                crowd, visit, how, platform=platform, text=text, profile=profile, page_url="http://blog/x", title="t",
                item=None, rng=world.rng,
            )  # fmt: skip

    with a_world() as world:
        code = "This: http://go.example.com/r/x1"
        found = [asyncio.run(walk(world, str(n), code, None)) for n in range(60)]
        typed = found.count(("http://go.example.com/r/x1", ""))
        assert typed + found.count(people.Unreached("gave up")) == 60
        assert 8 <= typed <= 30
        # A hub is looked for first: here it is of no world that this crowd can reach.
        assert asyncio.run(walk(world, "1", code, "http://go.example.com/h/gear")) == people.Unreached(
            "failed:elsewhere"
        )
        assert asyncio.run(walk(world, "1", "Nothing here", None)) == people.Unreached("failed:no link")


def test_people_take_the_entry_that_names_what_they_came_for() -> None:
    page = """<ul><li><a href="/r/one">Trail Lamp 400</a><p>Seen in “One lamp?”</p></li>
    <li><a href="/r/two">Down Sleeping Bag</a><p>Seen in “Is it warm?”</p></li>
    <li><a href="/r/three">Down Sleeping Bag</a><p>Seen in “Three things about warmth”</p></li></ul>"""
    at = "http://t/h/gear"
    assert people.choose_link(page, at, "Three things about warmth", "Down Sleeping Bag") == "http://t/r/three"
    assert people.choose_link(page, at, "Something else", "Trail Lamp 400") == "http://t/r/one"
    assert people.choose_link("<p>Nothing here yet.</p>", at, "x", "y") is None


@pytest.mark.parametrize("platform", PLATFORM_NAMES)
def test_people_look_like_people_and_bots_like_bots_or_like_nobody(platform: str) -> None:
    with a_world() as world:
        those = [people.manner(world.rng, str(n), platform, bot=False) for n in range(500)]
        bots = [people.manner(world.rng, str(n), platform, bot=True) for n in range(400)]
        assert those[7] == people.manner(world.rng, "7", platform, bot=False)
    assert not any(is_bot(one.user_agent) for one in those)
    assert {one.method for one in those} == {"GET"}
    assert len({one.user_agent for one in those}) > 400
    in_app = {"tiktok": "BytedanceWebview", "instagram": "Instagram"}.get(platform)
    inside = [one for one in those if one.headers]
    assert bool(inside) is bool(in_app)
    assert all(in_app in one.user_agent for one in inside if in_app)
    disguised = [one for one in bots if not is_bot(one.user_agent)]
    assert all(one.method == "HEAD" or dict(one.headers).get("sec-purpose") for one in disguised)
    assert 40 < len(disguised) < 130
    assert {"facebookexternalhit", "TikTokSpider", "WhatsApp", "Slackbot", "Twitterbot"} <= {
        name
        for one in bots
        for name in re.findall(r"facebookexternalhit|TikTokSpider|WhatsApp|Slackbot|Twitterbot", one.user_agent)
    }


def test_people_open_nothing_beyond_this_world() -> None:
    with a_world() as world:
        crowd = people.Crowd({"go.example.com": "http://127.0.0.1:8001"}, world.rng)
        assert crowd.reached("https://go.example.com/r/a?b=c") == "http://127.0.0.1:8001/r/a?b=c"
        assert crowd.reached("https://shop.example.com/products/1") is None


def test_readers_find_the_link_of_a_post_as_we_typeset_it() -> None:
    sections = [
        Section(heading=f"Part {n}", markdown="It weighs {2} kg < 3.\n\n- light\n- *quiet*", fact_ids=["F1"])
        for n in (1, 2, 3)
    ]
    source = render_mdx(
        Post(title='A "plain" guide: yoga', meta_description="About a mat.", sections=sections),
        piece_id="pc_0123456789abcdef",
        published_on=date(2026, 11, 20),
        product="Cork Yoga Mat 5 mm",
        link_url="http://127.0.0.1:8001/r/abc23",
        disclosure="This article contains affiliate links.",
        ai_statement="Written with AI.",
    )
    front, text = blog.front_matter(source)
    page = blog.as_html(text)
    assert front["title"] == 'A "plain" guide: yoga'
    assert (
        people.choose_link(page, "http://w/blog/posts/x", front["title"], "Cork Yoga Mat")
        == "http://127.0.0.1:8001/r/abc23"
    )
    assert "It weighs {2} kg &lt; 3." in page
    assert page.count("<a ") == page.count("</a>") == page.count('rel="sponsored nofollow"') == 2


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '<img src=x onerror="alert(1)">', "{x}", "export a"])
def test_a_hostile_post_is_not_built(hostile: str) -> None:
    with pytest.raises(blog.BuildFailed):
        blog.as_html(f"Hi\n{hostile}")
    assert blog.as_html("[x](javascript:alert(1))") == "<p>[x](javascript:alert(1))</p>"


# ---------------------------------------------------------------- shops and the network
def test_the_default_feed_is_what_shoppers_know() -> None:
    catalog = open_catalog("http://127.0.0.1:9", None)
    again = read_feed(catalog.feed, "1001")
    assert again == catalog.of("1001")
    assert len(again) == 120
    assert len({item.niche for item in again}) == 6
    assert catalog.of("1002")
    assert catalog.at(again[0].link + "?irclickid=1") == again[0]
    assert catalog.at("http://127.0.0.1:9/merchant/products/none") is None


def test_a_foreign_feed_is_read_as_far_as_it_can_be() -> None:
    rows = [
        "id\ttitle\tlink\tprice",
        "1\tLamp\thttps://s.example/1\t12.50 EUR",
        "2\tChair\thttps://s.example/2\t12,90 EUR",
        "3\tTable\thttps://s.example/3\tN/A",
        "4\tShelf\thttps://s.example/4\t-3.00 USD",
        "1\tLamp again\thttps://s.example/1b\t9.00 EUR",
        "5\tB\ufffdd",
    ]
    data = "\n".join(rows).encode() + b"\n6\tCaf\xe9\thttps://s.example/6\t4 USD"
    items = read_feed(data, "1001")
    assert [(item.item_id, item.price, item.currency) for item in items] == [
        ("1", Decimal("12.50"), "EUR"),
        ("6", Decimal(4), "USD"),
    ]
    for useless in (b"", b"<!doctype html><html></html>", b"\xff\xfe\x00", b"id\ttitle\n"):
        assert read_feed(useless, "1001") == []


@pytest.mark.parametrize(
    ("title", "item_id"),
    [
        ("Is a Cast Iron Skillet worth it? 26 cm, pre-seasoned", "HP-1005"),
        ("3 things to know about the Two-Person Backpacking Tent", "HP-1041"),
        ("Nothing that any shop here sells: zebras", None),
    ],
)
def test_a_reader_knows_which_product_is_meant(title: str, item_id: str | None) -> None:
    item, sureness = open_catalog("http://127.0.0.1:9", None).spoken_of(title)
    assert (item.item_id if item and sureness >= 0.6 else None) == item_id


def test_the_receiver_s_own_template_is_filled_in() -> None:
    macros = {name: f"<{name}> &" for name in shoppers.MACROS}
    plain = shoppers.notification_url("http://t/pb?key=1", macros)
    assert dict(parse_qsl(urlsplit(plain).query)) == {"key": "1", **macros}
    filled = shoppers.notification_url("http://t/pb?id={ActionId}&sub={SubId1}&no={Nothing}", macros)
    assert parse_qsl(urlsplit(filled).query) == [("id", "<ActionId> &"), ("sub", "<SubId1> &"), ("no", "{Nothing}")]


def test_an_order_becomes_an_action_that_is_approved_or_sent_back() -> None:
    with a_world() as world:
        item = world.catalog.items[SKILLET]
        when = DAY + timedelta(hours=2)
        for number in range(200):
            world.store.execute(
                "INSERT INTO impact_clicks VALUES (?, '', 'p', 'a', '1001', ?, ?)",
                (f"k{number}", f"s{number}", item.link),
            )
            world.store.execute(
                "INSERT INTO orders VALUES (?, 'v', ?, '1001', ?, '42.00', 'USD', ?, ?, 'due')",
                (f"o{number}", f"k{number}", SKILLET, stamp(DAY), stamp(when)),
            )
        assert shoppers.track_orders(world, when - timedelta(seconds=1)) == 0
        assert shoppers.track_orders(world, when) == 200
        assert shoppers.track_orders(world, when) == 0
        paid = witness.payouts(world)
        assert {(row["state"], row["payout_micros"], row["sale_micros"]) for row in paid} == {
            ("PENDING", 2_100_000, 42_000_000)
        }
        assert {row["sub_id1"] for row in paid} == {f"s{number}" for number in range(200)}
        shoppers.settle_actions(world, when + timedelta(days=29))
        smaller = [
            row for row in witness.payouts(world) if row["state"] == "PENDING" and row["payout_micros"] < 2_100_000
        ]
        assert 1 <= len(smaller) < 25
        assert all(0.49 < row["sale_micros"] / 42_000_000 < 0.91 for row in smaller)
        shoppers.settle_actions(world, when + timedelta(days=31))
        settled = witness.payouts(world)
        states = [row["state"] for row in settled]
        assert {row["payout_micros"] for row in settled if row["state"] == "REVERSED"} == {0}
        approved = [row["payout_micros"] for row in settled if row["state"] == "APPROVED"]
        assert approved.count(2_100_000) == len(approved) - len(smaller)
        assert all(row["payout_micros"] == pytest.approx(row["sale_micros"] * 0.05, abs=5_000) for row in settled)
        assert 1 <= states.count("REVERSED") < 60
        assert states.count("APPROVED") + states.count("REVERSED") == 200
        assert len(witness.notifications(world)) == 400 + len(smaller)
