-- Costs, clicks, views and commissions lie at different grains: each is added up per piece before they meet.
with costs as (
    select piece_id, sum(cost_micros) as cost_micros
    from {{ ref('stg_lake__costs') }}
    group by piece_id
),

clicks as (
    select piece_id, count(*) filter (where human) as clicks
    from {{ ref('stg_lake__clicks') }}
    group by piece_id
),

views as (
    select latest.piece_id, sum(latest.views) as views
    from (
        select publications.piece_id, publications.publication_id, arg_max(metrics.views, metrics.observed_at) as views
        from {{ ref('stg_lake__publications') }} as publications
        inner join {{ ref('stg_lake__metrics') }} as metrics using (publication_id)
        group by publications.piece_id, publications.publication_id
    ) as latest
    group by latest.piece_id
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
    pieces.prompt_version,
    cast(coalesce(posts.posts, 0) as bigint) as posts,
    cast(coalesce(views.views, 0) as bigint) as views,
    cast(coalesce(clicks.clicks, 0) as bigint) as clicks,
    cast(coalesce(earned.conversions, 0) as bigint) as conversions,
    cast(coalesce(earned.reversals, 0) as bigint) as reversals,
    cast(coalesce(costs.cost_micros, 0) as bigint) as cost_micros,
    cast(coalesce(earned.revenue_micros, 0) as bigint) as revenue_micros
from {{ ref('stg_lake__pieces') }} as pieces
left join posts using (piece_id)
left join views using (piece_id)
left join clicks using (piece_id)
left join costs using (piece_id)
left join earned using (piece_id)
where {{ in_range('pieces.cohort_day') }}
