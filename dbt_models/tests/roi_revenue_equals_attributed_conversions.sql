-- What the cohorts earned is what was attributed, to the micro.
select *
from (select coalesce(sum(revenue_micros), 0) as micros from {{ ref('roi') }}) as roi
cross join (select coalesce(sum(commission_micros), 0) as micros from {{ ref('attributed_conversions') }}) as attributed
where roi.micros <> attributed.micros
