select money_day, product_id, niche, platform, account_id, network, prompt_version
from {{ ref('daily_pnl') }}
group by all
having count(*) > 1
