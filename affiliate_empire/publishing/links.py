"""Where a tracking link leads, and how the click id gets into it.

Pure: takes a stored URL, gives the URL a visitor is sent to. It neither looks links up nor answers requests
(``affiliate_empire.tracking``), nor asks a network for a link (``affiliate_empire.operations.make_link``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus, urlsplit

from affiliate_empire.kernel.errors import BadInput

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\\<>\"`{}|^]|\s")
_PARAMETER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]+\]")
_ASCII = "".join(chr(code) for code in range(0x21, 0x7F))


@dataclass(frozen=True, slots=True)
class Destination:
    """A stored URL cut open where the click id goes: ``before`` ends in ``subId1=``, ``after`` is the rest."""

    before: str
    after: str

    def with_click(self, click_id: str) -> str:
        """The ``Location`` of one click. ``click_id`` is ours: 26 characters of ``[0-9a-z]``."""
        return f"{self.before}{click_id}{self.after}"


def parse_destination(target_url: str, sub_id_parameter: str) -> Destination:
    """Check a network's tracking URL and prepare it for click ids.

    Every parameter and the fragment stay as they were written, byte for byte; a parameter with the sub-id's own name is
    taken out, so that exactly one sub-id leaves. The scheme, host and path come from ``target_url`` alone.

    Raises:
        BadInput: the URL is not plain http(s) with a host, or holds something that could break a header or
            lead elsewhere (control characters, spaces, backslashes, a user name before the host).
    """
    if _FORBIDDEN.search(target_url):
        raise BadInput(f"The link {target_url!r} holds a space, control character or bracket: percent-encode it.")
    if not _PARAMETER.fullmatch(sub_id_parameter):
        raise BadInput(f"The sub-id parameter {sub_id_parameter!r} is not a plain name.")
    try:
        parts = urlsplit(target_url)
        host, port = (parts.hostname or "").encode("idna").decode().lower(), parts.port
    except (ValueError, UnicodeError) as error:
        raise BadInput(f"The link {target_url!r} cannot be read as a URL: {error}.") from error
    bracketed = f"[{host}]" if ":" in host else host
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(bracketed):
        raise BadInput(f"The link {target_url!r} must be an http or https address with a host.")
    if "@" in parts.netloc:
        raise BadInput(f"The link {target_url!r} names a user before its host, which hides where it leads.")
    kept = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.split("=", 1)[0]) != sub_id_parameter]
    authority = bracketed if port is None else f"{bracketed}:{port}"
    query = "".join(f"{_percent_encoded(pair)}&" for pair in kept)
    before = f"{parts.scheme}://{authority}{_percent_encoded(parts.path)}?{query}{sub_id_parameter}="
    return Destination(before, f"#{_percent_encoded(parts.fragment)}" if parts.fragment else "")


def _percent_encoded(text: str) -> str:
    """Non-ASCII characters as UTF-8 percent escapes; ASCII, with the escapes it holds, untouched."""
    return quote(text, safe=_ASCII)
