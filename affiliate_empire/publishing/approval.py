"""What an approval is bound to: everything of a post that its audience and its platform see.

Pure. The file, the caption, the labels, where the link leads, and whose account it is. The hour is no part of it:
within its day a post may move to another slot without being looked at again, unless a text of it names the slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from affiliate_empire.kernel.ids import fingerprint

_SLOT = "slot_at"


def shown(
    looks: Mapping[str, Any], *, piece_id: str, account_id: str, day: date, link_url: str, leads_to: str
) -> dict[str, Any]:
    """What an owner is shown of a post, as JSON.

    Args:
        looks: what the post looks like (a poster's ``looks``): texts, labels, hashes of its files.
        link_url: the tracking link that stands in the post.
        leads_to: where that link takes a visitor.
    """
    return {
        "piece": piece_id,
        "account": account_id,
        "day": day.isoformat(),
        "link": link_url,
        "leads_to": leads_to,
        "looks": {name: value for name, value in looks.items() if name != _SLOT},
    }


def approval_hash(shows: Mapping[str, Any]) -> str:
    """What an approval is given for: the SHA-256 of what was shown."""
    return fingerprint(shows)


def changed_parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of what differs between two things shown: ``["caption", "leads_to"]``."""
    flat = [{**part, **part["looks"]} for part in (before, after)]
    names = dict.fromkeys([*flat[0], *flat[1]])
    return [name for name in names if name != "looks" and flat[0].get(name) != flat[1].get(name)]
