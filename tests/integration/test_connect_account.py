"""Connecting accounts: one sign-in, its grant kept for the account that it is for, and nothing left of a failed one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx
import pytest
from sqlalchemy import func, select

from affiliate_empire.effects.switches import pause_scope, paused_scopes
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.errors import BadInput, EmpireError
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Alert, Credential
from affiliate_empire.operations.alerts import load_alerts
from affiliate_empire.operations.choose_route import choose_route
from affiliate_empire.operations.hold_account import hold_account
from affiliate_empire.settings import Settings
from affiliate_empire.vault import Grants, Vault, open_master_keys
from affiliate_empire.vendors.errors import AccountRestricted, CredentialsRejected, GrantEnded, VendorUnavailable
from affiliate_empire.vendors.oauth import NotConsented
from affiliate_empire.vendors.youtube import _MANAGING
from affiliate_empire.vendors.youtube import _SCOPES as DATA_SCOPES
from affiliate_empire.vendors.youtube_analytics import _SCOPES as ANALYTICS_SCOPES
from affiliate_empire.vendors.youtube_oauth import YouTubeOAuth
from tests.factories.pieces import plan_piece
from tests.factories.sign_in import FIRST, SECOND, THIRD, authorization, browse, connect, who_is
from tests.factories.sought_secrets import seen
from tests.factories.worlds import START, RunningWorld

PLATFORMS = ("youtube", "tiktok", "instagram")
KITCHEN = {"youtube": "youtube:sandboxkitchen", "tiktok": "tiktok:sandbox.kitchen"}
KITCHEN["instagram"] = "instagram:sandbox.kitchen"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    world = RunningWorld(tmp_path_factory.mktemp("world"))
    yield world
    world.stop()


@pytest.fixture(autouse=True)
def calm(world: RunningWorld) -> Iterator[None]:
    yield
    world.clear_faults()


@pytest.fixture
def vault(ledger: Ledger, tmp_path: Path) -> Vault:
    return Vault(ledger, lambda: open_master_keys(tmp_path, None))


@pytest.fixture
def grants(vault: Vault) -> Grants:
    """Where the settings have no grant, as in a new live home."""
    return Grants(vault, given=lambda platform: None, clock=FixedClock(START))


def accounts(ledger: Ledger, platform: str) -> dict[str, Account]:
    with ledger.begin() as session:
        rows = session.scalars(select(Account).where(Account.platform == platform)).all()
        session.expunge_all()
    return {row.account_id: row for row in rows}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_two_accounts_are_connected_and_one_of_them_again(
    platform: str, world: RunningWorld, ledger: Ledger, grants: Grants, vault: Vault
) -> None:
    world.sign_in(platform, SECOND[platform])
    done = connect(world, ledger, grants, platform, niche="kitchen")
    assert (done.account_id, done.is_new) == (KITCHEN[platform], True)
    (row,) = accounts(ledger, platform).values()  # the account that stood in its place is gone
    assert (row.remote_id, row.display_name, row.niche) == (SECOND[platform], "Sandbox Kitchen", "kitchen")
    assert grants.is_connected(done.account_id)

    world.sign_in(platform, THIRD[platform])
    other = connect(world, ledger, grants, platform)
    assert other.is_new
    assert set(accounts(ledger, platform)) == {done.account_id, other.account_id}

    first = grants.of(done.account_id)
    world.sign_in(platform, SECOND[platform])
    again = connect(world, ledger, grants, platform)
    assert (again.account_id, again.is_new, again.revived) == (done.account_id, False, False)
    assert grants.of(done.account_id) != first
    assert set(vault.names()) == {done.account_id, other.account_id}
    assert who_is(world, grants, platform)(done.account_id) == SECOND[platform]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_account_that_the_settings_speak_for_is_not_added_twice(
    platform: str, world: RunningWorld, ledger: Ledger, vault: Vault, tmp_path: Path
) -> None:
    fresh = world if platform != "tiktok" else RunningWorld(tmp_path / "world")  # its first token works once
    given = Grants(vault, given=Settings().grant_of, clock=FixedClock(START))
    fresh.sign_in(platform, FIRST[platform])
    done = connect(fresh, ledger, given, platform)
    assert (done.account_id, done.is_new) == (f"{platform}:gearlab", False)
    assert accounts(ledger, platform)[f"{platform}:gearlab"].handle == "gearlab"  # of the hub page in earlier posts
    fresh.sign_in(platform, SECOND[platform])
    assert connect(fresh, ledger, given, platform).account_id == KITCHEN[platform]
    if fresh is not world:
        fresh.stop()


def test_a_niche_is_spelled_as_the_products_are_and_one_of_no_product_is_said(
    world: RunningWorld, ledger: Ledger, grants: Grants
) -> None:
    def connected(niche: str) -> tuple[str | None, list[str]]:
        done = connect(world, ledger, grants, "youtube", niche=niche)
        return accounts(ledger, "youtube")[done.account_id].niche, list(done.known_niches)

    world.sign_in("youtube", SECOND["youtube"])
    refused(BadInput, "That names no niche", world, ledger, grants, "youtube", niche="12")
    assert connected("Home & Kitchen") == ("home-and-kitchen", [])  # there are no products yet
    plan_piece(ledger)
    assert connected("Kitchen") == ("kitchen", [])
    assert connected("kitchn") == ("kitchn", ["kitchen"])


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_grant_of_another_account_is_refused(
    platform: str, world: RunningWorld, ledger: Ledger, grants: Grants, vault: Vault
) -> None:
    world.sign_in(platform, SECOND[platform])
    mine = connect(world, ledger, grants, platform).account_id
    before = grants.of(mine)
    world.sign_in(platform, THIRD[platform])
    for named in (mine, f"{platform}:nobody"):
        with pytest.raises(BadInput, match=r"Sandbox Garden .*signed in.*nothing was stored"):
            connect(world, ledger, grants, platform, account_id=named)
    assert grants.of(mine) == before
    assert set(vault.names()) == {mine}
    assert set(accounts(ledger, platform)) == {mine}


def test_one_channel_cannot_be_two_accounts(world: RunningWorld, ledger: Ledger, grants: Grants) -> None:
    world.sign_in("youtube", SECOND["youtube"])
    connect(world, ledger, grants, "youtube")
    with ledger.begin() as session:
        session.add(Account(account_id="youtube:two", platform="youtube", handle="two", display_name="Two"))
    with pytest.raises(BadInput, match="which is youtube:sandboxkitchen, and not youtube:two"):
        connect(world, ledger, grants, "youtube", account_id="youtube:two")


def test_whose_ended_grant_it_was_has_to_be_said(world: RunningWorld, ledger: Ledger, vault: Vault) -> None:
    revoked = Grants(vault, given=lambda platform: {"refresh_token": "revoked"}, clock=FixedClock(START))
    world.sign_in("youtube", SECOND["youtube"])
    with pytest.raises(BadInput, match=r"cannot be told whether .* is youtube:gearlab"):
        connect(world, ledger, revoked, "youtube")
    done = connect(world, ledger, revoked, "youtube", account_id="youtube:gearlab")
    assert (done.account_id, done.is_new) == ("youtube:gearlab", False)
    assert accounts(ledger, "youtube")["youtube:gearlab"].remote_id == SECOND["youtube"]


def test_of_several_instagram_accounts_one_is_named(world: RunningWorld, ledger: Ledger, grants: Grants) -> None:
    world.sign_in("instagram", SECOND["instagram"], THIRD["instagram"])
    with pytest.raises(BadInput, match=r"instagram:sandbox\.kitchen, instagram:sandbox\.garden"):
        connect(world, ledger, grants, "instagram")
    done = connect(world, ledger, grants, "instagram", account_id="instagram:sandbox.garden")
    assert grants.of(done.account_id)["user_id"] == THIRD["instagram"]


# ---------------------------------------------------------------- what goes wrong
def refused(error: type[EmpireError], match: str, *arguments: Any, **changes: Any) -> None:
    """A sign-in that fails with these words, and leaves nothing."""
    ledger = arguments[1]
    with pytest.raises(error, match=match):
        connect(*arguments, **changes)
    with ledger.begin() as session:
        assert session.scalar(select(func.count()).select_from(Credential)) == 0
        assert session.scalar(select(func.count()).where(Account.remote_id.is_not(None))) == 0


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_refusal_and_a_withheld_scope_leave_nothing(
    platform: str, world: RunningWorld, ledger: Ledger, grants: Grants
) -> None:
    world.sign_in(platform, SECOND[platform], deny=True)
    refused(NotConsented, "Access was refused at", world, ledger, grants, platform)
    scopes = authorization(world, platform).scopes
    withheld = list(scopes)[:2]
    world.sign_in(platform, SECOND[platform], withhold=withheld)
    words = ", ".join(f"{scope} \\({scopes[scope]}\\)" for scope in withheld)
    refused(CredentialsRejected, f"did not grant {words}: nothing was stored", world, ledger, grants, platform)


def test_an_answer_to_another_question_is_refused(world: RunningWorld, ledger: Ledger, grants: Grants) -> None:
    world.sign_in("youtube", SECOND["youtube"])

    def elsewhere(address: str) -> None:
        parts = urlsplit(address)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()} | {"state": "another"}
        browse(urlunsplit(parts._replace(query=urlencode(asked))))

    refused(NotConsented, "its state differs", world, ledger, grants, "youtube", show=elsewhere)


def test_nobody_comes_back_in_time(world: RunningWorld, ledger: Ledger, grants: Grants) -> None:
    refused(NotConsented, "within 0 seconds", world, ledger, grants, "youtube", show=lambda address: None, patience=0.3)


def test_a_port_that_is_taken_is_said(world: RunningWorld, ledger: Ledger, grants: Grants) -> None:
    refused(BadInput, f"Port {world.port} is taken", world, ledger, grants, "youtube", port=world.port)


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_that_there_is_not_is_said(world: RunningWorld, ledger: Ledger, grants: Grants, port: int) -> None:
    refused(
        BadInput, f"There is no port {port}: choose a --port up to 65535", world, ledger, grants, "youtube", port=port
    )


@pytest.mark.parametrize(
    ("platform", "match", "fault", "error", "said"),
    [
        ("youtube", "POST /google_oauth/token", {"status": 200, "body": {"access_token": "a", "expires_in": 1}},
         CredentialsRejected, "gave no refresh token"),
        ("youtube", "POST /google_oauth/token", {"kind": "down"}, VendorUnavailable, "does not answer"),
        ("youtube", "GET /youtube/youtube/v3/channels", {"status": 200, "body": {"items": []}}, EmpireError,
         "has no YouTube channel"),
        ("youtube", "GET /youtube/youtube/v3/channels", {"kind": "quota"}, EmpireError, "quotaExceeded"),
        ("tiktok", "POST /tiktok/v2/oauth/token/", {"status": 200, "body": {"error": "invalid_grant"}},
         CredentialsRejected, "did not accept the sign-in"),
        ("tiktok", "GET /tiktok/v2/user/info/", {"kind": "malformed"}, VendorUnavailable, "cannot be read"),
        ("instagram", "GET /instagram/*/oauth/access_token",
         {"status": 400, "body": {"error": {"code": 100, "error_subcode": 36009}}}, CredentialsRejected,
         "did not accept the sign-in"),
        ("instagram", "GET /instagram/*/me/accounts", {"status": 200, "body": {"data": []}}, EmpireError,
         "link it to a page"),
    ],
)  # fmt: skip
def test_a_platform_that_does_not_play_along_leaves_nothing(
    platform: str, match: str, fault: dict[str, Any], error: type[EmpireError], said: str,
    world: RunningWorld, ledger: Ledger, grants: Grants,
) -> None:  # fmt: skip
    world.sign_in(platform, SECOND[platform])
    world.fault(match, **fault)
    refused(error, said, world, ledger, grants, platform)


def test_a_creator_who_may_not_post_now_can_be_connected(world: RunningWorld, ledger: Ledger, grants: Grants) -> None:
    world.sign_in("tiktok", SECOND["tiktok"])
    world.fault("POST /tiktok/v2/post/publish/creator_info/query/", kind="quota")
    assert connect(world, ledger, grants, "tiktok").account_id == "tiktok:sandbox-kitchen"


# ---------------------------------------------------------------- drafts only
def test_a_creator_who_lets_us_send_drafts_only_takes_the_route_of_drafts(
    world: RunningWorld, ledger: Ledger, grants: Grants
) -> None:
    world.sign_in("tiktok", SECOND["tiktok"], withhold=["video.publish"])
    done = connect(world, ledger, grants, "tiktok")
    assert (done.account_id, done.is_new, done.drafts_only) == ("tiktok:sandbox-kitchen", True, True)
    assert accounts(ledger, "tiktok")[done.account_id].route == "inbox"

    # Allowed more, it stays what it is until its owner says otherwise; nor does less make a draft of a package.
    world.sign_in("tiktok", SECOND["tiktok"])
    assert not connect(world, ledger, grants, "tiktok").drafts_only
    assert accounts(ledger, "tiktok")[done.account_id].route == "inbox"
    choose_route(done.account_id, "package", ledger=ledger)
    world.sign_in("tiktok", SECOND["tiktok"], withhold=["video.publish"])
    assert not connect(world, ledger, grants, "tiktok").drafts_only
    assert accounts(ledger, "tiktok")[done.account_id].route == "package"


def test_a_creator_who_lets_us_post_and_send_no_drafts_can_be_connected(
    world: RunningWorld, ledger: Ledger, grants: Grants
) -> None:
    world.sign_in("tiktok", SECOND["tiktok"], withhold=["video.upload"])
    done = connect(world, ledger, grants, "tiktok")
    assert not done.drafts_only
    assert accounts(ledger, "tiktok")[done.account_id].route == "direct"


@pytest.mark.parametrize("withheld", [["video.publish", "video.upload"], ["user.info.basic"], ["video.list"]])
def test_a_creator_who_lets_us_do_too_little_is_told_what_is_missing(
    world: RunningWorld, ledger: Ledger, grants: Grants, withheld: list[str]
) -> None:
    scopes = authorization(world, "tiktok").scopes
    world.sign_in("tiktok", SECOND["tiktok"], withhold=withheld)
    words = ", ".join(f"{scope} \\({scopes[scope]}\\)" for scope in withheld)
    refused(CredentialsRejected, f"did not grant {words}: nothing was stored", world, ledger, grants, "tiktok")


# ---------------------------------------------------------------- again, after the grant ended
def test_connecting_again_ends_what_the_end_of_a_grant_brought_about(
    world: RunningWorld, ledger: Ledger, grants: Grants
) -> None:
    world.sign_in("youtube", SECOND["youtube"])
    mine = connect(world, ledger, grants, "youtube").account_id
    ended = GrantEnded("Google refused.", vendor="youtube", code="invalid_grant")
    grants.end(mine, grants.of(mine), ended)
    hold_account(mine, ended, ledger=ledger, at=START)
    with pytest.raises(GrantEnded):
        grants.of(mine)

    done = connect(world, ledger, grants, "youtube", account_id=mine)
    assert (done.account_id, done.revived) == (mine, True)
    assert grants.of(mine)["refresh_token"]
    assert paused_scopes(ledger=ledger) == {}
    with ledger.begin() as session:
        assert session.scalars(select(Alert.resolved_at)).all() == [START, START]
    listed = load_alerts(START, START.replace(hour=23), ledger=ledger)["message"]
    assert listed.str.endswith("(Resolved on 2026-11-20 14:00 UTC.)").all()


def test_connecting_again_lifts_no_pause_of_another_cause(world: RunningWorld, ledger: Ledger, grants: Grants) -> None:
    world.sign_in("youtube", SECOND["youtube"])
    mine = connect(world, ledger, grants, "youtube").account_id
    scope = f"account:{mine}"
    hold_account(mine, AccountRestricted("A strike.", vendor="youtube"), ledger=ledger, at=START)
    assert not connect(world, ledger, grants, "youtube").revived
    assert paused_scopes(ledger=ledger) == {scope: "A strike"}
    assert accounts(ledger, "youtube")[mine].status == "restricted"
    # What the owner paused after it was held is the owner's.
    with ledger.begin() as session:
        session.get_one(Account, mine).status = "active"
    hold_account(mine, GrantEnded("Refused.", vendor="youtube"), ledger=ledger, at=START)
    pause_scope(scope, "holidays", ledger=ledger)
    connect(world, ledger, grants, "youtube")
    assert paused_scopes(ledger=ledger) == {scope: "holidays"}


def test_a_renewal_under_way_does_not_overwrite_a_new_grant(vault: Vault, ledger: Ledger) -> None:
    vault.save("tiktok:x", {"refresh_token": "old", "connected_at": "1"})

    def renew(secret: dict[str, Any]) -> dict[str, Any]:
        vault.put_in_place("signing-in-tiktok", "tiktok:x", {"refresh_token": "new", "connected_at": "2"})
        return {"refresh_token": "of the old one", "connected_at": "1"}

    kept = vault.renewed("tiktok:x", is_fresh=lambda secret: secret["refresh_token"] == "new", renew=renew)
    assert kept == vault.load("tiktok:x") == {"refresh_token": "new", "connected_at": "2"}


# ---------------------------------------------------------------- what is asked for
def test_all_scopes_that_the_clients_use_are_asked_for() -> None:
    assert set(YouTubeOAuth.scopes) == {*DATA_SCOPES, *_MANAGING, *ANALYTICS_SCOPES}


def test_nothing_secret_is_logged_or_shown(
    world: RunningWorld, ledger: Ledger, grants: Grants, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    kept = []
    for platform in PLATFORMS:
        world.sign_in(platform, SECOND[platform])
        done = connect(world, ledger, grants, platform)
        kept += [str(value) for name, value in grants.of(done.account_id).items() if name.endswith("_token")]
    codes = [row["code"] for row in world.store.query("SELECT code FROM oauth_codes")]
    said = capfd.readouterr()
    everything = caplog.text + said.out + said.err
    assert len(kept) == 4
    assert not seen(dict.fromkeys((*kept, *codes), "a secret"), [("what was said", everything)])


# ---------------------------------------------------------------- the world's sign-in
def test_the_world_s_codes_are_good_once_for_one_redirect_and_verifier(world: RunningWorld) -> None:
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # of RFC 7636, appendix B
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    back = "http://127.0.0.1:9/callback"
    asked = {
        "client_id": "sandbox-youtube-client", "redirect_uri": back, "response_type": "code", "state": "s",
        "scope": DATA_SCOPES[1], "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    page = f"{world.url}/google_accounts/o/oauth2/v2/auth"
    world.sign_in("youtube")
    with httpx.Client(trust_env=False) as http:

        def code() -> str:
            reply = http.get(page, params={**asked, "_as": SECOND["youtube"]})
            return parse_qs(urlsplit(reply.headers["location"]).query)["code"][0]

        def redeem(code: str, **changes: str) -> httpx.Response:
            form = {"grant_type": "authorization_code", "client_id": "sandbox-youtube-client", "code": code}
            form |= {"client_secret": "sandbox-youtube-secret", "redirect_uri": back, "code_verifier": verifier}
            return http.post(f"{world.url}/google_oauth/token", data=form | changes)

        assert "Sandbox Kitchen" in http.get(page, params=asked).text
        for wrong in ({"redirect_uri": "https://evil.example.com/callback"}, {"code_challenge": ""}, {"state": ""},
                      {"scope": "everything"}, {"client_id": "x"}):  # fmt: skip
            assert http.get(page, params=asked | wrong).status_code == 400
        used = code()
        answer = redeem(used)
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json()  # offline access was not asked for
        assert redeem(used).json()["error"] == "invalid_grant"
        assert redeem(code(), code_verifier="wrong").json()["error"] == "invalid_grant"
        assert redeem(code(), redirect_uri="http://127.0.0.1:10/callback").json()["error"] == "redirect_uri_mismatch"
    assert json.dumps(world._world.consent.listing()).count("Sandbox Kitchen") == 3
