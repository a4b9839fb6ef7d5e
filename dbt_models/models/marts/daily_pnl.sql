-- By the day the money moved, whichever day's piece earned or spent it. What no piece can be named for is kept, not dropped.
with revenue as (
    select
        conversions.money_day,
        pieces.niche,
        pieces.platform,
        sum(conversions.commission_change_micros) as revenue_micros,
        sum(least(conversions.commission_change_micros, 0)) as taken_back_micros
    from {{ ref('stg_lake__conversions') }} as conversions
    -- An event may leave the click out; the line it belongs to knows it.
    inner join {{ ref('int_conversions_merged') }} as lines_as_they_stand using (network, transaction_id, line_id)
    left join {{ ref('stg_lake__clicks') }} as clicks on lines_as_they_stand.click_id = clicks.click_id
    left join {{ ref('stg_lake__pieces') }} as pieces on clicks.piece_id = pieces.piece_id
    group by conversions.money_day, pieces.niche, pieces.platform
),

costs as (
    select
        costs.money_day,
        pieces.niche,
        pieces.platform,
        sum(costs.cost_micros) as cost_micros
    from {{ ref('stg_lake__costs') }} as costs
    left join {{ ref('stg_lake__pieces') }} as pieces using (piece_id)
    group by costs.money_day, pieces.niche, pieces.platform
),

lines as (
    select money_day, niche, platform, revenue_micros, taken_back_micros, 0 as cost_micros from revenue
    union all
    select money_day, niche, platform, 0, 0, cost_micros from costs
)

select
    money_day,
    coalesce(niche, 'unattributed') as niche,
    coalesce(platform, 'unattributed') as platform,
    cast(sum(revenue_micros) as bigint) as revenue_micros,
    cast(sum(taken_back_micros) as bigint) as taken_back_micros,
    cast(sum(cost_micros) as bigint) as cost_micros,
    cast(sum(revenue_micros) - sum(cost_micros) as bigint) as profit_micros
from lines
where {{ in_range('money_day') }}
group by money_day, coalesce(niche, 'unattributed'), coalesce(platform, 'unattributed')
order by money_day, niche, platform
