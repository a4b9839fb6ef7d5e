"""The frames of what happened: their columns, and what must hold of them. Money in micros, times in UTC."""

from __future__ import annotations

from typing import ClassVar

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

_UTC = {"unit": "us", "tz": "UTC"}


class Publications(pa.DataFrameModel):
    """Posts on platform accounts. One row per post."""

    publication_id: Series[str] = pa.Field(unique=True, description="derived from piece and account")
    piece_id: Series[str] = pa.Field(description="the piece that was posted")
    account_id: Series[str] = pa.Field(description="youtube:gearlab")
    platform: Series[str] = pa.Field(description="youtube, tiktok, instagram or blog")
    day: Series[object] = pa.Field(description="business day (date) of the plan: the cohort")
    remote_id: Series[str] = pa.Field(description="the platform's id of the post")
    url: Series[str] = pa.Field(description="where it is seen")
    title: Series[str] = pa.Field(description="as it went out")
    description: Series[str] = pa.Field(description="as it went out, disclosure first")
    disclosures: Series[str] = pa.Field(description="labels set at the platform, as JSON")
    slot_at: Series[pd.DatetimeTZDtype] = pa.Field(dtype_kwargs=_UTC, description="planned instant (UTC)")
    published_at: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs=_UTC, description="when the public can see it (UTC)"
    )

    class Config:
        strict = True
        coerce = True
        ordered = True


class PlatformMetrics(pa.DataFrameModel):
    """What a platform counted. One row per publication and moment of observation; counts are totals so far."""

    publication_id: Series[str] = pa.Field(description="the post that was counted")
    observed_at: Series[pd.DatetimeTZDtype] = pa.Field(dtype_kwargs=_UTC, description="when it was read (UTC)")
    day: Series[object] = pa.Field(description="business day of the observation (date)")
    definition: Series[str] = pa.Field(description="what the platform counted as a view then: youtube.views@2026-08-24")
    views: Series[int] = pa.Field(ge=0, description="total so far, by that definition")
    likes: Series[int] = pa.Field(ge=0, description="total so far")
    comments: Series[int] = pa.Field(ge=0, description="total so far")
    shares: Series[pd.Int64Dtype] = pa.Field(ge=0, nullable=True, description="empty: not told, or not yet")
    engaged_views: Series[pd.Int64Dtype] = pa.Field(
        ge=0, nullable=True, description="views beyond the first moment; days late"
    )
    watch_seconds: Series[float] = pa.Field(ge=0, nullable=True, description="watched of a view on average; days late")

    class Config:
        strict = True
        coerce = True
        ordered = True
        unique: ClassVar[list[str]] = ["publication_id", "observed_at"]


class Clicks(pa.DataFrameModel):
    """Hits on tracking links. One row per hit; bots are flagged, never dropped."""

    click_id: Series[str] = pa.Field(unique=True, description="26 characters; went out as the sub-id")
    clicked_at: Series[pd.DatetimeTZDtype] = pa.Field(dtype_kwargs=_UTC, description="UTC")
    day: Series[object] = pa.Field(description="business day of the click (date)")
    code: Series[str] = pa.Field(description="the link, /r/{code}")
    piece_id: Series[str] = pa.Field(nullable=True, description="the link's piece; empty for an unknown code")
    human: Series[bool] = pa.Field(description="neither bot, nor HEAD request, nor prefetch, nor flood")
    duplicate: Series[bool] = pa.Field(description="the same person on the same link again within an hour")
    flags: Series[str] = pa.Field(
        description="bot, head, prefetch, flood, duplicate, in_app, gpc: those that apply, comma-separated"
    )
    referrer: Series[str] = pa.Field(description="the page that the visitor says to come from; often empty")
    visitor_hash: Series[str] = pa.Field(description="anonymous after the day's salt is gone")

    class Config:
        strict = True
        coerce = True
        ordered = True


class Conversions(pa.DataFrameModel):
    """What networks said about transactions. One row per event; the changes of a line add up to its present amounts."""

    event_id: Series[str] = pa.Field(unique=True, description="derived from the unique key: a repeat is the same event")
    conversion_id: Series[str] = pa.Field(description="the transaction line: impact:1001.5523.118")
    network: Series[str] = pa.Field(description="who told: impact")
    transaction_id: Series[str] = pa.Field(description="the network's id")
    line_id: Series[str] = pa.Field(description="empty where a transaction is one line")
    kind: Series[str] = pa.Field(
        isin=["pending", "approved", "reversed", "adjusted", "paid"],
        description="what happened to the transaction line",
    )
    state: Series[str] = pa.Field(isin=["pending", "approved", "reversed", "paid"], description="after this event")
    click_id: Series[str] = pa.Field(nullable=True, description="our sub-id as it came back; empty: unattributed")
    program_id: Series[str] = pa.Field(nullable=True, description="impact:1001")
    currency: Series[str] = pa.Field(description="of the micros; ISO 4217")
    sale_micros: Series[int] = pa.Field(description="the sale as it stands after this event")
    commission_micros: Series[int] = pa.Field(description="the commission as it stands after this event")
    sale_change_micros: Series[int] = pa.Field(description="what this event changed")
    commission_change_micros: Series[int] = pa.Field(description="what this event changed: the day's money")
    usd_rate: Series[float] = pa.Field(
        gt=0, nullable=True, description="dollars for one unit on the day of the sale; empty for dollars and if unknown"
    )
    commission_usd_micros: Series[int] = pa.Field(description="the commission in dollars; 0 where no rate was known")
    sale_usd_change_micros: Series[int] = pa.Field(description="what this event changed, in dollars")
    commission_usd_change_micros: Series[int] = pa.Field(description="what this event changed, in dollars")
    occurred_at: Series[pd.DatetimeTZDtype] = pa.Field(dtype_kwargs=_UTC, description="when the sale happened (UTC)")
    observed_at: Series[pd.DatetimeTZDtype] = pa.Field(dtype_kwargs=_UTC, description="when we learned of it (UTC)")
    day: Series[object] = pa.Field(description="business day of the observation (date)")
    source: Series[str] = pa.Field(isin=["push", "poll"], description="whether the network called us or we asked it")

    class Config:
        strict = True
        coerce = True
        ordered = True


class Costs(pa.DataFrameModel):
    """What was charged, and a day's part of what is paid by the month. One row per cost line."""

    effect_id: Series[str] = pa.Field(unique=True, description="the paid act; fixed:hosting:2026-11-21")
    day: Series[object] = pa.Field(description="business day whose budget it belongs to (date)")
    piece_id: Series[str] = pa.Field(
        nullable=True, description="the piece it was paid for; empty where it was for none"
    )
    niche: Series[str] = pa.Field(nullable=True, description="niche of the piece")
    vendor: Series[str] = pa.Field(description="who charges: openai, elevenlabs…; or what is paid by the month")
    operation: Series[str] = pa.Field(description="what was asked for")
    state: Series[str] = pa.Field(
        description="settled, refused (charged all the same), lost (booked at its maximum), fixed"
    )
    cost_micros: Series[int] = pa.Field(ge=0, description="charged, in micros of a US dollar")
    currency: Series[str] = pa.Field(isin=["USD"], description="of cost_micros: always US dollars")
    price_version: Series[str] = pa.Field(nullable=True, description="the price table it was reckoned by")
    settled_at: Series[pd.DatetimeTZDtype] = pa.Field(dtype_kwargs=_UTC, nullable=True, description="UTC")

    class Config:
        strict = True
        coerce = True
        ordered = True


class Outcomes(pa.DataFrameModel):
    """What each piece cost and brought so far. One row per planned piece that was not superseded."""

    piece_id: Series[str] = pa.Field(unique=True)
    day: Series[object] = pa.Field(description="business day of the plan (date): the cohort")
    kind: Series[str] = pa.Field()
    platform: Series[str] = pa.Field()
    account_id: Series[str] = pa.Field()
    product_id: Series[str] = pa.Field()
    product: Series[str] = pa.Field(description="its name when planned")
    niche: Series[str] = pa.Field()
    prompt_version: Series[str] = pa.Field()
    arm: Series[str] = pa.Field()
    propensity: Series[float] = pa.Field()
    status: Series[str] = pa.Field(description="planned, quarantined, or taken down after it was posted")
    reason: Series[str] = pa.Field(nullable=True, description="why quarantined")
    slot_at: Series[pd.DatetimeTZDtype] = pa.Field(dtype_kwargs=_UTC)
    published_at: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs=_UTC, nullable=True, description="empty: not posted"
    )
    title: Series[str] = pa.Field(nullable=True, description="of the publication")
    url: Series[str] = pa.Field(nullable=True, description="of the publication; empty once it is taken down")
    views: Series[int] = pa.Field(description="as last observed; 0 where the platform counts none")
    hits: Series[int] = pa.Field(description="all hits on its link")
    clicks: Series[int] = pa.Field(description="human clicks on its link")
    unique_clicks: Series[int] = pa.Field(description="of those, a person's first on the link within an hour")
    conversions: Series[int] = pa.Field(description="attributed sales that were not reversed")
    reversals: Series[int] = pa.Field(description="attributed sales that were reversed")
    commission_micros: Series[int] = pa.Field(description="as it stands, US dollars")
    cost_micros: Series[int] = pa.Field(ge=0, description="US dollars")

    class Config:
        strict = True
        coerce = True
        ordered = True


def columns_of(model: type[pa.DataFrameModel]) -> list[str]:
    """The columns of a frame, in order."""
    return list(model.to_schema().columns)
