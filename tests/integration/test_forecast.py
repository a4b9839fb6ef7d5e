"""What a day may cost, and that nothing live is paid for before the owner has confirmed it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from affiliate_empire.cli.main import main
from affiliate_empire.effects import Caps, Effects, Receipt, SpendNotConfirmed
from affiliate_empire.effects.switches import pause_scope
from affiliate_empire.kernel.clock import FixedClock
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Budget, Effect, Installation, SpendConfirmation
from affiliate_empire.media.store import MediaStore
from affiliate_empire.operations.forecast_day import confirm_forecast, forecast_day, why_not_confirmed
from affiliate_empire.operations.prepare_ledger import prepare_ledger
from affiliate_empire.planning.forecast import Forecast
from affiliate_empire.policy import load_policy
from tests.factories.business_day import CAPS, BusinessDay
from tests.factories.effects import DAY, NOON, Platform, open_account, post_intent

POLICY = load_policy()
SLATE = {"youtube": 2, "tiktok": 1, "instagram": 1, "blog": 1}


def forecast(
    ledger: Ledger, *, caps: Caps = CAPS, slate: dict[str, int] = SLATE, day: date = DAY, **more: Any
) -> Forecast:
    clips: dict[str, Any] = {"clips": 1, "clip_providers": ["pika", "runway"]}
    return forecast_day(day, ledger=ledger, policy=POLICY, slate=slate, caps=caps, **clips | more)


def live(ledger: Ledger, *, caps: Caps = CAPS, pieces: int = 5) -> Effects:
    return Effects(ledger, FixedClock(NOON), caps=caps, pieces_a_day=pieces)


def pay(effects: Effects, step: str = "pc_1:script") -> Receipt:
    return effects.perform_paid(
        step,
        vendor="openai",
        operation="text",
        fingerprint="f",
        day=DAY,
        max_cost_micros=100,
        call=lambda: Receipt("req", 40),
    )


def confirm(ledger: Ledger, caps: Caps = CAPS, *, minute: int = 0) -> None:
    at = NOON + timedelta(minutes=minute)
    confirm_forecast(forecast(ledger, caps=caps), ledger=ledger, slate=SLATE, at=at)


def test_a_forecast_says_at_most_and_as_a_rule_by_part_beside_the_original_plan(ledger: Ledger) -> None:
    prepare_ledger(ledger=ledger)
    found = forecast(ledger)
    assert found.pieces == {"video": 4, "post": 1}
    assert {line.part: line.vendor for line in found.lines} == {
        "script": "openai",
        "voice": "elevenlabs",
        "image": "openai",
        "clip": "fal",
        "post": "anthropic",
    }
    assert found.max_micros == sum(line.max_micros for line in found.lines) == 4 * 529_135 + 213_750
    assert 1_000_000 < found.usual_micros < 1_200_000
    assert {line.part: line.plan_micros for line in found.lines}["voice"] == 3_300_000
    assert found.notes == ("Not paid through the business, and so in no cap: hosting (Fly.io) $50.00 a month.",)
    assert forecast(ledger, closed={"blog": "no remote"}).pieces == {"video": 4}


def test_a_forecast_stays_within_what_the_caps_have_left(ledger: Ledger) -> None:
    prepare_ledger(ledger=ledger)
    with ledger.begin() as session:
        session.add(Budget(scope=f"day:{DAY}", cap_micros=1, spent_micros=13_000_000))
    found = forecast(ledger)
    assert (found.pieces, found.max_micros) == ({"video": 1, "post": 1}, 529_135 + 213_750)
    assert found.notes[0] == "2 of 5 pieces fit the budget: the day's cap has $1.00 left."
    # More than an account may post is not made, whatever the slate wishes for.
    wide = replace(CAPS, day_micros=10**9)
    assert forecast(ledger, caps=wide, slate={"tiktok": 40}).pieces == {"video": POLICY.posting("tiktok").limit}


def test_a_forecast_leaves_out_what_is_not_planned_for_an_account_that_is_held(ledger: Ledger) -> None:
    prepare_ledger(ledger=ledger)
    pause_scope("account:youtube:gearlab", "a holiday", ledger=ledger)
    assert forecast(ledger, slate={"youtube": 4, "blog": 1}).pieces == {"post": 1}


def test_a_planned_day_is_forecast_from_its_plan(ledger: Ledger, tmp_path: Path) -> None:
    business = BusinessDay(ledger, MediaStore(tmp_path))
    business.prepared()
    assert forecast(ledger, slate={"youtube": 9, "blog": 9}, day=business.day).pieces == {"video": 4, "post": 1}


def test_nothing_live_is_paid_for_before_the_owner_has_confirmed(ledger: Ledger, tmp_path: Path) -> None:
    prepare_ledger(ledger=ledger)
    with pytest.raises(SpendNotConfirmed, match=r"^No live money is spent before .* `empire forecast --confirm`\.$"):
        pay(live(ledger))
    with ledger.begin() as session:
        assert session.query(Effect).all() == session.query(Budget).all() == []
    # What costs nothing needs no word: a post goes out.
    open_account(ledger, "youtube:another")
    platform = Platform(tmp_path / "platform")
    live(ledger).perform(post_intent(account_id="youtube:another"), platform.act())
    confirm(ledger)
    assert pay(live(ledger)).cost_micros == 40
    with ledger.begin() as session:
        (word,) = session.query(SpendConfirmation).all()
    assert (word.day, word.terms["pieces"], word.terms["caps"]["DAY"]) == (DAY, 5, 14_000_000)
    assert word.terms["forecast"]["max_micros"] == 4 * 529_135 + 213_750
    # The sandbox asks nobody.
    assert pay(Effects(ledger, FixedClock(NOON), caps=CAPS), "pc_2:script").cost_micros == 40


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"day_micros": 15_000_000}, "EMPIRE_BUDGET_DAY_USD was raised from $14.00 to $15.00"),
        ({"month_micros": 500_000_000}, "EMPIRE_BUDGET_MONTH_USD was raised from $412.00 to $500.00"),
        ({"run_micros": 20_000_000}, "EMPIRE_BUDGET_RUN_USD was raised"),
        ({"vendor_day_micros": {"fal": 2_000_000}}, "EMPIRE_BUDGET_VENDOR_DAY_USD of fal was raised from $1.00 to"),
        ({"vendor_day_micros": {}}, "EMPIRE_BUDGET_VENDOR_DAY_USD no longer caps fal"),
    ],
)
def test_a_raised_cap_asks_again_and_a_lowered_one_does_not(ledger: Ledger, change: dict[str, Any], said: str) -> None:
    caps = replace(CAPS, vendor_day_micros={"fal": 1_000_000})
    prepare_ledger(ledger=ledger)
    confirm(ledger, caps)
    lowered = replace(caps, day_micros=1_000_000, vendor_day_micros={"fal": 1, "openai": 1_000_000})
    pay(live(ledger, caps=lowered))
    with pytest.raises(SpendNotConfirmed) as caught:
        pay(live(ledger, caps=replace(caps, **change)), "pc_2:script")
    assert str(caught.value).startswith(said)
    confirm(ledger, replace(caps, **change), minute=1)
    pay(live(ledger, caps=replace(caps, **change)), "pc_2:script")


def test_a_much_larger_slate_asks_again(ledger: Ledger) -> None:
    prepare_ledger(ledger=ledger)
    confirm(ledger)
    pay(live(ledger, pieces=6))
    with pytest.raises(SpendNotConfirmed, match="The slate asks for 7 pieces a day, and you confirmed what 5 may cost"):
        pay(live(ledger, pieces=7), "pc_2:script")
    assert why_not_confirmed(ledger=ledger, caps=CAPS, slate=SLATE) is None


def test_the_command_shows_the_forecast_and_keeps_the_word(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_ledger(ledger=ledger)
    with ledger.begin() as session:
        session.execute(Installation.__table__.update().values(mode="live"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMPIRE_MODE", "live")
    monkeypatch.setenv("EMPIRE_BLOG_REMOTE", "git@example.com:blog")
    monkeypatch.setenv("EMPIRE_BLOG_BASE_URL", "https://blog.example.com")
    monkeypatch.setenv("DATABASE_URL", ledger.url)

    def said(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["empire", "forecast", "--date", str(DAY), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    assert "No live money is spent before you have confirmed" in said()
    assert json.loads(said("--json")) | {"lines": []} == {
        "label": "LIVE",
        "day": str(DAY),
        "pieces": {"post": 1},
        "max_micros": 213_750,
        "usual_micros": 7_520,
        "lines": [],
        "notes": ["Not paid through the business, and so in no cap: hosting (Fly.io) $50.00 a month."],
        "confirmed": False,
        "sha256": None,
    }
    assert "Confirmed: " in said("--confirm")
    assert json.loads(said("--json"))["confirmed"] is True

    monkeypatch.setenv("EMPIRE_SLATE_BLOG", "5")
    assert json.loads(said("--json"))["pieces"] == {"post": 5}
    monkeypatch.setenv("EMPIRE_LIMIT_BLOG", "2")  # the owner's rule is stricter than the platform's
    assert json.loads(said("--json"))["pieces"] == {"post": 2}
