"""Posting nothing more for an account that its platform does not let post, until its owner has looked.

The platform's word is ``affiliate_empire.vendors.errors``'s; that a paused account posts nothing is
``affiliate_empire.effects``'s. Its pieces stay what and where they are: what a restriction means for the rest of its
day is decided by ``affiliate_empire.operations.replan_day``, and nothing moves to another account.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, Pause
from affiliate_empire.operations.alerts import raise_alert
from affiliate_empire.publishing.flags import ROUTES
from affiliate_empire.vendors.errors import AccountRestricted, CredentialsRejected, RouteClosed

ACCESS = "access"
"""The cause of a pause that ends when the account is connected again (``operations.connect_account``)."""


def hold_account(
    account_id: str, refusal: AccountRestricted | CredentialsRejected, *, ledger: Ledger, at: datetime
) -> None:
    """Pause an account with the platform's reason, and tell the owner once.

    A restricted account is marked as such, which is news also of one that is paused: the reason of its pause then says
    both. ``empire resume account:… --restricted`` takes both back (``effects.switches``); where access was rejected,
    ``empire resume`` or connecting the account again does.

    Args:
        account_id: ``youtube:gearlab``.
        refusal: what the platform said.
        ledger: keeps the pause and the alert.
        at: business time.
    """
    scope, reason = f"account:{account_id}", str(refusal).rstrip(".")
    with ledger.begin() as session:
        cause = None if isinstance(refusal, AccountRestricted | RouteClosed) else ACCESS
        pause = insert(Pause).values(scope=scope, reason=reason, cause=cause, paused_at=func.now())
        # A word that connecting the account again does not answer stands above one that it does.
        weightier = pause.on_conflict_do_update(
            index_elements=[Pause.scope],
            set_={"reason": reason, "cause": cause},
            where=and_(Pause.cause == ACCESS, pause.excluded.cause.is_(None)),
        )
        is_news = bool(session.scalars(weightier.returning(Pause.scope)).all())
        account = session.scalars(select(Account).where(Account.account_id == account_id).with_for_update()).one()
        if isinstance(refusal, AccountRestricted) and account.status != "restricted":
            account.status = "restricted"
            if not is_news:  # its owner's pause, or a route's, stands: it must not look as if it were all
                held = session.get_one(Pause, scope)
                held.reason = f"{held.reason.rstrip('.')}; {reason}"
                is_news = True
        others = " or ".join(ROUTES[ROUTES.index(account.route) + 1 :]) if account.platform == "tiktok" else ""
    then = "when that is done, lift it"
    if isinstance(refusal, RouteClosed) and others:
        then = f"or choose its route with `empire accounts route {account_id}` and {others}; then lift the pause"
    lifting = f"empire resume {scope}"
    if isinstance(refusal, AccountRestricted):
        lifting += " --restricted"
    if is_news:
        raise_alert(
            "account held",
            account_id,
            at,
            severity="high",
            subject=f"{account_id}: {_what(refusal)}",
            message=f"{account_id} is paused ({reason}): {then} with `{lifting}`.",
            at=at,
            ledger=ledger,
        )


def _what(refusal: AccountRestricted | CredentialsRejected) -> str:
    if isinstance(refusal, AccountRestricted):
        return "restricted"
    return "this route is closed" if isinstance(refusal, RouteClosed) else "access rejected"
