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
    -- Only dollars add up to dollars: another currency counts at the rate of the day of the sale, as it was stored.
    case when currency = 'USD' then sale_change_micros else coalesce(sale_usd_change_micros, 0) end as sale_change_micros,
    case when currency = 'USD' then commission_change_micros else coalesce(commission_usd_change_micros, 0) end as commission_change_micros
from {{ lake('conversions') }}
