"""A prompt version as the frame that the lake keeps."""

from __future__ import annotations

import pandas as pd

from affiliate_empire.kernel.errors import BadInput
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import PromptVersion
from affiliate_empire.prompts.frames import PromptVersions


def export_prompt_version(prompt_version: str, *, ledger: Ledger) -> pd.DataFrame:
    """One row of ``PromptVersions``.

    Raises:
        BadInput: the ledger has no such version.
    """
    columns = list(PromptVersions.to_schema().columns)
    with ledger.begin() as session:
        kept = session.get(PromptVersion, prompt_version)
        if kept is None:
            raise BadInput(f"There is no prompt version {prompt_version}: add its file to the prompt library.")
        return PromptVersions.validate(pd.DataFrame([{name: getattr(kept, name) for name in columns}]))
