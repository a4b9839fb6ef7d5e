"""The owner's report: the day's figures, marked and escaped, on a page that needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from affiliate_empire.effects.switches import pause_scope
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import AccountLimit, Effect, Piece, RejectedRow
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.decide_strategy import decide_strategy
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.operations.report_day import report_day
from tests.factories.business_day import CALENDAR, BusinessDay
from tests.factories.catalog import DAY, assortment


class Outline(HTMLParser):
    """The page's text, its unclosed tags, and everything it would load."""

    void = frozenset({"meta", "br", "rect", "line", "path", "link", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.sections = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sections += tag == "section"
        self.loads += [tag for name, _ in attrs if name in ("src", "srcset") or (tag == "link" and name == "href")]
        self.loads += [tag] * (tag in ("script", "iframe"))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture
def business(ledger: Ledger, tmp_path: Path) -> BusinessDay:
    return BusinessDay(ledger, MediaStore(tmp_path / "media"))


def page_of(business: BusinessDay, home: Path, *, hour: float = 30, label: str = "SIMULATED") -> str:
    clock = FixedClock(business.at(hour))
    path = report_day(
        DAY, ledger=business.ledger, clock=clock, calendar=CALENDAR, home=home, label=label, fixed_costs={}
    )
    assert path == home / "reports" / "2026-11-21.html"
    return path.read_text("utf-8")


def test_a_whole_days_figures_stand_in_the_report(business: BusinessDay, tmp_path: Path) -> None:
    prepare_ledger(ledger=business.ledger)
    offered = assortment().assign(title=lambda frame: "<script>alert(1)</script> " + frame["title"])
    plan = business.plan(business.offer(offered), slate={"youtube": 3, "blog": 1})
    codes = [business.publish(piece) for piece in plan["piece_id"][1:]]
    business.watch(plan["piece_id"][1], 4321)
    clicks = [business.click(codes[0], number) for number in range(7)]
    business.click(codes[0], 50, flags=("bot",))
    business.sell("1001.1", clicks[0], "12.34")
    business.sell("1001.2", clicks[1], "6.00", Status="APPROVED")
    business.sell("1001.3", clicks[2], "9.00", Status="REVERSED")
    business.sell("1001.4", None, "2.50")
    business.spend(plan["piece_id"][1], "openai", "draw_still", 5_000, state="lost")
    decide_strategy(DAY, ledger=business.ledger, clock=FixedClock(business.at(23)), calendar=CALENDAR, seed=7)
    with business.ledger.begin() as session:
        first = session.get_one(Piece, plan["piece_id"][0])
        first.status, first.reason = "quarantined", "scripts: it <b>claimed</b> too much"
        session.add(
            RejectedRow(
                rejected_id="r",
                source="product_feed",
                day=DAY,
                row_number=3,
                reason="price 'N/A' is no amount",
                raw={},
                observed_at=business.at(1),
            )
        )
        session.add(
            Effect(
                effect_id="ef_parked",
                key="publish:x",
                kind="at_most_once",
                vendor="youtube",
                operation="publish",
                fingerprint="f",
                state="unknown",
                day=DAY,
                epoch=1,
                error="Look at the channel.",
            )
        )
    pause_scope("vendor:fal", "a bill <to look at>", ledger=business.ledger)
    page = page_of(business, tmp_path)
    outline = Outline(page)
    assert outline.open == []
    assert outline.loads == []
    assert "<script" not in page
    assert "<b>claimed" not in page
    for figure in (
        "3 of 4",  # made
        "4,321",
        "8 hits in all",
        "$18.34",  # earned: 12.34 + 6.00
        "$20.84",  # with the unattributed 2.50
        "1001.1",
        "lost, booked at the most",
        "scripts: it <b>claimed</b> too much",
        "price 'N/A' is no amount",
        "Look at the channel.",
        "Paused: vendor:fal (a bill <to look at>). Lift it with: empire resume vendor:fal",
        "A video may cost up to",
        "Strategy version 2",
        "The evidence is thin.",
    ):
        assert figure in outline.text, figure
    assert outline.text.count("SIMULATED") >= outline.sections + 7
    assert "LIVE" not in outline.text


def test_what_is_learned_at_the_reports_own_instant_is_in_it(business: BusinessDay, tmp_path: Path) -> None:
    plan = business.prepared()
    piece = plan["piece_id"][0]
    code = business.publish(piece)
    business.watch(piece, 1_234, hour=22)
    business.watch(piece, 98_765, hour=23)
    business.sell("1001.1", business.click(code, 0, hour=22), "7.89", hour=23)
    at_it = Outline(page_of(business, tmp_path, hour=23)).text
    for figure in ("98,765", "$7.89", "1 sales"):
        assert figure in at_it, figure
    just_before = Outline(page_of(business, tmp_path, hour=23 - 1e-6)).text
    assert "1,234" in just_before
    for figure in ("98,765", "$7.89", "1 sales"):
        assert figure not in just_before, figure


def test_a_cost_is_in_the_report_from_the_instant_it_was_settled(business: BusinessDay, tmp_path: Path) -> None:
    business.spend(business.prepared()["piece_id"][0], "openai", "write_script", 123_450_000)
    assert "$123.45" in Outline(page_of(business, tmp_path, hour=3)).text
    assert "$123.45" not in Outline(page_of(business, tmp_path, hour=2.9)).text


def test_a_day_before_anything_happened_has_a_report_too(business: BusinessDay, tmp_path: Path) -> None:
    prepare_ledger(ledger=business.ledger)
    text = Outline(page_of(business, tmp_path, label="LIVE")).text
    assert "Nothing was planned for this day." in text
    assert "The evening has not decided yet" in text
    assert "SIMULATED" not in text
    assert "sandbox" not in text


def test_the_same_moment_gives_the_same_page_and_a_later_reversal_another(
    business: BusinessDay, tmp_path: Path
) -> None:
    plan = business.prepared()
    code = business.publish(plan["piece_id"][0])
    business.sell("1001.1", business.click(code, 1), "5.00")
    first = page_of(business, tmp_path)
    assert page_of(business, tmp_path) == first
    business.sell("1001.1", None, "0", hour=40, Status="REVERSED")
    assert page_of(business, tmp_path) == first
    assert "taken back" in page_of(business, tmp_path, hour=50)
    assert page_of(business, tmp_path, hour=50) != first
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["2026-11-21.html"]


def test_what_did_not_go_out_says_what_it_waits_for(business: BusinessDay, tmp_path: Path) -> None:
    prepare_ledger(ledger=business.ledger)
    plan = business.plan(business.offer(assortment()), slate={"youtube": 1, "blog": 1})
    with business.ledger.begin() as session:
        held, late = (session.get_one(Piece, piece) for piece in plan["piece_id"])
        held.reason = "waits for room: the window is full."
        late.status, late.reason = "expired", "its slot passed without a post"
        session.add(
            AccountLimit(
                account_id=held.account_id, quota="q", signal="s", posts=0, unseen=0, longest_seconds=None,
                reason="the channel is full", observed_at=business.at(20), holds_until=business.at(40),
            )
        )  # fmt: skip
    page = page_of(business, tmp_path)
    assert "not posted: waits for room: the window is full." in page
    assert "expired: its slot passed without a post" in page
    assert f"{held.account_id}: the channel is full (seen " in page
