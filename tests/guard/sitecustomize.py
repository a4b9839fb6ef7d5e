"""The network guard: a process that has loaded this reaches loopback only.

Loaded by ``tests/conftest.py`` in the test processes, and by every Python that a test starts, because its folder is on
their PYTHONPATH and Python imports ``sitecustomize`` by itself. An audit hook cannot be removed or patched away; what
it forbids is also written to ``NETWORK_GUARD_LOG``, if set, so that an attempt whose error is swallowed is seen.
"""

import os
import sys
from typing import Any

_LOCAL = (None, "", "localhost", "::1", "::", "0.0.0.0")  # noqa: S104 - compared, never bound


class NetworkForbidden(RuntimeError):
    """A test tried to reach the outside."""


def _is_local(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    return name in _LOCAL or (str(name).startswith("127.") and str(name).replace(".", "").isdigit())


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        outside = isinstance(address, tuple) and not _is_local(address[0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        address = arguments[0]
        outside = not _is_local(address)
    else:
        return
    if outside:
        if log := os.environ.get("NETWORK_GUARD_LOG"):
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"{sys.argv}: {address!r}\n")
        raise NetworkForbidden(f"The tests reach loopback only, and this reached for {address!r}.")


if not hasattr(sys, "empire_network_guard"):
    sys.empire_network_guard = True  # type: ignore[attr-defined]  # once a process, however it was loaded
    sys.addaudithook(_guard)
