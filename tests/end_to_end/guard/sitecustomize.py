"""Loaded by every Python process that a test starts with this folder on PYTHONPATH: nothing beyond loopback.

A connection elsewhere is refused and written to ``NETWORK_GUARD_LOG``, so that a swallowed error still fails the test.
"""

import os
import socket

_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")  # noqa: S104
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_getaddrinfo = socket.getaddrinfo


def _check(address: object) -> None:
    if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
        with open(os.environ["NETWORK_GUARD_LOG"], "a", encoding="utf-8") as log:
            log.write(f"{address}\n")
        raise OSError(f"network guard: {address} is beyond loopback")


def connect(self, address):  # type: ignore[no-untyped-def]
    _check(address)
    return _connect(self, address)


def connect_ex(self, address):  # type: ignore[no-untyped-def]
    _check(address)
    return _connect_ex(self, address)


def getaddrinfo(host, *args, **kwargs):  # type: ignore[no-untyped-def]
    if host:
        _check((host.decode() if isinstance(host, bytes) else host,))
    return _getaddrinfo(host, *args, **kwargs)


socket.socket.connect = connect
socket.socket.connect_ex = connect_ex
socket.getaddrinfo = getaddrinfo
