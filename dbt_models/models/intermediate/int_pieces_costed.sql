-- What a piece cost: what was charged for it, and its share of what was paid for none (hosting, subscriptions, research)
-- on its day. The micros that cannot be shared evenly go to the first pieces, so that nothing is lost.
with own as (
    select pieces.piece_id, sum(costs.cost_micros) as cost_micros
    from {{ ref('stg_lake__costs') }} as costs
    inner join {{ ref('stg_lake__pieces') }} as pieces using (piece_id)
    where {{ near('costs.money_day', 'pieces.cohort_day') }}
    group by pieces.piece_id
),

shared as (
    select money_day, sum(cost_micros) as cost_micros
    from {{ ref('stg_lake__costs') }}
    where piece_id is null
    group by money_day
),

numbered as (
    select
        piece_id,
        cohort_day,
        row_number() over (partition by cohort_day order by piece_id) as number,
        count(*) over (partition by cohort_day) as pieces
    from {{ ref('stg_lake__pieces') }}
)

select
    numbered.piece_id,
    numbered.cohort_day,
    cast(coalesce(own.cost_micros, 0) as bigint) as own_cost_micros,
    cast(
        coalesce(shared.cost_micros, 0) // numbered.pieces
        + if(numbered.number <= coalesce(shared.cost_micros, 0) % numbered.pieces, 1, 0) as bigint
    ) as shared_cost_micros
from numbered
left join own using (piece_id)
left join shared on numbered.cohort_day = shared.money_day
