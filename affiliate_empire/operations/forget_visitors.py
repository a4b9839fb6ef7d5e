"""Forget who clicked: by age, by the visitor's wish, and one click at a time when somebody asks.

A click stays as a click for ever, since money hangs on it: when, on which link, what it was flagged as. What could tell
one visitor from another goes: the browser, the page that led here, and the hash of network and browser, in whose place
the click's own id is put. The day's salts go first; without them no hash can be tied to anybody.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, delete, select, true, update
from sqlalchemy.orm import Session

from affiliate_empire.analytics.traffic import GPC
from affiliate_empire.kernel.clock import BusinessCalendar, Clock
from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Click, ConversionEvent, Link, Publication, Salt

_AT_ONCE = 20_000
_FORGOTTEN = {"user_agent": "", "referrer": "", "visitor_hash": Click.click_id}


def forget_visitors(*, ledger: Ledger, clock: Clock, calendar: BusinessCalendar, keep_days: int) -> int:
    """Forget what is due; returns of how many clicks.

    Salts go when their day is over; visitors who opted out (``Sec-GPC``) as well, once their hits are judged; all
    others after ``keep_days``.
    """
    today = calendar.day_of(clock.now())
    with ledger.begin() as session:
        session.execute(delete(Salt).where(Salt.day < today))
    forgotten = 0
    for days, more in ((0, Click.flags.contains([GPC])), (keep_days, true())):
        before = calendar.midnight(today - timedelta(days=days))
        due = select(Click.click_id).where(
            Click.clicked_at < before, Click.visitor_hash != Click.click_id, Click.judged_by.is_not(None), more
        )
        while True:
            with ledger.begin() as session:
                done = _forget(session, Click.click_id.in_(due.limit(_AT_ONCE)))
            forgotten += done
            if done < _AT_ONCE:
                break
    return forgotten


def show_visit(click_id: str, *, ledger: Ledger) -> dict[str, Any]:
    """All that is kept of one click, for somebody who asks what is kept of them.

    Raises:
        BadInput: there is no such click.
    """
    with ledger.begin() as session:
        click = _click(session, click_id)
        published = (
            select(Publication.url).join(Link, Link.piece_id == Publication.piece_id).where(Link.code == click.code)
        )
        sales = (
            select(ConversionEvent).where(ConversionEvent.click_id == click_id).order_by(ConversionEvent.observed_at)
        )
        return {
            "click_id": click.click_id,
            "clicked_at": click.clicked_at.isoformat(),
            "link": click.code,
            "published_as": session.scalars(published).first(),
            "user_agent": click.user_agent,
            "referrer": click.referrer,
            "visitor_hash": None if click.visitor_hash == click.click_id else click.visitor_hash,
            "flags": list(click.flags),
            "sales": [
                {"network": sale.network, "transaction": sale.transaction_id, "kind": sale.kind, "said": sale.raw}
                for sale in session.scalars(sales)
            ],
        }


def forget_visit(click_id: str, *, ledger: Ledger) -> datetime:
    """Forget who made one click; returns when it was made. Its sales stay: they are the network's word on money.

    Raises:
        BadInput: there is no such click.
    """
    with ledger.begin() as session:
        clicked_at = _click(session, click_id).clicked_at
        _forget(session, Click.click_id == click_id)
        return clicked_at


def _click(session: Session, click_id: str) -> Click:
    click = session.get(Click, click_id)
    if click is None:
        raise BadInput(f"There is no click {click_id}: its id is what the merchant's address bears as our sub-id.")
    return click


def _forget(session: Session, which: Any) -> int:
    done = session.execute(update(Click).where(which).values(_FORGOTTEN).execution_options(synchronize_session=False))
    assert isinstance(done, CursorResult)  # noqa: S101
    return done.rowcount
