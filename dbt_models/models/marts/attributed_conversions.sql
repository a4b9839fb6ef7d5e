-- The sub-id that came back with the conversion is our click's id, so attribution is a lookup, not a guess.
select
    conversions.network,
    conversions.transaction_id,
    conversions.line_id,
    pieces.cohort_day,
    conversions.click_id,
    pieces.piece_id,
    pieces.product_id,
    pieces.niche,
    pieces.platform,
    pieces.prompt_version,
    conversions.program_id,
    conversions.state,
    conversions.occurred_at,
    clicks.clicked_at,
    conversions.sale_micros,
    conversions.commission_micros
from {{ ref('int_conversions_merged') }} as conversions
inner join {{ ref('stg_lake__clicks') }} as clicks using (click_id)
inner join {{ ref('stg_lake__pieces') }} as pieces using (piece_id)
where {{ in_range('pieces.cohort_day') }}
order by pieces.cohort_day, conversions.network, conversions.transaction_id, conversions.line_id
