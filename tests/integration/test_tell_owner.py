"""The owner hears of alerts: over real HTTP, each once, and again only when it was not delivered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select, text, update

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import EmbeddedPostgres, Ledger
from affiliate_empire.ledger.tables import Alert
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.operations.tell_owner import Telling, tell_owner
from affiliate_empire.vendors.owner import OwnerClient
from tests.factories.inbox import Inbox

AT = datetime(2026, 11, 20, 14, 20, tzinfo=UTC)
TOLD = AT + timedelta(minutes=1)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as inbox:
        yield inbox


def add_alerts(ledger: Ledger, *severities: str) -> None:
    for number, severity in enumerate(severities):
        at = AT + timedelta(seconds=number)
        raise_alert(number, severity=severity, subject=f"s{number}", message=f"m{number}", at=at, ledger=ledger)


def told(ledger: Ledger, *addresses: str) -> Telling:
    return tell_owner(owner=OwnerClient(addresses), ledger=ledger, clock=FixedClock(TOLD), label="LIVE")


def told_at(ledger: Ledger) -> list[datetime | None]:
    with ledger.begin() as session:
        return list(session.scalars(select(Alert.told_at).order_by(Alert.raised_at)))


def test_each_alert_is_told_once_and_the_gravest_first(ledger: Ledger, inbox: Inbox) -> None:
    add_alerts(ledger, "low", "medium", "critical", "high")
    assert str(told(ledger, inbox.address)) == "Told of s2, s3, s1, s0."
    assert str(told(ledger, inbox.address)) == "Nothing was told."
    assert inbox.messages == [
        {"title": "LIVE · critical: s2", "message": "m2\n2026-11-20 14:20 UTC", "type": "failure"},
        {"title": "LIVE · high: s3", "message": "m3\n2026-11-20 14:20 UTC", "type": "failure"},
        {"title": "LIVE · medium: s1", "message": "m1\n2026-11-20 14:20 UTC", "type": "warning"},
        {"title": "LIVE · low: s0", "message": "m0\n2026-11-20 14:20 UTC", "type": "info"},
    ]
    assert told_at(ledger) == [TOLD] * 4


def test_what_is_over_before_it_was_told_is_not_told(ledger: Ledger, inbox: Inbox) -> None:
    add_alerts(ledger, "high", "high")
    with ledger.begin() as session:
        session.execute(update(Alert).where(Alert.subject == "s0").values(resolved_at=AT))
    told(ledger, inbox.address)
    assert inbox.titles == ["LIVE · high: s1"]
    assert told_at(ledger) == [None, TOLD]


@pytest.mark.parametrize("status", [302, 400, 500])
def test_what_was_not_delivered_is_tried_again_and_shows_no_address(
    status: int, ledger: Ledger, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    add_alerts(ledger, "high", "high")
    inbox.status = status
    telling = told(ledger, f"{inbox.address}?retry=3")
    assert (telling.told, inbox.calls, told_at(ledger)) == ([], 2, [None, None])
    (failure,) = telling.failures
    assert failure.startswith("Address 1 of EMPIRE_ALERT_URLS (JSON) did not take a message")
    inbox.status = 200
    assert told(ledger, inbox.address).failures == []
    assert inbox.titles == ["LIVE · high: s0", "LIVE · high: s1"]
    assert inbox.secret not in f"{failure} {caplog.text} {OwnerClient([inbox.address])!r}"


def test_nobody_who_listens_and_silence_are_failures(ledger: Ledger) -> None:
    add_alerts(ledger, "high")
    with Inbox(slow=0.5) as slow:
        owner = OwnerClient([slow.address], timeout=0.1)
        assert tell_owner(owner=owner, ledger=ledger, clock=FixedClock(TOLD), label="LIVE").told == []
    assert told(ledger, slow.address).told == []  # closed
    assert told_at(ledger) == [None]


def test_an_address_that_is_dead_neither_hides_nor_repeats_what_another_took(ledger: Ledger, inbox: Inbox) -> None:
    add_alerts(ledger, "high")
    with Inbox() as dead:
        dead.status = 404
        telling = told(ledger, dead.address, inbox.address)
        assert [failure[:9] for failure in telling.failures] == ["Address 1"]
        assert told(ledger, dead.address, inbox.address) == Telling()
    assert inbox.titles == ["LIVE · high: s0"]


def test_more_than_ten_at_once_are_one_message_that_lists_them(ledger: Ledger, inbox: Inbox) -> None:
    add_alerts(ledger, *["low"] * 10, "high")
    inbox.status = 503
    told(ledger, inbox.address)
    assert told_at(ledger) == [None] * 11
    inbox.status = 200
    assert len(told(ledger, inbox.address).told) == 11
    told(ledger, inbox.address)
    (message,) = inbox.messages
    assert (message["title"], message["type"]) == ("LIVE · 11 alerts, the gravest high", "failure")
    listed = message["message"].split("\n\n")
    assert listed[:2] == ["high: s10, 2026-11-20 14:20 UTC\nm10", "low: s0, 2026-11-20 14:20 UTC\nm0"]
    assert len(listed) == 11
    assert told_at(ledger) == [TOLD] * 11


@pytest.mark.parametrize("alerts", [5, 12])
def test_two_at_work_at_once_tell_each_once(alerts: int, ledger: Ledger) -> None:
    add_alerts(ledger, *["high"] * alerts)
    with Inbox(slow=0.2) as inbox, ThreadPoolExecutor(2) as pool:
        start = threading.Barrier(2)

        def work() -> Telling:
            start.wait()
            return told(ledger, inbox.address)

        both = [each.result() for each in (pool.submit(work), pool.submit(work))]
        subjects = [subject for telling in both for subject in telling.told]
        assert sorted(subjects) == sorted(f"s{number}" for number in range(alerts))
        assert len(inbox.messages) == (1 if alerts > 10 else alerts)


def test_what_was_raised_before_there_was_telling_is_not_told(postgres: EmbeddedPostgres, inbox: Inbox) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE alerts_of_old")
    ledger = Ledger(postgres.url("alerts_of_old"))
    config = Config()
    config.set_main_option("script_location", "affiliate_empire.ledger:migrations")
    with ledger.begin() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0011")
        old = "INSERT INTO alerts (alert_id, severity, subject, message, raised_at) VALUES ('a', 'high', 's', 'm', :at)"
        session.execute(text(old), {"at": AT})
    ledger.migrate()
    assert told(ledger, inbox.address) == Telling()
    assert (inbox.messages, told_at(ledger)) == ([], [AT])
    ledger.dispose()
