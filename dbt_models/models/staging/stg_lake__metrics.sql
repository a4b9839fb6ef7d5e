select
    publication_id,
    day as observed_day,
    observed_at,
    definition,
    views,
    likes,
    comments
from {{ lake('platform_metrics') }}
