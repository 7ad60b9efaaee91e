-- What does a local day's serving item hold, for each site that changed? One row per site: a sketch, and lists of
-- sums: the day's own (dimension ''), and of each dimension the top values with the rest under '(other)'. Adds up
-- committed runs of hours; never reads events. A site that vanished from the day has null lists.
with changed as (
  select distinct site_id from changes where run in (:changed_runs) and local_day = :day
),
of_day as (
  select h.*
  from hours h
  join changed c on c.site_id = h.site_id
  where h.run in (:runs) and h.local_day = :day
),
sketches as (
  select site_id, array_agg(register order by register) as sketch
  from (
    select site_id, max(register) as register
    from of_day cross join unnest(sketch) as registers (register)
    where dimension = ''
    group by site_id, register - mod(register, 64)
  )
  group by site_id
),
by_value as (
  select
    site_id, dimension, value,
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
    cast(greatest(-9000000000000000000, least(9000000000000000000,
      sum(cast(revenue_micros as decimal(38, 0))))) as bigint) as revenue_micros,
    cast(sum(items) as bigint) as items,
    cast(sum(exits) as bigint) as exits,
    cast(sum(bots) as bigint) as bots,
    cast(sum(rejected) as bigint) as rejected
  from of_day
  group by site_id, dimension, value
),
placed as (
  select
    *,
    row_number() over (
      partition by site_id, dimension order by events + visits + exits + items + rejected + purchases desc, value
    ) as place
  from by_value
),
top_values as (
  select
    site_id, dimension, case when place <= :top then value else '(other)' end as value, min(place) as place,
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
    cast(greatest(-9000000000000000000, least(9000000000000000000,
      sum(cast(revenue_micros as decimal(38, 0))))) as bigint) as revenue_micros,
    cast(sum(items) as bigint) as items,
    cast(sum(exits) as bigint) as exits,
    cast(sum(bots) as bigint) as bots,
    cast(sum(rejected) as bigint) as rejected
  from placed
  group by site_id, dimension, case when place <= :top then value else '(other)' end
),
lists as (
  select
    site_id,
    array_agg(dimension order by dimension, place, value) as dimensions,
    array_agg(value order by dimension, place, value) as dimension_values,
    array_agg(events order by dimension, place, value) as events,
    array_agg(pageviews order by dimension, place, value) as pageviews,
    array_agg(visits order by dimension, place, value) as visits,
    array_agg(engaged_visits order by dimension, place, value) as engaged_visits,
    array_agg(visit_ms order by dimension, place, value) as visit_ms,
    array_agg(view_items order by dimension, place, value) as view_items,
    array_agg(add_to_carts order by dimension, place, value) as add_to_carts,
    array_agg(checkouts order by dimension, place, value) as checkouts,
    array_agg(purchases order by dimension, place, value) as purchases,
    array_agg(refunds order by dimension, place, value) as refunds,
    array_agg(revenue_micros order by dimension, place, value) as revenue_micros,
    array_agg(items order by dimension, place, value) as items,
    array_agg(exits order by dimension, place, value) as exits,
    array_agg(bots order by dimension, place, value) as bots,
    array_agg(rejected order by dimension, place, value) as rejected
  from top_values
  group by site_id
)
select
  c.site_id, s.sketch, v.dimensions, v.dimension_values,
  v.events, v.pageviews, v.visits, v.engaged_visits, v.visit_ms, v.view_items,
  v.add_to_carts, v.checkouts, v.purchases, v.refunds, v.revenue_micros, v.items,
  v.exits, v.bots, v.rejected
from changed c
left join sketches s on s.site_id = c.site_id
left join lists v on v.site_id = c.site_id
