"""Clients by account: one each, made once, ended together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from affiliate_empire.vendors.accounts import NotConnected, PerAccount


class Client:
    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_each_account_has_one_client_whoever_asks() -> None:
    made: list[Client] = []

    def open_client(account_id: str) -> Client:
        made.append(Client(account_id))
        return made[-1]

    clients = PerAccount(open_client, close=Client.close)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(clients.of, ["youtube:a", "youtube:b"] * 20))
    assert {client.account_id for client in found} == {"youtube:a", "youtube:b"}
    assert len(made) == 2

    clients.close()
    clients.close()
    assert [client.closed for client in made] == [1, 1]


def test_an_account_that_was_connected_meanwhile_is_found() -> None:
    connected: set[str] = set()

    def open_client(account_id: str) -> Client:
        if account_id not in connected:
            raise NotConnected(f"{account_id} is not connected.")
        return Client(account_id)

    clients = PerAccount(open_client)
    with pytest.raises(NotConnected):
        clients.of("youtube:a")
    connected.add("youtube:a")
    assert clients.of("youtube:a") is clients.of("youtube:a")
