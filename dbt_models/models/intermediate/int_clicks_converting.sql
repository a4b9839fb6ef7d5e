-- The clicks that some conversion names: few of all there are, and kept, so that the lake's clicks are gone through once.
{{ config(materialized = 'table') }}
select
    clicks.click_id,
    clicks.click_day,
    clicks.clicked_at,
    pieces.piece_id,
    pieces.cohort_day
from {{ ref('stg_lake__clicks') }} as clicks
semi join {{ ref('stg_lake__conversions') }} as conversions using (click_id)
inner join {{ ref('stg_lake__pieces') }} as pieces using (piece_id)
