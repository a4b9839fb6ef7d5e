"""Impact's push and poll of one fact are one event; the state does not depend on the order of arrival."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.analytics.conversions import (
    conversion_changes,
    conversion_id,
    current_conversions,
    current_state,
    missing_correction,
)
from affiliate_empire.analytics.impact import PUSH_MACROS, PUSH_QUERY, events_from_action, events_from_push
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger.tables import ConversionEvent

NOON = datetime(2026, 11, 21, 17, 0, tzinfo=UTC)
CLICK = "01jd5x2k7c8q9w0e1r2t3y4z5a"
KEY = ("network", "transaction_id", "line_id", "kind", "version")


def push(**changes: str) -> dict[str, str]:
    said = {
        "ActionId": "1001.5523.118",
        "CampaignId": "1001",
        "Status": "PENDING",
        "Payout": "2.40",
        "IntendedPayout": "2.40",
        "Amount": "59.99",
        "IntendedAmount": "59.99",
        "Currency": "USD",
        "EventDate": "2026-11-21T11:58:04-05:00",
        "ClearedDate": "",
        "SubId1": CLICK,
        "OID": "A-77",
    }
    return said | changes


def action(**changes: Any) -> dict[str, Any]:
    said = {
        "Id": "1001.5523.118",
        "CampaignId": "1001",
        "State": "PENDING",
        "Payout": "2.40",
        "DeltaPayout": "0.00",
        "IntendedPayout": "2.40",
        "Amount": "59.99",
        "DeltaAmount": "0.00",
        "Currency": "USD",
        "EventDate": "2026-11-21T16:58:04Z",
        "ClearedDate": "",
        "SubId1": CLICK,
        "Oid": "A-77",
    }
    return said | changes


def keys(events: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    return {tuple(event[name] for name in KEY) for event in events}


def test_a_push_becomes_a_row_of_the_ledger() -> None:
    [event] = events_from_push(push(), NOON)
    # What it is worth in dollars is known where it is stored.
    assert set(event) == set(ConversionEvent.__table__.columns.keys()) - {"usd_rate"}
    assert (event["kind"], event["sale_micros"], event["commission_micros"]) == ("pending", 59_990_000, 2_400_000)
    assert (event["click_id"], event["program_id"], event["source"]) == (CLICK, "impact:1001", "push")
    assert event["occurred_at"] == datetime(2026, 11, 21, 16, 58, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Status": "APPROVED"},
        {"Status": "REVERSED", "Payout": "0.00", "Amount": "0.00", "DeltaPayout": "-2.40", "DeltaAmount": "-59.99"},
        {"Payout": "1.20", "DeltaPayout": "-1.20", "Amount": "29.99", "DeltaAmount": "-30.00"},
        {"Status": "APPROVED", "Payout": "1.20", "DeltaPayout": "-1.20", "Amount": "29.99", "DeltaAmount": "-30.00"},
        {"Status": "APPROVED", "ClearedDate": "2026-12-20T00:00:00Z"},
    ],
)
def test_push_and_poll_of_one_fact_have_the_same_keys_and_amounts(changes: dict[str, str]) -> None:
    pushed = events_from_push(push(**changes), NOON)
    polled_row = action(**{("State" if name == "Status" else name): value for name, value in changes.items()})
    polled = events_from_action(polled_row, NOON + timedelta(hours=1))
    assert keys(pushed) == keys(polled)
    amounts = [
        {(e["event_id"], e["sale_micros"], e["commission_micros"]) for e in events} for events in (pushed, polled)
    ]
    assert amounts[0] == amounts[1]


def test_a_reversal_is_worth_nothing_even_when_the_network_repeats_the_old_payout() -> None:
    [event] = events_from_push(push(Status="REVERSED"), NOON)
    assert (event["kind"], event["sale_micros"], event["commission_micros"]) == ("reversed", 0, 0)


def test_a_new_actions_delta_is_no_change() -> None:
    said = push(DeltaPayout="2.40", DeltaAmount="59.99")
    del said["IntendedPayout"], said["IntendedAmount"]
    assert [event["kind"] for event in events_from_push(said, NOON)] == ["pending"]


def test_macros_left_unfilled_count_as_absent_and_names_match_in_any_case() -> None:
    said = {name.lower(): value for name, value in push(SubId1="{SubId1}").items()}
    [event] = events_from_push(said, NOON)
    assert event["click_id"] is None
    assert all(f"{macro}={{{macro}}}" in PUSH_QUERY for macro in PUSH_MACROS)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"ActionId": ""}, "names no action"),
        ({"Status": "TEST"}, "'TEST'"),
        ({"Payout": "2,40"}, "'2,40'"),
        ({"Payout": "NaN"}, "'NaN'"),
        ({"Payout": "{Payout}"}, "without a payout"),
        ({"EventDate": "yesterday"}, "'yesterday'"),
    ],
)
def test_a_push_that_cannot_be_read_says_why(changes: dict[str, str], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        events_from_push(push(**changes), NOON)


HISTORY = [
    *events_from_push(push(), NOON),
    *events_from_push(push(Payout="1.20", Amount="29.99"), NOON + timedelta(hours=2))[1:],
    *events_from_action(action(State="APPROVED", Payout="1.20", Amount="29.99"), NOON + timedelta(days=1))[:1],
    *events_from_push(push(Status="REVERSED", Payout="0"), NOON + timedelta(days=9)),
]


@pytest.mark.parametrize(
    ("known", "state", "commission"),
    [(1, "pending", 2_400_000), (2, "pending", 1_200_000), (3, "approved", 1_200_000), (4, "reversed", 0)],
)
def test_the_state_follows_the_events_in_any_order_of_arrival(known: int, state: str, commission: int) -> None:
    for order in permutations(HISTORY[:known]):
        [row] = current_conversions(pd.DataFrame(list(order))).to_dict("records")
        assert (row["state"], row["commission_micros"]) == (state, commission)
        assert row["conversion_id"] == conversion_id("impact", "1001.5523.118")
        assert row["click_id"] == CLICK


def test_changes_add_up_to_what_stands_in_any_order_of_arrival() -> None:
    for known in range(1, len(HISTORY) + 1):
        for order in permutations(HISTORY[:known]):
            events = pd.DataFrame(list(order))
            changes = conversion_changes(events)
            assert changes["commission_change_micros"].sum() == current_conversions(events)["commission_micros"].sum()
            assert changes["sale_change_micros"].sum() == current_conversions(events)["sale_micros"].sum()
    assert changes["commission_change_micros"].tolist() == [2_400_000, -1_200_000, 0, -1_200_000]
    assert changes["state"].tolist() == ["pending", "pending", "approved", "reversed"]
    assert conversion_changes(events.iloc[:0]).empty


def test_events_of_one_row_carry_the_state_after_all_of_them() -> None:
    said = events_from_action(action(State="APPROVED", Payout="1.20", Amount="29.99"), NOON)
    assert len(said) == 2
    changes = conversion_changes(pd.DataFrame(said))
    assert set(changes["state"]) == {"approved"}
    assert sorted(changes["commission_change_micros"]) == [0, 1_200_000]


def test_payouts_by_transaction_are_those_of_the_current_state() -> None:
    other = events_from_push(push(ActionId="1001.5523.119"), NOON)
    rows = [ConversionEvent(**event) for event in [*HISTORY[:3], *other]]
    assert current_state(rows) == {"1001.5523.118": 1_200_000, "1001.5523.119": 2_400_000}
    assert current_state([]) == {}


def test_a_late_repeat_of_the_first_word_takes_nothing_back() -> None:
    late = {**HISTORY[0], "observed_at": NOON + timedelta(days=3)}
    [row] = current_conversions(pd.DataFrame([late, *HISTORY[1:3]])).to_dict("records")
    assert (row["state"], row["commission_micros"]) == ("approved", 1_200_000)


def test_a_change_back_to_earlier_amounts_is_found_by_the_poll() -> None:
    there = events_from_push(push(Payout="1.20", Amount="29.99"), NOON)
    back = events_from_action(action(), NOON + timedelta(days=1))
    stored = {event["event_id"]: event for event in [*back, *there]}
    correction = missing_correction(back, pd.DataFrame(stored.values()))
    assert correction is not None
    stored[correction["event_id"]] = correction
    assert current_conversions(pd.DataFrame(stored.values()))["commission_micros"].tolist() == [2_400_000]
    assert missing_correction(back, pd.DataFrame(stored.values())) is None


@settings(deadline=None)
@given(
    payout=st.decimals(min_value=0, max_value=9999, places=2),
    amount=st.decimals(min_value=0, max_value=99999, places=2),
    status=st.sampled_from(["PENDING", "APPROVED", "REVERSED"]),
)
def test_saying_it_twice_is_saying_it_once(payout: Any, amount: Any, status: str) -> None:
    said = push(Status=status, Payout=str(payout), Amount=str(amount))
    first, second = events_from_push(said, NOON), events_from_push(said, NOON + timedelta(hours=5))
    assert keys(first) == keys(second)
    assert len(keys(first)) == len(first)
