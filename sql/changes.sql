-- Which local days of which sites differ between a run of an hour and the run committed before it? Days of runs that
-- died before their commit count too: their items may have been written. And all days of runs that are to be taken whole.
-- (A run has a row for each key once. One join costs a third of what two `except` over all columns do.)
select site_id, local_day
from (
  select coalesce(a.site_id, b.site_id) as site_id, coalesce(a.local_day, b.local_day) as local_day
  from (select * from hours where run = :run) a
  full outer join (select * from hours where run in (:committed)) b
    on b.site_id = a.site_id and b.local_day = a.local_day and b.dimension = a.dimension and b.value = a.value
      and coalesce(b.quarter, -1) = coalesce(a.quarter, -1)
  where a.events is distinct from b.events or a.pageviews is distinct from b.pageviews or a.visits is distinct from b.visits
    or a.engaged_visits is distinct from b.engaged_visits or a.visit_ms is distinct from b.visit_ms
    or a.view_items is distinct from b.view_items or a.add_to_carts is distinct from b.add_to_carts
    or a.checkouts is distinct from b.checkouts or a.purchases is distinct from b.purchases
    or a.refunds is distinct from b.refunds or a.revenue_micros is distinct from b.revenue_micros
    or a.items is distinct from b.items or a.exits is distinct from b.exits or a.bots is distinct from b.bots
    or a.rejected is distinct from b.rejected or a.long_visit_events is distinct from b.long_visit_events
    or a.sketch is distinct from b.sketch
) as differing
union
select site_id, local_day from changes where run in (:pending)
union
select site_id, local_day from hours where run in (:whole)
