"""Whose credentials an account's client gets: what the platforms' resources share."""

from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.accounts import first_account
from affiliate_empire.vendors.accounts import NotConnected


def refuse_unconnected(account_id: str, *, ledger: Ledger) -> None:
    """Raise ``NotConnected`` for an account other than the one that the settings' credentials are for."""
    platform = account_id.partition(":")[0]
    if first_account(platform, ledger=ledger) != account_id:
        raise NotConnected(f"{account_id} is not connected: pause it with `empire pause account:{account_id}`.")
