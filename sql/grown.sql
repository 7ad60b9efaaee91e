-- What does a run of an hour hold that is the committed one and a difference? Rows as of sql/hours.sql; where all sums come to
-- 0 there is nothing.
select *
from (
  select
    coalesce(c.site_id, d.site_id) as site_id, coalesce(c.local_day, d.local_day) as local_day, coalesce(c.quarter, d.quarter) as quarter,
    coalesce(c.dimension, d.dimension) as dimension, coalesce(c.value, d.value) as value,
    coalesce(c.events, 0) + coalesce(d.events, 0) as events, coalesce(c.pageviews, 0) + coalesce(d.pageviews, 0) as pageviews,
    coalesce(c.visits, 0) + coalesce(d.visits, 0) as visits,
    coalesce(c.engaged_visits, 0) + coalesce(d.engaged_visits, 0) as engaged_visits,
    coalesce(c.visit_ms, 0) + coalesce(d.visit_ms, 0) as visit_ms,
    coalesce(c.view_items, 0) + coalesce(d.view_items, 0) as view_items,
    coalesce(c.add_to_carts, 0) + coalesce(d.add_to_carts, 0) as add_to_carts,
    coalesce(c.checkouts, 0) + coalesce(d.checkouts, 0) as checkouts,
    coalesce(c.purchases, 0) + coalesce(d.purchases, 0) as purchases,
    coalesce(c.refunds, 0) + coalesce(d.refunds, 0) as refunds,
    coalesce(c.revenue_micros, 0) + coalesce(d.revenue_micros, 0) as revenue_micros,
    coalesce(c.items, 0) + coalesce(d.items, 0) as items, coalesce(c.exits, 0) + coalesce(d.exits, 0) as exits,
    coalesce(c.bots, 0) + coalesce(d.bots, 0) as bots, coalesce(c.rejected, 0) + coalesce(d.rejected, 0) as rejected,
    coalesce(c.long_visit_events, 0) + coalesce(d.long_visit_events, 0) as long_visit_events,
    case when d.site_id is null then c.sketch else d.sketch end as sketch
  from (select * from hours where run = :committed) c
  full outer join (select * from differences where run = :run) d
    on d.site_id = c.site_id and d.local_day = c.local_day and d.dimension = c.dimension and d.value = c.value
      and coalesce(d.quarter, -1) = coalesce(c.quarter, -1)
) as grown
where events <> 0 or pageviews <> 0 or visits <> 0 or engaged_visits <> 0 or visit_ms <> 0 or view_items <> 0 or
  add_to_carts <> 0 or checkouts <> 0 or purchases <> 0 or refunds <> 0 or revenue_micros <> 0 or items <> 0 or
  exits <> 0 or bots <> 0 or rejected <> 0 or long_visit_events <> 0
