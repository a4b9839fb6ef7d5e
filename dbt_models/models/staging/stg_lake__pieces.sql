select
    piece_id,
    day as cohort_day,
    kind,
    platform,
    account_id,
    product_id,
    niche,
    prompt_version,
    arm
from {{ lake('content_plan') }}
