"""Read the catalogue: the merchant's product feed and the joined programmes' Impact catalogues, into the ledger.

What a row means is ``affiliate_empire.catalog``'s; this verb says which programme pays for it and keeps everything: the
programmes with their terms, the products, and each row that could not be used with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from affiliate_empire.catalog.entries import ParsedFeed
from affiliate_empire.catalog.feed import parse_feed
from affiliate_empire.catalog.frames import combined_products, offered_products
from affiliate_empire.catalog.impact import parse_items
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.kernel.ids import canonical_json, derived_id
from affiliate_empire.ledger import Ledger
from affiliate_empire.ledger.tables import Product, RejectedRow
from affiliate_empire.operations.patience import read
from affiliate_empire.operations.sync_programs import program_row, save_programs
from affiliate_empire.vendors.impact import ImpactClient
from affiliate_empire.vendors.product_feed import ProductFeedClient

FEED = "product_feed"
_ROWS_PER_STATEMENT = 500


@dataclass(frozen=True)
class CatalogSync:
    """What was read. ``products`` is a ``Products`` frame, ``rejected`` a ``RejectedRows`` frame."""

    products: pd.DataFrame
    rejected: pd.DataFrame
    programs: int


def sync_catalog(
    day: date,
    *,
    ledger: Ledger,
    product_feed: ProductFeedClient,
    impact: ImpactClient,
    clock: Clock,
    feed_program: str | None = None,
) -> CatalogSync:
    """Read every source once and keep what was read, as seen on ``day``.

    Nothing is stored before every source was read: a feed that cannot be used at all leaves the ledger as it was.

    Args:
        feed_program: Impact's id of the programme that pays for the feed; None takes the joined programme on whose
            domains the feed's pages lie.

    Raises:
        BadInput: the feed cannot be used.
        Misconfigured: no joined programme, or not the chosen one, pays for the feed's pages.
        VendorUnavailable, VendorRefused: a source does not answer, or refuses.
    """
    observed_at = clock.now()
    feed = parse_feed(read(product_feed.fetch), source=FEED)
    campaigns = {str(campaign["CampaignId"]): campaign for campaign in read(impact.fetch_campaigns)}
    programs = [
        program_row(campaign, read(impact.fetch_public_terms, native_id), observed_at)
        for native_id, campaign in campaigns.items()
    ]
    by_native_id = {program["native_id"]: program for program in programs}

    payer = _payer(feed.products, by_native_id, feed_program)
    usable, elsewhere = _on_domains(feed, payer)
    frames = [_offered(usable, payer, day, observed_at)]
    rejected = [feed.rejected, elsewhere]
    for catalog in read(impact.fetch_catalogs):
        campaign = campaigns.get(str(catalog["CampaignId"]))
        if campaign is None:
            continue  # a catalogue of a programme that was left since the list was read
        items = parse_items(read(impact.fetch_catalog_items, str(catalog["Id"])), campaign)
        frames.append(_offered(items.products, by_native_id[str(catalog["CampaignId"])], day, observed_at))
        rejected.append(items.rejected)
    products = combined_products(frames)
    refused = pd.concat(rejected, ignore_index=True)
    with ledger.begin() as session:
        save_programs(session, programs)
        _save_products(session, products, day)
        _save_rejected(session, refused, day, observed_at)
        known = session.execute(select(Product.product_id, Product.first_seen_day))
        since = {product_id: first_seen_day for product_id, first_seen_day in known}
    products["first_seen_day"] = [since[product_id] for product_id in products["product_id"]]
    return CatalogSync(products, refused, len(programs))


def _payer(entries: pd.DataFrame, programs: Mapping[str, dict[str, Any]], chosen: str | None) -> dict[str, Any]:
    if chosen is not None:
        if chosen not in programs:
            raise Misconfigured(
                f"The programme {chosen} that is to pay for the product feed is not joined at Impact: "
                "set EMPIRE_PRODUCT_FEED_PROGRAM to a joined one."
            )
        return programs[chosen]
    pages = list(entries["url"])
    counts = {
        native_id: sum(_is_on(url, program["deeplink_domains"]) for url in pages)
        for native_id, program in programs.items()
    }
    # A programme with a catalogue of its own may share a host with the feed's; the one that was joined first pays.
    best = max(sorted(counts), key=lambda native_id: counts[native_id], default=None)
    if best is None or counts[best] == 0:
        raise Misconfigured(
            "No joined Impact programme allows links to the product feed's pages: join the merchant's programme, or "
            "set EMPIRE_PRODUCT_FEED_PROGRAM."
        )
    return programs[best]


def _is_on(url: str, domains: Sequence[str]) -> bool:
    """Whether a page is on one of the domains or below one; a port counts where the domain names one."""
    parts = urlsplit(url)
    hosts = {(parts.hostname or "").lower(), parts.netloc.lower()}
    return any(host == domain.lower() or host.endswith(f".{domain.lower()}") for host in hosts for domain in domains)


def _on_domains(feed: ParsedFeed, program: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Entries whose pages the programme links to, and the others as rejected rows."""
    domains = program["deeplink_domains"]
    linked = feed.products["url"].map(lambda url: _is_on(url, domains)).astype(bool)
    others = feed.products[~linked]
    if len(others) == len(feed.products):
        raise Misconfigured(
            f"The programme {program['name']} links to none of the product feed's pages: set "
            "EMPIRE_PRODUCT_FEED_PROGRAM to the programme of the feed's merchant."
        )
    rejected = pd.DataFrame(
        {
            # The parsed entry no longer knows its line; its place among the usable rows identifies it.
            "row_number": others.index + 1,
            "reason": f"its page is not on the domains that {program['name']} pays for ({', '.join(domains)})",
            "raw": others.to_dict("records"),
            "source": others["source"],
        },
        columns=list(feed.rejected.columns),
    )
    return feed.products[linked], rejected


def _offered(entries: pd.DataFrame, program: Mapping[str, Any], day: date, observed_at: datetime) -> pd.DataFrame:
    return offered_products(
        entries,
        program_id=program["program_id"],
        commission_rate=program["commission_rate"],
        day=day,
        observed_at=observed_at,
    )


# ---------------------------------------------------------------- the ledger
def _save_products(session: Session, products: pd.DataFrame, day: date) -> None:
    """Keep each product as last seen; a read of an earlier day never overwrites a later one."""
    kept = [
        "product_id", "program_id", "source", "native_id", "title", "description", "brand", "category", "niche",
        "price_micros", "currency", "availability", "url", "image_url", "first_seen_day",
    ]  # fmt: skip
    records = products[kept].to_dict("records")
    for row, rate, seen in zip(records, products["commission_rate"], products["observed_at"], strict=True):
        row |= {
            "commission_rate": Decimal(str(rate)),
            "last_seen_day": day,
            "observed_at": seen.to_pydatetime(),
        }
    for some in _batches(records):
        rows = insert(Product).values(some)
        changed = {name: rows.excluded[name] for name in some[0] if name not in ("product_id", "first_seen_day")}
        session.execute(
            rows.on_conflict_do_update(
                index_elements=[Product.product_id],
                set_=changed | {"first_seen_day": func.least(Product.first_seen_day, rows.excluded.first_seen_day)},
                where=Product.observed_at <= rows.excluded.observed_at,
            )
        )


def _save_rejected(session: Session, rejected: pd.DataFrame, day: date, observed_at: datetime) -> None:
    records = [
        {
            "rejected_id": derived_id("rr", row["source"], day, row["row_number"], canonical_json(row["raw"])),
            "source": row["source"],
            "day": day,
            "row_number": int(row["row_number"]),
            "reason": row["reason"],
            "raw": row["raw"],
            "observed_at": observed_at,
        }
        for row in rejected.to_dict("records")
    ]
    for some in _batches(records):
        session.execute(insert(RejectedRow).values(some).on_conflict_do_nothing())


def _batches(records: list[dict[Any, Any]]) -> Iterator[list[dict[Any, Any]]]:
    for start in range(0, len(records), _ROWS_PER_STATEMENT):
        yield records[start : start + _ROWS_PER_STATEMENT]
