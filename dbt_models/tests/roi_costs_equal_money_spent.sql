-- The cohorts of a day that has pieces hold every cost of that day, to the micro: their own, and what is of none.
with cohorts as (
    select cohort_day, sum(cost_micros) as micros
    from {{ ref('roi') }}
    group by cohort_day
),

spent as (
    select coalesce(pieces.cohort_day, costs.money_day) as cohort_day, sum(costs.cost_micros) as micros
    from {{ ref('stg_lake__costs') }} as costs
    left join {{ ref('stg_lake__pieces') }} as pieces on costs.piece_id = pieces.piece_id
    where costs.piece_id is null or pieces.piece_id is not null
    group by coalesce(pieces.cohort_day, costs.money_day)
)

select *
from cohorts
left join spent using (cohort_day)
where cohorts.micros <> coalesce(spent.micros, 0)
