"""The suite cannot reach beyond loopback: neither this process nor a Python that it starts."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

# 192.0.2.0/24 is reserved for documentation (RFC 5737): nobody answers there even if the guard were gone.
OUTSIDE = ("192.0.2.1", 80)


def test_an_address_outside_is_refused() -> None:
    with socket.socket() as client, pytest.raises(RuntimeError, match="loopback only"):
        client.connect(OUTSIDE)


def test_a_name_outside_is_not_even_looked_up() -> None:
    with pytest.raises(RuntimeError, match="loopback only"):
        socket.getaddrinfo("api.openai.com", 443)


def test_a_python_that_a_test_starts_is_guarded_too() -> None:
    code = f"import socket; socket.socket().connect({OUTSIDE!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "loopback only" in done.stderr


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
