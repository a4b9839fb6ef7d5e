-- The days' lines hold every commission change and every cost of those days, to the micro.
with pnl as (
    select coalesce(sum(revenue_micros), 0) as revenue, coalesce(sum(cost_micros), 0) as cost, coalesce(sum(profit_micros), 0) as profit
    from {{ ref('daily_pnl') }}
),

moved as (
    select
        (select coalesce(sum(commission_change_micros), 0) from {{ ref('stg_lake__conversions') }} where {{ in_range('money_day') }}) as revenue,
        (select coalesce(sum(cost_micros), 0) from {{ ref('stg_lake__costs') }} where {{ in_range('money_day') }}) as cost
)

select *
from pnl
cross join moved
where pnl.revenue <> moved.revenue or pnl.cost <> moved.cost or pnl.profit <> moved.revenue - moved.cost
