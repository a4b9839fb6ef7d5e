"""The catalogue's frames: their columns, and what must hold of them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

from affiliate_empire.kernel.ids import derived_id

AVAILABILITIES = ("in_stock", "out_of_stock", "preorder", "backorder")


class CatalogEntries(pa.DataFrameModel):
    """Products as a source describes them, before anyone says which programme pays for them. One row per product."""

    native_id: Series[str] = pa.Field(unique=True, str_length={"min_value": 1}, description="the source's own id")
    title: Series[str] = pa.Field(str_length={"min_value": 1}, description="plain text")
    description: Series[str] = pa.Field(description="plain text, may be empty")
    brand: Series[str] = pa.Field(description="may be empty")
    category: Series[str] = pa.Field(description="as the merchant wrote it")
    niche: Series[str] = pa.Field(str_length={"min_value": 1}, description="top category, in one spelling")
    price_micros: Series[int] = pa.Field(gt=0, description="price in millionths of the currency")
    currency: Series[str] = pa.Field(str_matches=r"^[A-Z]{3}$", description="ISO 4217")
    availability: Series[str] = pa.Field(isin=AVAILABILITIES, description="as last stated by the merchant")
    url: Series[str] = pa.Field(str_matches=r"^https?://", description="the product's page, or its tracking URL")
    image_url: Series[str] = pa.Field(description="may be empty")
    source: Series[str] = pa.Field(description="product_feed or impact")

    class Config:
        strict = True
        coerce = True


class RejectedRows(pa.DataFrameModel):
    """Rows of a source that cannot be used, with the reason and the row itself."""

    row_number: Series[int] = pa.Field(
        ge=1, description="line of the feed (the header is line 1), or place among the items"
    )
    reason: Series[str] = pa.Field(str_length={"min_value": 1}, description="one clause a merchant understands")
    raw: Series[object] = pa.Field(description="the row as read: column → text")
    source: Series[str] = pa.Field(description="product_feed or impact")

    class Config:
        strict = True


class Programs(pa.DataFrameModel):
    """Joined affiliate programmes with their terms. One row per programme."""

    program_id: Series[str] = pa.Field(unique=True, description="impact:1001")
    network: Series[str] = pa.Field(description="the network that pays")
    native_id: Series[str] = pa.Field(description="the network's own id")
    name: Series[str] = pa.Field(description="as the network writes it")
    status: Series[str] = pa.Field(isin=["joined"], description="only joined programmes are told by the network")
    commission_rate: Series[float] = pa.Field(ge=0, le=1, description="fraction of the sale")
    currency: Series[str] = pa.Field(str_matches=r"^[A-Z]{3}$", description="ISO 4217")
    cookie_days: Series[int] = pa.Field(ge=0, description="how long a click may lead to a sale")
    deeplink: Series[bool] = pa.Field(description="links to product pages are allowed")
    eligible: Series[bool] = pa.Field(description="its products may be planned")
    reason: Series[str] = pa.Field(description="why not, empty when eligible")
    observed_at: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, description="when the network was asked (UTC)"
    )

    class Config:
        strict = True
        coerce = True
        ordered = True


class Products(pa.DataFrameModel):
    """Products offered by joined programmes on a day. One row per product."""

    product_id: Series[str] = pa.Field(unique=True, description="derived from programme and native id")
    program_id: Series[str] = pa.Field(description="impact:1001")
    network: Series[str] = pa.Field(description="the network that pays")
    source: Series[str] = pa.Field(description="product_feed or impact")
    native_id: Series[str] = pa.Field(description="the source's own id")
    title: Series[str] = pa.Field(description="plain text")
    description: Series[str] = pa.Field(description="plain text, may be empty")
    brand: Series[str] = pa.Field(description="may be empty")
    category: Series[str] = pa.Field(description="as the merchant wrote it")
    niche: Series[str] = pa.Field(description="top category, in one spelling")
    price_micros: Series[int] = pa.Field(gt=0, description="price in millionths of the currency")
    currency: Series[str] = pa.Field(str_matches=r"^[A-Z]{3}$", description="ISO 4217")
    availability: Series[str] = pa.Field(isin=AVAILABILITIES, description="as last stated by the merchant")
    url: Series[str] = pa.Field(description="the product's page, or its tracking URL")
    image_url: Series[str] = pa.Field(description="may be empty")
    commission_rate: Series[float] = pa.Field(ge=0, le=1, description="fraction of the sale")
    first_seen_day: Series[object] = pa.Field(description="first day it was offered (date)")
    observed_at: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, description="when the source was read (UTC)"
    )

    class Config:
        strict = True
        coerce = True
        ordered = True


class ExchangeRates(pa.DataFrameModel):
    """What currencies are worth on a day: the ECB's last fixing before it. One row per currency, the euro included."""

    day: Series[object] = pa.Field(description="business day that goes by these rates (date)")
    currency: Series[str] = pa.Field(unique=True, str_matches=r"^[A-Z]{3}$", description="ISO 4217")
    fixing_day: Series[object] = pa.Field(description="day of the ECB's fixing (date)")
    per_euro: Series[float] = pa.Field(gt=0, description="units of the currency for one euro")
    usd: Series[float] = pa.Field(gt=0, description="dollars for one unit of the currency")
    observed_at: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, description="when the ECB was read (UTC)"
    )

    class Config:
        strict = True
        coerce = True
        ordered = True


PRODUCT_COLUMNS = list(Products.to_schema().columns)
ENTRY_COLUMNS = list(CatalogEntries.to_schema().columns)
REJECTED_COLUMNS = list(RejectedRows.to_schema().columns)


def product_id_of(program_id: str, native_id: str) -> str:
    """The same product of the same programme has the same id on every day."""
    return derived_id("pd", program_id, native_id)


def offered_products(
    entries: pd.DataFrame, *, program_id: str, commission_rate: Decimal, day: date, observed_at: datetime
) -> pd.DataFrame:
    """Entries of one source as products of the programme that pays for them.

    Args:
        entries: ``CatalogEntries``.
        program_id: ``impact:1001``; what stands before the colon is the network.
        commission_rate: fraction of the sale.
        day: the business day; becomes ``first_seen_day``, which storing may set back to an earlier one.
        observed_at: when the source was read.

    Returns:
        ``Products``, in the order of the entries.
    """
    columns: dict[str, Any] = {
        "product_id": [product_id_of(program_id, native_id) for native_id in entries["native_id"]],
        "program_id": program_id,
        "network": program_id.partition(":")[0],
        "commission_rate": float(commission_rate),
        "first_seen_day": day,
        "observed_at": pd.Timestamp(observed_at),
    }
    return Products.validate(entries.assign(**columns)[PRODUCT_COLUMNS])


def combined_products(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Products of several sources as one frame, ordered by id; a product offered twice keeps the first frame's row."""
    everything = pd.concat(frames, ignore_index=True).drop_duplicates("product_id", keep="first")
    return Products.validate(everything.sort_values("product_id", ignore_index=True))
