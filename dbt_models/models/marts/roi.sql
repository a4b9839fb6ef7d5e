-- roi_percent is null where nothing was spent: a ratio to zero says nothing.
select
    cohort_day,
    product_id,
    niche,
    platform,
    prompt_version,
    cast(count(*) as bigint) as pieces,
    cast(sum(posts) as bigint) as posts,
    cast(sum(views) as bigint) as views,
    cast(sum(clicks) as bigint) as clicks,
    cast(sum(conversions) as bigint) as conversions,
    cast(sum(reversals) as bigint) as reversals,
    cast(sum(revenue_micros) as bigint) as revenue_micros,
    cast(sum(cost_micros) as bigint) as cost_micros,
    cast(sum(revenue_micros) - sum(cost_micros) as bigint) as profit_micros,
    case
        when sum(cost_micros) > 0
            then round(cast(sum(revenue_micros) - sum(cost_micros) as double) / cast(sum(cost_micros) as double) * 100, 6)
    end as roi_percent
from {{ ref('int_pieces_measured') }}
group by cohort_day, product_id, niche, platform, prompt_version
order by cohort_day, product_id, niche, platform, prompt_version
