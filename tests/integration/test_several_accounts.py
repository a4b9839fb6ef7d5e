"""Two accounts of one platform: connected, planned for in turns, posted on as themselves; no secret left anywhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from affiliate_empire.effects.switches import pause_scope
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.backup import _run, save_backup
from affiliate_empire.ledger.tables import Account, Effect
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.hold_account import hold_account
from affiliate_empire.operations.post_to_instagram import InstagramPoster
from affiliate_empire.operations.post_to_tiktok import TikTokPoster
from affiliate_empire.operations.post_to_youtube import YouTubePoster
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import SANDBOX_KEYS, Settings
from affiliate_empire.vault import ExtendedToken, Grants, RotatingTokens, Vault, open_master_keys
from affiliate_empire.vendors.accounts import PerAccount
from affiliate_empire.vendors.errors import AccountRestricted, GrantEnded
from affiliate_empire.vendors.instagram import InstagramClient, InstagramCredentials
from affiliate_empire.vendors.tiktok import TikTokClient
from affiliate_empire.vendors.youtube import YouTubeClient
from tests.factories.business_day import BusinessDay
from tests.factories.publishing import Business, add_video, after, open_business, youtube_grant
from tests.factories.sign_in import SECOND, THIRD, connect, tiktok_oauth
from tests.factories.sought_secrets import all_secrets, seen, tables
from tests.factories.worlds import START, RunningWorld, write_video

NAMES = {"youtube": ("Sandbox Kitchen", "Sandbox Garden"), "tiktok": ("sandbox.kitchen", "sandbox.garden")}
NAMES["instagram"] = NAMES["tiktok"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path)
    yield world
    world.stop()


@pytest.fixture
def vault(ledger: Ledger, tmp_path: Path) -> Vault:
    return Vault(ledger, lambda: open_master_keys(tmp_path, None))


def connect_two(world: RunningWorld, ledger: Ledger, grants: Grants, platform: str, **first: Any) -> list[str]:
    connected = []
    for residents, changes in ((SECOND, first), (THIRD, {})):
        world.sign_in(platform, residents[platform])
        connected.append(connect(world, ledger, grants, platform, **changes).account_id)
    return connected


def test_the_plan_takes_turns_within_each_account_s_niche_and_caps(
    world: RunningWorld, ledger: Ledger, vault: Vault, tmp_path: Path
) -> None:
    prepare_ledger(ledger=ledger)
    day = BusinessDay(ledger, MediaStore(tmp_path / "media"))
    ranked = day.offer()
    niche = str(ranked[ranked["eligible"]]["niche"].iloc[-1])  # not the best one: half a day may be in one niche
    none_given = Grants(vault, given=lambda platform: None, clock=FixedClock(START))
    narrow, wide = connect_two(world, ledger, none_given, "youtube", niche=niche)

    plan = day.plan(ranked, slate={"youtube": 4, "blog": 0})
    assert plan["account_id"].value_counts().to_dict() == {narrow: 2, wide: 2}
    assert set(plan[plan["account_id"] == narrow]["niche"]) == {niche}
    assert set(plan[plan["account_id"] == wide]["niche"]) - {niche}
    rule = load_policy().posting("youtube")
    for _, slots in plan.groupby("account_id")["slot_at"]:
        assert slots.sort_values().diff().dropna().min() >= rule.spacing
        assert len(slots) <= rule.limit


@pytest.mark.parametrize("held", ["by its owner", "by its platform", "until it is connected again"])
def test_nothing_is_planned_for_an_account_that_is_held_and_its_share_goes_to_the_other(
    ledger: Ledger, tmp_path: Path, held: str
) -> None:
    prepare_ledger(ledger=ledger)
    with ledger.begin() as session:
        session.add(Account(account_id="youtube:2", platform="youtube", handle="second", display_name="Second"))
    if held == "by its owner":
        pause_scope("account:youtube:gearlab", "a holiday", ledger=ledger)
    elif held == "by its platform":
        strike = AccountRestricted("YouTube has suspended the channel.", vendor="youtube")
        hold_account("youtube:gearlab", strike, ledger=ledger, at=START)
    else:
        hold_account("youtube:gearlab", GrantEnded("The grant ended.", vendor="youtube"), ledger=ledger, at=START)
    day = BusinessDay(ledger, MediaStore(tmp_path / "media"))
    plan = day.plan(day.offer(), slate={"youtube": 4, "blog": 0})
    assert plan["account_id"].value_counts().to_dict() == {"youtube:2": 4}


def clients_of(business: Business, world: RunningWorld, grants: Grants) -> dict[str, PerAccount[Any]]:
    """Clients by account, with the grants of the vault, as the resources make them."""
    clock, url = business.clock, world.url
    oauth = tiktok_oauth(world)

    def youtube(name: str) -> YouTubeClient:
        def grant() -> Any:
            return replace(youtube_grant(), refresh_token=grants.of(name)["refresh_token"])

        return YouTubeClient(f"{url}/youtube", f"{url}/google_oauth", credentials=grant, clock=clock, timeout=10)

    def tiktok(name: str) -> TikTokClient:
        tokens = RotatingTokens(grants, name, refresh=oauth.refresh, clock=clock)
        return TikTokClient(f"{url}/tiktok", tokens=tokens, clock=clock, timeout=10)

    def instagram(name: str) -> InstagramClient:
        in_force = ExtendedToken(grants, name, extend=None, clock=clock)

        def credentials() -> InstagramCredentials:
            return InstagramCredentials(in_force()["user_id"], in_force()["access_token"])

        return InstagramClient(
            f"{url}/instagram", f"{url}/instagram_upload", credentials=credentials, clock=clock, timeout=10,
            pause=lambda seconds: None,
        )  # fmt: skip

    makers: dict[str, Callable[[str], Any]] = {"youtube": youtube, "tiktok": tiktok, "instagram": instagram}
    return {name: PerAccount(make, close=lambda client: client.close()) for name, make in makers.items()}


def test_posts_stand_under_their_accounts_and_no_secret_stands_anywhere(
    world: RunningWorld,
    ledger: Ledger,
    vault: Vault,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    business = open_business(ledger, world.url, tmp_path)
    grants = Grants(vault, given=Settings().grant_of, clock=business.clock)
    clients = clients_of(business, world, grants)
    policy, media = load_policy(), business.media
    business.posters |= {
        "youtube": YouTubePoster(clients["youtube"], clock=business.clock, media=media, policy=policy),
        "tiktok": TikTokPoster(
            clients["tiktok"], clock=business.clock, media=media, policy=policy, handoff=tmp_path / "handoff"
        ),
        "instagram": InstagramPoster(
            clients["instagram"], clock=business.clock, media=media, policy=policy, media_public_url=None
        ),
    }
    reel = write_video(tmp_path / "reel.mp4", seconds=3, size=(360, 640), rate=24, index_first=True)
    shorts = [reel, write_video(tmp_path / "other.mp4", seconds=3, size=(360, 640), rate=24, index_first=True, seed=2)]
    world.move_to(after(1))
    expected = set()
    for platform in ("youtube", "tiktok", "instagram"):
        connected = connect_two(world, ledger, grants, platform)
        for number, name in enumerate(connected):
            piece = add_video(
                business, shorts[number], piece_id=f"pc_{platform}_{number}", platform=platform, account_id=name,
                slot_at=after(0),
            )  # fmt: skip
            publication = business.publish(piece)
            assert publication.account_id == name
            expected.add((platform, NAMES[platform][number]))
        used = [str(vars(client)) for client in clients[platform]._clients.values()]
        assert not seen(all_secrets(tmp_path), [("a client's attributes", text) for text in used])
    posts = world.witness("posts")
    assert {(post["platform"], post["account"]) for post in posts} == expected
    assert len(posts) == 6

    # What is said when access is refused, too.
    world.fault("POST /google_oauth/token", status=400, body={"error": "invalid_grant"}, times=9)
    world.move_to(world.now() + timedelta(hours=2))
    with pytest.raises(Exception, match="empire connect youtube") as refused:
        clients["youtube"].of("youtube:sandboxkitchen").fetch_counts(["x"])
    for each in clients.values():
        each.close()
    business.close()

    secrets = all_secrets(tmp_path)
    assert len(secrets) > 40
    backup = tmp_path / "empire.backup"
    save_backup(ledger, backup)
    plain = tmp_path / "plain.sql"
    with plain.open("wb") as out:
        _run("pg_dump", ledger.url, out=out)
    said = capfd.readouterr()
    settings = Settings(
        **{name: value for name, value in SANDBOX_KEYS.items() if name in Settings.model_fields}  # type: ignore[arg-type]
    )
    places = [
        *tables(ledger.url),
        ("the backup", backup.read_bytes().decode("latin-1")),
        ("what the backup holds", plain.read_text("utf-8")),
        ("the log", caplog.text),
        ("what was printed", said.out + said.err),
        ("repr", repr([settings, vault, grants, grants.of("tiktok:sandbox.garden").keys(), youtube_grant(), clients])),
        ("an error", repr(refused.value) + str(refused.value.__cause__)),
    ]
    assert seen(secrets, places) == []
    with ledger.begin() as session:
        handles = session.scalars(select(Effect.handle)).all()
    assert all(handle and not {"session_url", "upload_url"} & set(handle) for handle in handles)
