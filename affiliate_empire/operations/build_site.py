"""Telling the blog's host that ``main`` changed, where it does not build by itself. Best effort: once, never repeated.

What is committed stays committed whatever the host answers, and any later build brings it.
"""

from __future__ import annotations

from affiliate_empire.vendors.deploy_hook import DeployHook
from affiliate_empire.vendors.errors import VendorError


def build_site(hook: DeployHook | None, *, read_only: bool = False) -> str | None:
    """Call the deploy hook, if there is one; returns what the owner should know when the site was not told, or None.

    Args:
        read_only: nothing outside may be changed; the hook is not called.
    """
    if hook is None:
        return None
    if read_only:
        return "The site was not told to build: EMPIRE_MODE=live-readonly changes nothing outside; use live mode."
    try:
        hook.call()
    except VendorError as error:
        return f"The posts are committed, and the site was not told to build. {error}"
    return None
