"""The owner's report of a week, and the review of prompt versions that it shows."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import ExperimentResult, Strategy
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.alerts import load_alerts, raise_alert
from affiliate_empire.operations.decide_strategy import decide_strategy
from affiliate_empire.operations.report_day import report_day
from affiliate_empire.operations.report_week import collect_week, report_week
from affiliate_empire.operations.review_experiments import load_review, review_experiments
from tests.factories.business_day import CALENDAR, BusinessDay
from tests.factories.catalog import DAY
from tests.integration.test_report_day import Outline

WEEK = date(2026, 11, 23)  # reports Friday the 20th to Thursday the 26th
FRIDAY = date(2026, 11, 27)


@pytest.fixture
def business(ledger: Ledger, tmp_path: Path) -> BusinessDay:
    return BusinessDay(ledger, MediaStore(tmp_path / "media"))


def lived(business: BusinessDay) -> list[str]:
    """A day of the week with posts, clicks and sales, decided in its evening; returns its pieces."""
    plan = business.prepared()
    codes = [business.publish(piece) for piece in plan["piece_id"]]
    for piece, code in zip(plan["piece_id"], codes, strict=True):
        if plan.set_index("piece_id").at[piece, "platform"] != "blog":
            business.watch(piece, 1000)
        for number in range(5):
            business.click(code, number)
    business.sell("1001.1", business.click(codes[0], 90), "12.34")
    business.sell("1001.2", business.click(codes[1], 91), "6.00", Status="REVERSED")
    decide_strategy(DAY, ledger=business.ledger, clock=FixedClock(business.at(23)), calendar=CALENDAR, seed=7)
    return list(plan["piece_id"])


def page_of(business: BusinessDay, home: Path, *, label: str = "SIMULATED") -> Outline:
    clock = FixedClock(CALENDAR.midnight(FRIDAY) + timedelta(hours=3))
    path = report_week(WEEK, ledger=business.ledger, clock=clock, calendar=CALENDAR, home=home, label=label)
    assert path == home / "reports" / "week-2026-11-23.html"
    return Outline(path.read_text("utf-8"))


def test_a_weeks_money_decisions_alerts_and_lessons_stand_in_the_report(business: BusinessDay, tmp_path: Path) -> None:
    pieces = lived(business)
    at = business.at(9)
    for _ in range(2):
        raise_alert("c", severity="high", subject="s", message="Look at <b>it</b>.", at=at, ledger=business.ledger)
    raise_alert("d", severity="low", subject="s", message="Too late.", at=business.at(24 * 9), ledger=business.ledger)
    review_experiments(DAY, ledger=business.ledger, clock=FixedClock(business.at(3)), calendar=CALENDAR)
    page = page_of(business, tmp_path)
    assert page.open == []
    assert page.loads == []
    assert "20 November to 26 November 2026" in page.text
    assert "$12.34" in page.text
    assert page.text.count("Look at <b>it</b>.") == 1
    assert "Too late." not in page.text
    assert "too few pieces were seen to compare them" in page.text
    for day in ("Fri 20 Nov", "Sat 21 Nov", "Thu 26 Nov"):
        assert day in page.text
    assert page.text.count("SIMULATED") >= page.sections
    week = collect_week(
        WEEK, ledger=business.ledger, as_of=CALENDAR.midnight(FRIDAY), calendar=CALENDAR, label="SIMULATED"
    )
    assert set(week.outcomes["piece_id"]) == set(pieces)
    assert int(week.spent["cost_micros"].sum()) == int(week.outcomes["cost_micros"].sum()) > 0
    with business.ledger.begin() as session:
        decided = session.scalars(select(Strategy).where(Strategy.decided_for == DAY)).one()
    moved = [
        row for row in decided.evidence["decisions"] if round(row["weight_before"], 2) != round(row["weight_after"], 2)
    ]
    assert set(week.decisions["key"]) == {row["key"] for row in moved}
    assert set(week.decisions["day"]) <= {DAY}


def test_a_week_in_which_nothing_happened_has_a_report(business: BusinessDay, tmp_path: Path) -> None:
    page = page_of(business, tmp_path, label="LIVE")
    assert "nothing was posted" in page.text
    assert "No review of prompt versions yet." in page.text
    assert "SIMULATED" not in page.text


def test_the_days_report_shows_the_days_alerts(business: BusinessDay, tmp_path: Path) -> None:
    business.prepared()
    for hour in (9.0, 30.0):
        message = f"Alert of hour {hour:.0f}."
        at = business.at(hour)
        raise_alert(hour, severity="high", subject="s", message=message, at=at, ledger=business.ledger)
    path = report_day(
        DAY,
        ledger=business.ledger,
        clock=FixedClock(business.at(40)),
        calendar=CALENDAR,
        home=tmp_path,
        label="SIMULATED",
        fixed_costs={},
    )
    page = Outline(path.read_text("utf-8"))
    assert "Look at this first" in page.text
    assert "Alert of hour 9. high, Sat 21 Nov, 09:00" in page.text
    assert "Alert of hour 30." not in page.text
    assert len(load_alerts(business.at(0), business.at(24), ledger=business.ledger)) == 1


def test_a_review_is_said_once_on_what_was_seen_before_its_day(business: BusinessDay) -> None:
    lived(business)
    after = DAY + timedelta(days=2)

    def review(day: date, hour: float) -> list[dict[str, object]]:
        clock = FixedClock(business.at(hour))
        return review_experiments(day, ledger=business.ledger, clock=clock, calendar=CALENDAR).to_dict("records")

    of_the_day = review(DAY, 3)
    assert {row["kind"] for row in of_the_day} == {"video", "post"}
    assert all(row["pieces_a"] == row["pieces_b"] == 0 for row in of_the_day)
    videos = [row for row in review(after, 51) if row["kind"] == "video"]
    counted = {row["arm_a"]: row["pieces_a"] for row in videos} | {row["arm_b"]: row["pieces_b"] for row in videos}
    assert sum(int(str(number)) for number in counted.values()) > 0
    assert all(row["decision"] == "continue" for row in videos)
    assert {row["alpha"] for row in videos} == {0.05 / len(videos)}
    first = load_review(after, ledger=business.ledger)
    review(after, 99)
    assert load_review(after, ledger=business.ledger).equals(first)
    with business.ledger.begin() as session:
        assert len(session.scalars(select(ExperimentResult).where(ExperimentResult.day == after)).all()) > 0
