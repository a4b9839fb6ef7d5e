"""A backup taken back: nothing is posted or charged again, whatever happened between the two."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError

from affiliate_empire.effects import BudgetRefused, Caps, EffectParked, Effects, Paused, Receipt, State
from affiliate_empire.effects.report import exceeded, imbalances
from affiliate_empire.effects.resolve import Finding, resolve_effect
from affiliate_empire.effects.switches import paused_scopes, resume_scope
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.kernel.errors import BadInput, EmpireError, Misconfigured
from affiliate_empire.ledger import EmbeddedPostgres, Ledger
from affiliate_empire.ledger.backup import Restored, restore_backup, save_backup
from affiliate_empire.ledger.tables import (
    Account,
    AccountLimit,
    ApprovalDecision,
    ApprovalRequest,
    Click,
    Credential,
    Effect,
    Installation,
    Link,
    Pause,
    Piece,
    Product,
    Publication,
    Salt,
)
from affiliate_empire.operations.approvals import set_approval
from affiliate_empire.operations.forget_visitors import forget_visit
from affiliate_empire.operations.hold_account import hold_account
from affiliate_empire.operations.restore_ledger import restore_ledger
from affiliate_empire.vault.keys import MasterKey, MasterKeys
from affiliate_empire.vault.store import Vault
from affiliate_empire.vendors.errors import AccountRestricted
from tests.factories.business_day import CALENDAR
from tests.factories.effects import ACCOUNT, DAY, NOON, Platform, open_account, post_intent, workers
from tests.factories.pieces import plan_piece

WALL = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture
def lived(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in a database that may be renamed."""
    yield from _database(postgres, "backup_of")


@pytest.fixture
def empty(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Ledger]:
    """The ledger of a home that has not lived yet."""
    yield from _database(postgres, "backup_to", installation="another")


def _database(postgres: EmbeddedPostgres, name: str, installation: str = "this one") -> Iterator[Ledger]:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE ledger_template").format(sql.Identifier(name)))
    ledger = Ledger(postgres.url(name))
    with ledger.begin() as session:
        session.add(Installation(installation_id=installation, mode="sandbox", epoch=1))
    yield ledger
    ledger.dispose()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        names = server.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{name}%",)).fetchall()
        for (each,) in names:
            server.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(each)))


def restore(ledger: Ledger, file: Path, *key_ids: str) -> Restored:
    return restore_ledger(file, ledger=ledger, calendar=CALENDAR, now=NOON, at=WALL, key_ids=key_ids)


def pay(ledger: Ledger, step: str, charges: list[str], *, cap: int = 1_000) -> Receipt:
    def call() -> Receipt:
        charges.append(step)
        return Receipt(f"req_{step}", 100, {"answer": step})

    effects = Effects(ledger, FixedClock(NOON), caps=Caps(cap, 10**9, 10**9))
    return effects.perform_paid(
        step, vendor="openai", operation="text", fingerprint="f", day=DAY, max_cost_micros=100, call=call
    )


def test_what_was_posted_and_paid_for_since_the_backup_is_not_done_again(lived: Ledger, tmp_path: Path) -> None:
    platform, charges = Platform(tmp_path / "platform"), list[str]()
    open_account(lived)
    workers(lived).perform(post_intent("pc_1"), platform.act("pc_1"))
    pay(lived, "pc_1:script", charges)
    save_backup(lived, tmp_path / "yesterday.backup")
    workers(lived).perform(post_intent("pc_2"), platform.act("pc_2"))
    for number in range(2, 9):
        pay(lived, f"pc_{number}:script", charges)
    with lived.begin() as session:
        session.merge(Pause(scope="vendor:fal", reason="a bill to look at", paused_at=NOON))

    restored = restore(lived, tmp_path / "yesterday.backup")
    assert (restored.epoch, restored.since, restored.parked) == (2, True, 0)
    # The day again: everything is there.
    for piece in ("pc_1", "pc_2"):
        workers(lived).perform(post_intent(piece), platform.act(piece))
    for number in range(1, 9):
        pay(lived, f"pc_{number}:script", charges)
    assert (len(platform.posts), len(charges)) == (2, 8)
    # The budget holds what was spent since: two more calls fit, and no third.
    pay(lived, "pc_9:script", charges)
    pay(lived, "pc_10:script", charges)
    with pytest.raises(BudgetRefused, match=r"has \$0.00 left"):
        pay(lived, "pc_11:script", charges)
    assert len(charges) == 10
    assert list(paused_scopes(ledger=lived)) == ["vendor:fal"]
    with lived.begin() as session:
        assert imbalances(session) == exceeded(session) == []


def test_what_the_backup_had_is_taken_back_and_the_former_ledger_is_kept(
    lived: Ledger, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    plan_piece(lived)
    save_backup(lived, tmp_path / "b")
    with lived.begin() as session:
        for product in session.scalars(select(Product)):
            product.title = "spoilt"
    restored = restore(lived, tmp_path / "b")
    with lived.begin() as session:
        assert "spoilt" not in set(session.scalars(select(Product.title)))
    assert restored.kept_as == "backup_of_before_20261122_093000"
    former = Ledger(postgres.url(restored.kept_as))
    with former.begin() as session:
        assert set(session.scalars(select(Product.title))) == {"spoilt"}
    former.dispose()


def test_an_effect_that_was_open_waits_for_the_owner(lived: Ledger, tmp_path: Path) -> None:
    platform = Platform(tmp_path / "platform", answers=False)
    open_account(lived)
    save_backup(lived, tmp_path / "b")
    platform.at = {"after_commit": lambda: (_ for _ in ()).throw(KeyboardInterrupt)}
    with pytest.raises(KeyboardInterrupt):
        workers(lived).perform(post_intent(), platform.act())
    assert restore(lived, tmp_path / "b").parked == 1
    platform.answers = True  # even a platform that could tell is not asked before the owner has looked
    with pytest.raises(EffectParked, match="empire effects resolve"):
        workers(lived).perform(post_intent(), platform.act())
    caps = Caps(10**9, 10**9, 10**9)
    key = post_intent().key
    resolve_effect(key, Finding.HAPPENED, ledger=lived, clock=FixedClock(NOON), caps=caps, remote_id="post-1")
    assert workers(lived).perform(post_intent(), platform.act()).remote_id == "post-1"
    assert len(platform.posts) == 1


def test_a_home_without_the_former_ledger_stands_still_until_the_owner_has_looked(
    lived: Ledger, empty: Ledger, tmp_path: Path
) -> None:
    piece = plan_piece(lived)
    save_backup(lived, tmp_path / "b")
    charges: list[str] = []
    with lived.begin() as session:
        day = session.get_one(Piece, piece).day
        account = session.get_one(Piece, piece).account_id
    now = CALENDAR.midnight(day) + timedelta(hours=12)
    restored = restore_ledger(tmp_path / "b", ledger=empty, calendar=CALENDAR, now=now, at=WALL, key_ids=[])
    assert (restored.since, restored.parked) == (False, 1)
    with pytest.raises(Paused, match="restored from a backup without the ledger"):
        pay(empty, "pc_9:script", charges)
    resume_scope("all", ledger=empty)
    key = f"post:{piece}:{account}"
    platform = Platform(tmp_path / "platform")
    intent = post_intent(piece, key=key, account_id=account)
    with pytest.raises(EffectParked):
        workers(empty).perform(intent, platform.act(piece))
    caps = Caps(10**9, 10**9, 10**9)
    resolve_effect(key, Finding.DID_NOT_HAPPEN, ledger=empty, clock=FixedClock(NOON), caps=caps)
    workers(empty).perform(intent, platform.act(piece))
    assert len(platform.posts) == 1


def test_a_backup_is_consistent_while_the_business_runs_and_so_is_a_restore(lived: Ledger, tmp_path: Path) -> None:
    charges: list[str] = []
    ended = threading.Event()
    theirs = Ledger(lived.url)  # as the service that runs the business has its own

    def work() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            with suppress(EmpireError, DBAPIError):  # the connection is cut while the ledger is taken over
                pay(theirs, f"pc_{number}:script", charges, cap=10**9)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        while len(charges) < 20 and worker.is_alive():
            ended.wait(0.02)
        save_backup(lived, tmp_path / "b")
        restore(lived, tmp_path / "b")
    finally:
        ended.set()
        worker.join(timeout=30)
        theirs.dispose()
    with lived.begin() as session:
        assert imbalances(session) == []
        told = session.scalars(select(Effect).where(Effect.state.in_([State.SETTLED, State.LOST]))).all()
        # Whatever was charged is booked, or waits for the owner: nothing is free to be paid for again.
        open_now = session.scalars(select(Effect.key).where(Effect.epoch == 1, Effect.state == State.COMMITTING)).all()
    assert len(set(charges)) == len(charges)
    assert len(told) + len(open_now) >= len(charges)


def test_a_backup_of_another_mode_or_installation_is_refused_and_nothing_changes(
    lived: Ledger, empty: Ledger, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    open_account(lived)
    save_backup(lived, tmp_path / "b")
    with empty.begin() as session:
        session.scalars(select(Installation)).one().mode = "live"
    with pytest.raises(Misconfigured, match="is a backup of sandbox mode and this ledger is of live mode"):
        restore(empty, tmp_path / "b")
    with empty.begin() as session:
        session.scalars(select(Installation)).one().mode = "sandbox"
        session.add(Account(account_id=ACCOUNT, platform="youtube", handle="gearlab", display_name="g"))
    with pytest.raises(Misconfigured, match="of another installation: restore it into an empty EMPIRE_HOME"):
        restore(empty, tmp_path / "b")
    with empty.begin() as session:
        assert session.scalars(select(Installation.installation_id)).one() == "another"
    with psycopg.connect(postgres.url("postgres")) as server:
        found = server.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'backup_to_%'").fetchone()
    assert found == (0,)


def test_a_file_that_is_no_backup_is_refused(lived: Ledger, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no file"):
        restore(lived, tmp_path / "none")
    (tmp_path / "words").write_text("no backup")
    with pytest.raises(BadInput, match="is no backup of a ledger"):
        restore(lived, tmp_path / "words")
    with pytest.raises(BadInput, match="choose another name"):
        save_backup(lived, tmp_path / "words")
    assert (tmp_path / "words").read_text() == "no backup"


def test_credentials_of_another_master_key_are_told_before_anything_changes(
    lived: Ledger, empty: Ledger, tmp_path: Path
) -> None:
    theirs, ours = MasterKey(b"t" * 32), MasterKey(b"o" * 32)
    Vault(lived, lambda: MasterKeys([theirs])).save("tiktok:gearlab", {"refresh_token": "secret-of-tiktok"})
    save_backup(lived, tmp_path / "b")
    assert b"secret-of-tiktok" not in (tmp_path / "b").read_bytes()
    assert (tmp_path / "b").stat().st_mode & 0o077 == 0
    with pytest.raises(Misconfigured, match=f"encrypted with the master key {theirs.key_id}, and this home has"):
        restore(empty, tmp_path / "b", ours.key_id)
    restore(empty, tmp_path / "b", ours.key_id, theirs.key_id)  # the former one is being retired
    assert Vault(empty, lambda: MasterKeys([theirs])).load("tiktok:gearlab") == {"refresh_token": "secret-of-tiktok"}


def test_a_credential_that_was_renewed_since_stays_the_new_one(lived: Ledger, tmp_path: Path) -> None:
    key = MasterKey(b"t" * 32)
    vault = Vault(lived, lambda: MasterKeys([key]))
    open_account(lived)
    vault.save("tiktok:gearlab", {"refresh_token": "first"})
    save_backup(lived, tmp_path / "b")
    vault.save("tiktok:gearlab", {"refresh_token": "second"})  # the first one is dead at TikTok by now
    restore(lived, tmp_path / "b", key.key_id)
    assert vault.load("tiktok:gearlab") == {"refresh_token": "second"}


def test_what_platform_and_owner_said_since_the_backup_stands(lived: Ledger, tmp_path: Path) -> None:
    """A strike, a rule of approval, a takedown, a visitor who was forgotten: a restore takes none of them back."""
    plan_piece(lived, "pc_1", slot_at=NOON)
    with lived.begin() as session:
        piece = session.get_one(Piece, "pc_1")
        struck = session.get_one(Account, piece.account_id)
        struck.remote_id = "UCold"
        session.add(Account(account_id="youtube:other", platform="youtube", handle="o", display_name="o"))
        session.add(
            Effect(
                effect_id="ef_1", key=f"post:pc_1:{piece.account_id}", kind="at_most_once", vendor="youtube",
                operation="publish", fingerprint="f", state="settled", day=piece.day, piece_id="pc_1",
                account_id=piece.account_id, max_cost_micros=0, claims=1, epoch=1,
            )
        )  # fmt: skip
        session.flush()
        session.add(
            Publication(
                publication_id="pb_1", piece_id="pc_1", account_id=piece.account_id, platform="youtube", day=piece.day,
                effect_id="ef_1", remote_id="video", url="https://x", title="t", description="d", disclosures={},
                slot_at=NOON, published_at=NOON,
            )
        )  # fmt: skip
        session.add(
            Link(
                code="L1", piece_id="pc_1", account_id=piece.account_id, product_id=piece.product_id, network="impact",
                target_url="https://x", sub_id_parameter="subId1",
            )
        )  # fmt: skip
        account_id = piece.account_id
        session.merge(AccountLimit(account_id=account_id, quota="youtube.posts", signal="seen", posts=9, reason="r",
                                   observed_at=NOON, holds_until=WALL))  # fmt: skip
        session.merge(Pause(scope=f"account:{account_id}", reason="sign in again", cause="access", paused_at=NOON))
    vault = Vault(lived, lambda: MasterKeys([MasterKey(b"t" * 32)]))
    vault.save("tiktok:gone", {"refresh_token": "withdrawn"})
    with lived.begin() as session:
        session.add(Salt(day=DAY, salt="s"))
        session.add(Click(click_id="c1", code="L1", clicked_at=NOON, user_agent="Firefox", referrer="https://r",
                          visitor_hash="h", flags=[], judged_by=1))  # fmt: skip
    save_backup(lived, tmp_path / "b")

    set_approval(account_id, "required", ledger=lived)
    hold_account(account_id, AccountRestricted("A strike.", vendor="youtube"), ledger=lived, at=NOON)
    vault.forget("tiktok:gone")
    forget_visit("c1", ledger=lived)
    with lived.begin() as session:
        session.get_one(Account, account_id).remote_id = "UCnew"
        session.flush()
        session.get_one(Account, "youtube:other").remote_id = "UCold"
        session.get_one(Publication, "pb_1").takedown_reason = "recall"
        session.get_one(Publication, "pb_1").taken_down_at = NOON
        session.get_one(Link, "L1").status = "retired"
        session.scalars(select(AccountLimit)).one().posts = 0
        session.execute(delete(Salt))

    assert restore(lived, tmp_path / "b").since
    with lived.begin() as session:
        account, post = session.get_one(Account, account_id), session.get_one(Publication, "pb_1")
        assert (account.status, account.approval, account.remote_id) == ("restricted", "required", "UCnew")
        assert session.get_one(Account, "youtube:other").remote_id == "UCold"
        assert session.get_one(Pause, f"account:{account_id}").cause is None  # no new sign-in lifts it
        assert (post.takedown_reason, post.taken_down_at) == ("recall", NOON)
        assert session.get_one(Link, "L1").status == "retired"
        assert session.scalars(select(AccountLimit.posts)).all() == [0]
        assert session.get_one(Click, "c1").user_agent == session.get_one(Click, "c1").referrer == ""
        assert session.scalars(select(Salt)).all() == []
    assert vault.names() == {}


def test_the_same_ledger_can_be_restored_twice(lived: Ledger, tmp_path: Path) -> None:
    open_account(lived)
    save_backup(lived, tmp_path / "b")
    first = restore_backup(lived, tmp_path / "b", at=WALL, key_ids=[])
    second = restore_backup(lived, tmp_path / "b", at=WALL + timedelta(seconds=1), key_ids=[])
    assert (first.epoch, second.epoch) == (2, 3)
    with lived.begin() as session:
        assert session.scalars(select(Credential)).all() == []


def test_the_owners_words_since_the_backup_stay_and_the_next_one_gets_a_number_of_its_own(
    lived: Ledger, tmp_path: Path
) -> None:
    open_account(lived)
    plan_piece(lived, "pc_1", slot_at=NOON)
    restored_from = tmp_path / "ledger.backup"

    def look(verdict: str) -> None:
        with lived.begin() as session:
            asked = ApprovalRequest(piece_id="pc_1", sha256="s", shows={}, requested_at=NOON)
            session.add(asked)
            session.flush()
            session.add(ApprovalDecision(request_id=asked.request_id, verdict=verdict, decided_by="owner"))

    look("approved")
    save_backup(lived, restored_from)
    look("rejected")
    restore(lived, restored_from)
    look("approved")
    with lived.begin() as session:
        words = session.scalars(select(ApprovalDecision.verdict).order_by(ApprovalDecision.decision_id)).all()
    assert words == ["approved", "rejected", "approved"]
