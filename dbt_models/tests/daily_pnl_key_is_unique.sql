select money_day, niche, platform
from {{ ref('daily_pnl') }}
group by all
having count(*) > 1
