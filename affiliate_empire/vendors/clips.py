"""What the vendors of video clips share: how a job stands, what it leaves, and fetching the file.

``affiliate_empire.vendors.fal`` and ``runway`` speak to the vendors; having a clip made exactly once is
``affiliate_empire.operations.make_clips``'s.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Protocol

import httpx

from affiliate_empire.vendors.errors import ReplyLost, VendorRefused
from affiliate_empire.vendors.http import open_http, transport_failure

_LARGEST_BYTES = 100 * 1024 * 1024


@dataclass(frozen=True)
class JobStatus:
    """How a job stands: it has ended, or not; ``error`` says why it ended without a clip, and what that cost."""

    ended: bool
    error: VendorRefused | None = None


@dataclass(frozen=True)
class Clip:
    """A finished clip: an mp4, its length in seconds, its size in pixels, what it was charged."""

    data: bytes
    seconds: float
    width: int
    height: int
    cost_micros: int


class ClipClient(Protocol):
    """A vendor that makes clips from a still: one paid submit, then a job to ask. Retries nothing.

    ``vendor`` is its key in the ledger, ``job_page`` where its owner sees what was begun.
    """

    vendor: str
    job_page: str

    def require_key(self) -> None:
        """Raises ``Misconfigured`` or ``VendorRefused`` when nothing can be submitted with the key there is."""
        ...

    def submit(self, *, model: str, prompt: str, picture: bytes, seconds: int, resolution: str) -> str:
        """Begin a job, which will be charged; returns its id. ``picture`` is a JPEG.

        Raises:
            ContentRefused: not this prompt or picture; nothing was begun.
            QuotaExhausted: the balance is used up; nothing was begun.
            VendorRefused: the key, the model or a parameter is not accepted; nothing was begun.
            VendorUnavailable: out of reach or too busy; nothing was begun.
            ReplyLost: it may have been begun.
        """
        ...

    def fetch_status(self, job_id: str) -> JobStatus:
        """How a job stands. Raises ``VendorError`` when that cannot be read; code ``404``: the vendor knows no such."""
        ...

    def fetch_clip(self, job_id: str, *, model: str) -> Clip:
        """The clip of a job that has ended well. Raises as ``fetch_status``, and ``ContentRefused`` if it did not."""
        ...


def as_data_uri(jpeg: bytes) -> str:
    """A picture inside an address."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def fetch_file(url: str, *, cost_micros: int, timeout: float, vendor: str, name: str) -> Clip:
    """The clip at an address that the vendor gave. The vendor's key is not sent there.

    Raises:
        VendorUnavailable: it cannot be fetched, or what came is no video; asking again gives a fresh address.
    """
    try:
        with open_http(url, timeout=timeout) as http, http.stream("GET", url) as response:
            if not response.is_success:
                raise ValueError(f"status {response.status_code}")
            data = b""
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > _LARGEST_BYTES:
                    raise ValueError("too large")
        seconds, width, height = _measured(data)
    # Without their causes: the address is signed, and httpx's errors quote it.
    except httpx.TransportError as error:
        raise transport_failure(error, vendor=vendor, name=name) from None
    except (httpx.InvalidURL, httpx.DecodingError, httpx.StreamError) as error:
        raise _unreadable(type(error).__name__, vendor=vendor, name=name) from None
    except ValueError as error:
        raise _unreadable(str(error), vendor=vendor, name=name) from None
    return Clip(data, seconds, width, height, cost_micros)


def _unreadable(reason: str, *, vendor: str, name: str) -> ReplyLost:
    return ReplyLost(
        f"The clip that {name} made cannot be read ({reason}); run again to fetch it anew.",
        vendor=vendor,
        code="unreadable",
    )


def _measured(data: bytes) -> tuple[float, int, int]:
    """Seconds, width and height of an mp4. Raises ``ValueError`` when it is none."""
    import av  # heavy at import

    try:
        with av.open(io.BytesIO(data), "r") as container:
            stream = container.streams.video[0]
            if not container.duration or not stream.frames:
                raise ValueError("no frames")
            return container.duration / av.time_base, stream.width, stream.height
    except (av.FFmpegError, IndexError) as error:
        raise ValueError("not a video") from error
