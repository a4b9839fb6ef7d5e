"""Patience with vendors: what did not happen is asked for again, what may have happened is not, and waits are short."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from affiliate_empire.operations.patience import Patience, repeated
from affiliate_empire.vendors.errors import QuotaExhausted, ReplyLost, VendorError, VendorRefused, VendorUnavailable

BUSY = VendorUnavailable("Busy.", vendor="acme")
LOST = ReplyLost("Lost.", vendor="acme")


def failing(*errors: VendorError) -> Callable[[], str]:
    """A call that fails so often, then answers."""
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return call


def ask(call: Callable[[], str], *, lost_too: bool = False, **changes: object) -> tuple[str | VendorError, list[float]]:
    """What came of it, and what was waited."""
    waits: list[float] = []
    patience = replace(Patience(wait=waits.append), **changes)  # type: ignore[arg-type]
    try:
        return patience.ask(call, seed="s", lost_too=lost_too), waits
    except VendorError as error:
        return error, waits


def test_what_did_not_happen_is_asked_for_again_after_growing_waits() -> None:
    before = repeated().get("acme", 0)
    answer, waits = ask(failing(BUSY, BUSY, BUSY))
    assert answer == "answer"
    assert [0.25 <= waits[0] <= 0.5, 0.5 <= waits[1] <= 1, 1 <= waits[2] <= 2] == [True] * 3
    assert ask(failing(BUSY, BUSY, BUSY))[1] == waits, "the same seed waits the same"
    assert repeated()["acme"] - before == 6


def test_the_last_failure_is_raised() -> None:
    last = VendorUnavailable("Still busy.", vendor="acme")
    answer, waits = ask(failing(BUSY, BUSY, BUSY, last, BUSY))
    assert answer is last
    assert len(waits) == 3
    assert ask(failing(BUSY), attempts=1) == (BUSY, [])


def test_a_vendor_is_waited_for_as_long_as_it_asks_but_not_for_ever() -> None:
    soon = VendorUnavailable("Busy.", vendor="acme", retry_after=3.0)
    late = VendorUnavailable("Busy.", vendor="acme", retry_after=60.0)
    assert ask(failing(soon, soon)) == ("answer", [3.0, 3.0])
    assert ask(failing(soon, late)) == (late, [3.0])
    assert ask(failing(*[BUSY] * 8), attempts=9, longest_wait=2.0)[1][-1] <= 2.0


@pytest.mark.parametrize(
    "error", [VendorRefused("No.", vendor="acme"), QuotaExhausted("Full.", vendor="acme"), LOST], ids=type
)
def test_what_is_final_or_may_have_happened_is_not_repeated(error: VendorError) -> None:
    assert ask(failing(error)) == (error, [])


def test_a_lost_reply_of_a_read_is_read_again() -> None:
    answer, waits = ask(failing(LOST, BUSY), lost_too=True)
    assert (answer, len(waits)) == ("answer", 2)
