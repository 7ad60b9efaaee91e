-- By how much do the sums of two runs of an hour differ, those with what was added and those without? One row for each value
-- (or quarter) that differs; of sums that are the same 0.
select
  site_id, local_day, quarter, dimension, value,
  cast(sum(events) as bigint) as events,
  cast(sum(pageviews) as bigint) as pageviews,
  cast(sum(visits) as bigint) as visits,
  cast(sum(engaged_visits) as bigint) as engaged_visits,
  cast(sum(visit_ms) as bigint) as visit_ms,
  cast(sum(view_items) as bigint) as view_items,
  cast(sum(add_to_carts) as bigint) as add_to_carts,
  cast(sum(checkouts) as bigint) as checkouts,
  cast(sum(purchases) as bigint) as purchases,
  cast(sum(refunds) as bigint) as refunds,
  cast(sum(revenue_micros) as bigint) as revenue_micros,
  cast(sum(items) as bigint) as items,
  cast(sum(exits) as bigint) as exits,
  cast(sum(bots) as bigint) as bots,
  cast(sum(rejected) as bigint) as rejected,
  cast(sum(long_visit_events) as bigint) as long_visit_events
from (
  select
    site_id, local_day, quarter, dimension, value,
    events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts, purchases, refunds, revenue_micros,
    items, exits, bots, rejected, long_visit_events
  from hours where run = :after
  union all
  select
    site_id, local_day, quarter, dimension, value,
    -events, -pageviews, -visits, -engaged_visits, -visit_ms, -view_items, -add_to_carts, -checkouts, -purchases, -refunds,
    -revenue_micros, -items, -exits, -bots, -rejected, -long_visit_events
  from hours where run = :before
) as signed
group by site_id, local_day, quarter, dimension, value
having
  sum(events) <> 0 or sum(pageviews) <> 0 or sum(visits) <> 0 or sum(engaged_visits) <> 0 or sum(visit_ms) <> 0 or
  sum(view_items) <> 0 or sum(add_to_carts) <> 0 or sum(checkouts) <> 0 or sum(purchases) <> 0 or sum(refunds) <> 0 or
  sum(revenue_micros) <> 0 or sum(items) <> 0 or sum(exits) <> 0 or sum(bots) <> 0 or sum(rejected) <> 0 or
  sum(long_visit_events) <> 0
