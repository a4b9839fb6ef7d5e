select cohort_day, product_id, niche, platform, prompt_version
from {{ ref('roi') }}
group by all
having count(*) > 1
