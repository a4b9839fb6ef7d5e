select *
from {{ ref('roi') }}
where profit_micros <> revenue_micros - cost_micros
    or cost_micros <> own_cost_micros + shared_cost_micros
    or revenue_micros <> pending_micros + approved_micros + paid_micros
    or unique_clicks > clicks
    or clicks > hits
    or (cost_micros > 0 and abs(roi_percent - (revenue_micros - cost_micros) * 100.0 / cost_micros) > 0.000001)
    or (cost_micros = 0 and roi_percent is not null)
