-- Which click a transaction line came from: the sub-id that came back is our click's id, so it is a lookup, not a guess.
-- An event may leave the sub-id out; another event of its line says it, if it was learned while the cohort is open.
select
    events.network,
    events.transaction_id,
    events.line_id,
    max(clicks.click_id) as click_id,
    arg_max(clicks.clicked_at, clicks.click_id) as clicked_at,
    arg_max(clicks.piece_id, clicks.click_id) as piece_id,
    arg_max(clicks.cohort_day, clicks.click_id) as cohort_day
from {{ ref('stg_lake__conversions') }} as events
inner join {{ ref('int_clicks_converting') }} as clicks using (click_id)
where {{ while_open('events.money_day', 'clicks.cohort_day') }}
    and {{ while_open('clicks.click_day', 'clicks.cohort_day') }}
group by events.network, events.transaction_id, events.line_id
