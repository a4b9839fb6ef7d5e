"""Judge what the tracking service has recorded: whether a hit is a person's, a person's first, a program's, a flood.

The rules are ``affiliate_empire.analytics.traffic``'s; nothing is dropped, and judging again changes nothing.
"""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import func, select

from affiliate_empire.analytics.traffic import JUDGED_BY, Hit, judge
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Click

_VISITORS_AT_ONCE = 500


def judge_clicks(*, ledger: Ledger) -> int:
    """Judge every hit that was recorded before this call and is not judged yet; returns how many those were.

    A visitor's hits of a day are judged together, so that one that comes late, out of the spool, makes the others what
    they would be had it come in time.
    """
    with ledger.begin() as session:
        begun = session.scalar(select(func.clock_timestamp()))
    waiting = (Click.judged_by.is_(None), Click.recorded_at <= begun)
    judged = 0
    while True:
        with ledger.begin() as session:
            # One judges at a time: two would wait for each other's rows.
            session.execute(select(func.pg_advisory_xact_lock(func.hashtext("judge_clicks"))))
            some = session.scalars(select(Click.visitor_hash).where(*waiting).distinct().limit(_VISITORS_AT_ONCE)).all()
            if not some:
                return judged
            by_visitor: dict[str, list[Click]] = defaultdict(list)
            for click in session.scalars(select(Click).where(Click.visitor_hash.in_(some))):
                by_visitor[click.visitor_hash].append(click)
            for clicks in by_visitor.values():
                hits = [
                    Hit(click.click_id, click.code, click.clicked_at, click.user_agent, tuple(click.flags))
                    for click in clicks
                ]
                found = judge(hits)
                for click in clicks:
                    judged += click.judged_by is None
                    click.flags = list(found[click.click_id])
                    click.judged_by = JUDGED_BY
