select cohort_day, product_id, niche, platform, account_id, network, prompt_version
from {{ ref('roi') }}
group by all
having count(*) > 1
