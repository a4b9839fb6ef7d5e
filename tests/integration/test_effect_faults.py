"""Any sequence of faults and deaths: at most one post, and the books balance; once the vendor is well, exactly one."""

from __future__ import annotations

import itertools
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from affiliate_empire.effects import EffectError, OpenEffect, State
from affiliate_empire.effects.report import imbalances
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Budget, Effect, QuotaUse
from affiliate_empire.vendors.errors import ReplyLost, VendorError, VendorRefused, VendorUnavailable
from tests.factories.effects import (
    DAY,
    Killed,
    MortalLedger,
    Platform,
    Upload,
    open_account,
    post_intent,
    quota,
    raising,
    workers,
)

MOMENTS = ("before_prepare", "after_prepare", "before_commit", "after_commit", "before_reconcile")

errors = st.sampled_from(
    [ReplyLost("lost", vendor="v"), VendorUnavailable("busy", vendor="v"), KeyboardInterrupt(), ZeroDivisionError()]
)
# What a vendor may do: a refusal comes instead of the act, never after it, and an outage means that nothing was done.
faults = st.one_of(
    st.tuples(st.sampled_from(MOMENTS), errors).filter(
        lambda fault: not (fault[0] == "after_commit" and type(fault[1]) is VendorUnavailable)
    ),
    st.tuples(st.sampled_from(["before_prepare", "before_commit"]), st.just(VendorRefused("no", vendor="v"))),
)
deaths = st.none() | st.tuples(st.integers(1, 6), st.booleans())
runs = st.lists(
    st.tuples(st.lists(faults, max_size=3), deaths, st.booleans(), st.booleans(), st.booleans()), max_size=6
)
numbers = itertools.count()


# No shrinking: with a database behind it that would take minutes; the failing example is printed as it was found.
@settings(
    max_examples=80,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(runs=runs)
def test_whatever_goes_wrong_it_is_posted_at_most_once_and_in_the_end_exactly_once(
    ledger: Ledger, runs: list[tuple[list[tuple[str, BaseException]], tuple[int, bool] | None, bool, bool, bool]]
) -> None:
    number = next(numbers)
    piece, day = f"pc_{number}", DAY + timedelta(days=number)
    account = f"youtube:{piece}"
    open_account(ledger, account)
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(Path(folder) / "platform")
        intent = post_intent(
            piece, day=day, account_id=account, quota=quota(1, timedelta(hours=24)), max_cost_micros=50
        )

        def act_of(effect: OpenEffect) -> Upload | None:
            return platform.act(piece) if effect.piece_id == piece else None

        for scripted, death, answers, sessions_die, reconcile_first in runs:
            platform.at = {moment: raising(error) for moment, error in scripted}
            platform.answers = answers
            mortal = ledger if death is None else MortalLedger(ledger, death[0], committed=death[1])
            try:
                if reconcile_first:
                    workers(mortal).reconcile_open(act_of)
                workers(mortal).perform(intent, platform.act(piece))
            except (EffectError, VendorError, Killed, KeyboardInterrupt, ZeroDivisionError):
                pass
            assert len(platform.posts) <= 1
            with ledger.begin() as session:
                assert imbalances(session) == []
            if sessions_die and not platform.posts:
                platform.drop_sessions()
        platform.at, platform.answers = {}, True
        receipt = workers(ledger).perform(intent, platform.act(piece))
        assert [path.name for path in platform.root.glob("post-*")] == [receipt.remote_id]
    with ledger.begin() as session:
        assert session.scalars(select(Effect.state).where(Effect.key == intent.key)).all() == [State.SETTLED]
        assert len(session.scalars(select(QuotaUse).where(QuotaUse.account_id == account)).all()) == 1
        budget = session.get_one(Budget, f"day:{day}")
        assert (budget.reserved_micros, budget.spent_micros) == (0, 0)
