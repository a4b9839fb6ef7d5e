"""Where the owner is told of something: addresses as apprise writes them (``service://…``), read and never shown.

Whoever has such an address can write to the owner, so what apprise and its HTTP library would log is kept out of every
log. Sending is a client's (``affiliate_empire.vendors.owner``).
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apprise import NotifyBase


def read_address(address: str) -> NotifyBase | None:
    """The service that an address names; None when it is no address. Nothing is sent."""
    from apprise import Apprise, AppriseAsset  # 1 s that a business without addresses need not pay

    _never_log()
    # A redirected POST becomes a GET, whose 200 would pass for a delivery.
    return Apprise.instantiate(address, asset=AppriseAsset(http_redirects=False))


@cache
def _never_log() -> None:
    for name in ("apprise", "urllib3.connectionpool"):
        logging.getLogger(name).addFilter(lambda record: False)
