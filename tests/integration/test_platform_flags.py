"""What each platform was told, read off the request it got: the world keeps it as it was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from affiliate_empire.cli.witness import Witness, compare
from affiliate_empire.compliance import check_page
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.total_day import total_day
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS
from tests.factories.publishing import DAY, SLOT, Business, add_post, add_video, after, open_business
from tests.factories.worlds import RunningWorld, write_video


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    yield world
    world.stop()


@pytest.fixture
def business(ledger: Ledger, world: RunningWorld, tmp_path: Path) -> Iterator[Business]:
    business = open_business(ledger, world.url, tmp_path)
    yield business
    business.close()


def publish_on(business: Business, world: RunningWorld, platform: str, folder: Path) -> None:
    if platform == "blog":
        piece = add_post(business)
    else:
        path = write_video(folder / "reel.mp4", size=(360, 640), rate=30, seconds=4, index_first=True)
        piece = add_video(business, path, platform=platform)
    if platform != "youtube":
        world.move_to(SLOT)
    business.publish(piece)


def only_post(world: RunningWorld) -> dict[str, Any]:
    (post,) = world.witness("posts")
    found: dict[str, Any] = post
    return found


def problems(world: RunningWorld, business: Business) -> list[str]:
    """What the demo would say of the day's labels, held against the world's witness."""
    totals = total_day(DAY, ledger=business.ledger, media=business.media)
    found = compare(totals, [], Witness(world.witness("posts"), [], [], [])).problems
    return [problem for problem in found if "label" in problem or "went out so" in problem]


def test_youtube_is_told_everything(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    publish_on(business, world, "youtube", tmp_path)

    request = only_post(world)["request"]
    assert request["query"]["part"] == "snippet,status,paidProductPlacementDetails"
    assert request["query"]["notifySubscribers"] == "false"
    assert request["body"]["status"] == {
        "privacyStatus": "private",
        "publishAt": SLOT.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "selfDeclaredMadeForKids": False,
        "containsSyntheticMedia": True,
    }
    assert request["body"]["paidProductPlacementDetails"] == {"hasPaidProductPlacement": True}


def test_youtube_is_never_asked_for_public_however_late_it_is(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    world.move_to(after(40))
    publish_on(business, world, "youtube", tmp_path)

    status = only_post(world)["request"]["body"]["status"]
    assert status["privacyStatus"] == "private"
    assert datetime.fromisoformat(status["publishAt"]) == after(40)


@pytest.mark.parametrize("closed", [False, True], ids=["open", "comments-closed"])
def test_tiktok_is_told_everything(world: RunningWorld, business: Business, tmp_path: Path, closed: bool) -> None:
    if closed:
        world.store.save_fact("tiktok.comment_disabled", "1")
    publish_on(business, world, "tiktok", tmp_path)

    info = only_post(world)["request"]["body"]["post_info"]
    assert info.pop("title").startswith(load_policy().disclosure("text"))
    assert info == {
        "privacy_level": "PUBLIC_TO_EVERYONE",
        "disable_comment": closed,
        "disable_duet": False,
        "disable_stitch": False,
        "brand_content_toggle": True,
        "brand_organic_toggle": False,
        "is_aigc": True,
    }
    assert info["privacy_level"] in business.tiktok.fetch_creator_info().privacy_levels


def test_instagram_is_told_everything(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    publish_on(business, world, "instagram", tmp_path)

    body = only_post(world)["request"]["body"]
    assert body["media_type"] == "REELS"
    assert (body["is_ai_generated"], body["is_paid_partnership"], body["share_to_feed"]) == ("true", "true", "true")
    assert body["caption"].startswith(load_policy().disclosure("text"))


def test_the_blog_carries_its_banner_and_marks_its_links(
    world: RunningWorld, business: Business, tmp_path: Path
) -> None:
    publish_on(business, world, "blog", tmp_path)

    page = only_post(world)["request"]["body"]
    assert check_page(page, load_policy()) == []
    assert page.count("<AffiliateLink href=") == page.count("href=") == 2  # the site's component marks each link
    assert page.index("<Disclosure>") < page.index("<AffiliateLink ")


@pytest.mark.parametrize("platform", ["youtube", "tiktok", "instagram", "blog"])
def test_no_credential_is_kept_with_a_request(
    world: RunningWorld, business: Business, tmp_path: Path, platform: str
) -> None:
    publish_on(business, world, platform, tmp_path)

    kept = json.dumps(world.witness("posts"))
    assert "Bearer" not in kept
    assert not [name for name, secret in SANDBOX_KEYS.items() if name.endswith("token") and secret in kept]


# ---------------------------------------------------------------- a flag that was forgotten
@pytest.mark.parametrize(
    ("platform", "label"),
    [
        ("youtube", "containsSyntheticMedia"),
        ("youtube", "hasPaidProductPlacement"),
        ("tiktok", "is_aigc"),
        ("tiktok", "brand_content_toggle"),
        ("instagram", "is_ai_generated"),
        ("instagram", "is_paid_partnership"),
        ("blog", "AffiliateLink"),
    ],
)
def test_a_label_that_the_request_lacks_is_a_disagreement_with_the_witness(
    world: RunningWorld, business: Business, tmp_path: Path, platform: str, label: str
) -> None:
    publish_on(business, world, platform, tmp_path)
    world.move_to(after(300))
    assert problems(world, business) == []

    # As if it had been left out on the way: the platform takes such a request without a word.
    row = world.store.one("SELECT request FROM publish_requests WHERE remote_id IS NOT NULL")
    assert row is not None
    damaged = row["request"].replace(label, "forgotten")
    assert damaged != row["request"]
    world.store.execute("UPDATE publish_requests SET request = ?", (damaged,))

    if platform == "tiktok":  # until its id is known, the ledger calls the post by its publish id
        from affiliate_empire.operations.find_tiktok_posts import find_tiktok_posts

        find_tiktok_posts(
            "tiktok:gearlab",
            ledger=business.ledger,
            tiktok=business.tiktok,
            clock=business.clock,
            policy=load_policy(),
        )
    assert any(label in problem for problem in problems(world, business))


def test_what_youtube_makes_of_forgotten_flags_is_seen(world: RunningWorld, business: Business, tmp_path: Path) -> None:
    """Public at once, and every subscriber rung: that is why nothing on our way has a default."""
    path = write_video(tmp_path / "short.mp4")
    token = business.youtube._tokens.bearer()
    with httpx.Client(base_url=world.url, trust_env=False, headers={"Authorization": f"Bearer {token}"}) as http:
        session = http.post(
            "/youtube/upload/youtube/v3/videos",
            params={"part": "snippet,status", "uploadType": "resumable"},
            json={"snippet": {"title": "Forgetful"}, "status": {}},
        ).raise_for_status()
        http.put(session.headers["location"], content=path.read_bytes()).raise_for_status()

    post = only_post(world)
    assert post["public"]
    assert (post["flags"]["privacyStatus"], post["flags"]["notifySubscribers"]) == ("public", True)
    assert (post["flags"]["containsSyntheticMedia"], post["flags"]["hasPaidProductPlacement"]) == (None, None)
    assert post["request"]["body"]["status"] == {}
    assert "notifySubscribers" not in post["request"]["query"]


def test_tiktok_refuses_a_post_without_its_audience(world: RunningWorld, business: Business) -> None:
    """It defaults the labels to off, but never the audience."""
    headers = {"Authorization": f"Bearer {business.tiktok._tokens()}"}
    source = {"source": "FILE_UPLOAD", "video_size": 1000, "chunk_size": 1000, "total_chunk_count": 1}
    reply = httpx.post(
        f"{world.url}/tiktok/v2/post/publish/video/init/",
        json={"post_info": {"title": "Forgetful"}, "source_info": source},
        headers=headers,
        trust_env=False,
    )
    assert reply.json()["error"]["code"] == "invalid_params"
