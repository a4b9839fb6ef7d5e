select
    publication_id,
    observed_at,
    definition,
    views,
    likes,
    comments
from {{ lake('platform_metrics') }}
