-- What does a local day's serving item hold, for each site of a slice that changed? One row per site: a sketch, and a list of
-- sums: the day's own (dimension ''), and of each dimension the top values with the rest under '(other)'. Adds up
-- committed runs of hours; never reads events. A site that vanished from the day has null for both.
with changed as (
  select distinct site_id
  from changes
  where run in (:changed_runs) and local_day = :day and site_id >= :first_site and (site_id < :end_site or :end_site = '')
),
of_day as (
  select h.*
  from hours h
  join changed c on c.site_id = h.site_id
  where h.run in (:runs) and h.local_day = :day and h.site_id >= :first_site and (h.site_id < :end_site or :end_site = '')
),
sketches as (
  select site_id, array_agg(entry order by entry) as sketch
  from (
    -- What is before the rank tells visitors, or registers, apart.
    select site_id, max(entry) as entry
    from of_day cross join unnest(sketch) as entries (entry)
    where dimension = ''
    group by site_id, entry - mod(entry, 64)
  ) as of_site
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
      coalesce(sum(cast(revenue_micros as decimal(38, 0))), 0))) as bigint) as revenue_micros,
    cast(sum(items) as bigint) as items,
    cast(sum(exits) as bigint) as exits,
    cast(sum(bots) as bigint) as bots,
    cast(sum(rejected) as bigint) as rejected,
    cast(sum(long_visit_events) as bigint) as long_visit_events
  from of_day
  group by site_id, dimension, value
  -- Of an exit page that was followed in another hour nothing is left.
  having
    sum(events) <> 0 or sum(visits) <> 0 or sum(exits) <> 0 or sum(items) <> 0 or sum(bots) <> 0 or sum(rejected) <> 0 or
    sum(purchases) <> 0 or sum(refunds) <> 0
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
    site_id, dimension, case when place <= :top then value else '(other)' end as value,
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
      coalesce(sum(cast(revenue_micros as decimal(38, 0))), 0))) as bigint) as revenue_micros,
    cast(sum(items) as bigint) as items,
    cast(sum(exits) as bigint) as exits,
    cast(sum(bots) as bigint) as bots,
    cast(sum(rejected) as bigint) as rejected,
    cast(sum(long_visit_events) as bigint) as long_visit_events
  from placed
  group by site_id, dimension, case when place <= :top then value else '(other)' end
),
-- One text for a value and its sums: an array of texts costs a fraction of as many arrays as there are sums. Values hold
-- no control characters, so chr(31) stands between.
lists as (
  select
    site_id,
    array_agg(concat_ws(chr(31), dimension, value,
      cast(events as varchar), cast(pageviews as varchar), cast(visits as varchar), cast(engaged_visits as varchar),
      cast(visit_ms as varchar), cast(view_items as varchar), cast(add_to_carts as varchar), cast(checkouts as varchar),
      cast(purchases as varchar), cast(refunds as varchar), cast(revenue_micros as varchar), cast(items as varchar),
      cast(exits as varchar), cast(bots as varchar), cast(rejected as varchar),
      cast(long_visit_events as varchar)
    )) as sums
  from top_values
  group by site_id
)
select c.site_id, s.sketch, l.sums
from changed c
left join sketches s on s.site_id = c.site_id
left join lists l on l.site_id = c.site_id
