-- A line as its events amount to while its cohort is open.
select
    events.network,
    events.transaction_id,
    events.line_id,
    lines.cohort_day,
    lines.click_id,
    pieces.piece_id,
    pieces.product_id,
    pieces.niche,
    pieces.platform,
    pieces.account_id,
    pieces.prompt_version,
    max(events.program_id) as program_id,
    arg_max(events.state, (events.observed_at, events.event_id)) as state,
    min(events.occurred_at) as occurred_at,
    lines.clicked_at,
    cast(sum(events.sale_change_micros) as bigint) as sale_micros,
    cast(sum(events.commission_change_micros) as bigint) as commission_micros
from {{ ref('stg_lake__conversions') }} as events
inner join {{ ref('int_lines_attributed') }} as lines using (network, transaction_id, line_id)
inner join {{ ref('stg_lake__pieces') }} as pieces on lines.piece_id = pieces.piece_id
where {{ in_range('lines.cohort_day') }} and {{ while_open('events.money_day', 'lines.cohort_day') }}
group by all
order by lines.cohort_day, events.network, events.transaction_id, events.line_id
