"""Choosing how an account's posts get to their platform: its owner's decision, which nothing takes back by itself."""

from __future__ import annotations

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account
from affiliate_empire.publishing.flags import ROUTES


def choose_route(account_id: str, route: str, *, ledger: Ledger) -> None:
    """Have an account's posts take a route (``publishing.flags.ROUTES``) from now on.

    Raises:
        BadInput: there is no such account or route, or its platform has only one.
    """
    if route not in ROUTES:
        raise BadInput(f"{route} is no route: choose {', '.join(ROUTES[:-1])} or {ROUTES[-1]}.")
    with ledger.begin() as session:
        account = session.get(Account, account_id)
        if account is None:
            raise BadInput(f"There is no account {account_id}: list them with `empire accounts list`.")
        if account.platform != "tiktok" and route != ROUTES[0]:
            raise BadInput(f"{account_id} posts directly: only TikTok's accounts have other routes.")
        account.route = route
