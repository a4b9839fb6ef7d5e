select
    event_id,
    network,
    transaction_id,
    line_id,
    state,
    click_id,
    program_id,
    day as money_day,
    occurred_at,
    observed_at,
    sale_change_micros,
    commission_change_micros
from {{ lake('conversions') }}
