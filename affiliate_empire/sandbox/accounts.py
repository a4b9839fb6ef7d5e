"""Accounts as their platforms see them: in good standing or restricted, and how many posts a day they are allowed.

The platforms' servers ask ``world.standing(platform, account)`` before they take a post, and refuse in their own words
(YouTube ``authenticatedUserAccountSuspended``, TikTok ``spam_risk_user_banned_from_posting``, …). Who puts an account
under restriction is outside: ``PUT /_world/accounts/{platform}/{account}``, with ``*`` for every account of a platform.
Kept over restarts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from affiliate_empire.sandbox.store import Store

STANDINGS = ("ok", "restricted")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    platform TEXT NOT NULL, account TEXT NOT NULL, standing TEXT NOT NULL, posts_per_day INTEGER,
    PRIMARY KEY (platform, account));
"""


class AccountRefused(Exception):
    """The standing cannot be understood."""


@dataclass(frozen=True)
class Standing:
    """How a platform treats an account.

    Attributes:
        standing: ``restricted`` accounts may not post.
        posts_per_day: posts allowed in any 24 hours; None is the platform's usual number.
    """

    standing: Literal["ok", "restricted"] = "ok"
    posts_per_day: int | None = None

    @property
    def restricted(self) -> bool:
        return self.standing == "restricted"

    def allows(self, posted: int, usual: int) -> bool:
        """Whether one more post fits after ``posted`` in the last 24 hours; ``usual`` is the platform's own number."""
        return posted < (usual if self.posts_per_day is None else self.posts_per_day)


class Accounts:
    """Every account about which something was said; all others are in good standing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.script(_SCHEMA)

    def of(self, platform: str, account: str) -> Standing:
        """The account's own standing, else that of all accounts of the platform (``*``), else a good one."""
        row = self._store.one(
            "SELECT standing, posts_per_day FROM accounts WHERE platform = ? AND account IN (?, '*')"
            " ORDER BY account = '*'",
            (platform, account),
        )
        return Standing() if row is None else Standing(row["standing"], row["posts_per_day"])

    def put(self, platform: str, account: str, wish: dict[str, Any]) -> Standing:
        """Say how an account stands from now on; what is left out is as usual.

        Raises:
            AccountRefused: unknown fields or values.
        """
        unknown = set(wish) - {"standing", "posts_per_day"}
        standing, posts = wish.get("standing", "ok"), wish.get("posts_per_day")
        if unknown or standing not in STANDINGS:
            raise AccountRefused('say {"standing": "ok" or "restricted", "posts_per_day": a number or null}')
        if posts is not None and (type(posts) is not int or posts < 0):
            raise AccountRefused("posts_per_day is a whole number from 0, or null for the platform's usual one")
        self._store.execute(
            "INSERT INTO accounts VALUES (?, ?, ?, ?) ON CONFLICT (platform, account) DO UPDATE SET"
            " standing = excluded.standing, posts_per_day = excluded.posts_per_day",
            (platform, account, standing, posts),
        )
        return self.of(platform, account)

    def listing(self) -> list[dict[str, Any]]:
        return [
            {"platform": row["platform"], "account": row["account"], **asdict(self.of(row["platform"], row["account"]))}
            for row in self._store.query("SELECT platform, account FROM accounts ORDER BY platform, account")
        ]
