-- The events of a transaction line, added up to how it stands. The click never changes; an event may leave it out.
select
    network,
    transaction_id,
    line_id,
    max(click_id) as click_id,
    max(program_id) as program_id,
    arg_max(state, (observed_at, event_id)) as state,
    min(occurred_at) as occurred_at,
    max(observed_at) as last_observed_at,
    cast(sum(sale_change_micros) as bigint) as sale_micros,
    cast(sum(commission_change_micros) as bigint) as commission_micros
from {{ ref('stg_lake__conversions') }}
group by network, transaction_id, line_id
