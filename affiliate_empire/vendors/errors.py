"""What a vendor client may raise. Two families, decided in one place per vendor.

Tree::

    VendorError
    ├── VendorUnavailable      may be tried again, not before ``retry_after`` seconds; nothing happened
    │   └── ReplyLost          the request may have been carried out: the reply never came, or cannot be read
    └── VendorRefused          never tried again: bad key, bad input, policy, a retired model
        ├── ContentRefused     what was asked for, not who asks: other content, or another vendor, may be accepted
        ├── CredentialsRejected   who asks: the key or grant is not accepted; with a new one the same may be sent
        │   ├── RouteClosed        how it was asked: what was granted does not cover it; by another route it may be sent
        │   └── GrantEnded     what an account's owner granted is dead: nobody asks with it again
        ├── AccountRestricted  who asks: the platform does not let this account post
        └── QuotaExhausted     the vendor's own window is full; ``resets_at`` says when it opens, if known

A client raises; it never returns an empty list for an outage. Messages are one sentence with the remedy.
"""

from __future__ import annotations

from datetime import datetime

from affiliate_empire.kernel.errors import EmpireError


class VendorError(EmpireError):
    """Base. ``vendor`` is the client's key (``openai``); ``code`` the vendor's own error code or HTTP status."""

    def __init__(self, message: str, *, vendor: str, code: str | None = None) -> None:
        super().__init__(message)
        self.vendor = vendor
        self.code = code


class VendorUnavailable(VendorError):
    """Try again later. Raised only when the request is known not to have been carried out."""

    def __init__(self, message: str, *, vendor: str, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, vendor=vendor, code=code)
        self.retry_after = retry_after


class ReplyLost(VendorUnavailable):
    """The request left and no readable reply came: it may have been carried out (and charged)."""


class VendorRefused(VendorError):
    """The vendor said no for good; sending the same again cannot help.

    ``cost_micros`` is what the refused call was charged all the same (a refusal or truncation after tokens were made);
    ``request_id`` is the vendor's id of that charge.
    """

    def __init__(
        self,
        message: str,
        *,
        vendor: str,
        code: str | None = None,
        cost_micros: int = 0,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, vendor=vendor, code=code)
        self.cost_micros = cost_micros
        self.request_id = request_id


class ContentRefused(VendorRefused):
    """This will not be made: the vendor's policy forbids it, or its job failed."""


class CredentialsRejected(VendorRefused):
    """The key, token or grant is not accepted. The message names what is to be renewed."""


class RouteClosed(CredentialsRejected):
    """What was granted does not cover this way of posting. The owner chooses another one; nothing changes by itself."""


class GrantEnded(CredentialsRejected):
    """The account's owner withdrew the grant, or it ran out. Only the owner can grant anew."""


class AccountRestricted(VendorRefused):
    """The platform has restricted, suspended or closed the account. Only its owner and the platform can end that."""


class QuotaExhausted(VendorRefused):
    """The account's window at the vendor is full; ``of_client``: that of our client there, so of all its accounts."""

    def __init__(
        self,
        message: str,
        *,
        vendor: str,
        code: str | None = None,
        resets_at: datetime | None = None,
        of_client: bool = False,
    ) -> None:
        super().__init__(message, vendor=vendor, code=code)
        self.resets_at = resets_at
        self.of_client = of_client
