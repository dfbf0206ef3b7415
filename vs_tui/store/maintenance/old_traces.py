"""SQL for old finished traces and the deliveries that tell of them."""

from typing import Final

DELIVERIES_AT_ONCE: Final = 2_000
# The youngest span decides the age of a trace; the root's age only finds candidates.
IS_OVER: Final = (
    "NOT EXISTS (SELECT 1 FROM spans t WHERE t.trace_id = r.trace_id "
    "AND (t.last_event_at >= :before OR t.status = 'in_flight'))"
)
OVER: Final = (
    f"SELECT trace_id FROM spans r WHERE parent_key = '' AND last_event_at < :before AND {IS_OVER}"
)
# The spans that a delivery touched, including by their former names.
TOLD: Final = (
    "json_each(deliveries.keys) k LEFT JOIN offers o ON o.token = 'ref:' || k.value "
    "JOIN spans s ON s.key IN (k.value, o.key)"
)
