"""What is kept of visitors, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from affiliate_empire.analytics.traffic import GPC, JUDGED_BY
from affiliate_empire.kernel.clock import BusinessCalendar, FixedClock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Click, Salt
from affiliate_empire.operations.forget_visitors import forget_visit, forget_visitors, show_visit
from affiliate_empire.operations.judge_clicks import judge_clicks
from tests.factories.tracking import PUBLISHED_AT, publish_link

NOW = PUBLISHED_AT + timedelta(days=100)
CODE = "k7Qm2RtX9b"


def click(ledger: Ledger, name: str, *, days: int, flags: tuple[str, ...] = (), judged: bool = True) -> str:
    click_id = f"{name:0>26}"
    with ledger.begin() as session:
        session.add(
            Click(
                click_id=click_id, code=CODE, clicked_at=NOW - timedelta(days=days), user_agent="Mozilla/5.0 (iPhone)",
                referrer="https://example.org/", visitor_hash=f"hash-of-{name}", flags=list(flags),
                judged_by=JUDGED_BY if judged else None,
            )
        )  # fmt: skip
    return click_id


def forget(ledger: Ledger) -> int:
    return forget_visitors(ledger=ledger, clock=FixedClock(NOW), calendar=BusinessCalendar(), keep_days=90)


def known(ledger: Ledger) -> set[str]:
    with ledger.begin() as session:
        rows = session.scalars(select(Click)).all()
    for row in rows:
        gone = row.visitor_hash == row.click_id
        assert ((row.user_agent, row.referrer) == ("", "")) is gone
    return {row.click_id.lstrip("0") for row in rows if row.visitor_hash != row.click_id}


def test_what_is_old_is_forgotten_and_the_click_stays(ledger: Ledger) -> None:
    click(ledger, "old", days=92)
    click(ledger, "young", days=80)
    assert (forget(ledger), forget(ledger)) == (1, 0)
    assert known(ledger) == {"young"}


def test_who_opted_out_is_forgotten_when_the_day_is_over_and_judged(ledger: Ledger) -> None:
    click(ledger, "yesterday", days=1, flags=(GPC,))
    click(ledger, "today", days=0, flags=(GPC,))
    click(ledger, "waiting", days=1, flags=(GPC,), judged=False)
    forget(ledger)
    assert known(ledger) == {"today", "waiting"}
    judge_clicks(ledger=ledger)
    forget(ledger)
    assert known(ledger) == {"today"}
    with ledger.begin() as session:
        assert all(GPC in row.flags for row in session.scalars(select(Click)))


def test_salts_go_when_their_day_is_over(ledger: Ledger) -> None:
    today = BusinessCalendar().day_of(NOW)
    with ledger.begin() as session:
        session.add_all([Salt(day=today + timedelta(days=days), salt="00") for days in (-2, -1, 0, 1)])
    forget(ledger)
    with ledger.begin() as session:
        assert session.scalars(select(Salt.day).order_by(Salt.day)).all() == [today, today + timedelta(days=1)]


def test_who_asks_is_told_and_forgotten(ledger: Ledger) -> None:
    publish_link(ledger, CODE)
    click_id = click(ledger, "asked", days=3)
    shown = show_visit(click_id, ledger=ledger)
    assert (shown["referrer"], shown["published_as"]) == (
        "https://example.org/",
        f"https://www.youtube.com/shorts/{CODE}",
    )
    assert forget_visit(click_id, ledger=ledger) == NOW - timedelta(days=3)
    shown = show_visit(click_id, ledger=ledger)
    assert (shown["user_agent"], shown["referrer"], shown["visitor_hash"]) == ("", "", None)
    for ask in (show_visit, forget_visit):
        with pytest.raises(BadInput, match="no click"):
            ask("0" * 26, ledger=ledger)
