select
    effect_id,
    piece_id,
    day as money_day,
    vendor,
    operation,
    cost_micros
from {{ lake('costs') }}
