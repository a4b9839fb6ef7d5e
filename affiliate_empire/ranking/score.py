"""The score: expected commission per piece in dollars, times how well the product can be written about, times rest.

``score = expected_clicks × earnings_per_click × (0.4 + 0.6 × completeness) × freshness × trend``

Everything learned is a weighted mean of what was seen and of what was expected, in three steps: all products, the
niche, the product. The weights of the expectation are given in pieces and clicks below, so it is plain how much
evidence it takes to move a product. What people search for (``ranking.trends``) scales the score within narrow bounds,
and not at all where nothing was observed.
"""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pandas as pd

from affiliate_empire.kernel.money import USD
from affiliate_empire.policy import Policy
from affiliate_empire.ranking.frames import PERFORMANCE_COLUMNS, RANKED_COLUMNS, RankedProducts
from affiliate_empire.ranking.trends import trend_factors

# Sales per click by price, up to and including each bound in dollars. A reasoned prior, not a measurement: the dearer a
# thing, the longer it is thought over and the likelier it is bought elsewhere or later; retail click-to-sale rates
# commonly lie between one and five per cent. Only the ratios of the bands matter before the first sale, and every click
# since then weighs against them (``_CLICKS_OF_PRIOR``).
CONVERSION_BANDS = ((25.0, 0.045), (75.0, 0.040), (150.0, 0.030), (400.0, 0.018), (float("inf"), 0.008))

# Human clicks of a piece before any was published. It scales every product alike and so orders nothing.
CLICKS_PER_PIECE = 40.0
_PIECES_OF_PRIOR = 5.0  # a niche or product needs five pieces of its own to weigh as much as what was expected of it
_CLICKS_OF_PRIOR = 200.0  # about eight sales' worth of clicks
_REST_DAYS = 7.0  # after a week without a piece two thirds of a product's freshness are back
_REST_DEPTH = 0.9

_DESCRIPTION_WORDS = 40  # enough for four or five spoken facts


def conversion_prior(price_dollars: float) -> float:
    """Sales per click expected of a price, before anything was measured."""
    return next(rate for bound, rate in CONVERSION_BANDS if price_dollars <= bound)


def rank(
    products: pd.DataFrame,
    performance: pd.DataFrame,
    trends: pd.DataFrame,
    *,
    as_of: date,
    policy: Policy,
    rates: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rank a day's products.

    Args:
        products: ``catalog.frames.Products``.
        performance: ``ProductPerformance`` of what was seen before ``as_of``; may be empty.
        trends: ``TrendSignals``, the newest there are; may be empty.
        as_of: the day that is ranked for; a product's rest counts up to it.
        policy: says which networks allow content made by AI.
        rates: ``catalog.frames.ExchangeRates`` of the day; without one for its currency a product cannot be ranked.

    Returns:
        ``RankedProducts``, best first. Products that may not be used are at the end, with the reason.
    """
    seen = performance if len(performance) else pd.DataFrame(columns=PERFORMANCE_COLUMNS)
    frame = products.merge(seen.drop(columns="niche"), on="product_id", how="left", validate="one_to_one")
    for column in ("pieces", "clicks", "earned_micros"):
        frame[column] = frame[column].fillna(0).astype("int64")

    known = {} if rates is None else dict(zip(rates["currency"], rates["usd"], strict=True))
    frame["usd_rate"] = frame["currency"].map(known | {USD: 1.0})
    price = frame["price_micros"] * frame["usd_rate"].astype("float64")
    frame["commission_micros"] = (price * frame["commission_rate"]).round().fillna(0).astype("int64")
    # Without a rate the price is taken as dollars here; the product cannot be used anyway.
    frame["conversion_prior"] = [conversion_prior(micros / 1e6) for micros in price.fillna(frame["price_micros"])]
    frame["expected_clicks"] = _expected_clicks(frame, seen)
    frame["earnings_per_click_micros"] = _earnings_per_click(frame).round().astype("int64")
    frame["evidence"] = frame["pieces"] / (frame["pieces"] + _PIECES_OF_PRIOR)
    expected = frame["expected_clicks"] * frame["earnings_per_click_micros"]
    frame["expected_earnings_micros"] = expected.round().astype("int64")
    frame["completeness"] = _completeness(frame)
    frame["freshness"] = _freshness(frame["last_piece_day"], as_of)
    frame = frame.join(trend_factors(frame, trends))
    known_about = (0.4 + 0.6 * frame["completeness"]) * frame["freshness"] * frame["trend"]
    frame["score"] = frame["expected_earnings_micros"] / 1e6 * known_about
    frame["reason"] = _reasons(frame, policy)
    frame["eligible"] = frame["reason"].eq("")
    frame = frame.sort_values(["eligible", "score", "product_id"], ascending=[False, False, True], ignore_index=True)
    frame["rank"] = np.arange(1, len(frame) + 1)
    return RankedProducts.validate(frame[RANKED_COLUMNS])


def _expected_clicks(frame: pd.DataFrame, seen: pd.DataFrame) -> pd.Series:
    """Clicks per piece: the product's record, leaning on its niche's, leaning on that of all."""
    k = _PIECES_OF_PRIOR
    overall = (k * CLICKS_PER_PIECE + float(seen["clicks"].sum())) / (k + float(seen["pieces"].sum()))
    by_niche = seen.groupby("niche")[["pieces", "clicks"]].sum().astype("float64")
    niche = (k * overall + by_niche["clicks"]) / (k + by_niche["pieces"])
    expected_of_niche = frame["niche"].map(niche).astype("float64").fillna(overall)
    return (k * expected_of_niche + frame["clicks"]) / (k + frame["pieces"])


def _earnings_per_click(frame: pd.DataFrame) -> pd.Series:
    """Micros per click: the price's prior, corrected by what all clicks earned, then by the product's own clicks."""
    k = _CLICKS_OF_PRIOR
    prior = frame["commission_micros"] * frame["conversion_prior"]
    typical = float(prior[prior > 0].median()) if (prior > 0).any() else 0.0
    expected = k * typical + float((frame["clicks"] * prior).sum())
    earned = k * typical + float(frame["earned_micros"].sum())
    correction = max(earned, 0.0) / expected if expected > 0 else 1.0
    return ((k * prior * correction + frame["earned_micros"]) / (k + frame["clicks"])).clip(lower=0)


def _completeness(frame: pd.DataFrame) -> pd.Series:
    """Half for a description long enough to take facts from, the rest for what else a viewer asks."""
    words = pd.Series([len(str(text).split()) for text in frame["description"]], index=frame.index, dtype="float64")
    described = (words / _DESCRIPTION_WORDS).clip(upper=1.0)
    named = frame["title"].str.contains(" ", regex=False).astype("float64")
    branded = frame["brand"].ne("").astype("float64")
    pictured = frame["image_url"].ne("").astype("float64")
    categorised = frame["niche"].ne("uncategorised").astype("float64")
    return 0.5 * described + 0.2 * named + 0.1 * branded + 0.1 * pictured + 0.1 * categorised


def _freshness(last_piece_day: pd.Series, as_of: date) -> pd.Series:
    days = [math.inf if pd.isna(day) else max(0, (as_of - day).days) for day in last_piece_day]
    fresh = [1.0 - _REST_DEPTH * math.exp(-count / _REST_DAYS) for count in days]
    return pd.Series(fresh, index=last_piece_day.index, dtype="float64")


def _reasons(frame: pd.DataFrame, policy: Policy) -> list[str]:
    allowed = {network: policy.network(network).ai_content_allowed for network in frame["network"].unique()}
    reasons = []
    columns = ["network", "availability", "currency", "usd_rate", "commission_micros"]
    for network, availability, currency, rate, commission in frame[columns].itertuples(index=False, name=None):
        if not allowed[network]:
            reasons.append(f"{network} does not allow content made by AI")
        elif availability != "in_stock":
            reasons.append(f"availability is {availability.replace('_', ' ')}")
        elif pd.isna(rate):
            reasons.append(f"the price is in {currency}, and there is no exchange rate to rank it by")
        elif commission <= 0:
            reasons.append("the programme pays no commission for it")
        else:
            reasons.append("")
    return reasons
