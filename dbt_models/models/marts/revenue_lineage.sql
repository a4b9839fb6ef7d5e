-- One line per dollar's way: from the conversion back to the prompt version and the model that wrote what was clicked.
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
    conversions.niche,
    texts.step as written_as,
    texts.title,
    texts.inputs_sha256,
    texts.model,
    conversions.prompt_version,
    costs.own_cost_micros + costs.shared_cost_micros as piece_cost_micros
from {{ ref('attributed_conversions') }} as conversions
inner join {{ ref('int_pieces_costed') }} as costs using (piece_id)
left join {{ ref('stg_lake__texts') }} as texts using (piece_id)
left join {{ ref('stg_lake__publications') }} as publications using (piece_id)
order by conversions.cohort_day, conversions.network, conversions.transaction_id, conversions.line_id
