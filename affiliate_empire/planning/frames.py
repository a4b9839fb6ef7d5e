"""The plan's frames."""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series


class PlannedPieces(pa.DataFrameModel):
    """Pieces as decided, before they are recorded. One row per piece, in the order of their slots."""

    piece_id: Series[str] = pa.Field(unique=True, description="derived from day, account, slot and revision")
    kind: Series[str] = pa.Field(isin=["video", "post"])
    platform: Series[str] = pa.Field()
    account_id: Series[str] = pa.Field()
    slot_at: Series[pd.DatetimeTZDtype] = pa.Field(dtype_kwargs={"unit": "us", "tz": "UTC"})
    product_id: Series[str] = pa.Field(unique=True, description="a product at most once a day")
    niche: Series[str] = pa.Field()
    prompt_version: Series[str] = pa.Field()
    arm: Series[str] = pa.Field(isin=["exploit", "explore"])
    propensity: Series[float] = pa.Field(gt=0, le=1, description="probability that this slot got this prompt version")
    max_cost_micros: Series[int] = pa.Field(ge=0, description="upper bound of making it, US dollars")
    expected_profit_micros: Series[int] = pa.Field(
        description="what it should earn, less what it should cost, US dollars"
    )

    class Config:
        strict = True
        coerce = True
        ordered = True


class ContentPlan(pa.DataFrameModel):
    """The recorded plan of a day. One row per piece to make; the same on every reading."""

    piece_id: Series[str] = pa.Field(unique=True, description="derived from day, account, slot and revision")
    day: Series[object] = pa.Field(description="business day (date): the piece's cohort")
    revision: Series[int] = pa.Field(ge=1, description="1; a re-plan counts up")
    kind: Series[str] = pa.Field(isin=["video", "post"], description="a video, or a post for the blog")
    platform: Series[str] = pa.Field(description="youtube, tiktok, instagram or blog")
    account_id: Series[str] = pa.Field(description="youtube:gearlab")
    slot_at: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, description="when it goes public (UTC)"
    )
    product_id: Series[str] = pa.Field(description="the product that it is about")
    product: Series[str] = pa.Field(description="its name when planned")
    program_id: Series[str] = pa.Field(description="the programme that pays for it: impact:1001")
    niche: Series[str] = pa.Field(description="niche of the product")
    prompt_version: Series[str] = pa.Field(description="video/question-hook@1")
    arm: Series[str] = pa.Field(isin=["exploit", "explore"], description="chosen for what is known, or to learn")
    propensity: Series[float] = pa.Field(gt=0, le=1, description="probability that this slot got this prompt version")
    max_cost_micros: Series[int] = pa.Field(ge=0, description="upper bound of making it, US dollars")
    expected_profit_micros: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, description="what it should earn, less what it should cost: who goes first when room is short"
    )
    facts: Series[str] = pa.Field(description="the product's facts when planned, F1…, as JSON: what a script may cite")
    strategy_id: Series[str] = pa.Field(description="the strategy in force when the day began")
    ranking_snapshot_id: Series[str] = pa.Field(description="the ranking it was chosen from")

    class Config:
        strict = True
        coerce = True
        ordered = True


PIECE_COLUMNS = list(PlannedPieces.to_schema().columns)
PLAN_COLUMNS = list(ContentPlan.to_schema().columns)
