-- A ratio is null where it would divide by nothing: a ratio to zero says nothing.
with added as (
    select
        cohort_day,
        product_id,
        niche,
        platform,
        account_id,
        network,
        prompt_version,
        max(views_definition) as views_definition,
        cast(count(*) as bigint) as pieces,
        cast(sum(posts) as bigint) as posts,
        cast(sum(views) as bigint) as views,
        cast(sum(hits) as bigint) as hits,
        cast(sum(clicks) as bigint) as clicks,
        cast(sum(unique_clicks) as bigint) as unique_clicks,
        cast(sum(conversions) as bigint) as conversions,
        cast(sum(reversals) as bigint) as reversals,
        cast(sum(pending_micros) as bigint) as pending_micros,
        cast(sum(approved_micros) as bigint) as approved_micros,
        cast(sum(paid_micros) as bigint) as paid_micros,
        cast(sum(revenue_micros) as bigint) as revenue_micros,
        cast(sum(own_cost_micros) as bigint) as own_cost_micros,
        cast(sum(shared_cost_micros) as bigint) as shared_cost_micros,
        cast(sum(own_cost_micros) + sum(shared_cost_micros) as bigint) as cost_micros
    from {{ ref('int_pieces_measured') }}
    group by cohort_day, product_id, niche, platform, account_id, network, prompt_version
)

select
    *,
    revenue_micros - cost_micros as profit_micros,
    {{ ratio('(revenue_micros - cost_micros) * 100.0', 'cost_micros') }} as roi_percent,
    {{ ratio('clicks * 100.0', 'views') }} as click_through_percent,
    {{ ratio('conversions * 100.0', 'clicks') }} as conversion_percent,
    {{ ratio('revenue_micros', 'clicks') }} as revenue_per_click_micros,
    {{ ratio('revenue_micros', 'posts') }} as revenue_per_post_micros,
    {{ ratio('cast(cost_micros as double) * clicks', 'revenue_micros') }} as break_even_clicks
from added
order by cohort_day, product_id, niche, platform, account_id, network, prompt_version
