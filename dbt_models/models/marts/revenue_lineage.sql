-- One line per dollar's way: from the conversion back to the prompt version that wrote what was clicked.
select
    conversions.network,
    conversions.transaction_id,
    conversions.line_id,
    conversions.cohort_day,
    conversions.state,
    conversions.commission_micros,
    conversions.click_id,
    conversions.clicked_at,
    publications.publication_id,
    publications.platform,
    publications.account_id,
    publications.remote_id,
    publications.url,
    conversions.piece_id,
    conversions.product_id,
    conversions.prompt_version,
    measured.cost_micros as piece_cost_micros
from {{ ref('attributed_conversions') }} as conversions
inner join {{ ref('int_pieces_measured') }} as measured using (piece_id)
left join {{ ref('stg_lake__publications') }} as publications using (piece_id)
order by conversions.cohort_day, conversions.network, conversions.transaction_id, conversions.line_id
