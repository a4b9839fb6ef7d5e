"""The owner's own channel (mail, Slack, ntfy, a webhook and a hundred others), through apprise: one message per call.

Whoever has an address can write to the owner, so it stands in no message, log or ``repr``: an address is told by its
place among the others and by its service. Nothing here tries again.
"""

from __future__ import annotations

from collections.abc import Sequence

from affiliate_empire.kernel.addresses import read_address
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.vendors.errors import VendorUnavailable

_VENDOR = "owner"


class OwnerClient:
    """The addresses that an owner is told at.

    Args:
        addresses: as apprise writes them; secret.
        timeout: seconds until a connection, and then each reply on it, counts as lost; an address may ask for less.
    """

    def __init__(self, addresses: Sequence[str], *, timeout: float = 5.0) -> None:
        self._addresses = tuple(addresses)
        self._timeout = timeout

    @property
    def reachable(self) -> bool:
        """Whether there is an address at all."""
        return bool(self._addresses)

    def tell(self, title: str, body: str, *, severity: str) -> list[str]:
        """Send one message to every address; what is too long for a service becomes several.

        Returns:
            A sentence for each address that did not take it, while another one did.

        Raises:
            VendorUnavailable: none took it.
            Misconfigured: an address cannot be read.
        """
        failed = []
        for number, address in enumerate(self._addresses, 1):
            service, delivered = self._send(number, address, title, body, severity)
            if not delivered:
                failed.append(
                    f"Address {number} of EMPIRE_ALERT_URLS ({service}) did not take a message: look whether it is "
                    "still valid."
                )
        if len(failed) == len(self._addresses):
            raise VendorUnavailable(" ".join(failed) or "EMPIRE_ALERT_URLS is not set.", vendor=_VENDOR)
        return failed

    def _send(self, number: int, address: str, title: str, body: str, severity: str) -> tuple[str, bool]:
        from apprise import Apprise, NotifyFormat, NotifyType, OverflowMode

        service = read_address(address)
        if service is None:
            raise Misconfigured(f"Address {number} of EMPIRE_ALERT_URLS is none that apprise can read: correct it.")
        service.socket_connect_timeout = min(service.socket_connect_timeout, self._timeout)
        service.socket_read_timeout = min(service.socket_read_timeout, self._timeout)
        service.retry, service.optional = 0, False
        service.overflow_mode = OverflowMode.SPLIT
        kinds = {"critical": NotifyType.FAILURE, "high": NotifyType.FAILURE, "medium": NotifyType.WARNING}
        told = Apprise(service).notify(
            body=body, title=title, notify_type=kinds.get(severity, NotifyType.INFO), body_format=NotifyFormat.TEXT
        )
        return str(service.service_name), bool(told)
