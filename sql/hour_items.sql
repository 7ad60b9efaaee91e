-- What does an hour's serving item hold, for each site that changed? One row per site: its quarters and as many sketches, in
-- the same order. A quarter is a text, of its number and its sums, with chr(31) between: one list of texts costs a sixth of
-- what a list for each sum does. A site that vanished has a single empty one.
with changed as (
  select distinct site_id from changes where run = :run
)
select
  c.site_id,
  array_agg(concat_ws(chr(31), cast(h.quarter as varchar),
    cast(h.events as varchar), cast(h.pageviews as varchar), cast(h.visits as varchar), cast(h.engaged_visits as varchar),
    cast(h.visit_ms as varchar), cast(h.view_items as varchar), cast(h.add_to_carts as varchar), cast(h.checkouts as varchar),
    cast(h.purchases as varchar), cast(h.refunds as varchar), cast(h.revenue_micros as varchar), cast(h.items as varchar),
    cast(h.exits as varchar), cast(h.bots as varchar), cast(h.rejected as varchar), cast(h.long_visit_events as varchar)
  ) order by h.quarter, h.local_day) as quarters,
  array_agg(h.sketch order by h.quarter, h.local_day) as sketches
from changed c
left join (select * from hours where run = :run and dimension = '') h on h.site_id = c.site_id
group by c.site_id
