"""A day's exchange rates, kept once; and money in other currencies, counted by them for good."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from affiliate_empire.analytics.impact import events_from_push
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.kernel.money import to_usd_micros
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.conversions import save_conversion_events
from affiliate_empire.ledger.rates import usd_rates
from affiliate_empire.ledger.tables import Alert, ConversionEvent
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.export import export_conversions
from affiliate_empire.operations.outcomes import load_conversions, load_outcomes
from affiliate_empire.operations.sync_rates import RatesSync, sync_rates
from affiliate_empire.operations.total_day import total_day
from affiliate_empire.operations.trace_lineage import render_trace, trace_conversion, trace_prompt
from affiliate_empire.vendors.ecb import ECBClient
from affiliate_empire.vendors.errors import VendorUnavailable
from tests.factories.business_day import CALENDAR, BusinessDay
from tests.factories.worlds import RunningWorld

DAY = date(2026, 9, 19)  # a Saturday, which goes by Friday's fixing
MORNING = CALENDAR.midnight(DAY) + timedelta(minutes=15)
FRIDAY = DAY - timedelta(days=1)
ECB = "GET /ecb/*"


class WorldsClock(Clock):
    def __init__(self, world: RunningWorld) -> None:
        self._world = world

    def now(self) -> datetime:
        return self._world.now()


class Desk:
    """The verb with everything it needs, in a world that stands at a quarter past midnight of the day."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger = ledger
        self.world = RunningWorld(folder, now=MORNING)
        self.ecb = ECBClient(f"{self.world.url}/ecb", timeout=5)

    def sync(self, day: date = DAY) -> RatesSync:
        calendar: BusinessCalendar = CALENDAR
        return sync_rates(day, ledger=self.ledger, ecb=self.ecb, clock=WorldsClock(self.world), calendar=calendar)

    def close(self) -> None:
        self.ecb.close()
        self.world.stop()


@pytest.fixture
def desk(ledger: Ledger, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(ledger, tmp_path / "world")
    yield desk
    desk.close()


def rates_of(sync: RatesSync) -> dict[str, float]:
    return dict(zip(sync.rates["currency"], sync.rates["usd"], strict=True))


def alerts(ledger: Ledger) -> list[Alert]:
    with ledger.begin() as session:
        return list(session.scalars(select(Alert).order_by(Alert.alert_id)))


# ---------------------------------------------------------------------------------------------- the day's rates
def test_a_day_goes_by_the_last_fixing_before_it_and_keeps_it(desk: Desk) -> None:
    first = desk.sync()
    assert set(first.rates["fixing_day"]) == {FRIDAY}
    rates = rates_of(first)
    assert (rates["USD"], first.problem) == (1.0, None)
    assert rates["EUR"] == float(desk.ecb.fetch_latest().per_euro["USD"])
    assert rates["GBP"] == pytest.approx(rates["EUR"] / float(desk.ecb.fetch_latest().per_euro["GBP"]))
    assert 0.00001 < rates["IDR"] < 0.001

    desk.world.fault(ECB, status=503, times=9)
    assert desk.sync().rates.equals(first.rates)  # nobody is asked again
    assert alerts(desk.ledger) == []


def test_a_fixing_of_the_day_itself_is_not_yet_its_rate(desk: Desk) -> None:
    monday = DAY + timedelta(days=2)
    desk.world.move_to(CALENDAR.midnight(monday) + timedelta(hours=15))
    assert desk.ecb.fetch_latest().day == monday
    assert set(desk.sync(monday).rates["fixing_day"]) == {FRIDAY}


def test_a_past_day_is_read_from_ninety_days_of_history(desk: Desk) -> None:
    summer = date(2026, 7, 2)
    assert set(desk.sync(summer).rates["fixing_day"]) == {date(2026, 7, 1)}
    for day in (DAY - timedelta(days=91), DAY - timedelta(days=90)):
        with pytest.raises(BadInput, match="last 90 days"):
            desk.sync(day)
    desk.world.fault(ECB, status=503, times=9)
    with pytest.raises(VendorUnavailable):
        desk.sync(DAY - timedelta(days=3))
    desk.world.clear_faults()
    assert desk.sync(summer).problem is None


def test_without_the_bank_a_fixing_is_carried_as_over_a_holiday_and_then_no_longer(desk: Desk) -> None:
    saturday = rates_of(desk.sync())
    desk.world.fault(ECB, status=200, body="<html>Maintenance</html>", times=99)
    for days in (1, 4, 5):
        day = DAY + timedelta(days=days)
        desk.world.move_to(CALENDAR.midnight(day) + timedelta(minutes=15))
        sync = desk.sync(day)
        assert "web page" in str(sync.problem)
        if days <= 4:
            assert rates_of(sync) == saturday
            assert set(sync.rates["fixing_day"]) == {FRIDAY}
        else:
            assert sync.rates.empty
    assert [alert.severity for alert in alerts(desk.ledger)].count("high") == 1
    assert len(alerts(desk.ledger)) == 3


def test_a_bank_that_stopped_publishing_is_noticed(desk: Desk) -> None:
    stale = desk.ecb.fetch_latest()
    body = (
        '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
        'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><Cube>'
        f"<Cube time='{FRIDAY}'><Cube currency='USD' rate='{stale.per_euro['USD']}'/></Cube></Cube></gesmes:Envelope>"
    )
    late = DAY + timedelta(days=6)
    desk.world.move_to(CALENDAR.midnight(late) + timedelta(hours=1))
    desk.world.fault(ECB, status=200, body=body, times=9)
    sync = desk.sync(late)
    assert sync.rates.empty
    assert f"is of {FRIDAY}" in str(sync.problem)


# ---------------------------------------------------------------------------------------------- money
def sale(action: str, currency: str, payout: str, click: str | None, at: datetime, **changes: str) -> dict[str, str]:
    return {
        "ActionId": action,
        "CampaignId": "1001",
        "Status": "PENDING",
        "Payout": payout,
        "IntendedPayout": payout,
        "Amount": str(Decimal(payout) * 10),
        "IntendedAmount": str(Decimal(payout) * 10),
        "Currency": currency,
        "EventDate": at.isoformat(),
        "SubId1": click or "",
    } | changes


def say(ledger: Ledger, said: dict[str, str], observed_at: datetime) -> list[str]:
    with ledger.begin() as session:
        return save_conversion_events(session, events_from_push(said, observed_at))[1]


def test_commissions_count_in_dollars_at_the_rate_of_the_day_of_the_sale_for_good(desk: Desk, tmp_path: Path) -> None:
    ledger = desk.ledger
    business = BusinessDay(ledger, MediaStore(tmp_path / "media"), day=DAY)
    plan = business.prepared()
    code = business.publish(plan["piece_id"][0])
    clicks = [business.click(code, number) for number in range(3)]
    euro = Decimal(str(rates_of(desk.sync())["EUR"]))
    at = business.at(15)
    assert say(ledger, sale("1001.1", "USD", "4.21", clicks[0], at), business.at(16)) == []
    assert say(ledger, sale("1001.2", "EUR", "3.337", clicks[1], at), business.at(16)) == []
    assert say(ledger, sale("1001.3", "EUR", "5.00", clicks[2], at), business.at(16)) == []

    worth = to_usd_micros(3_337_000, "EUR", {"EUR": euro})
    five = to_usd_micros(5_000_000, "EUR", {"EUR": euro})
    assert worth is not None
    assert five is not None
    assert worth != 3_337_000
    with ledger.begin() as session:
        outcomes = load_outcomes(session, as_of=business.at(17), first_day=DAY, last_day=DAY)
    assert outcomes["commission_micros"].sum() == 4_210_000 + worth + five

    # Another day has other rates; what becomes of the sales then is reckoned by the old one.
    tuesday = DAY + timedelta(days=3)
    desk.world.move_to(CALENDAR.midnight(tuesday) + timedelta(hours=1))
    assert rates_of(desk.sync(tuesday))["EUR"] != float(euro)
    later = business.at(80)
    say(ledger, sale("1001.2", "EUR", "3.337", clicks[1], at, Status="APPROVED"), later)
    say(ledger, sale("1001.3", "EUR", "0", clicks[2], at, Status="REVERSED"), later)
    moved = export_conversions(tuesday, ledger=ledger, calendar=CALENDAR).set_index("transaction_id")
    assert moved["commission_usd_change_micros"].to_dict() == {"1001.2": 0, "1001.3": -five}
    day = export_conversions(DAY, ledger=ledger, calendar=CALENDAR).set_index("transaction_id")
    assert day["commission_usd_change_micros"].to_dict() == {"1001.1": 4_210_000, "1001.2": worth, "1001.3": five}
    assert day["commission_change_micros"].to_dict() == {"1001.1": 4_210_000, "1001.2": 3_337_000, "1001.3": 5_000_000}
    assert day["sale_usd_change_micros"]["1001.1"] == 42_100_000
    assert day["usd_rate"].isna().to_dict() == {"1001.1": True, "1001.2": False, "1001.3": False}

    trace = trace_conversion("1001.2", ledger=ledger)
    assert (trace["commission_micros"], trace["commission_usd_micros"]) == (3_337_000, worth)
    assert "pays        3.34 EUR of 33.37 EUR" in render_trace(trace, label="SIMULATED")
    prompt = trace_prompt(trace["prompt_version"], ledger=ledger)
    assert prompt["commission_micros"] == 4_210_000 + worth
    totals = total_day(DAY, ledger=ledger, media=business.media)
    assert totals.payouts == {"1001.1": 4_210_000, "1001.2": 3_337_000, "1001.3": 0}
    assert totals.revenue_micros == totals.in_dollars(totals.payouts) == 4_210_000 + worth


def test_a_sale_without_a_rate_counts_as_no_dollars_until_its_day_has_one(desk: Desk) -> None:
    at = datetime(2026, 9, 19, 18, tzinfo=UTC)

    def dollars_of(action: str) -> int:
        with desk.ledger.begin() as session:
            current = load_conversions(session, as_of=at + timedelta(days=9)).set_index("transaction_id")
        return int(current["commission_usd_micros"][action])

    problems = say(desk.ledger, sale("1001.1", "SEK", "100", None, at), at)
    assert "SEK" in problems[0]
    assert "2026-09-19" in problems[0]
    assert say(desk.ledger, sale("1001.2", "XAU", "1", None, at), at) != []
    assert dollars_of("1001.1") == 0
    rate = Decimal(str(rates_of(desk.sync())["SEK"]))
    assert dollars_of("1001.1") == to_usd_micros(100_000_000, "SEK", {"SEK": rate})
    assert dollars_of("1001.2") == 0  # nobody fixes gold


def test_rates_are_carried_to_a_sale_as_long_as_over_a_holiday(desk: Desk) -> None:
    rates: dict[str, Any] = rates_of(desk.sync())
    with desk.ledger.begin() as session:
        for days, known in ((-1, False), (0, True), (5, True), (6, False)):
            found = usd_rates(session, DAY + timedelta(days=days))
            assert ({name: float(usd) for name, usd in found.items()} == rates) is known


def test_dollar_events_hold_no_rate(desk: Desk) -> None:
    desk.sync()
    at = datetime(2026, 9, 19, 18, tzinfo=UTC)
    assert say(desk.ledger, sale("1001.1", "USD", "2.00", None, at), at) == []
    with desk.ledger.begin() as session:
        assert session.scalars(select(ConversionEvent.usd_rate)).all() == [None]
