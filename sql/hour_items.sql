-- What does an hour's serving item hold, for each site that changed? One row per site: its quarters, and as many of
-- each sum and sketch. A site that vanished has a single null quarter.
with changed as (
  select distinct site_id from changes where run = :run
)
select
  c.site_id,
  array_agg(h.quarter order by h.quarter, h.local_day) as quarter,
  array_agg(h.events order by h.quarter, h.local_day) as events,
  array_agg(h.pageviews order by h.quarter, h.local_day) as pageviews,
  array_agg(h.visits order by h.quarter, h.local_day) as visits,
  array_agg(h.engaged_visits order by h.quarter, h.local_day) as engaged_visits,
  array_agg(h.visit_ms order by h.quarter, h.local_day) as visit_ms,
  array_agg(h.view_items order by h.quarter, h.local_day) as view_items,
  array_agg(h.add_to_carts order by h.quarter, h.local_day) as add_to_carts,
  array_agg(h.checkouts order by h.quarter, h.local_day) as checkouts,
  array_agg(h.purchases order by h.quarter, h.local_day) as purchases,
  array_agg(h.refunds order by h.quarter, h.local_day) as refunds,
  array_agg(h.revenue_micros order by h.quarter, h.local_day) as revenue_micros,
  array_agg(h.items order by h.quarter, h.local_day) as items,
  array_agg(h.exits order by h.quarter, h.local_day) as exits,
  array_agg(h.bots order by h.quarter, h.local_day) as bots,
  array_agg(h.rejected order by h.quarter, h.local_day) as rejected,
  array_agg(h.long_visit_events order by h.quarter, h.local_day) as long_visit_events,
  array_agg(h.sketch order by h.quarter, h.local_day) as sketch
from changed c
left join (select * from hours where run = :run and dimension = '') h on h.site_id = c.site_id
group by c.site_id
