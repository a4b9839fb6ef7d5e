select network, transaction_id, line_id
from {{ ref('attributed_conversions') }}
group by all
having count(*) > 1
