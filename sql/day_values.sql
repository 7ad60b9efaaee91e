-- What are the sums of all values that dimensions have on a local day, of all sites? Adds what hours have more than when that was
-- asked before: the differences of some of their runs, or whole runs. Where all sums come to 0 there is nothing.
with
added as (
  select
    site_id, dimension, value,
    cast(sum(events) as bigint) as events, cast(sum(pageviews) as bigint) as pageviews, cast(sum(visits) as bigint) as visits,
    cast(sum(engaged_visits) as bigint) as engaged_visits, cast(sum(visit_ms) as bigint) as visit_ms,
    cast(sum(view_items) as bigint) as view_items, cast(sum(add_to_carts) as bigint) as add_to_carts,
    cast(sum(checkouts) as bigint) as checkouts, cast(sum(purchases) as bigint) as purchases,
    cast(sum(refunds) as bigint) as refunds, sum(cast(revenue_micros as decimal(38, 0))) as revenue_micros,
    cast(sum(items) as bigint) as items, cast(sum(exits) as bigint) as exits, cast(sum(bots) as bigint) as bots,
    cast(sum(rejected) as bigint) as rejected, cast(sum(long_visit_events) as bigint) as long_visit_events
  from (
    select
      site_id, dimension, value,
      events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts, purchases, refunds,
      revenue_micros, items, exits, bots, rejected, long_visit_events
    from differences
    where run in (:differences) and local_day = :day and dimension <> ''
    union all
    select
      site_id, dimension, value,
      events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts, purchases, refunds,
      revenue_micros, items, exits, bots, rejected, long_visit_events
    from hours
    where run in (:hours) and local_day = :day and dimension <> ''
  ) as those
  group by site_id, dimension, value
)
select *
from (
  select
    coalesce(b.site_id, a.site_id) as site_id, coalesce(b.dimension, a.dimension) as dimension, coalesce(b.value, a.value) as value,
    coalesce(b.events, 0) + coalesce(a.events, 0) as events, coalesce(b.pageviews, 0) + coalesce(a.pageviews, 0) as pageviews,
    coalesce(b.visits, 0) + coalesce(a.visits, 0) as visits,
    coalesce(b.engaged_visits, 0) + coalesce(a.engaged_visits, 0) as engaged_visits,
    coalesce(b.visit_ms, 0) + coalesce(a.visit_ms, 0) as visit_ms,
    coalesce(b.view_items, 0) + coalesce(a.view_items, 0) as view_items,
    coalesce(b.add_to_carts, 0) + coalesce(a.add_to_carts, 0) as add_to_carts,
    coalesce(b.checkouts, 0) + coalesce(a.checkouts, 0) as checkouts,
    coalesce(b.purchases, 0) + coalesce(a.purchases, 0) as purchases,
    coalesce(b.refunds, 0) + coalesce(a.refunds, 0) as refunds,
    coalesce(b.revenue_micros, 0) + coalesce(a.revenue_micros, 0) as revenue_micros,
    coalesce(b.items, 0) + coalesce(a.items, 0) as items, coalesce(b.exits, 0) + coalesce(a.exits, 0) as exits,
    coalesce(b.bots, 0) + coalesce(a.bots, 0) as bots, coalesce(b.rejected, 0) + coalesce(a.rejected, 0) as rejected,
    coalesce(b.long_visit_events, 0) + coalesce(a.long_visit_events, 0) as long_visit_events
  from (select * from day_values where run in (:before)) b
  full outer join added a on a.site_id = b.site_id and a.dimension = b.dimension and a.value = b.value
) as summed
where events <> 0 or pageviews <> 0 or visits <> 0 or engaged_visits <> 0 or visit_ms <> 0 or view_items <> 0 or
  add_to_carts <> 0 or checkouts <> 0 or purchases <> 0 or refunds <> 0 or revenue_micros <> 0 or items <> 0 or
  exits <> 0 or bots <> 0 or rejected <> 0 or long_visit_events <> 0
