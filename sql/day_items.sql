-- What does a local day's serving item hold, for each site of a slice that changed? Rows as of sql/days.sql, which are made of
-- less where the values of dimensions have been added up (sql/day_values.sql): of the hours only what is the site's as a whole.
with changed as (
  select distinct site_id
  from changes
  where run in (:changed_runs) and local_day = :day and site_id >= :first_site and (site_id < :end_site or :end_site = '')
),
of_day as (
  select h.*
  from hours h
  join changed c on c.site_id = h.site_id
  where h.run in (:runs) and h.local_day = :day and dimension = '' and h.site_id >= :first_site and (h.site_id < :end_site or :end_site = '')
),
sketches as (
  select site_id, array_agg(entry order by entry) as sketch
  from (
    -- What is before the rank tells visitors, or registers, apart.
    select site_id, max(entry) as entry
    from of_day cross join unnest(sketch) as entries (entry)
    group by site_id, entry - mod(entry, 64)
  ) as of_site
  group by site_id
),
-- Hardly any dimension of a site has more values than are kept: only those of these are put in order, a fifth of the time less.
long_ones as (
  select site_id, dimension
  from day_values
  where run = :run and site_id >= :first_site and (site_id < :end_site or :end_site = '')
  group by site_id, dimension
  having count(*) > :top or max(case when value = '(other)' then 1 else 0 end) = 1
),
of_values as (
  select v.*, l.site_id is not null as is_long
  from day_values v
  join changed c on c.site_id = v.site_id
  left join long_ones l on l.site_id = v.site_id and l.dimension = v.dimension
  where run = :run and v.site_id >= :first_site and (v.site_id < :end_site or :end_site = '')
),
placed as (
  select
    *,
    row_number() over (
      partition by site_id, dimension order by events + visits + exits + items + rejected + purchases desc, value
    ) <= :top and value <> '(other)' as is_top
  from of_values
  where is_long
),
listed as (
  select
    site_id, dimension, value,
    events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts, purchases, refunds,
    revenue_micros, items, exits, bots, rejected, long_visit_events
  from of_values
  where not is_long
  union all
  select
    site_id, dimension, value,
    events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts, purchases, refunds,
    revenue_micros, items, exits, bots, rejected, long_visit_events
  from placed
  where is_top
  union all
  select
    site_id, dimension, value,
    sum(events), sum(pageviews), sum(visits), sum(engaged_visits), sum(visit_ms), sum(view_items), sum(add_to_carts),
    sum(checkouts), sum(purchases), sum(refunds), sum(cast(revenue_micros as decimal(38, 0))), sum(items), sum(exits),
    sum(bots), sum(rejected), sum(long_visit_events)
  from (
    select
      site_id, dimension, '(other)' as value,
      events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts, purchases, refunds,
      revenue_micros, items, exits, bots, rejected, long_visit_events
    from placed
    where not is_top
    union all
    select
      site_id, '', '',
      events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts, purchases, refunds,
      revenue_micros, items, exits, bots, rejected, long_visit_events
    from of_day
  ) as many
  group by site_id, dimension, value
),
-- One text for a value and its sums, as in sql/days.sql.
lists as (
  select
    site_id,
    array_agg(case
      when visits = 0 and engaged_visits = 0 and visit_ms = 0 and view_items = 0 and add_to_carts = 0 and checkouts = 0 and
        purchases = 0 and refunds = 0 and revenue_micros = 0 and items = 0 and exits = 0 and bots = 0 and rejected = 0 and
        long_visit_events = 0
      then concat_ws(chr(31), dimension, value, cast(events as varchar), cast(pageviews as varchar))
      when add_to_carts = 0 and checkouts = 0 and purchases = 0 and refunds = 0 and revenue_micros = 0 and items = 0 and
        exits = 0 and bots = 0 and rejected = 0 and long_visit_events = 0
      then concat_ws(chr(31), dimension, value,
        cast(events as varchar), cast(pageviews as varchar), cast(visits as varchar), cast(engaged_visits as varchar),
        cast(visit_ms as varchar), cast(view_items as varchar))
      else concat_ws(chr(31), dimension, value,
        cast(events as varchar), cast(pageviews as varchar), cast(visits as varchar), cast(engaged_visits as varchar),
        cast(visit_ms as varchar), cast(view_items as varchar), cast(add_to_carts as varchar), cast(checkouts as varchar),
        cast(purchases as varchar), cast(refunds as varchar),
        cast(cast(greatest(-9000000000000000000, least(9000000000000000000, revenue_micros)) as bigint) as varchar),
        cast(items as varchar), cast(exits as varchar), cast(bots as varchar), cast(rejected as varchar),
        cast(long_visit_events as varchar))
    end) as sums
  from listed
  group by site_id
)
select c.site_id, s.sketch, l.sums
from changed c
left join sketches s on s.site_id = c.site_id
left join lists l on l.site_id = c.site_id
