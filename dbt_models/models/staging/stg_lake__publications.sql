select
    publication_id,
    piece_id,
    account_id,
    platform,
    day as cohort_day,
    remote_id,
    url,
    title,
    published_at
from {{ lake('publications') }}
