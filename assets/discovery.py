"""Discovery: what could be sold. Programmes and products as networks and merchants state them; exchange rates."""

from datetime import timedelta

import dagster as dg

from affiliate_empire.catalog.frames import ExchangeRates, Products, Programs
from affiliate_empire.kernel.clock import Clock
from affiliate_empire.ledger import Ledger
from affiliate_empire.operations.sync_catalog import sync_catalog
from affiliate_empire.operations.sync_programs import sync_programs
from affiliate_empire.operations.sync_rates import sync_rates
from affiliate_empire.policy import Policy
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.ecb import ECBClient
from affiliate_empire.vendors.impact import ImpactClient
from affiliate_empire.vendors.product_feed import ProductFeedClient
from assets.partitions import day, week
from assets.pictures import bar_plot, listing, together
from assets.steps import days_of, failing_clearly
from resources.lake import Frames, LakeIOManager, to_dagster_type


@dg.asset(
    partitions_def=week,
    group_name="discovery",
    kinds={"impact", "parquet"},
    owners=["team:growth"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(Programs),
)
def affiliate_programs(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    impact: dg.ResourceParam[ImpactClient],
    clock: dg.ResourceParam[Clock],
    policy: dg.ResourceParam[Policy],
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[LakeIOManager],
) -> dg.Output[Frames]:
    """Joined programmes: terms, rate, window, and whether their products may be planned. One row per programme; free.

    Read anew while it is that week; a past week returns what was observed in it.
    """
    frames: Frames = {}
    with failing_clearly():
        for monday in days_of(context):
            if settings.calendar.day_of(clock.now()) >= monday + timedelta(days=7):
                frames[str(monday)] = lake.lake.read("affiliate_programs", str(monday))
            else:
                frames[str(monday)] = sync_programs(ledger=ledger, impact=impact, clock=clock, policy=policy)
    programs = together(frames)
    rates = programs.set_index("name")["commission_rate"].mul(100)
    return dg.Output(
        frames,
        metadata={
            "eligible": int(programs["eligible"].sum()),
            "commission": bar_plot(rates, title="Commission of a sale", text="{:.1f} %".format),
        },
    )


@dg.asset(
    partitions_def=day,
    # The ledger holds the joined programmes; a day is not made from the week's rows.
    deps=[dg.AssetDep("affiliate_programs")],
    group_name="discovery",
    kinds={"impact", "googlemerchant", "parquet"},
    owners=["team:growth"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(Products),
)
def products(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    impact: dg.ResourceParam[ImpactClient],
    product_feed: dg.ResourceParam[ProductFeedClient],
    clock: dg.ResourceParam[Clock],
    settings: dg.ResourceParam[Settings],
    lake: dg.ResourceParam[LakeIOManager],
) -> dg.Output[Frames]:
    """Products offered by joined programmes, from Impact and the product feed. One row per product; free.

    Read anew while it is that day; a past day returns what was observed on it. Rows that cannot be used are kept in the
    ledger with their reason.
    """
    frames, counts = {}, {"programs": 0, "rejected_rows": 0}
    with failing_clearly():
        for each in days_of(context):
            if each < settings.calendar.day_of(clock.now()):
                # Neither source tells its past; what the lake does not hold cannot be observed any more.
                frames[str(each)] = lake.lake.read("products", str(each))
                continue
            synced = sync_catalog(
                each,
                ledger=ledger,
                product_feed=product_feed,
                impact=impact,
                clock=clock,
                feed_program=settings.product_feed_program,
            )
            frames[str(each)] = synced.products
            counts = {"programs": synced.programs, "rejected_rows": len(synced.rejected)}
    by_niche = bar_plot(together(frames)["niche"].value_counts(), title="Products by niche")
    return dg.Output(frames, metadata=counts | {"products_by_niche": by_niche})


@dg.asset(
    partitions_def=day,
    group_name="discovery",
    kinds={"ecb", "parquet"},
    owners=["team:growth"],
    io_manager_key="lake",
    dagster_type=to_dagster_type(ExchangeRates),
)
def exchange_rates(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    ecb: dg.ResourceParam[ECBClient],
    clock: dg.ResourceParam[Clock],
    settings: dg.ResourceParam[Settings],
) -> dg.Output[Frames]:
    """What currencies are worth on a day, by the ECB's last fixing before it. One row per currency; free.

    Kept by the first run of a day and never changed; a past day is read from the bank's last 90 days. Without the bank
    the last fixing is carried for up to five days; then prices in other currencies are not ranked.
    """
    with failing_clearly():
        synced = {
            str(each): sync_rates(each, ledger=ledger, ecb=ecb, clock=clock, calendar=settings.calendar)
            for each in days_of(context)
        }
    frames = {key: sync.rates for key, sync in synced.items()}
    fixings = sorted({str(fixing) for frame in frames.values() for fixing in frame["fixing_day"]})
    problems = [sync.problem for sync in synced.values() if sync.problem]
    return dg.Output(frames, metadata={"fixings": ", ".join(fixings), "problems": listing(problems)})
