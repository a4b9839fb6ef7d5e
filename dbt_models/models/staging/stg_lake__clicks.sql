select
    click_id,
    piece_id,
    clicked_at,
    human
from {{ lake('clicks') }}
