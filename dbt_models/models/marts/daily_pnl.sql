-- By the day the money moved, whichever day's piece earned or spent it. What no piece can be named for is kept, not dropped.
with known as (
    -- The click of an event's line, as far as it was known when the day was over.
    select
        events.event_id,
        arg_max(clicks.piece_id, clicks.click_id) as piece_id
    from {{ ref('stg_lake__conversions') }} as events
    inner join {{ ref('stg_lake__conversions') }} as named using (network, transaction_id, line_id)
    inner join {{ ref('int_clicks_converting') }} as clicks on named.click_id = clicks.click_id
    where {{ in_range('events.money_day') }}
        and {{ while_open('events.money_day', 'named.money_day') }}
        and {{ while_open('events.money_day', 'clicks.click_day') }}
        and {{ while_open('events.money_day', 'clicks.cohort_day') }}
    group by events.event_id
),

lines as (
    select
        events.money_day,
        known.piece_id,
        events.network,
        events.commission_change_micros as revenue_micros,
        least(events.commission_change_micros, 0) as taken_back_micros,
        0 as cost_micros
    from {{ ref('stg_lake__conversions') }} as events
    left join known using (event_id)
    where {{ in_range('events.money_day') }}
    union all
    select costs.money_day, costs.piece_id, null, 0, 0, costs.cost_micros
    from {{ ref('stg_lake__costs') }} as costs
    where {{ in_range('costs.money_day') }}
)

select
    lines.money_day,
    coalesce(pieces.product_id, 'unattributed') as product_id,
    coalesce(pieces.niche, 'unattributed') as niche,
    coalesce(pieces.platform, 'unattributed') as platform,
    coalesce(pieces.account_id, 'unattributed') as account_id,
    coalesce(lines.network, pieces.network, 'unattributed') as network,
    coalesce(pieces.prompt_version, 'unattributed') as prompt_version,
    cast(sum(lines.revenue_micros) as bigint) as revenue_micros,
    cast(sum(lines.taken_back_micros) as bigint) as taken_back_micros,
    cast(sum(lines.cost_micros) as bigint) as cost_micros,
    cast(sum(lines.revenue_micros) - sum(lines.cost_micros) as bigint) as profit_micros
from lines
left join {{ ref('stg_lake__pieces') }} as pieces
    on lines.piece_id = pieces.piece_id and {{ near('lines.money_day', 'pieces.cohort_day') }}
group by all
order by all
