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
    -- Only dollars add up to dollars; a line in another currency is counted without its amount.
    case when currency = 'USD' then sale_change_micros else 0 end as sale_change_micros,
    case when currency = 'USD' then commission_change_micros else 0 end as commission_change_micros
from {{ lake('conversions') }}
