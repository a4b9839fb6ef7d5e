"""What the HTTP clients share: which transport failure means what.

The one question that matters after a failure is whether the request may have reached the vendor. Status codes and the
vendors' own error bodies are read in each vendor's module; nothing here retries.
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from affiliate_empire.kernel.fence import still_in_time
from affiliate_empire.vendors.errors import CredentialsRejected, ReplyLost, VendorUnavailable

# Failures that happen before a request's first byte leaves this machine.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def transport_failure(error: httpx.TransportError, *, vendor: str, name: str) -> VendorUnavailable:
    """The error to raise for a failed exchange: unavailable if nothing was sent, a lost reply otherwise.

    Args:
        error: what httpx raised.
        vendor: the client's key (``youtube``).
        name: the vendor's name as a person knows it (``YouTube``).
    """
    code = type(error).__name__
    if isinstance(error, _NEVER_SENT):
        return VendorUnavailable(
            f"{name} could not be reached ({code}); check the network and run again.", vendor=vendor, code=code
        )
    return ReplyLost(
        f"{name} gave no readable reply ({code}); what it did is found out on the next run.", vendor=vendor, code=code
    )


def connection_failure(cause: BaseException, *, vendor: str, name: str) -> VendorUnavailable:
    """As ``transport_failure``, for paid calls of the SDKs on httpx2 (OpenAI, Anthropic), by what lies under theirs."""
    import httpx2

    code = type(cause).__name__
    never_sent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
    if isinstance(cause, never_sent):
        return VendorUnavailable(
            f"{name} could not be reached ({code}); check the network and run again.", vendor=vendor, code=code
        )
    return ReplyLost(
        f"{name}'s reply was lost ({code}); it is booked at its highest cost and may be repeated once.",
        vendor=vendor,
        code=code,
    )


def checked_key(api_key: Callable[[], str], *, vendor: str, name: str, hint: str) -> str:
    """The key, if it can stand in a header.

    Raises:
        Misconfigured: there is none (``api_key`` says so).
        CredentialsRejected: it has characters that no key has; nothing was sent.
    """
    key = api_key()
    if not key.isascii() or not key.isprintable() or not key.strip():
        raise CredentialsRejected(f"The {name} key has impossible characters: {hint}.", vendor=vendor)
    return key


def retry_after(response: httpx.Response) -> float | None:
    """Seconds the vendor asks us to wait, by ``Retry-After`` or impact.com's ``X-RateLimit-Reset``; None if unsaid."""
    for header in ("retry-after", "x-ratelimit-reset"):
        value = response.headers.get(header, "")
        if value.isdigit():
            return float(value)
    return None


@cache
def never_log(path: str) -> None:
    """Keep log lines about addresses that end like this out of every log: a secret stands in their query.

    Neither httpx's own, nor, of every address, httpcore's about the headers of a reply: they may name such an address.
    """
    logging.getLogger("httpx").addFilter(_Unlogged(path))
    _never_log_headers()


@cache
def _never_log_headers() -> None:
    for name in ("httpcore.http11", "httpcore.http2"):
        logging.getLogger(name).addFilter(lambda record: "response_headers.complete" not in record.getMessage())


class _Unlogged(logging.Filter):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def filter(self, record: logging.LogRecord) -> bool:
        urls = [each for each in record.args or () if isinstance(each, httpx.URL)]
        return not any(url.path.endswith(self._path) for url in urls)


def open_http(url: str, **options: Any) -> httpx.Client:
    """An HTTP client for one vendor's address; a proxy from the environment is not asked for those of this machine.

    It sends nothing that a worker decided on too long ago (``kernel.fence``).

    Args:
        options: as httpx's, ``timeout`` above all.
    """
    hooks = {"request": [lambda request: still_in_time()]}
    return httpx.Client(verify=_authorities(), trust_env=not is_loopback(url), event_hooks=hooks, **options)


@cache
def _authorities() -> ssl.SSLContext:
    """Read once a process: it takes 25 ms, and every vendor has a client or several."""
    return httpx.create_ssl_context()


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine; a proxy from the environment must not be asked for those."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
