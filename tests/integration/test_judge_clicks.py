"""What was recorded is judged after the redirect: flagged, never dropped, the same in whatever order it arrived."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from affiliate_empire.analytics.traffic import JUDGED_BY
from affiliate_empire.kernel.clock import BusinessCalendar, FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Click
from affiliate_empire.operations.export import export_clicks
from affiliate_empire.operations.find_emergencies import find_emergencies
from affiliate_empire.operations.judge_clicks import judge_clicks

NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"


def click(
    number: int, *, minutes: float = 0, visitor: str = "v1", agent: str = PHONE, flags: tuple[str, ...] = ()
) -> Click:
    return Click(
        click_id=f"c{number:025}", code="k7Qm2RtX9b", clicked_at=NOON + timedelta(minutes=minutes), user_agent=agent,
        referrer="", visitor_hash=visitor, flags=list(flags),
    )  # fmt: skip


def record(ledger: Ledger, *clicks: Click) -> None:
    with ledger.begin() as session:
        session.add_all(clicks)


def flags(ledger: Ledger) -> dict[int, list[str]]:
    with ledger.begin() as session:
        found = session.scalars(select(Click).order_by(Click.click_id)).all()
        assert {one.judged_by for one in found} == {JUDGED_BY}
        return {int(one.click_id[1:]): one.flags for one in found}


def test_every_hit_is_flagged_and_kept(ledger: Ledger) -> None:
    record(
        ledger,
        click(1),
        click(2, minutes=1),
        click(3, visitor="v2", flags=("head",)),
        click(4, visitor="v3", agent="Twitterbot/1.0", flags=("prefetch",)),
        click(5, visitor="v4", agent=f"{PHONE} Instagram 352.1.0"),
    )
    assert judge_clicks(ledger=ledger) == 5
    assert flags(ledger) == {1: [], 2: ["duplicate"], 3: ["head"], 4: ["bot", "prefetch"], 5: ["in_app"]}
    assert judge_clicks(ledger=ledger) == 0

    frame = export_clicks(datetime(2026, 11, 20).date(), ledger=ledger, calendar=BusinessCalendar())
    assert list(frame["human"]) == [True, False, False, True, True]  # by time, then id
    assert frame["duplicate"].sum() == 1


def test_a_hit_that_comes_late_out_of_the_spool_makes_what_followed_it_what_it_is(ledger: Ledger) -> None:
    record(ledger, click(2, minutes=30), click(3, minutes=80))
    judge_clicks(ledger=ledger)
    assert flags(ledger) == {2: [], 3: ["duplicate"]}
    record(ledger, click(1))
    assert judge_clicks(ledger=ledger) == 1
    assert flags(ledger) == {1: [], 2: ["duplicate"], 3: []}


def test_programs_are_told_from_people_before_sales_per_click_are_judged(ledger: Ledger) -> None:
    record(ledger, click(1, agent="Twitterbot/1.0"), click(2, visitor="v2"))
    assert find_emergencies(ledger=ledger, clock=FixedClock(NOON), calendar=BusinessCalendar()) == []
    assert flags(ledger) == {1: ["bot"], 2: []}


def test_more_visitors_than_are_judged_at_once(ledger: Ledger) -> None:
    record(ledger, *(click(number, visitor=f"v{number}") for number in range(1200)))
    assert judge_clicks(ledger=ledger) == 1200
    assert set(map(tuple, flags(ledger).values())) == {()}
