"""The owner's hand on credentials: put in, taken out, re-encrypted under way, reminded of; never shown."""

from __future__ import annotations

import base64
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from affiliate_empire.effects.switches import pause_scope, paused_scopes
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.errors import BadInput, Misconfigured
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Alert, Credential
from affiliate_empire.operations.hold_account import hold_account
from affiliate_empire.operations.keep_credentials import remind_of_rotation, rotate_master_key, set_grant
from affiliate_empire.policy import load_policy
from affiliate_empire.vault import Grants, RotatingTokens, Vault, open_master_keys
from affiliate_empire.vendors.accounts import NotConnected
from affiliate_empire.vendors.errors import GrantEnded
from affiliate_empire.vendors.oauth import Grant
from tests.factories.worlds import START

NAME = "tiktok:gearlab"
OLD, NEW = (base64.urlsafe_b64encode(letter * 32).decode() for letter in (b"o", b"n"))


def open_vault(ledger: Ledger, home: Path, setting: str | None = None) -> Vault:
    return Vault(ledger, lambda: open_master_keys(home, setting))


@pytest.fixture(autouse=True)
def accounts(ledger: Ledger) -> None:
    with ledger.begin() as session:
        for handle in ("gearlab", "second"):
            for platform in ("tiktok", "youtube", "instagram"):
                session.add(
                    Account(account_id=f"{platform}:{handle}", platform=platform, handle=handle, display_name="x")
                )
            session.flush()


def alerts(ledger: Ledger) -> list[Alert]:
    with ledger.begin() as session:
        return list(session.scalars(select(Alert)))


# ---------------------------------------------------------------- the master key
@pytest.mark.parametrize("setting", [None, OLD])
def test_the_key_is_replaced_while_a_reader_and_a_writer_go_on(
    ledger: Ledger, tmp_path: Path, setting: str | None
) -> None:
    """Both opened the vault before: with a setting they have only the old key until they are started anew."""
    renewals = 0
    clock = FixedClock(START)

    def refresh(token: str) -> Grant:
        nonlocal renewals
        assert token == (f"refresh-{renewals}" if renewals else "first")
        renewals += 1
        return Grant(f"access-{renewals}", f"refresh-{renewals}", expires_in=7200, refresh_expires_in=1e7)

    old = open_vault(ledger, tmp_path, setting)
    for number in range(20):
        old.save(f"youtube:{number}", {"refresh_token": str(number)})
    grants = Grants(old, given=lambda platform: {"refresh_token": "first"}, clock=clock)
    tokens = RotatingTokens(grants, NAME, refresh=refresh, clock=clock)
    tokens()
    done, failures = threading.Event(), []

    def read() -> None:
        reader = open_vault(ledger, tmp_path, setting)
        while not done.is_set():
            for number in range(20):
                if reader.load(f"youtube:{number}") != {"refresh_token": str(number)}:
                    failures.append(number)

    def write() -> None:
        while not done.is_set():
            tokens(rejected=tokens())

    def guarded(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - whatever it is, the test names it
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (read, write)]
    for thread in threads:
        thread.start()
    try:
        both = None if setting is None else f"{NEW},{OLD}"
        rotating = open_vault(ledger, tmp_path, both)
        assert rotate_master_key(vault=rotating, home=tmp_path, setting=both, retire=False) >= 20
    finally:
        done.set()
        for thread in threads:
            thread.join(timeout=20)
    assert failures == []
    assert renewals > 1
    rotate_master_key(vault=rotating, home=tmp_path, setting=both, retire=True)
    alone = open_vault(ledger, tmp_path, None if setting is None else NEW)
    assert alone.load("youtube:7") == {"refresh_token": "7"}
    assert (alone.load(NAME) or {})["refresh_token"] == f"refresh-{renewals}"
    if setting is not None:
        with pytest.raises(Misconfigured, match="put the old EMPIRE_MASTER_KEY"):
            open_vault(ledger, tmp_path, OLD).load("youtube:7")


def test_an_interrupted_replacement_is_gone_on_with(ledger: Ledger, tmp_path: Path) -> None:
    vault = open_vault(ledger, tmp_path)
    for number in range(4):
        vault.save(f"youtube:{number}", {"n": number})
    left = [None, None]

    def opened() -> object:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return open_master_keys(tmp_path, None)

    class Interrupted(Vault):
        pass

    interrupted = Interrupted(ledger, opened)  # type: ignore[arg-type]
    decrypted = interrupted._decrypted
    calls = 0

    def stop(row: Credential) -> dict[str, object]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return decrypted(row)

    interrupted._decrypted = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        rotate_master_key(vault=interrupted, home=tmp_path, setting=None, retire=False)
    keys = (tmp_path / "vault.key").read_text().split()
    assert len(keys) == 2
    assert [open_vault(ledger, tmp_path).load(f"youtube:{number}") for number in range(4)] == [
        {"n": number} for number in range(4)
    ]

    assert rotate_master_key(vault=open_vault(ledger, tmp_path), home=tmp_path, setting=None, retire=False) == 2
    assert (tmp_path / "vault.key").read_text().split() == keys  # no third key
    assert rotate_master_key(vault=open_vault(ledger, tmp_path), home=tmp_path, setting=None, retire=True) == 4
    assert (tmp_path / "vault.key").read_text().split() == keys[:1]
    assert (tmp_path / "vault.key").stat().st_mode & 0o777 == 0o600
    assert open_vault(ledger, tmp_path).load("youtube:3") == {"n": 3}


def test_what_an_earlier_release_stored_is_read(ledger: Ledger, tmp_path: Path) -> None:
    (key,) = open_master_keys(tmp_path, None)._keys
    with ledger.begin() as session:
        sealed = key.encrypt(NAME, b'{"refresh_token": "r"}')
        session.add(Credential(name=NAME, ciphertext=sealed, key_id=key.key_id))
    assert open_vault(ledger, tmp_path).load(NAME) == {"refresh_token": "r"}
    rotate_master_key(vault=open_vault(ledger, tmp_path), home=tmp_path, setting=None, retire=False)
    assert open_vault(ledger, tmp_path).load(NAME) == {"refresh_token": "r"}


def test_a_setting_with_one_key_says_what_to_do(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="put the new one before it") as error:
        rotate_master_key(vault=open_vault(ledger, tmp_path, OLD), home=tmp_path, setting=OLD, retire=False)
    assert OLD not in str(error.value)


# ---------------------------------------------------------------- grants
def test_a_second_account_has_the_grant_that_was_stored_for_it(ledger: Ledger, tmp_path: Path) -> None:
    vault, clock = open_vault(ledger, tmp_path), FixedClock(START)
    grants = Grants(vault, given=lambda platform: {"refresh_token": "of-the-settings"}, clock=clock)
    assert grants.of("youtube:gearlab")["refresh_token"] == "of-the-settings"
    with pytest.raises(NotConnected, match="empire connect youtube --account youtube:second"):
        grants.of("youtube:second")
    set_grant("youtube:second", "token-2", user_id=None, vault=vault, ledger=ledger, clock=clock)
    assert grants.of("youtube:second")["refresh_token"] == "token-2"
    assert grants.of("youtube:gearlab")["refresh_token"] == "of-the-settings"
    set_grant("youtube:gearlab", "token-1", user_id=None, vault=vault, ledger=ledger, clock=clock)
    assert grants.of("youtube:gearlab")["refresh_token"] == "token-1"
    assert list(vault.names()) == ["youtube:gearlab", "youtube:second"]
    assert vault.forget("youtube:gearlab")
    assert grants.of("youtube:gearlab")["refresh_token"] == "of-the-settings"


@pytest.mark.parametrize(
    ("account", "token", "user_id"),
    [("youtube:none", "t", None), ("youtube:gearlab", "", None), ("youtube:gearlab", "a b", None),
     ("youtube:gearlab", "t", "1"), ("instagram:gearlab", "t", None)],
)  # fmt: skip
def test_what_cannot_be_a_grant_is_refused(
    ledger: Ledger, tmp_path: Path, account: str, token: str, user_id: str | None
) -> None:
    vault = open_vault(ledger, tmp_path)
    with pytest.raises(BadInput):
        set_grant(account, token, user_id=user_id, vault=vault, ledger=ledger, clock=FixedClock(START))
    assert vault.names() == {}


def test_a_grant_that_ended_is_told_once_and_another_one_takes_its_place(ledger: Ledger, tmp_path: Path) -> None:
    vault, clock = open_vault(ledger, tmp_path), FixedClock(START)
    grants = Grants(vault, given=lambda platform: {"refresh_token": "first"}, clock=clock)
    used = grants.of("youtube:gearlab")
    dead = GrantEnded("Google refused: connect again.", vendor="youtube", code="invalid_grant")
    for _ in range(2):
        grants.end("youtube:gearlab", used, dead)
        with pytest.raises(GrantEnded, match="connect again"):
            Grants(open_vault(ledger, tmp_path), given=lambda platform: {"refresh_token": "first"}, clock=clock).of(
                "youtube:gearlab"
            )
    assert [alert.subject for alert in alerts(ledger)] == ["youtube:gearlab: access was refused"]
    set_grant("youtube:gearlab", "new", user_id=None, vault=vault, ledger=ledger, clock=clock)
    grants.end("youtube:gearlab", used, dead)  # late news of the old one
    assert grants.of("youtube:gearlab")["refresh_token"] == "new"


def test_a_token_put_in_its_place_ends_what_the_end_of_the_former_one_brought_about(
    ledger: Ledger, tmp_path: Path
) -> None:
    vault, clock, policy, name = open_vault(ledger, tmp_path), FixedClock(START), load_policy(), "youtube:gearlab"
    set_grant(name, "old", user_id=None, vault=vault, ledger=ledger, clock=clock)
    grants = Grants(vault, given=lambda platform: None, clock=clock)
    clock.at = START + timedelta(days=100)
    remind_of_rotation(vault=vault, grants=grants, ledger=ledger, clock=clock, policy=policy)
    dead = GrantEnded("Google refused.", vendor="youtube", code="invalid_grant")
    grants.end(name, grants.of(name), dead)
    hold_account(name, dead, ledger=ledger, at=clock.now())
    pause_scope("account:youtube:second", "a holiday", ledger=ledger)
    told = {"access was refused", "access rejected", "due for renewal"}
    assert {alert.subject.removeprefix(f"{name}: ") for alert in alerts(ledger)} == told

    for account in (name, "youtube:second"):
        set_grant(account, "new", user_id=None, vault=vault, ledger=ledger, clock=clock)
    assert {alert.resolved_at for alert in alerts(ledger)} == {clock.at}
    assert paused_scopes(ledger=ledger) == {"account:youtube:second": "a holiday"}  # its owner's, and he lifts it


# ---------------------------------------------------------------- reminders
def test_a_credential_and_a_key_of_a_quarter_are_told_once(ledger: Ledger, tmp_path: Path) -> None:
    vault, clock, policy = open_vault(ledger, tmp_path), FixedClock(START), load_policy()
    grants = Grants(vault, given=lambda platform: None, clock=clock)

    def remind(days: float) -> list[str]:
        clock.at = START + timedelta(days=days)
        remind_of_rotation(vault=vault, grants=grants, ledger=ledger, clock=clock, policy=policy)
        return sorted(alert.subject.split(":")[0] for alert in alerts(ledger))

    assert remind(0) == []
    set_grant("youtube:second", "marked-secret", user_id=None, vault=vault, ledger=ledger, clock=clock)
    assert remind(1) == []
    assert remind(90) == []
    assert remind(91) == ["youtube"]
    key = f"master key {vault.key_id}"
    assert remind(92) == remind(93) == [key, "youtube"]
    assert remind(182) == [key, "youtube", "youtube"]
    assert all("marked-secret" not in alert.message for alert in alerts(ledger))
    rotate_master_key(vault=vault, home=tmp_path, setting=None, retire=False)
    assert remind(183) == [key, "youtube", "youtube"]  # the new key is young


def test_a_grant_of_the_settings_is_as_old_as_it_is_known_and_told_as_every_other(
    ledger: Ledger, tmp_path: Path
) -> None:
    vault, clock, policy = open_vault(ledger, tmp_path), FixedClock(START), load_policy()
    token = {"refresh_token": "first"}
    grants = Grants(vault, given=lambda platform: token if platform in ("youtube", "tiktok") else None, clock=clock)

    def remind(days: float) -> list[str]:
        clock.at = START + timedelta(days=days)
        remind_of_rotation(vault=vault, grants=grants, ledger=ledger, clock=clock, policy=policy)
        return sorted(alert.subject.removesuffix(": due for renewal") for alert in alerts(ledger))

    assert remind(0) == []
    grants.renewed("tiktok:gearlab", is_fresh=lambda secret: False, renew=lambda secret: {"access_token": "a"})
    assert remind(91) == sorted([f"master key {vault.key_id}", "tiktok:gearlab", "youtube:gearlab"])
    token = {"refresh_token": "another"}
    assert len(remind(182)) == 4  # the key again; the new grants are young
