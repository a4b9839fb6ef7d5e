"""The frame of a prompt version."""

from __future__ import annotations

import pandera.pandas as pa
from pandera.typing.pandas import Series


class PromptVersions(pa.DataFrameModel):
    """Prompt versions as the ledger keeps them: immutable text. One row per version."""

    prompt_version: Series[str] = pa.Field(unique=True, description="video/question-hook@1")
    kind: Series[str] = pa.Field(isin=["video", "post"], description="what it writes")
    template: Series[str] = pa.Field(description="the text")
    sha256: Series[str] = pa.Field(description="hash of the text")
    parent: Series[str] = pa.Field(nullable=True, description="the version it was made from")
    status: Series[str] = pa.Field(isin=["active", "candidate", "retired"], description="whether plans may use it")

    class Config:
        strict = True
        coerce = True
        ordered = True
