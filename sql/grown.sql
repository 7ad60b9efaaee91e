-- What does a run of an hour hold that is the committed one and a difference? Rows as of sql/hours.sql. What the difference says
-- nothing of is as it was; where all sums come to 0 there is nothing.
with
difference as (
  select * from differences where run = :run
),
committed as (
  select * from hours where run = :committed
),
summed as (
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
    cast(greatest(-9000000000000000000, least(9000000000000000000,
      coalesce(sum(cast(revenue_micros as decimal(38, 0))), 0))) as bigint) as revenue_micros,
    cast(sum(items) as bigint) as items,
    cast(sum(exits) as bigint) as exits,
    cast(sum(bots) as bigint) as bots,
    cast(sum(rejected) as bigint) as rejected,
    cast(sum(long_visit_events) as bigint) as long_visit_events
  from (
    select
      c.site_id, c.local_day, c.quarter, c.dimension, c.value,
      c.events, c.pageviews, c.visits, c.engaged_visits, c.visit_ms, c.view_items, c.add_to_carts, c.checkouts, c.purchases,
      c.refunds, c.revenue_micros, c.items, c.exits, c.bots, c.rejected, c.long_visit_events
    from committed c
    join difference d on d.site_id = c.site_id and d.local_day = c.local_day and d.dimension = c.dimension and d.value = c.value
      and coalesce(d.quarter, -1) = coalesce(c.quarter, -1)
    union all
    select
      site_id, local_day, quarter, dimension, value,
      events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts, purchases, refunds,
      revenue_micros, items, exits, bots, rejected, long_visit_events
    from difference
  ) as parts
  group by site_id, local_day, quarter, dimension, value
  having
    sum(events) <> 0 or sum(pageviews) <> 0 or sum(visits) <> 0 or sum(engaged_visits) <> 0 or sum(visit_ms) <> 0 or
    sum(view_items) <> 0 or sum(add_to_carts) <> 0 or sum(checkouts) <> 0 or sum(purchases) <> 0 or sum(refunds) <> 0 or
    sum(revenue_micros) <> 0 or sum(items) <> 0 or sum(exits) <> 0 or sum(bots) <> 0 or sum(rejected) <> 0 or
    sum(long_visit_events) <> 0
),
-- Who was there in a quarter that something was added to: those who were before, and those who are in what was affected, as
-- in sql/hours.sql. An entry below 64 in the last 18 bits is a register's (core/sketch.ts), and with it all are.
people as (
  select
    h.site_id, local_day, h.quarter, entry,
    max(case when mod(entry, 262144) < 64 then 1 else 0 end) over (partition by h.site_id, h.quarter) as registers
  from hours h
  join (select distinct site_id, quarter from hours where run = :after and dimension = '') a on a.site_id = h.site_id and a.quarter = h.quarter
  cross join unnest(sketch) as entries (entry)
  where run in (:after, :committed) and dimension = ''
),
visitors as (
  select
    site_id, local_day, quarter, max(entry) as entry, max(registers) as registers,
    count(*) over (partition by site_id, quarter) as visitors
  from people
  group by site_id, local_day, quarter, entry - mod(entry, 64)
),
sketches as (
  select site_id, local_day, quarter, array_agg(entry order by entry) as sketch
  from (
    select site_id, local_day, quarter, max(entry) as entry
    from (
      select
        site_id, local_day, quarter,
        case when registers = 0 and visitors <= :exact_visitors then entry else entry - mod(entry, 262144) + mod(entry, 64) end as entry
      from visitors
    ) as told
    group by site_id, local_day, quarter, entry - mod(entry, 64)
  ) as entries
  group by site_id, local_day, quarter
)
select
  c.site_id, c.local_day, c.quarter, c.dimension, c.value,
  c.events, c.pageviews, c.visits, c.engaged_visits, c.visit_ms, c.view_items, c.add_to_carts, c.checkouts, c.purchases,
  c.refunds, c.revenue_micros, c.items, c.exits, c.bots, c.rejected, c.long_visit_events, c.sketch
from committed c
left join difference d on d.site_id = c.site_id and d.local_day = c.local_day and d.dimension = c.dimension and d.value = c.value
  and coalesce(d.quarter, -1) = coalesce(c.quarter, -1)
where d.site_id is null
union all
select
  t.site_id, t.local_day, t.quarter, dimension, value,
  events, pageviews, visits, engaged_visits, visit_ms, view_items, add_to_carts, checkouts, purchases, refunds, revenue_micros,
  items, exits, bots, rejected, long_visit_events, sketch
from summed t
left join sketches s on s.site_id = t.site_id and s.local_day = t.local_day and s.quarter = t.quarter and t.dimension = ''
