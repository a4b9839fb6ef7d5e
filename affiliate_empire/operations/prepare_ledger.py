"""Brings a fresh ledger to where a first day can start: accounts, prompt versions, the first strategy.

Harmless when everything is there; adds what a newer release brings (a new prompt version) and changes nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.ids import derived_id, fingerprint
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Account, PromptVersion, Strategy
from affiliate_empire.optimization import first_strategy
from affiliate_empire.prompts import PromptTemplate, load_library

DEFAULT_ACCOUNTS = (
    {"account_id": "youtube:gearlab", "platform": "youtube", "handle": "gearlab", "display_name": "Gear Lab"},
    {"account_id": "tiktok:gearlab", "platform": "tiktok", "handle": "gearlab", "display_name": "Gear Lab"},
    {"account_id": "instagram:gearlab", "platform": "instagram", "handle": "gearlab", "display_name": "Gear Lab"},
    {"account_id": "blog:gearlab", "platform": "blog", "handle": "gearlab", "display_name": "Gear Lab"},
)
_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Prepared:
    """How many rows were added."""

    accounts: int
    prompt_versions: int
    strategies: int


def prepare_ledger(
    *, ledger: Ledger, accounts: Sequence[Mapping[str, Any]] = DEFAULT_ACCOUNTS, library: Sequence[PromptTemplate] = ()
) -> Prepared:
    """Add what a ledger lacks. Several processes may call it at once.

    Args:
        ledger: migrated.
        accounts: accounts to add when the ledger has none at all.
        library: prompt versions; the release's own when empty.

    Raises:
        Misconfigured: a prompt version's text differs from the one that the ledger used under the same name.
    """
    templates = list(library) or list(load_library())
    with ledger.begin() as session:
        added = {"accounts": 0, "prompt_versions": 0, "strategies": 0}
        if not session.scalar(select(func.count()).select_from(Account)):
            for account in accounts:
                statement = insert(Account).values(**{"niche": None, "status": "active"} | dict(account))
                done = session.execute(statement.on_conflict_do_nothing().returning(Account.account_id))
                added["accounts"] += len(done.all())
        for template in templates:
            statement = insert(PromptVersion).values(
                prompt_version=template.prompt_version,
                kind=template.kind,
                template=template.template,
                sha256=template.sha256,
                parent=template.parent,
                status="active",
            )
            done = session.execute(statement.on_conflict_do_nothing().returning(PromptVersion.prompt_version))
            added["prompt_versions"] += len(done.all())
            kept = session.get_one(PromptVersion, template.prompt_version)
            if kept.sha256 != template.sha256:
                raise Misconfigured(
                    f"The text of the prompt {template.prompt_version} differs from the one the ledger has used: "
                    "restore the file and give the new wording the next version number."
                )
        if not session.scalar(select(func.count()).select_from(Strategy)):
            versions: dict[str, list[str]] = defaultdict(list)
            for version in session.scalars(select(PromptVersion).where(PromptVersion.status == "active")):
                versions[version.kind].append(version.prompt_version)
            content = first_strategy(versions)
            statement = insert(Strategy).values(
                strategy_id=derived_id("st", "first"),
                version=1,
                decided_for=None,
                in_force_from=_ALWAYS,
                content=content,
                sha256=fingerprint(content),
                evidence={"reasons": ["Nothing was published yet: every prompt version gets the same share."]},
            )
            done = session.execute(statement.on_conflict_do_nothing().returning(Strategy.strategy_id))
            added["strategies"] += len(done.all())
    return Prepared(**added)
