select *
from {{ ref('roi') }}
where profit_micros <> revenue_micros - cost_micros
    or (cost_micros > 0 and abs(roi_percent - (revenue_micros - cost_micros) * 100.0 / cost_micros) > 0.000001)
    or (cost_micros = 0 and roi_percent is not null)
