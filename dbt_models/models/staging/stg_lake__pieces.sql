select
    piece_id,
    day as cohort_day,
    kind,
    platform,
    account_id,
    product_id,
    -- Plans of before the programme was told with them leave it open.
    coalesce(program_id, 'unknown') as program_id,
    coalesce(split_part(program_id, ':', 1), 'unknown') as network,
    niche,
    prompt_version,
    arm
from {{ lake('content_plan') }}
