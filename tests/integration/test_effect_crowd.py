"""A hundred workers at a dollar: processes and threads, a real client, and the world's word on what was charged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from affiliate_empire.effects.report import exceeded, imbalances
from affiliate_empire.kernel.caps import Caps
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Budget
from tests.factories.crowd import PRICE, gather
from tests.factories.effects import DAY, NOON
from tests.factories.worlds import WorldProcess

DOLLAR, WIDE = 1_000_000, 10**12


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorldProcess]:
    world = WorldProcess(tmp_path_factory.mktemp("world"), now=NOON)
    yield world
    world.stop()


@pytest.mark.parametrize(
    ("caps", "scope"),
    [
        (Caps(DOLLAR, WIDE, WIDE, {"fal": WIDE}, {"gear": WIDE}), f"day:{DAY}"),
        (Caps(WIDE, WIDE, WIDE, {"fal": DOLLAR}, {"gear": DOLLAR}), f"niche:gear:{DAY}"),
    ],
)
def test_a_hundred_workers_are_never_charged_more_than_the_cap(
    ledger: Ledger, world: WorldProcess, caps: Caps, scope: str
) -> None:
    before = len(world.witness("charges"))
    told = gather(ledger, world.url, processes=20, threads=5, attempts=1, day=DAY, caps=caps)
    assert (told["paid"], told["refused"]) == (DOLLAR // PRICE, 100 - DOLLAR // PRICE)
    # A job is charged when it ends: each that was begun has ended, and no other was begun.
    assert [charge["micros"] for charge in world.witness("charges")[before:]] == [PRICE] * told["paid"]
    assert {refused for refused, _, _ in told["refusals"]} == {scope}
    for _, left, sentence in told["refusals"]:
        assert left == 0
        assert sentence.endswith("starts anew on 2026-11-21 at 00:00 America/New_York, or raise " + _setting(scope))
    with ledger.begin() as session:
        assert imbalances(session) == exceeded(session) == []
        budget = session.get_one(Budget, scope)
        assert (budget.reserved_micros, budget.spent_micros) == (0, told["paid"] * PRICE)


def _setting(scope: str) -> str:
    return {"day": "EMPIRE_BUDGET_DAY_USD.", "niche": "EMPIRE_BUDGET_NICHE_DAY_USD."}[scope.partition(":")[0]]
