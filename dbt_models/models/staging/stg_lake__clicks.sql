select
    click_id,
    piece_id,
    day as click_day,
    clicked_at,
    human,
    -- Partitions of before repeats were judged have no such column.
    human and not coalesce(duplicate, false) as human_first
from {{ lake('clicks') }}
