"""The deploy hook of the blog's host (Vercel and its like): one POST to a secret address starts a build of the site.

Whoever has the address can start builds, so it stands in no message, log or ``repr``. A build brings what is committed
and nothing else: to ask twice, or in vain, does no harm.
"""

from __future__ import annotations

import httpx

from affiliate_empire.vendors.errors import VendorRefused, VendorUnavailable
from affiliate_empire.vendors.http import never_log, open_http

_VENDOR = "blog"
_REMEDY = "start a build at the host, or leave it to the next post"


class DeployHook:
    """One host's hook.

    Args:
        address: ``https://…``; secret.
        timeout: seconds until the host's answer counts as lost.
    """

    def __init__(self, address: str, *, timeout: float = 10.0) -> None:
        self._address = address
        self._timeout = timeout

    def call(self) -> None:
        """Ask for a build, once.

        Raises:
            VendorUnavailable: the host did not answer; whether it builds is not known.
            VendorRefused: it answered something else than 2xx.
        """
        try:
            never_log(httpx.URL(self._address).path)
            with open_http(self._address, timeout=self._timeout) as http:
                status = http.post(self._address).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # without the cause: httpx quotes parts of the address
            code = type(error).__name__
            raise VendorUnavailable(
                f"The deploy hook gave no answer ({code}): {_REMEDY}.", vendor=_VENDOR, code=code
            ) from None
        if not 200 <= status < 300:
            raise VendorRefused(
                f"The deploy hook answered {status}: check EMPIRE_BLOG_DEPLOY_HOOK, and {_REMEDY}.",
                vendor=_VENDOR,
                code=str(status),
            )
