"""The frame of a prompt version's record."""

from __future__ import annotations

import pandera.pandas as pa
from pandera.typing.pandas import Series


class PromptScorecards(pa.DataFrameModel):
    """What a prompt version cost and earned so far. One row per version."""

    prompt_version: Series[str] = pa.Field(unique=True, description="video/question-hook@1")
    pieces: Series[int] = pa.Field(ge=0, description="pieces planned with it")
    conversions: Series[int] = pa.Field(ge=0, description="sales attributed to its pieces")
    views: Series[int] = pa.Field(ge=0, description="as last observed")
    clicks: Series[int] = pa.Field(ge=0, description="human clicks")
    commission_micros: Series[int] = pa.Field(description="as it stands, US dollars")
    cost_micros: Series[int] = pa.Field(ge=0, description="US dollars")
    profit_micros: Series[int] = pa.Field(description="commission − cost, US dollars")

    class Config:
        strict = True
        coerce = True
        ordered = True
