-- Nothing is lost or doubled on the way back: per prompt version, the lineage adds up to the cohorts' revenue.
select prompt_version, sum(lineage) as lineage, sum(cohorts) as cohorts
from (
    select prompt_version, commission_micros as lineage, 0 as cohorts from {{ ref('revenue_lineage') }}
    union all
    select prompt_version, 0, revenue_micros from {{ ref('roi') }}
) as both_ways
group by prompt_version
having sum(lineage) <> sum(cohorts)
