"""Product feeds in Google Merchant format: fetches the bytes, from a file or an http(s) address.

What the bytes mean is ``affiliate_empire.catalog``'s business; so is an HTML page where a feed was expected, because
the merchant's server answers 200 with it. A feed's address may carry credentials: no sentence shows more of it than
scheme, host and path.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.vendors.errors import VendorRefused, VendorUnavailable
from affiliate_empire.vendors.http import open_http, retry_after, transport_failure

_GZIP_MAGIC = b"\x1f\x8b"
_MEGABYTE = 1024 * 1024


class ProductFeedClient:
    """One merchant's product feed.

    Args:
        location: a path or an ``http(s)://`` address.
        max_bytes: the largest feed that is read, unpacked; a feed is held in memory.
    """

    def __init__(self, location: str, *, max_bytes: int = 256 * _MEGABYTE, timeout: float = 60.0) -> None:
        self.location = location.strip()
        self._shown = shown_address(self.location)
        self._max_bytes = max_bytes
        self._timeout = timeout

    def fetch(self) -> bytes:
        """The feed's bytes, unpacked if they are gzip.

        Raises:
            BadInput: no such file, not readable, an address of another kind, larger than the cap, or a broken gzip.
            VendorUnavailable: the server is not reachable or answers 429/5xx.
            VendorRefused: the server answers another 4xx.
        """
        scheme, separator, _ = self.location.partition("://")
        if separator and scheme.lower() in ("http", "https"):
            data = self._fetch_address()
        elif separator and scheme != "file":
            raise BadInput(f"The product feed {self._shown} cannot be used: give a path or an http(s) address.")
        else:
            data = self._read_file(Path(self.location.removeprefix("file://")).expanduser())
        return self._unpacked(data) if data.startswith(_GZIP_MAGIC) else data

    def _read_file(self, path: Path) -> bytes:
        try:
            if path.stat().st_size > self._max_bytes:
                raise self._too_large()
            return path.read_bytes()
        except FileNotFoundError as error:
            raise BadInput(f"There is no product feed at {path}: give the path or address of a feed file.") from error
        except IsADirectoryError as error:
            raise BadInput(f"{path} is a folder: give the path of the feed file in it.") from error
        except PermissionError as error:
            raise BadInput(f"The product feed {path} may not be read: allow it with `chmod +r`.") from error

    def _fetch_address(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            with (
                open_http(self.location, timeout=self._timeout, follow_redirects=True) as http,
                http.stream("GET", self.location) as response,
            ):
                self._raise_for_status(response)
                for chunk in response.iter_bytes():
                    size += len(chunk)
                    if size > self._max_bytes:
                        raise self._too_large()
                    chunks.append(chunk)
        except httpx.TransportError as error:
            # Without the cause: httpx quotes parts of the address, and Dagster's event log shows every cause.
            raise transport_failure(
                error, vendor="product_feed", name=f"The merchant's server ({self._shown})"
            ) from None
        except (httpx.InvalidURL, httpx.TooManyRedirects, httpx.DecodingError, ValueError, OverflowError) as error:
            reason = type(error).__name__
            raise BadInput(f"The product feed address {self._shown} cannot be used ({reason}): check it.") from None
        return b"".join(chunks)

    def _raise_for_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 429 or status >= 500:
            raise VendorUnavailable(
                f"The merchant's server answered {status} for the product feed {self._shown}; try again later.",
                vendor="product_feed",
                code=str(status),
                retry_after=retry_after(response),
            )
        if status != 200:
            raise VendorRefused(
                f"The merchant's server answered {status} for the product feed {self._shown}: check the address.",
                vendor="product_feed",
                code=str(status),
            )

    def _unpacked(self, data: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            # Bounded, so that a small file that unpacks to gigabytes is refused before it fills the memory.
            feed = unpacker.decompress(data, self._max_bytes + 1)
        except zlib.error as error:
            raise BadInput(f"The product feed {self._shown} is a broken gzip file: fetch it again.") from error
        if len(feed) > self._max_bytes:
            raise self._too_large()
        if not unpacker.eof:
            raise BadInput(f"The product feed {self._shown} is a gzip file that was cut off: fetch it again.")
        return feed

    def _too_large(self) -> BadInput:
        return BadInput(
            f"The product feed {self._shown} is larger than {self._max_bytes // _MEGABYTE} MB: "
            "ask the merchant for a smaller one."
        )


def shown_address(location: str) -> str:
    """What a sentence may show of a location: a path as it is, an address without userinfo, query and fragment."""
    scheme, separator, _ = location.partition("://")
    if not separator:
        return location
    try:
        parts = urlsplit(location)
        port = f":{parts.port}" if parts.port is not None else ""
        return f"{scheme}://{parts.hostname or ''}{port}{parts.path}"
    except ValueError:  # not an address: nobody can say which part of it is a password
        return f"{scheme}://…"
