"""Credentials: encrypted at rest, renewed by exactly one writer, stored before they are used, whoever dies."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.leases import this_process
from affiliate_empire.ledger.tables import Account, Alert, Credential
from affiliate_empire.vault import Grants, MasterKey, RotatingTokens, Vault, open_master_keys
from affiliate_empire.vault.keys import MasterKeys, add_key, drop_keys
from affiliate_empire.vault.store import Secret
from affiliate_empire.vendors.errors import GrantEnded, VendorRefused, VendorUnavailable
from affiliate_empire.vendors.oauth import Grant
from tests.factories.worlds import START

NAME = "tiktok:gearlab"


class Platform:
    """A token endpoint in a folder: the file of a refresh token is there while the token lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before_grant: Callable[[], object] = lambda: None
        self.before_reply: Callable[[], object] = lambda: None
        self.before_refusal: Callable[[], object] = lambda: None
        self.asked = 0

    def open(self) -> Platform:
        (self.folder / "first").touch()
        return self

    @property
    def grants(self) -> int:
        return len(list(self.folder.glob("spent-*")))

    def refresh(self, token: str) -> Grant:
        self.asked += 1
        self.before_grant()
        try:
            (self.folder / token).rename(self.folder / f"spent-{token}")
        except FileNotFoundError:
            self.before_refusal()
            raise GrantEnded("The grant is dead: connect again.", vendor="tiktok", code="invalid_grant") from None
        new = f"refresh-{self.grants}"
        (self.folder / new).touch()
        self.before_reply()
        return Grant(f"access-{self.grants}", new, expires_in=7200, refresh_expires_in=10**7)


def open_tokens(vault: Vault, platform: Platform, clock: FixedClock, first: str = "first") -> RotatingTokens:
    grants = Grants(vault, given=lambda platform: {"refresh_token": first}, clock=clock)
    return RotatingTokens(grants, NAME, refresh=platform.refresh, clock=clock)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture(autouse=True)
def account(ledger: Ledger) -> None:
    with ledger.begin() as session:
        session.add(Account(account_id=NAME, platform="tiktok", handle="gearlab", display_name="Gear Lab"))


@pytest.fixture
def vault(ledger: Ledger, tmp_path: Path) -> Vault:
    return open_vault(ledger, tmp_path)


def open_vault(ledger: Ledger, home: Path) -> Vault:
    return Vault(ledger, lambda: open_master_keys(home, None))


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    folder = tmp_path / "platform"
    folder.mkdir()
    return Platform(folder).open()


def row(ledger: Ledger) -> Credential:
    with ledger.begin() as session:
        return session.get_one(Credential, NAME)


# ---------------------------------------------------------------- at rest
def test_what_is_stored_cannot_be_read_without_the_key(ledger: Ledger, vault: Vault, tmp_path: Path) -> None:
    assert vault.load(NAME) is None
    vault.save(NAME, {"access_token": "marked-secret"})
    vault.save(NAME, {"access_token": "marked-secret", "n": 2})

    assert vault.load(NAME) == {"access_token": "marked-secret", "n": 2}
    assert b"marked-secret" not in row(ledger).ciphertext
    assert row(ledger).version == 2
    assert (tmp_path / "vault.key").stat().st_mode & 0o777 == 0o600
    assert open_vault(ledger, tmp_path).load(NAME) == {"access_token": "marked-secret", "n": 2}
    assert (tmp_path / "vault.key").read_text().strip() not in repr(vault)


def test_another_key_is_told_from_a_changed_row(ledger: Ledger, vault: Vault, tmp_path: Path) -> None:
    vault.save(NAME, {"access_token": "a"})
    with pytest.raises(Misconfigured, match=r"encrypted with master key .* EMPIRE_MASTER_KEY"):
        open_vault(ledger, tmp_path / "elsewhere").load(NAME)
    with ledger.begin() as session:
        session.get_one(Credential, NAME).ciphertext += b"x"
    with pytest.raises(Misconfigured, match="changed outside"):
        vault.load(NAME)


def _sealed(header: bytes, body: bytes) -> bytes:
    return b"vault\x002\x00" + len(header).to_bytes(4, "big") + header + body


@pytest.mark.parametrize(
    "spoil",
    [
        lambda header, body: _sealed(header.replace(b'": "', b'": "A'), body),
        lambda header, body: _sealed(header.replace(b'": "', b'": "\xff'), body),
        lambda header, body: _sealed(b"[]", body),
        lambda header, body: _sealed(b"{}", body),
        lambda header, body: _sealed(header.split(b":")[0] + b": 7}", body),
        lambda header, body: _sealed(header.split(b":")[0] + b': "AAAA"}', body),
        lambda header, body: _sealed(header, body[:5]),
        lambda header, body: _sealed(header, b""),
        lambda header, body: _sealed(header, body)[:9],
    ],
    ids=["base64", "bytes", "list", "nobody", "number", "short key", "short", "empty", "torn"],
)
def test_however_a_row_was_changed_it_is_told_in_a_sentence(
    ledger: Ledger, vault: Vault, tmp_path: Path, spoil: Callable[[bytes, bytes], bytes]
) -> None:
    vault.save(NAME, {"refresh_token": "first"})
    with ledger.begin() as session:
        row = session.get_one(Credential, NAME)
        ends = 12 + int.from_bytes(row.ciphertext[8:12], "big")
        row.ciphertext = spoil(row.ciphertext[12:ends], row.ciphertext[ends:])
    with pytest.raises(Misconfigured, match=f"credential {NAME} was changed outside the product"):
        vault.load(NAME)
    add_key(tmp_path)
    with pytest.raises(Misconfigured, match=f"credential {NAME} was changed outside the product"):
        vault.encrypt_anew()


def test_who_was_there_before_the_key_was_replaced_shuts_nobody_out(ledger: Ledger, tmp_path: Path) -> None:
    def keys() -> MasterKeys:
        return open_master_keys(tmp_path, None)

    old = Vault(ledger, keys)
    old.save(NAME, {"refresh_token": "first"})
    add_key(tmp_path)
    Vault(ledger, keys).encrypt_anew()
    Vault(ledger, keys).encrypt_anew(only_current=True)
    drop_keys(tmp_path)

    def unreachable(secret: Secret) -> Secret:
        raise VendorUnavailable("busy", vendor="tiktok")

    with pytest.raises(VendorUnavailable):
        old.renewed("tiktok:second", is_fresh=lambda secret: False, renew=unreachable)
    with ledger.begin() as session:
        ids = set(session.scalars(select(Credential.key_id)))
    assert ids == {keys().key_id}
    assert Vault(ledger, keys).load("tiktok:second") == {}
    assert Vault(ledger, keys).load(NAME) == {"refresh_token": "first"}


def test_one_credential_cannot_pass_for_another(ledger: Ledger, vault: Vault) -> None:
    vault.save(NAME, {"access_token": "a"})
    vault.save("youtube", {"access_token": "b"})
    with ledger.begin() as session:
        stolen = session.get_one(Credential, NAME).ciphertext
        session.execute(update(Credential).where(Credential.name == "youtube").values(ciphertext=stolen))
    with pytest.raises(Misconfigured, match="youtube was changed"):
        vault.load("youtube")


def test_the_key_of_the_setting_goes_before_the_file(tmp_path: Path) -> None:
    setting = base64.urlsafe_b64encode(b"k" * 32).decode()
    key = open_master_keys(tmp_path, setting)
    assert key.key_id == MasterKey(b"k" * 32).key_id
    assert not (tmp_path / "vault.key").exists()
    assert setting not in repr(key)
    for wrong in ("short", base64.urlsafe_b64encode(b"k" * 16).decode(), "ä" * 44):
        with pytest.raises(Misconfigured, match="make one with") as error:
            open_master_keys(tmp_path, wrong)
        assert wrong not in str(error.value)


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    open_master_keys(tmp_path, None)
    (tmp_path / "vault.key").chmod(0o640)
    with pytest.raises(Misconfigured, match="chmod 600"):
        open_master_keys(tmp_path, None)


def test_many_who_make_the_key_at_once_get_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: open_master_keys(tmp_path / "new", None).key_id, range(16)))
    assert len(set(keys)) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["vault.key"]


# ---------------------------------------------------------------- renewal
def test_a_token_is_renewed_when_it_runs_out_or_was_rejected(
    vault: Vault, platform: Platform, clock: FixedClock
) -> None:
    tokens = open_tokens(vault, platform, clock)
    assert [tokens(), tokens()] == ["access-1", "access-1"]
    clock.at = START + timedelta(hours=1, minutes=56)
    assert tokens() == "access-2"
    assert tokens(rejected="access-1") == "access-2"  # another one renewed it meanwhile
    assert tokens(rejected="access-2") == "access-3"


def test_a_new_first_token_begins_a_new_chain(vault: Vault, platform: Platform, clock: FixedClock) -> None:
    assert open_tokens(vault, platform, clock)() == "access-1"
    (platform.folder / "granted-anew").touch()
    assert open_tokens(vault, platform, clock, first="granted-anew")() == "access-2"
    assert (platform.folder / "refresh-1").exists()  # the old chain was not asked for


def test_a_dead_grant_is_asked_once_and_told_once(
    ledger: Ledger, vault: Vault, platform: Platform, clock: FixedClock
) -> None:
    (platform.folder / "first").unlink()
    for _ in range(3):
        with pytest.raises(VendorRefused, match="connect again") as refused:
            open_tokens(vault, platform, clock)()
        assert refused.value.code == "invalid_grant"
        (platform.folder / "first").touch()  # whoever asks again would get one
    assert platform.grants == 0
    with ledger.begin() as session:
        (alert,) = session.scalars(select(Alert))
    assert (alert.message, alert.raised_at) == ("The grant is dead: connect again.", START)
    (platform.folder / "granted-anew").touch()
    assert open_tokens(vault, platform, clock, first="granted-anew")() == "access-1"


def test_what_may_be_tried_again_leaves_the_lease_free(
    ledger: Ledger, vault: Vault, platform: Platform, clock: FixedClock
) -> None:
    def unavailable(token: str) -> Grant:
        raise VendorUnavailable("later", vendor=NAME)

    grants = Grants(vault, given=lambda platform: {"refresh_token": "first"}, clock=clock)
    broken = RotatingTokens(grants, NAME, refresh=unavailable, clock=clock)
    with pytest.raises(VendorUnavailable):
        broken()
    assert row(ledger).lease_owner is None
    assert open_tokens(vault, platform, clock)() == "access-1"


def test_no_transaction_is_open_while_the_vendor_is_asked(ledger: Ledger, vault: Vault, platform: Platform) -> None:
    seen: list[int] = []

    def look() -> None:
        with ledger.begin() as session:
            session.execute(text("SELECT 1 FROM credentials FOR UPDATE NOWAIT"))
            idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
            seen.append(session.execute(text(idle)).scalar_one())

    platform.before_reply = look
    open_tokens(vault, platform, FixedClock(START))()
    assert seen == [0]


def test_many_threads_renew_once(ledger: Ledger, tmp_path: Path, platform: Platform, clock: FixedClock) -> None:
    started = threading.Barrier(8)

    def ask(_: int) -> str:
        tokens = open_tokens(open_vault(ledger, tmp_path), platform, clock)
        started.wait(timeout=20)
        return tokens()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"access-1"}
    assert platform.asked == 1


def test_a_lease_that_ran_out_is_taken_over_and_no_grant_is_lost(
    ledger: Ledger, vault: Vault, platform: Platform, clock: FixedClock
) -> None:
    """The first one sleeps after the vendor's answer until its lease is over; the second one asks with a dead token."""
    second: list[BaseException] = []

    def sleep_long() -> None:
        platform.before_reply = lambda: None
        with ledger.begin() as session:
            session.execute(update(Credential).values(lease_until=func.clock_timestamp()))
        try:
            open_tokens(vault, platform, clock)()
        except VendorRefused as error:
            second.append(error)

    platform.before_reply = sleep_long
    assert open_tokens(vault, platform, clock)() == "access-1"
    assert len(second) == 1
    assert open_tokens(vault, platform, clock)() == "access-1"
    assert open_tokens(vault, platform, clock)(rejected="access-1") == "access-2"


def test_a_refusal_that_comes_after_another_ones_grant_is_no_news(
    ledger: Ledger, vault: Vault, platform: Platform, clock: FixedClock
) -> None:
    """As before, but the second one's refusal arrives when the first one has stored what it was granted."""
    late, asked, stored = Platform(platform.folder), threading.Event(), threading.Event()

    def refused_later() -> None:
        asked.set()
        assert stored.wait(timeout=20)

    late.before_refusal = refused_later
    with ThreadPoolExecutor(1) as pool:

        def be_overtaken() -> None:
            with ledger.begin() as session:
                session.execute(update(Credential).values(lease_until=func.clock_timestamp()))
            second.append(pool.submit(open_tokens(vault, late, clock)))
            assert asked.wait(timeout=20)

        second: list[Future[str]] = []
        platform.before_reply = be_overtaken
        assert open_tokens(vault, platform, clock)() == "access-1"
        stored.set()
        assert second[0].result(timeout=20) == "access-1"
    with ledger.begin() as session:
        assert session.scalars(select(Alert)).all() == []


# ---------------------------------------------------------------- killed
def work(ledger: Ledger, home: Path, moment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.integration.test_vault", ledger.url, str(home), moment]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_writer_that_is_killed_in_the_middle_is_followed_at_once(
    ledger: Ledger, vault: Vault, platform: Platform, clock: FixedClock, tmp_path: Path
) -> None:
    process = work(ledger, tmp_path, "before")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    owner = row(ledger).lease_owner
    assert owner is not None
    assert owner != this_process()

    assert open_tokens(vault, platform, clock)() == "access-1"
    assert row(ledger).lease_owner is None


def test_a_token_is_stored_before_it_is_used(
    ledger: Ledger, vault: Vault, platform: Platform, clock: FixedClock, tmp_path: Path
) -> None:
    process = work(ledger, tmp_path, "used")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert open_tokens(vault, platform, clock)() == "access-1"
    assert platform.grants == 1


def test_another_process_waits_for_the_one_that_renews(
    ledger: Ledger, vault: Vault, platform: Platform, clock: FixedClock, tmp_path: Path
) -> None:
    process = work(ledger, tmp_path, "wait")
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "waiting"
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(open_tokens(vault, platform, clock))
        with pytest.raises(TimeoutError):
            ours.result(timeout=0.5)
        process.communicate("go\n", timeout=60)
        assert ours.result(timeout=20) == "access-1"
    assert process.returncode == 0
    assert platform.grants == 1


def _main(url: str, home: str, moment: str) -> None:
    """Ask for a token, and be killed before the vendor acts, or with the token in hand; or wait inside the renewal."""
    platform = Platform(Path(home) / "platform")
    tokens = open_tokens(open_vault(Ledger(url), Path(home)), platform, FixedClock(START))

    def wait() -> None:
        print("waiting", flush=True)
        sys.stdin.readline()

    if moment == "before":
        platform.before_grant = lambda: os.kill(os.getpid(), signal.SIGKILL)
    elif moment == "wait":
        platform.before_reply = wait
    tokens()
    if moment == "used":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _main(*sys.argv[1:])
