"""Where room is short the best pieces go first, none starves, and a re-plan keeps the order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate_empire.kernel.windows import frees_at
from affiliate_empire.planning.turns import PATIENCE, Waiting, in_order, with_room

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
WAITING = st.lists(
    st.builds(
        lambda piece_id, minutes, waited, expected_profit_micros: Waiting(
            piece_id,
            NOON + timedelta(minutes=minutes),
            NOON + timedelta(minutes=min(minutes, waited)),
            expected_profit_micros,
        ),
        piece_id=st.uuids().map(str),
        minutes=st.integers(-45, 17 * 60),
        waited=st.integers(-24 * 60, 17 * 60),
        expected_profit_micros=st.integers(-500_000, 5_000_000),
    ),
    max_size=12,
    unique_by=lambda piece: piece.piece_id,
)


def ids(pieces: Sequence[Waiting]) -> list[str]:
    return [piece.piece_id for piece in pieces]


@given(WAITING)
def test_whoever_waited_longer_by_a_whole_patience_goes_first_whatever_it_should_earn(pieces: list[Waiting]) -> None:
    order = ids(in_order(pieces, NOON))
    for one in pieces:
        for other in pieces:
            if max(NOON, other.waits_since) == NOON and other.waits_since - one.waits_since >= PATIENCE:
                assert order.index(one.piece_id) < order.index(other.piece_id)


@given(WAITING, st.randoms())
def test_who_is_taken_out_changes_no_order_among_those_who_stay(pieces: list[Waiting], chance: object) -> None:
    order = ids(in_order(pieces, NOON))
    left = pieces[::2]
    assert ids(in_order(left, NOON)) == [piece for piece in order if piece in ids(left)]
    assert ids(in_order(list(reversed(pieces)), NOON)) == order


def test_those_who_have_not_waited_go_by_what_they_should_earn() -> None:
    slots = [NOON + timedelta(hours=n) for n in range(3)]
    pieces = [Waiting(str(n), slots[n], slots[n], micros) for n, micros in enumerate((1, 5, 3))]
    assert ids(in_order(pieces, NOON)) == ["1", "2", "0"]


@settings(deadline=None)
@given(WAITING, st.integers(1, 4))
def test_room_goes_by_turns_and_passes_over_only_those_for_whom_there_is_none(
    pieces: list[Waiting], limit: int
) -> None:
    def room_from(at: datetime, beside: Sequence[datetime]) -> datetime:
        return frees_at(beside, at, limit, DAY)

    chosen = with_room(pieces, NOON, tolerance=timedelta(minutes=46), room_from=room_from)
    assert len(chosen) == min(len(pieces), limit)  # all their slots are in one window
    assert list(chosen) == ids(in_order(pieces, NOON))[:limit]


def test_with_room_for_one_in_every_six_hours_nobody_waits_for_ever() -> None:
    """A poor piece against a stream of rich ones: it goes once it has waited its patience."""
    poor = Waiting("poor", NOON, NOON, 1)
    now = NOON
    for hour in range(0, 48, 6):
        now = NOON + timedelta(hours=hour)
        poor = Waiting("poor", now, NOON, 1)  # a slot that passes is given another; it waits since its first
        rich = Waiting(f"rich {hour}", now, now, 1_000_000)
        if in_order([poor, rich], now)[0] is poor:
            break
    assert now - NOON == PATIENCE
