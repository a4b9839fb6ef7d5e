"""The frame of what experiments say."""

from __future__ import annotations

from typing import ClassVar

import pandera.pandas as pa
from pandera.typing.pandas import Series


class ExperimentResults(pa.DataFrameModel):
    """What a day's review said of each pair of active prompt versions. One row per pair."""

    kind: Series[str] = pa.Field(description="video or post")
    arm_a: Series[str] = pa.Field(description="video/question-hook@1")
    arm_b: Series[str] = pa.Field(description="the other prompt version")
    decision: Series[str] = pa.Field(isin=["continue", "a", "b"], description="the better one, once it is proven")
    log_lift: Series[float] = pa.Field(nullable=True, description="log of b's click-through rate over a's")
    ci_low: Series[float] = pa.Field(nullable=True, description="lower end of the always-valid interval of log_lift")
    ci_high: Series[float] = pa.Field(nullable=True, description="upper end of it")
    p_value: Series[float] = pa.Field(ge=0, le=1, description="always valid: may be looked at every day")
    alpha: Series[float] = pa.Field(gt=0, lt=1, description="what p must fall below: 5 % shared by the kind's pairs")
    pieces_a: Series[int] = pa.Field(ge=0, description="pieces of a that were seen")
    pieces_b: Series[int] = pa.Field(ge=0, description="pieces of b that were seen")

    class Config:
        strict = True
        coerce = True
        ordered = True
        unique: ClassVar[list[str]] = ["arm_a", "arm_b"]


RESULT_COLUMNS = list(ExperimentResults.to_schema().columns)
