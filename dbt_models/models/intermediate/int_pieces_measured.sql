-- Costs, hits, views and commissions lie at different grains: each is added up per piece before they meet.
with hits as (
    select
        clicks.piece_id,
        count(*) as hits,
        count(*) filter (where clicks.human) as clicks,
        count(*) filter (where clicks.human_first) as unique_clicks
    from {{ ref('stg_lake__clicks') }} as clicks
    inner join {{ ref('stg_lake__pieces') }} as pieces using (piece_id)
    where {{ in_range('pieces.cohort_day') }} and {{ while_open('clicks.click_day', 'pieces.cohort_day') }}
    group by clicks.piece_id
),

counted as (
    select
        publications.piece_id,
        publications.publication_id,
        arg_max(metrics.views, metrics.observed_at) as views,
        arg_max(metrics.definition, metrics.observed_at) as definition
    from {{ ref('stg_lake__publications') }} as publications
    inner join {{ ref('stg_lake__metrics') }} as metrics using (publication_id)
    where {{ while_open('metrics.observed_day', 'publications.cohort_day') }}
    group by publications.piece_id, publications.publication_id
),

views as (
    select piece_id, sum(views) as views, min(definition) as views_definition
    from counted
    group by piece_id
),

posts as (
    select piece_id, count(*) as posts
    from {{ ref('stg_lake__publications') }}
    group by piece_id
),

earned as (
    select
        piece_id,
        count(*) filter (where state <> 'reversed') as conversions,
        count(*) filter (where state = 'reversed') as reversals,
        sum(commission_micros) filter (where state = 'pending') as pending_micros,
        sum(commission_micros) filter (where state = 'approved') as approved_micros,
        sum(commission_micros) filter (where state = 'paid') as paid_micros,
        sum(commission_micros) as revenue_micros
    from {{ ref('attributed_conversions') }}
    group by piece_id
)

select
    pieces.piece_id,
    pieces.cohort_day,
    pieces.product_id,
    pieces.niche,
    pieces.platform,
    pieces.account_id,
    pieces.network,
    pieces.prompt_version,
    views.views_definition,
    cast(coalesce(posts.posts, 0) as bigint) as posts,
    cast(coalesce(views.views, 0) as bigint) as views,
    cast(coalesce(hits.hits, 0) as bigint) as hits,
    cast(coalesce(hits.clicks, 0) as bigint) as clicks,
    cast(coalesce(hits.unique_clicks, 0) as bigint) as unique_clicks,
    cast(coalesce(earned.conversions, 0) as bigint) as conversions,
    cast(coalesce(earned.reversals, 0) as bigint) as reversals,
    cast(coalesce(earned.pending_micros, 0) as bigint) as pending_micros,
    cast(coalesce(earned.approved_micros, 0) as bigint) as approved_micros,
    cast(coalesce(earned.paid_micros, 0) as bigint) as paid_micros,
    cast(coalesce(earned.revenue_micros, 0) as bigint) as revenue_micros,
    costs.own_cost_micros,
    costs.shared_cost_micros
from {{ ref('stg_lake__pieces') }} as pieces
inner join {{ ref('int_pieces_costed') }} as costs using (piece_id)
left join posts using (piece_id)
left join views using (piece_id)
left join hits using (piece_id)
left join earned using (piece_id)
where {{ in_range('pieces.cohort_day') }}
