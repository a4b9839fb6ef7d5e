"""The ranking's frames: what it learns from, and what it says."""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series


class ProductPerformance(pa.DataFrameModel):
    """What each product's published pieces have brought so far. One row per product that was ever published."""

    product_id: Series[str] = pa.Field(unique=True)
    niche: Series[str] = pa.Field(description="the product's niche when it was planned last")
    pieces: Series[int] = pa.Field(ge=1, description="published pieces")
    clicks: Series[int] = pa.Field(ge=0, description="human clicks on their links")
    earned_micros: Series[int] = pa.Field(description="commission as it stands, US dollars")
    last_piece_day: Series[object] = pa.Field(description="day of its latest piece (date)")

    class Config:
        strict = True
        coerce = True


class TrendSignals(pa.DataFrameModel):
    """How much niches and products are searched for, as one source told it. One row per term asked for."""

    keyword: Series[str] = pa.Field(unique=True, str_length={"min_value": 1}, description="what was asked for")
    kind: Series[str] = pa.Field(isin=["niche", "product"], description="what the term stands for")
    subject: Series[str] = pa.Field(description="the niche, or the product's id")
    source: Series[str] = pa.Field(isin=["pytrends", "trendspyg"], description="which library got the answer")
    interest: Series[float] = pa.Field(
        ge=0, le=100, description="mean of the last 7 whole days; 100 is the highest day of the request's terms"
    )
    interest_before: Series[float] = pa.Field(ge=0, le=100, description="mean of the 28 days before those")
    rise: Series[float] = pa.Field(nullable=True, description="interest ÷ interest before − 1, a fraction")
    observed_at: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, description="when Google was asked (UTC)"
    )

    class Config:
        strict = True
        coerce = True
        ordered = True


class TrendingTopics(pa.DataFrameModel):
    """What was searched for most when the week began, and which niches that sent to test. One row per topic."""

    topic: Series[str] = pa.Field(
        unique=True, str_length={"min_value": 1}, description="the search, as Google tells it"
    )
    traffic: Series[int] = pa.Field(ge=0, description="searches at least")
    published_at: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, description="since when it trends (UTC)"
    )
    niche: Series[str] = pa.Field(description="the niche that sells what it is about; empty when none does")
    matched: Series[str] = pa.Field(description="the topic's words that the niche's products have in their names")
    on_test: Series[bool] = pa.Field(description="its niche goes to test this week")
    reason: Series[str] = pa.Field(description="why, or why not")
    observed_at: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, description="when the feed was read (UTC)"
    )

    class Config:
        strict = True
        coerce = True
        ordered = True


class RankedProducts(pa.DataFrameModel):
    """Products with their score, its parts and their rank, best first. One row per product of the day."""

    rank: Series[int] = pa.Field(unique=True, ge=1, description="1 is best; those that cannot be used come last")
    product_id: Series[str] = pa.Field(unique=True, description="the product")
    title: Series[str] = pa.Field(description="as the merchant names it")
    niche: Series[str] = pa.Field(description="the part of the catalogue it belongs to")
    program_id: Series[str] = pa.Field(description="impact:1001")
    network: Series[str] = pa.Field(description="the network of the programme")
    price_micros: Series[int] = pa.Field(gt=0, description="price in millionths of the currency")
    currency: Series[str] = pa.Field(description="of the price; ISO 4217")
    usd_rate: Series[float] = pa.Field(gt=0, nullable=True, description="dollars for one unit of it; empty if unknown")
    commission_rate: Series[float] = pa.Field(ge=0, le=1, description="fraction of the sale")
    commission_micros: Series[int] = pa.Field(
        ge=0, description="commission per sale, US dollars; 0 where the currency has no rate"
    )
    conversion_prior: Series[float] = pa.Field(ge=0, le=1, description="sales per click expected at this price")
    expected_clicks: Series[float] = pa.Field(ge=0, description="human clicks per piece, shrunken by evidence")
    earnings_per_click_micros: Series[int] = pa.Field(ge=0, description="expected, shrunken by evidence, US dollars")
    pieces: Series[int] = pa.Field(ge=0, description="published pieces of this product: the evidence")
    evidence: Series[float] = pa.Field(ge=0, le=1, description="share of the product's own record in expected_clicks")
    expected_earnings_micros: Series[int] = pa.Field(ge=0, description="per piece: clicks × earnings per click")
    completeness: Series[float] = pa.Field(ge=0, le=1, description="share of the catalogue's fields that help a writer")
    freshness: Series[float] = pa.Field(ge=0, le=1, description="1 when not shown lately, low the day after a piece")
    trend: Series[float] = pa.Field(gt=0, description="factor by what is searched for; 1 where nothing is known")
    trend_as_of: Series[pd.DatetimeTZDtype] = pa.Field(
        nullable=True, dtype_kwargs={"unit": "us", "tz": "UTC"}, description="when that was observed (UTC)"
    )
    score: Series[float] = pa.Field(
        ge=0, description="expected dollars per piece × completeness, freshness and trend factors"
    )
    eligible: Series[bool] = pa.Field(description="may be used in a plan")
    reason: Series[str] = pa.Field(description="why not, empty when eligible")

    class Config:
        strict = True
        coerce = True
        ordered = True


RANKED_COLUMNS = list(RankedProducts.to_schema().columns)
TREND_COLUMNS = list(TrendSignals.to_schema().columns)
TOPIC_COLUMNS = list(TrendingTopics.to_schema().columns)
PERFORMANCE_COLUMNS = list(ProductPerformance.to_schema().columns)
