"""The comparison with the world's witness: each way the two can differ is seen."""

from dataclasses import replace
from datetime import date

import pytest

from affiliate_empire.cli.witness import Witness, compare
from affiliate_empire.operations.total_day import DayTotals

DAY = DayTotals(
    day=date(2026, 11, 21),
    pieces=1,
    quarantined={},
    missed={},
    posts={"video1": "youtube"},
    charges={"req1": 9_500},
    cost_micros=9_500,
    clicks={"click1"},
    payouts={"action1": 4_000_000},
)
SEEN = Witness(
    posts=[{"remote_id": "video1"}],
    charges=[{"request_id": "req1", "micros": 9_500}],
    clicks=[{"click_id": "click1"}],
    payouts=[{"action_id": "action1", "payout_micros": 4_000_000}],
)


def test_the_same_day_agrees() -> None:
    agreement = compare(DAY, [], SEEN)
    assert agreement.problems == []
    assert (agreement.posts, agreement.charges_micros, agreement.clicks) == (1, 9_500, 1)
    assert agreement.revenue_micros == 4_000_000


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (replace(SEEN, posts=SEEN.posts * 2), "twice"),
        (replace(SEEN, posts=[]), "never saw"),
        (replace(SEEN, posts=[*SEEN.posts, {"remote_id": "video2"}]), "does not know"),
        (replace(SEEN, charges=[{"request_id": "req1", "micros": 9_501}]), "booked at"),
        (replace(SEEN, charges=[]), "charged nothing"),
        (replace(SEEN, charges=[*SEEN.charges, {"request_id": "req2", "micros": 1}]), "nobody booked"),
        (replace(SEEN, clicks=[]), "nobody in the world made"),
        (replace(SEEN, clicks=[*SEEN.clicks, {"click_id": "click2"}]), "not in the ledger"),
        (replace(SEEN, payouts=[{"action_id": "action1", "payout_micros": 4_000_001}]), "action1"),
        (replace(SEEN, payouts=[]), "action1"),
    ],
)
def test_every_kind_of_disagreement_is_named(seen: Witness, sentence: str) -> None:
    problems = compare(DAY, [], seen).problems
    assert len(problems) == 1
    assert sentence in problems[0]


def test_a_lost_reply_covers_one_charge_up_to_what_was_booked_for_it() -> None:
    charged = replace(SEEN, charges=[*SEEN.charges, {"request_id": "req2", "micros": 5_000}])
    assert compare(replace(DAY, lost_micros=[5_000]), [], charged).problems == []
    assert compare(replace(DAY, lost_micros=[4_999]), [], charged).problems != []
    twice = replace(charged, charges=[*charged.charges, {"request_id": "req3", "micros": 5_000}])
    assert len(compare(replace(DAY, lost_micros=[5_000]), [], twice).problems) == 1


def test_a_click_under_way_when_the_world_was_killed_is_no_invention() -> None:
    assert compare(DAY, [], replace(SEEN, clicks=[], uncertain_clicks=1)).problems == []
    assert compare(replace(DAY, clicks=set()), [], replace(SEEN, uncertain_clicks=1)).problems != []


def test_what_belongs_to_other_days_is_set_aside() -> None:
    other = replace(DAY, day=date(2026, 11, 20), posts={}, charges={}, clicks=set(), payouts={})
    assert compare(other, [DAY], SEEN).problems == []
