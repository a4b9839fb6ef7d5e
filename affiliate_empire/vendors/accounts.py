"""Clients by account: a client acts for the one account whose owner granted it access, and a platform has several.

Whose credentials a client gets is decided by who makes it (``resources``); which account to act for, by who asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from affiliate_empire.kernel.errors import Misconfigured

Client = TypeVar("Client", covariant=True)


class NotConnected(Misconfigured):
    """The account has no credentials: nobody granted us access to it."""


class PerAccount(Generic[Client]):
    """One platform's clients, each made when its account is first asked for. Safe to use from several threads.

    Args:
        open_client: makes the client of an account (``youtube:gearlab``); raises ``NotConnected`` for one that has no
            credentials, and is asked again the next time.
        close: ends a client; None where there is nothing to end.
    """

    def __init__(
        self, open_client: Callable[[str], Client], *, close: Callable[[Client], object] | None = None
    ) -> None:
        self._open = open_client
        self._close = close
        self._lock = threading.Lock()
        self._clients: dict[str, Client] = {}

    def of(self, account_id: str) -> Client:
        """The client that acts for an account.

        Raises:
            NotConnected: the account has no credentials; the message says how to connect it.
        """
        with self._lock:
            if account_id not in self._clients:
                self._clients[account_id] = self._open(account_id)
            return self._clients[account_id]

    def close(self) -> None:
        """End every client that was made."""
        with self._lock:
            while self._clients:
                _, client = self._clients.popitem()
                if self._close is not None:
                    self._close(client)
